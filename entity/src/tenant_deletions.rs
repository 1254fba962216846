//! The durable record of each tenant's erasure. It outlives the tenant, so no foreign key leads to `tenants`.

use sea_orm::entity::prelude::*;

/// One tenant's erasure. Holds no personal data of the tenant.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tenant_deletions")]
pub struct Model {
    /// The gateway's own, version 7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The tenant that is, or was, erased.
    pub tenant_id: Uuid,
    /// The states of `TenantDeletionStatus`, in lower case.
    #[sea_orm(column_type = "Text")]
    pub status: String,
    /// Why, in the words of whoever asked.
    #[sea_orm(column_type = "Text", nullable)]
    pub reason: Option<String>,
    /// Subject of the token that asked.
    #[sea_orm(column_type = "Text")]
    pub requested_by: String,
    /// When it was asked for.
    pub requested_at: DateTimeUtc,
    /// Whether active sessions were overridden.
    pub is_forced: bool,
    /// Whether an archive was to be written first.
    pub is_export_requested: bool,
    /// When erasing began.
    pub started_at: Option<DateTimeUtc>,
    /// When nothing remained.
    pub finished_at: Option<DateTimeUtc>,
    /// SHA-256 of the plan that was followed, in hexadecimal.
    #[sea_orm(column_type = "Text")]
    pub plan_digest: String,
    /// Objects that the erased rows named in storage.
    pub objects_planned: i64,
    /// Bytes of those objects, as the rows said.
    pub bytes_planned: i64,
    /// The caller's key for asking once; unique for each caller.
    #[sea_orm(column_type = "Text", nullable)]
    pub idempotency_key: Option<String>,
    /// SHA-256 of the input that came with the key.
    #[sea_orm(column_type = "Text", nullable)]
    pub input_digest: Option<String>,
    /// Rows erased, table by table.
    #[sea_orm(has_many)]
    pub tables: HasMany<super::tenant_deletion_tables::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
