//! What waits to be done: operators see it also where no process does it.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::ConnectionTrait;

use super::{Deletions, Status};
use crate::database::{Error, Sql};

/// What waits to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// How many deletions are in each of the states of one that has not ended.
    pub open: Vec<(Status, i64)>,
    /// How long ago the one of them that waits longest was to begin; nothing while none is due.
    pub oldest_due: TimeDelta,
    /// Certificates that are not in object storage yet.
    pub unstored: i64,
}

impl Deletions {
    /// What waits to be done now. Reads what is open, however many deletions have ended.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let database = &self.entry.database;
        let query = async |text: &str| {
            database.connection.query_all_raw(Sql::new(database.backend()).statement(text)).await
        };
        let mut open: Vec<_> = Status::OPEN.into_iter().map(|status| (status, 0)).collect();
        let mut oldest: Option<DateTime<Utc>> = None;
        let text = "SELECT status, count(*) AS n, min(coalesce(scheduled_for, requested_at)) AS oldest \
                    FROM tenant_deletions WHERE status NOT IN ('deleted', 'canceled') GROUP BY status";
        for row in query(text).await? {
            let (word, began): (String, DateTime<Utc>) =
                (row.try_get_by("status")?, row.try_get_by("oldest")?);
            oldest = Some(oldest.map_or(began, |oldest| oldest.min(began)));
            if let Some((_, count)) = open.iter_mut().find(|(status, _)| status.word() == word) {
                *count = row.try_get_by("n")?;
            }
        }
        let text = "SELECT count(*) AS n FROM tenant_deletions \
                    WHERE certificate IS NOT NULL AND certificate_stored_at IS NULL";
        let unstored = query(text).await?.first().map(|row| row.try_get_by("n")).transpose()?;
        let age = oldest.map_or(TimeDelta::zero(), |oldest| self.entry.now() - oldest);
        Ok(Backlog { open, oldest_due: age.max(TimeDelta::zero()), unstored: unstored.unwrap_or_default() })
    }
}
