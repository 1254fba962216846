//! The states of a tenant, and the change between those that people choose.

use chrono::{DateTime, Utc};
use entity::timestamp;
use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use crate::database::{self, Database};

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
/// [`database::Error`].
pub async fn set_status(
    database: &Database,
    tenant: Uuid,
    status: Status,
    now: DateTime<Utc>,
) -> Result<bool, database::Error> {
    let backend = database.backend();
    let sql = "UPDATE tenants SET status = $1, updated_at = $2 WHERE id = $3 AND status <> 'deleting'";
    let values = [status.word().into(), timestamp::value(backend, now), tenant.into()];
    let done = database.connection.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    Ok(done.rows_affected() > 0)
}
