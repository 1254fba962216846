//! `TenantDeletion` and what belongs to it.

use std::time::Duration;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::TimeDelta;

use super::{
    error::Fault,
    request::{loaders, parts},
    scalar::{DateTime, Int64},
    stats::int64,
};
use crate::deletion::{self, Deletion, TableProgress};

type Instant = chrono::DateTime<chrono::Utc>;

/// Where a deletion stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "deletion::Status")]
pub enum TenantDeletionStatus {
    /// Waits for its grace period to end; the tenant works as before and the deletion can be
    /// canceled.
    Scheduled,
    /// Writes the archive.
    Exporting,
    /// Erases rows and objects.
    Erasing,
    /// Proves that nothing remains.
    Verifying,
    /// Nothing remains.
    Deleted,
    /// Stopped; `block` says why.
    Blocked,
    /// Called off before anything was erased.
    Canceled,
}

/// Why a deletion stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "deletion::BlockCode")]
pub enum DeletionBlockCode {
    /// The tenant was gone when erasing was to begin: somebody else has deleted it.
    TenantNotFound,
    /// Sessions or calls were active when erasing was to begin.
    ActiveSessions,
    /// The plan has gaps.
    PlanIncomplete,
    /// The gateway's database user lacks a right.
    PermissionDenied,
    /// Rows refer to one another in a circle that cannot be broken.
    ForeignKeyCycle,
    /// Rows were left after everything was erased.
    RowsRemain,
    /// Writers kept adding rows, or held the tenant's.
    Writers,
    /// Object storage did not do what it was asked.
    StorageFailed,
    /// The gateway has another object storage than deletions were done with before.
    OtherStorage,
    /// The archive could not be written.
    ExportFailed,
    /// A fault of the gateway, or of the database.
    Internal,
}

/// Why and when a deletion stopped.
#[derive(Clone, Debug, SimpleObject)]
pub struct DeletionBlock {
    /// The kind of obstacle.
    code: DeletionBlockCode,
    /// What is in the way and what to do about it.
    message: String,
    /// What the deletion was doing.
    during: TenantDeletionStatus,
    /// When it stopped.
    since: DateTime,
}

/// How far a deletion has come.
#[derive(Clone, Debug, SimpleObject)]
pub struct DeletionProgress {
    /// Rows found when erasing began.
    rows_planned: Int64,
    /// Rows erased.
    rows_erased: Int64,
    /// Objects in storage that these rows named.
    objects_planned: Int64,
    /// Objects removed from storage.
    objects_erased: Int64,
    /// Bytes of the removed objects.
    bytes_erased: Int64,
    /// Rows erased a second. Null while that cannot be told.
    rows_per_second: Option<f64>,
    /// When it will have ended, at the present rate. Null when it has, or when that cannot be told.
    estimated_end_at: Option<DateTime>,
    /// Table by table, children before their parents.
    tables: Vec<TableProgressNode>,
}

/// How far a deletion has come with one table.
#[derive(Clone, Debug, SimpleObject)]
#[graphql(name = "TableProgress")]
pub struct TableProgressNode {
    /// The table.
    name: String,
    /// Rows found when erasing began.
    rows_planned: Int64,
    /// Rows erased.
    rows_erased: Int64,
}

/// What a finished deletion proves.
#[derive(Clone, Debug, SimpleObject)]
pub struct DeletionCertificate {
    /// Canonical JSON: counts, times and the plan, without personal data.
    document: String,
    /// SHA-256 of the document's bytes, in hexadecimal.
    sha256: String,
    /// Ed25519 signature of the document, in base64, where the server has a key.
    signature: Option<String>,
    /// Names the key that signed.
    key_id: Option<String>,
}

/// The durable record of one tenant's erasure. It outlives the tenant and can be read for ever.
#[derive(Clone, Debug)]
pub struct TenantDeletion(pub(super) Deletion);

/// The durable record of one tenant's erasure. It outlives the tenant and can be read for ever.
#[Object]
impl TenantDeletion {
    /// Identifies the deletion.
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    /// The tenant that is, or was, erased.
    async fn tenant_id(&self) -> ID {
        self.0.tenant.into()
    }

    /// Where the deletion stands.
    async fn status(&self) -> TenantDeletionStatus {
        self.0.status.into()
    }

