//! Audio kept of calls; the bytes are in object storage.

use sea_orm::entity::prelude::*;

/// One recording of a call.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "call_recordings")]
pub struct Model {
    /// The customer organisation that owns the row.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// Unique within the tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The recorded call.
    pub call_id: Uuid,
    /// Name of the object in storage.
    #[sea_orm(column_type = "Text")]
    pub storage_key: String,
    /// Bytes, 0 or more.
    pub size_bytes: i64,
    /// When the row was made.
    pub created_at: DateTimeUtc,
    /// Goes with its tenant.
    #[sea_orm(belongs_to, from = "tenant_id", to = "id", on_delete = "Cascade")]
    pub tenant: BelongsTo<super::tenants::Entity>,
    /// Goes with its call.
    #[sea_orm(belongs_to, from = "(tenant_id, call_id)", to = "(tenant_id, id)", on_delete = "Cascade")]
    pub call: BelongsTo<super::calls::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
