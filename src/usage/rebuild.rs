//! Builds sums from the calls themselves, step by step, while writers go on.
//!
//! A tenant on the list of rebuilds is read from its calls. Each step replaces the sums of some days by
//! a count, and in the same statement drops the differences that the count has seen; what was committed
//! later stays, and is folded later. A step is exact by itself, so that any number of processes may
//! build the same tenant, and be killed.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use uuid::Uuid;

use super::{
    Keeper, Span,
    columns::{SUMS, buckets_of_calls, sums_of_calls},
    keeper::{Lease, Tenancy},
    ranges::day_until,
};
use crate::database::{Error, Sql};

/// How long a step should take; the next one covers more days, or fewer.
const TARGET: Duration = Duration::from_millis(100);
/// Days of the first step.
const FIRST_STEP: i64 = 7;
/// Days of the longest step: years without calls cost little.
const LONGEST_STEP: i64 = 400;

/// How far the rebuild of one tenant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuilt {
    /// Built up to this instant.
    Until(DateTime<Utc>),
    /// Built: it is read from its sums from now on.
    Done,
    /// Somebody else has the tenant, or has built it; look at the list again.
    Elsewhere,
}

/// What became of the wish to build tenants anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Tenants that are on the list.
    pub listed: u64,
    /// Tenants that somebody holds, and that are not.
    pub held: u64,
}

/// A tenant that is being built, and the pace that suits it.
#[derive(Clone, Copy, Debug)]
pub struct Building {
    /// Which tenant.
    pub tenant: Uuid,
    next_at: Option<DateTime<Utc>>,
    days: i64,
}

impl Keeper {
    /// Puts tenants on the list of rebuilds: this one, or all. From now until they are built their
    /// figures come from their calls. Waits for the step that runs: it may have counted calls before they
    /// were what they are now, and would take its tenant off the list. Waits for no tenant that somebody
    /// holds: all others would wait with it.
    ///
    /// # Errors
    ///
    /// [`Error`]; [`Error::Contention`] while a step of another process takes long.
    pub async fn ask_rebuild(&self, tenant: Option<Uuid>) -> Result<Asked, Error> {
        let Some(transaction) = self.begin(None).await? else { return Ok(Asked::default()) };
        let backend = self.database.backend();
        let condition = |sql: &mut Sql, column: &str| match tenant {
            Some(tenant) => format!("{column} = {}", sql.bind(tenant.into())),
            None => "true".to_owned(),
        };
        let mut sql = Sql::new(backend);
        let only = condition(&mut sql, "tenant_id");
        let text = format!("UPDATE usage_rebuilds SET next_at = NULL WHERE {only}");
        transaction.execute_raw(sql.statement(&text)).await?;

        // Citus locks rows of one tenant only.
        let is_plain = backend == DbBackend::Postgres && !self.database.is_distributed();
        let lock = if is_plain { " FOR KEY SHARE SKIP LOCKED" } else { "" };
        let mut sql = Sql::new(backend);
        let only = condition(&mut sql, "id");
        let text = format!(
            "INSERT INTO usage_rebuilds (tenant_id) SELECT id FROM tenants \
             WHERE {only} AND status <> 'deleting'{lock} ON CONFLICT (tenant_id) DO NOTHING"
        );
        transaction.execute_raw(sql.statement(&text)).await?;

        let mut sql = Sql::new(backend);
        let only = condition(&mut sql, "t.id");
        let text = format!(
            "SELECT count(*) AS wanted, count(b.tenant_id) AS listed FROM tenants t \
             LEFT JOIN usage_rebuilds b ON b.tenant_id = t.id WHERE {only} AND t.status <> 'deleting'"
        );
        let row = transaction.query_one_raw(sql.statement(&text)).await?;
        transaction.commit().await?;
        let number = |name: &str| -> Result<u64, Error> {
            let found = row.as_ref().map(|row| row.try_get_by::<i64, _>(name)).transpose()?;
            Ok(found.and_then(|number| u64::try_from(number).ok()).unwrap_or_default())
        };
        let (wanted, listed) = (number("wanted")?, number("listed")?);
        Ok(Asked { listed, held: wanted.saturating_sub(listed) })
    }

