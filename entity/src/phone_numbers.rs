//! Phone numbers on SIP trunks.

use sea_orm::entity::prelude::*;

/// One phone number.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "phone_numbers")]
pub struct Model {
    /// The customer organisation that owns the row.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// Unique within the tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The trunk that carries it.
    pub trunk_id: Uuid,
    /// E.164, unique within the tenant.
    #[sea_orm(column_type = "Text")]
    pub number: String,
    /// When the row was made.
    pub created_at: DateTimeUtc,
    /// Goes with its tenant.
    #[sea_orm(belongs_to, from = "tenant_id", to = "id", on_delete = "Cascade")]
    pub tenant: BelongsTo<super::tenants::Entity>,
    /// Goes with its trunk.
    #[sea_orm(belongs_to, from = "(tenant_id, trunk_id)", to = "(tenant_id, id)", on_delete = "Cascade")]
    pub trunk: BelongsTo<super::sip_trunks::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
