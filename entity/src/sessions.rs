//! Live connections, tied to a call or to a chat.

use sea_orm::entity::prelude::*;

/// One live connection.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// The customer organisation that owns the row.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// Unique within the tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The agent on it, if any.
    pub agent_id: Option<Uuid>,
    /// The call it carries; none for a chat.
    pub call_id: Option<Uuid>,
    /// `phone`, `web` or `chat`, in the platform's own words.
    #[sea_orm(column_type = "Text")]
    pub channel: String,
    /// When it opened.
    pub started_at: DateTimeUtc,
    /// The last sign of life; none before the first.
    pub last_seen_at: Option<DateTimeUtc>,
    /// None while it is open.
    pub ended_at: Option<DateTimeUtc>,
    /// Goes with its tenant.
    #[sea_orm(belongs_to, from = "tenant_id", to = "id", on_delete = "Cascade")]
    pub tenant: BelongsTo<super::tenants::Entity>,
    /// Blocks the agent's deletion.
    #[sea_orm(belongs_to, from = "(tenant_id, agent_id)", to = "(tenant_id, id)", on_delete = "NoAction")]
    pub agent: BelongsTo<Option<super::agents::Entity>>,
    /// Goes with its call.
    #[sea_orm(belongs_to, from = "(tenant_id, call_id)", to = "(tenant_id, id)", on_delete = "Cascade")]
    pub call: BelongsTo<Option<super::calls::Entity>>,
}

impl ActiveModelBehavior for ActiveModel {}
