//! Which agents are in which squads.

use sea_orm::entity::prelude::*;

/// An agent in a squad, at most once.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "squad_members")]
pub struct Model {
    /// The customer organisation that owns the row.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// Unique within the tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The squad.
    pub squad_id: Uuid,
    /// The agent.
    pub agent_id: Uuid,
    /// Lower is tried first.
    pub priority: i32,
    /// When the row was made.
    pub created_at: DateTimeUtc,
    /// Goes with its tenant.
    #[sea_orm(belongs_to, from = "tenant_id", to = "id", on_delete = "Cascade")]
    pub tenant: BelongsTo<super::tenants::Entity>,
    /// Goes with its squad.
    #[sea_orm(belongs_to, from = "(tenant_id, squad_id)", to = "(tenant_id, id)", on_delete = "Cascade")]
    pub squad: BelongsTo<super::squads::Entity>,
    /// Goes with its agent.
    #[sea_orm(belongs_to, from = "(tenant_id, agent_id)", to = "(tenant_id, id)", on_delete = "Cascade")]
    pub agent: BelongsTo<super::agents::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
