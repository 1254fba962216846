//! The durable record of a deletion.

use chrono::{DateTime, Utc};
use uuid::Uuid;

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
    /// Objects that the erased rows named in storage.
    pub objects_planned: i64,
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
