//! Phone-line configurations.

use sea_orm::entity::prelude::*;

/// One phone-line configuration.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "sip_trunks")]
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
    /// Host name of the carrier.
    #[sea_orm(column_type = "Text")]
    pub host: String,
    /// In the platform's own words.
    #[sea_orm(column_type = "Text")]
    pub status: String,
    /// When the row was made.
    pub created_at: DateTimeUtc,
    /// Goes with its tenant.
    #[sea_orm(belongs_to, from = "tenant_id", to = "id", on_delete = "Cascade")]
    pub tenant: BelongsTo<super::tenants::Entity>,
    /// The numbers it carries.
    #[sea_orm(has_many)]
    pub numbers: HasMany<super::phone_numbers::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
