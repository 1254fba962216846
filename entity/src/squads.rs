//! Teams of agents with routing.

use sea_orm::entity::prelude::*;

/// One team of agents.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "squads")]
pub struct Model {
    /// The customer organisation that owns the row.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// Unique within the tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Display name.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// How calls find an agent, in the platform's own words.
    #[sea_orm(column_type = "Text")]
    pub routing: String,
    /// When the row was made.
    pub created_at: DateTimeUtc,
    /// Goes with its tenant.
    #[sea_orm(belongs_to, from = "tenant_id", to = "id", on_delete = "Cascade")]
    pub tenant: BelongsTo<super::tenants::Entity>,
    /// The agents in it.
    #[sea_orm(has_many)]
    pub members: HasMany<super::squad_members::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
