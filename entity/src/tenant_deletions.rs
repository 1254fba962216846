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
    /// When erasing is to begin; none in a record of a gateway that erased at once.
    pub scheduled_for: Option<DateTimeUtc>,
    /// When it was called off.
    pub canceled_at: Option<DateTimeUtc>,
    /// Why it was called off.
    #[sea_orm(column_type = "Text", nullable)]
    pub cancel_reason: Option<String>,
    /// The kind of obstacle, while it is blocked: the codes of `DeletionBlockCode`, in lower case.
    #[sea_orm(column_type = "Text", nullable)]
    pub block_code: Option<String>,
    /// What is in the way and what to do about it.
    #[sea_orm(column_type = "Text", nullable)]
    pub block_message: Option<String>,
    /// The status to go on with.
    #[sea_orm(column_type = "Text", nullable)]
    pub block_during: Option<String>,
    /// When it stopped.
    pub blocked_at: Option<DateTimeUtc>,
    /// Steps of the plan that erasing has gone past.
    pub steps_done: i32,
    /// Attempts in a row that failed.
    pub attempts: i32,
    /// Before this instant nothing is tried again; none while nothing failed, or only a person can help.
    pub next_attempt_at: Option<DateTimeUtc>,
    /// The deletion after which the tenant came back.
    pub replay_of: Option<Uuid>,
    /// The usage of its last month, as the certificate tells it, in JSON.
    #[sea_orm(column_type = "Text", nullable)]
    pub final_usage: Option<String>,
    /// Objects removed from storage.
    pub objects_erased: i64,
    /// Bytes of those objects.
    pub bytes_erased: i64,
    /// Versions and delete markers removed from storage that a listing does not show.
    pub versions_erased: i64,
    /// Unfinished uploads removed from storage.
    pub uploads_erased: i64,
    /// What it proves: canonical JSON.
    #[sea_orm(column_type = "Text", nullable)]
    pub certificate: Option<String>,
    /// SHA-256 of the certificate's bytes, in hexadecimal.
    #[sea_orm(column_type = "Text", nullable)]
    pub certificate_sha256: Option<String>,
    /// Ed25519 signature of the certificate, in base64.
    #[sea_orm(column_type = "Text", nullable)]
    pub certificate_signature: Option<String>,
    /// Names the key that signed.
    #[sea_orm(column_type = "Text", nullable)]
    pub certificate_key_id: Option<String>,
    /// When the certificate was written to object storage.
    pub certificate_stored_at: Option<DateTimeUtc>,
    /// Address of the object storage that it is done with; empty: of whichever gateway comes next.
    #[sea_orm(column_type = "Text", nullable)]
    pub storage_address: Option<String>,
    /// Rows erased, table by table.
    #[sea_orm(has_many)]
    pub tables: HasMany<super::tenant_deletion_tables::Entity>,
    /// Where erasing stands.
    #[sea_orm(has_many)]
    pub ranges: HasMany<super::tenant_deletion_ranges::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
