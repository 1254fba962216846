//! The durable record of a deletion.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Certificate;

/// Where a deletion stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Waits for its grace period to end.
    Scheduled,
    /// Writes the archive.
    Exporting,
    /// Erases rows and objects.
    Erasing,
    /// Proves that nothing remains.
    Verifying,
    /// Nothing remains.
    Deleted,
    /// Stopped, and says why.
    Blocked,
    /// Called off.
    Canceled,
}

impl Status {
    /// All of them, in the order of a deletion's life.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Exporting,
        Self::Erasing,
        Self::Verifying,
        Self::Deleted,
        Self::Blocked,
        Self::Canceled,
    ];

    /// Those of a deletion that has not ended.
    pub const OPEN: [Self; 5] =
        [Self::Scheduled, Self::Exporting, Self::Erasing, Self::Verifying, Self::Blocked];

    /// The word in the column `status`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Exporting => "exporting",
            Self::Erasing => "erasing",
            Self::Verifying => "verifying",
            Self::Deleted => "deleted",
            Self::Blocked => "blocked",
            Self::Canceled => "canceled",
        }
    }

    /// The status of a word in the column, which a check limits to these.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// What is in the way of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockCode {
    /// The tenant was gone when erasing was to begin.
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

impl BlockCode {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::TenantNotFound,
        Self::ActiveSessions,
        Self::PlanIncomplete,
        Self::PermissionDenied,
        Self::ForeignKeyCycle,
        Self::RowsRemain,
        Self::Writers,
        Self::StorageFailed,
        Self::OtherStorage,
        Self::ExportFailed,
        Self::Internal,
    ];

    /// The word in the column `block_code`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::TenantNotFound => "tenant_not_found",
            Self::ActiveSessions => "active_sessions",
            Self::PlanIncomplete => "plan_incomplete",
            Self::PermissionDenied => "permission_denied",
            Self::ForeignKeyCycle => "foreign_key_cycle",
            Self::RowsRemain => "rows_remain",
            Self::Writers => "writers",
            Self::StorageFailed => "storage_failed",
            Self::OtherStorage => "other_storage",
            Self::ExportFailed => "export_failed",
            Self::Internal => "internal",
        }
    }

    /// The code of a word in the column.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.word() == word)
    }
}

/// Why a deletion stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The kind of obstacle.
    pub code: BlockCode,
    /// What is in the way and what to do about it; for people, without internals.
    pub message: String,
    /// The status to go on with.
    pub during: Status,
    /// When it stopped.
    pub since: DateTime<Utc>,
}

/// One tenant's erasure.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    /// The deletion.
    pub id: Uuid,
    /// The tenant that is, or was, erased.
    pub tenant: Uuid,
    /// Where it stands.
    pub status: Status,
    /// Why, in the words of whoever asked.
    pub reason: Option<String>,
    /// Subject of the token that asked.
    pub requested_by: String,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// Whether active sessions were overridden.
    pub is_forced: bool,
    /// Whether an archive was to be written first.
    pub is_export_requested: bool,
    /// When erasing began.
    pub started_at: Option<DateTime<Utc>>,
    /// When nothing remained.
    pub finished_at: Option<DateTime<Utc>>,
    /// When erasing is, or was, to begin.
    pub scheduled_for: DateTime<Utc>,
    /// Why it stopped; none while nothing is in the way.
    pub block: Option<Block>,
    /// SHA-256 of the plan that is, or was, followed, in hexadecimal.
    pub plan_digest: String,
    /// Steps of that plan that are done.
    pub steps_done: usize,
    /// Attempts in a row that failed.
    pub attempts: u32,
    /// Objects that the rows named in storage when erasing began.
    pub objects_planned: i64,
    /// Objects removed from storage.
    pub objects_erased: i64,
    /// Bytes of those objects.
    pub bytes_erased: i64,
    /// Address of the object storage that it is done with; empty: of whichever gateway comes next.
    pub storage: Option<String>,
    /// The deletion after which the tenant came back.
    pub replay_of: Option<Uuid>,
    /// What it proves, once nothing remains.
    pub certificate: Option<Certificate>,
}

impl Deletion {
    /// Whether it can still be called off: nothing is erased yet.
    #[must_use]
    pub fn is_cancelable(&self) -> bool {
        match self.status {
            Status::Scheduled => true,
            Status::Blocked => self.block.as_ref().is_some_and(|block| block.during == Status::Scheduled),
            _ => false,
        }
    }
}

/// One table of a deletion's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableProgress {
    /// The table, as the plan names it.
    pub name: String,
    /// Rows found when erasing began.
    pub rows_planned: i64,
    /// Rows erased.
    pub rows_erased: i64,
}
