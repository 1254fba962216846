//! Sums of calls per tenant and UTC quarter-hour.

use sea_orm::entity::prelude::*;

/// One quarter-hour of one tenant; one without calls may be missing.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_quarter_hours")]
pub struct Model {
    /// The customer organisation whose calls these are.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// Start of the bucket: calls that started from then on are in it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub starts_at: DateTimeUtc,
    /// How many calls.
    pub calls: i64,
    /// Seconds, over calls that have a duration.
    pub duration_sum: i64,
    /// Calls that have a duration.
    pub duration_count: i64,
    /// Millionths of a score, over scored calls.
    pub score_sum: i64,
    /// Calls that have a score.
    pub score_count: i64,
    /// Cents, over all calls.
    pub cost_cents: i64,
    /// Goes with its tenant.
    #[sea_orm(belongs_to, from = "tenant_id", to = "id", on_delete = "Cascade")]
    pub tenant: BelongsTo<super::tenants::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