    /// How many tenants are not built yet.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn unbuilt(&self) -> Result<i64, Error> {
        let sql = Sql::new(self.database.backend()).statement("SELECT count(*) AS n FROM usage_rebuilds");
        let row = self.database.connection.query_one_raw(sql).await?;
        Ok(row.map(|row| row.try_get_by("n")).transpose()?.unwrap_or_default())
    }

    /// The first tenant after `after` that is not built yet. One that is being erased will not be.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub async fn next_unbuilt(&self, after: Uuid) -> Result<Option<Building>, Error> {
        let mut sql = Sql::new(self.database.backend());
        let text = format!(
            "SELECT b.tenant_id, b.next_at FROM usage_rebuilds b JOIN tenants t ON t.id = b.tenant_id \
             WHERE b.tenant_id > {} AND t.status <> 'deleting' ORDER BY b.tenant_id LIMIT 1",
            sql.bind(after.into())
        );
        let Some(row) = self.database.connection.query_one_raw(sql.statement(&text)).await? else {
            return Ok(None);
        };
        Ok(Some(Building {
            tenant: row.try_get_by("tenant_id")?,
            next_at: row.try_get_by("next_at")?,
            days: FIRST_STEP,
        }))
    }

    /// Builds some days more of a tenant, in one short transaction.
    ///
    /// # Errors
    ///
    /// [`Error`], with nothing changed.
    pub async fn rebuild(&self, lease: Option<Lease>, building: &mut Building) -> Result<Rebuilt, Error> {
        let begun = Instant::now();
        let Some(transaction) = self.begin(lease).await? else { return Ok(Rebuilt::Elsewhere) };
        if self.hold(&transaction, building.tenant).await? != Tenancy::Held {
            transaction.rollback().await?;
            return Ok(Rebuilt::Elsewhere);
        }
        let span = self.span_of(&transaction, building.tenant, None).await?;
        let start = building.next_at.or(span.map(|span| span.start));
        let step = match (start, span) {
            (Some(start), Some(span)) if start < span.end => {
                let end = start + TimeDelta::days(building.days);
                Some(Span { start, end: end.min(span.end) })
            }
            _ => None,
        };
        let moved = if let Some(step) = step {
            build(&transaction, building.tenant, step).await?;
            checkpoint(&transaction, building, Some(step.end)).await?
        } else {
            checkpoint(&transaction, building, None).await?
        };
        if !moved {
            transaction.rollback().await?;
            return Ok(Rebuilt::Elsewhere);
        }
        transaction.commit().await?;
        let Some(step) = step else { return Ok(Rebuilt::Done) };
        building.next_at = Some(step.end);
        building.days = pace(building.days, begun.elapsed());
        Ok(Rebuilt::Until(step.end))
    }

    /// The UTC days from the first to the last call, sum or difference of a tenant, those before the day `from`
    /// left out.
    pub(super) async fn span_of<C: ConnectionTrait>(
        &self,
        connection: &C,
        tenant: Uuid,
        from: Option<DateTime<Utc>>,
    ) -> Result<Option<Span>, Error> {
        let mut sql = Sql::new(self.database.backend());
        let tenant = sql.bind(tenant.into());
        let from = from.map(|from| sql.bind_instant(from));
        let late =
            |column: &str| from.as_ref().map(|from| format!(" AND {column} >= {from}")).unwrap_or_default();
        let ends =
            [("calls", "started_at"), ("usage_quarter_hours", "starts_at"), ("usage_days", "starts_at")].map(
                |(table, column)| {
                    // Each end is one look into an index.
                    let rows = format!("FROM {table} WHERE tenant_id = {tenant}{}", late(column));
                    format!(
                        "SELECT (SELECT min({column}) {rows}) AS first, (SELECT max({column}) {rows}) AS last"
                    )
                },
            );
        let text = format!(
            "SELECT min(first) AS first, max(last) AS last FROM ({} UNION ALL \
             SELECT min(starts_at), max(starts_at) FROM usage_deltas WHERE tenant_id = {tenant}{}) e",
            ends.join(" UNION ALL "),
            late("starts_at"),
        );
        let Some(row) = connection.query_one_raw(sql.statement(&text)).await? else { return Ok(None) };
        let ends: (Option<DateTime<Utc>>, Option<DateTime<Utc>>) =
            (row.try_get_by("first")?, row.try_get_by("last")?);
        let end_of_time = end_of_time(self.database.backend());
        Ok(ends.0.zip(ends.1).map(|(first, last)| Span {
            start: day_until(first),
            end: (day_until(last) + TimeDelta::days(1)).min(end_of_time),
        }))
    }
}

