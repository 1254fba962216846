//! The states of a tenant, and the change between those that people choose.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use entity::timestamp;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use uuid::Uuid;

use crate::database::{self, Database};

/// How long an attempt waits for another transaction's lock. It holds a connection meanwhile, and any
/// number of requests may be waiting for one tenant: so it is short.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '100ms'";
/// Wait between attempts, without a connection.
const PAUSE: Duration = Duration::from_millis(400);
/// After so long no further attempt is begun.
const PATIENCE: Duration = Duration::from_secs(3);

/// A tenant's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Works.
    Active,
    /// Set aside, by choice; the soft alternative to a deletion.
    Inactive,
    /// Stopped by the platform.
    Suspended,
    /// Being erased.
    Deleting,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Active, Self::Inactive, Self::Suspended, Self::Deleting];

    /// The word in the column `status`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
        }
    }

    /// The status of a word in the column, which a check limits to these.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// Sets the status of a tenant, unless it is being erased. Returns whether a row was changed: not
/// when the tenant does not exist, or is being erased.
///
/// # Errors
///
/// [`database::Error`]: `Contention` when others held the row, or SQLite's one writer, for too long.
#[tracing::instrument(level = "debug", skip_all)]
pub async fn set_status(
    database: &Database,
    tenant: Uuid,
    status: Status,
    now: DateTime<Utc>,
) -> Result<bool, database::Error> {
    let begun = Instant::now();
    loop {
        match attempt(database, tenant, status, now).await {
            Err(database::Error::Contention(_)) if begun.elapsed() + PAUSE < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

async fn attempt(
    database: &Database,
    tenant: Uuid,
    status: Status,
    now: DateTime<Utc>,
) -> Result<bool, database::Error> {
    let backend = database.backend();
    let transaction = database.begin().await?;
    if backend == DbBackend::Postgres {
        transaction.execute_unprepared(LOCK_TIMEOUT).await?;
    }
    let sql = "UPDATE tenants SET status = $1, updated_at = $2 WHERE id = $3 AND status <> 'deleting'";
    let values = [status.word().into(), timestamp::value(backend, now), tenant.into()];
    let done = transaction.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    transaction.commit().await?;
    Ok(done.rows_affected() > 0)
}
