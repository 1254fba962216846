//! AI voice agents.

use sea_orm::entity::prelude::*;

/// One AI voice agent. An agent with calls is archived, never deleted, or past bills would shrink.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "agents")]
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
    /// In the platform's own words: `active`, `paused`, `archived`.
    #[sea_orm(column_type = "Text")]
    pub status: String,
    /// When the row was made.
    pub created_at: DateTimeUtc,
    /// Goes with its tenant.
    #[sea_orm(belongs_to, from = "tenant_id", to = "id", on_delete = "Cascade")]
    pub tenant: BelongsTo<super::tenants::Entity>,
    /// The calls it took or made.
    #[sea_orm(has_many)]
    pub calls: HasMany<super::calls::Entity>,
    /// The sessions it serves.
    #[sea_orm(has_many)]
    pub sessions: HasMany<super::sessions::Entity>,
    /// The squads it is in.
    #[sea_orm(has_many)]
    pub memberships: HasMany<super::squad_members::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