/// The last instant that an end may be: on SQLite the text of any in the year 10000 sorts before all others.
fn end_of_time(backend: DbBackend) -> DateTime<Utc> {
    match backend {
        DbBackend::Sqlite => {
            DateTime::from_timestamp_micros(253_402_300_799_999_999).unwrap_or(DateTime::<Utc>::MAX_UTC)
        }
        _ => DateTime::<Utc>::MAX_UTC,
    }
}

/// Days of the next step.
fn pace(days: i64, took: Duration) -> i64 {
    if took > TARGET * 2 {
        (days / 2).max(1)
    } else if took < TARGET / 2 {
        (days * 2).min(LONGEST_STEP)
    } else {
        days
    }
}

/// Replaces the sums of whole days by a count.
async fn build(transaction: &DatabaseTransaction, tenant: Uuid, days: Span) -> Result<(), Error> {
    let backend = transaction.get_database_backend();
    let bound = || {
        let mut sql = Sql::new(backend);
        let tenant = sql.bind(tenant.into());
        let (from, to) = (sql.bind_instant(days.start), sql.bind_instant(days.end));
        (sql, tenant, from, to)
    };
    for table in ["usage_quarter_hours", "usage_days"] {
        let (sql, tenant, from, to) = bound();
        let text = format!(
            "DELETE FROM {table} WHERE tenant_id = {tenant} AND starts_at >= {from} AND starts_at < {to}"
        );
        transaction.execute_raw(sql.statement(&text)).await?;
    }
    let (quarter_hour, columns) = (buckets_of_calls(backend)[0], SUMS.join(", "));
    let insert =
        |table: &str, source: &str| format!("INSERT INTO {table} (tenant_id, starts_at, {columns}) {source}");
    let (sql, id, from, to) = bound();
    let count = format!(
        "SELECT c.tenant_id, {quarter_hour} AS starts_at, {} FROM calls c \
         WHERE c.tenant_id = {id} AND c.started_at >= {from} AND c.started_at < {to} GROUP BY 1, 2",
        sums_of_calls(backend)
    );
    let by_day = |source: &str, day: &str| {
        let sums = SUMS.map(|column| format!("sum({column})"));
        format!("SELECT tenant_id, {day} AS starts_at, {} FROM {source} GROUP BY 1, 2", sums.join(", "))
    };
    if backend == DbBackend::Postgres {
        // One statement, one snapshot: the differences it drops are those whose calls it has counted.
        let text = format!(
            "WITH seen AS (DELETE FROM usage_deltas \
               WHERE tenant_id = {id} AND starts_at >= {from} AND starts_at < {to}), \
             q AS ({} RETURNING tenant_id, starts_at, {columns}) {}",
            insert("usage_quarter_hours", &count),
            insert("usage_days", &by_day("q", "date_trunc('day', starts_at, 'UTC')")),
        );
        transaction.execute_raw(sql.statement(&text)).await?;
        return Ok(());
    }
    transaction.execute_raw(sql.statement(&insert("usage_quarter_hours", &count))).await?;
    let (sql, id, from, to) = bound();
    let source = format!(
        "(SELECT * FROM usage_quarter_hours WHERE tenant_id = {id} AND starts_at >= {from} AND starts_at < {to})"
    );
    let day = "substr(starts_at, 1, 10) || 'T00:00:00.000000Z'";
    transaction.execute_raw(sql.statement(&insert("usage_days", &by_day(&source, day)))).await?;
    Ok(())
}

/// Notes how far the tenant is built, or takes it off the list. Returns whether it stood where this
/// process had left it; if not, somebody else has moved it.
async fn checkpoint(
    transaction: &DatabaseTransaction,
    building: &Building,
    next_at: Option<DateTime<Utc>>,
) -> Result<bool, Error> {
    let mut sql = Sql::new(transaction.get_database_backend());
    let was = building.next_at.map(|instant| sql.bind_instant(instant));
    let next_at = next_at.map(|instant| sql.bind_instant(instant));
    let here = match was {
        Some(was) => format!("tenant_id = {} AND next_at = {was}", sql.bind(building.tenant.into())),
        None => format!("tenant_id = {} AND next_at IS NULL", sql.bind(building.tenant.into())),
    };
    let text = match next_at {
        Some(next_at) => format!("UPDATE usage_rebuilds SET next_at = {next_at} WHERE {here}"),
        None => format!("DELETE FROM usage_rebuilds WHERE {here}"),
    };
    Ok(transaction.execute_raw(sql.statement(&text)).await?.rows_affected() > 0)
}
