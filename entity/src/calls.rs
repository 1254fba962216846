//! Phone and web calls: what statistics and bills are made of.

use sea_orm::entity::prelude::*;

/// One phone or web call.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "calls")]
pub struct Model {
    /// The customer organisation that owns the row.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// Unique within the tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Who spoke for the tenant.
    pub agent_id: Uuid,
    /// `inbound` or `outbound`, in the platform's own words.
    #[sea_orm(column_type = "Text")]
    pub direction: String,
    /// In the platform's own words; statistics count every status alike.
    #[sea_orm(column_type = "Text")]
    pub status: String,
    /// The instant that decides which day and month the call belongs to.
    pub started_at: DateTimeUtc,
    /// None while the call goes on.
    pub ended_at: Option<DateTimeUtc>,
    /// Seconds, 0 or more.
    pub duration_seconds: Option<i32>,
    /// From −1 to 1.
    #[sea_orm(column_type = "Double", nullable)]
    pub sentiment_score: Option<f64>,
    /// Cents, within ±10^12; a refund is negative.
    pub cost_cents: i64,
    /// Goes with its tenant.
    #[sea_orm(belongs_to, from = "tenant_id", to = "id", on_delete = "Cascade")]
    pub tenant: BelongsTo<super::tenants::Entity>,
    /// Blocks the agent's deletion.
    #[sea_orm(belongs_to, from = "(tenant_id, agent_id)", to = "(tenant_id, id)", on_delete = "NoAction")]
    pub agent: BelongsTo<super::agents::Entity>,
    /// Audio kept of it.
    #[sea_orm(has_many)]
    pub recordings: HasMany<super::call_recordings::Entity>,
    /// What was said.
    #[sea_orm(has_many)]
    pub transcripts: HasMany<super::call_transcripts::Entity>,
    /// The live connection behind it.
    #[sea_orm(has_many)]
    pub sessions: HasMany<super::sessions::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