    /// Why, in the words of whoever asked.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// Who asked: the subject of the token.
    async fn requested_by(&self) -> &str {
        &self.0.requested_by
    }

    /// When it was asked for.
    async fn requested_at(&self) -> DateTime {
        DateTime(self.0.requested_at)
    }

    /// Whether active sessions and calls were overridden.
    async fn is_forced(&self) -> bool {
        self.0.is_forced
    }

    /// Whether an archive was to be written first.
    async fn is_export_requested(&self) -> bool {
        self.0.is_export_requested
    }

    /// When erasing is, or was, to begin: without a grace period, when it was asked for.
    async fn scheduled_for(&self) -> DateTime {
        DateTime(self.0.scheduled_for)
    }

    /// Whether `cancelTenantDeletion` can still call it off.
    async fn is_cancelable(&self) -> bool {
        self.0.is_cancelable()
    }

    /// When erasing began.
    async fn started_at(&self) -> Option<DateTime> {
        self.0.started_at.map(DateTime)
    }

    /// When nothing remained.
    async fn finished_at(&self) -> Option<DateTime> {
        self.0.finished_at.map(DateTime)
    }

    /// What is in the way. With status `BLOCKED` it has stopped; with another one it is tried again by
    /// itself. Null while nothing is in the way.
    async fn block(&self) -> Option<DeletionBlock> {
        let block = self.0.block.as_ref()?;
        Some(DeletionBlock {
            code: block.code.into(),
            message: block.message.clone(),
            during: block.during.into(),
            since: DateTime(block.since),
        })
    }

    /// How far it has come.
    async fn progress(&self, context: &Context<'_>) -> async_graphql::Result<DeletionProgress> {
        let tables = loaders(context).deletion_tables(self.0.id).await?.unwrap_or_default();
        Ok(DeletionProgress::new(&self.0, &tables, parts(context).clock.now())?)
    }

    /// What the finished deletion proves. Null until it has ended.
    async fn certificate(&self) -> Option<DeletionCertificate> {
        let certificate = self.0.certificate.clone()?;
        Some(DeletionCertificate {
            document: certificate.document,
            sha256: certificate.sha256,
            signature: certificate.signature,
            key_id: certificate.key_id,
        })
    }
}

impl DeletionProgress {
    fn new(deletion: &Deletion, tables: &[TableProgress], now: Instant) -> Result<Self, Fault> {
        let planned: i64 = tables.iter().map(|table| table.rows_planned).sum();
        let erased: i64 = tables.iter().map(|table| table.rows_erased).sum();
        let tables = tables
            .iter()
            .map(|table| {
                Ok(TableProgressNode {
                    name: table.name.clone(),
                    rows_planned: int64(table.rows_planned, "rowsPlanned")?,
                    rows_erased: int64(table.rows_erased, "rowsErased")?,
                })
            })
            .collect::<Result<_, Fault>>()?;
        Ok(Self {
            rows_planned: int64(planned, "rowsPlanned")?,
            rows_erased: int64(erased, "rowsErased")?,
            objects_planned: int64(deletion.objects_planned, "objectsPlanned")?,
            objects_erased: int64(deletion.objects_erased, "objectsErased")?,
            bytes_erased: int64(deletion.bytes_erased, "bytesErased")?,
            rows_per_second: rate(deletion, erased, now),
            estimated_end_at: end(deletion, erased, planned, now).map(DateTime),
            tables,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is a float by nature")]
fn rate(deletion: &Deletion, rows: i64, now: Instant) -> Option<f64> {
    let seconds = (deletion.finished_at.unwrap_or(now) - deletion.started_at?).as_seconds_f64();
    (seconds > 0.0 && rows > 0).then(|| rows as f64 / seconds)
}

/// At the rate so far, if it is erasing.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn end(deletion: &Deletion, erased: i64, planned: i64, now: Instant) -> Option<Instant> {
    if deletion.status != deletion::Status::Erasing {
        return None;
    }
    let seconds = (planned - erased).max(0) as f64 / rate(deletion, erased, now)?;
    now.checked_add_signed(TimeDelta::from_std(Duration::try_from_secs_f64(seconds).ok()?).ok()?)
}
