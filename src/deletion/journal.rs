//! Writes the records of deletions: what was asked, where each stands, and what is in its way.
//!
//! Whatever a worker does it writes down in the transaction that does it, so that another worker can
//! go on from there.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use uuid::Uuid;

use super::{Block, Deletion, Status};
use crate::{
    cascade::{Plan, Range, TableName},
    database::{Error, Sql},
};

/// A deletion as it is first written down, beside what its record shows.
pub(super) struct New<'a> {
    pub(super) deletion: &'a Deletion,
    pub(super) idempotency_key: Option<&'a str>,
    pub(super) input_digest: Option<&'a str>,
}

/// Writes a new record.
///
/// # Errors
///
/// [`Error`]; [`Error::Duplicate`] when the tenant has an open deletion, or the key is taken.
pub(super) async fn insert<C: ConnectionTrait>(connection: &C, new: &New<'_>) -> Result<(), Error> {
    let deletion = new.deletion;
    let mut sql = Sql::new(connection.get_database_backend());
    let columns = [
        ("id", sql.bind(deletion.id.into())),
        ("tenant_id", sql.bind(deletion.tenant.into())),
        ("status", sql.bind(deletion.status.word().into())),
        ("reason", sql.bind(deletion.reason.clone().into())),
        ("requested_by", sql.bind(deletion.requested_by.as_str().into())),
        ("requested_at", sql.bind_instant(deletion.requested_at)),
        ("scheduled_for", sql.bind_instant(deletion.scheduled_for)),
        ("is_forced", sql.bind(deletion.is_forced.into())),
        ("is_export_requested", sql.bind(deletion.is_export_requested.into())),
        ("plan_digest", sql.bind(deletion.plan_digest.as_str().into())),
        ("replay_of", sql.bind(deletion.replay_of.into())),
        ("idempotency_key", sql.bind(new.idempotency_key.map(str::to_owned).into())),
        ("input_digest", sql.bind(new.input_digest.map(str::to_owned).into())),
    ];
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let text = format!("INSERT INTO tenant_deletions ({}) VALUES ({})", names.join(", "), values.join(", "));
    connection.execute_raw(sql.statement(&text)).await?;
    Ok(())
}

/// Sets columns of one record where a condition on it holds. Returns whether it did.
pub(super) struct Change {
    sql: Sql,
    assignments: Vec<String>,
    conditions: Vec<String>,
}

impl Change {
    pub(super) fn new<C: ConnectionTrait>(connection: &C) -> Self {
        Self {
            sql: Sql::new(connection.get_database_backend()),
            assignments: Vec::new(),
            conditions: Vec::new(),
        }
    }

    pub(super) fn set(mut self, column: &str, value: impl Into<sea_orm::Value>) -> Self {
        let value = self.sql.bind(value.into());
        self.assignments.push(format!("{column} = {value}"));
        self
    }

    pub(super) fn at(mut self, column: &str, instant: DateTime<Utc>) -> Self {
        let instant = self.sql.bind_instant(instant);
        self.assignments.push(format!("{column} = {instant}"));
        self
    }

    /// Only while it would go on with the same status as when it was read.
    pub(super) fn while_like(mut self, deletion: &Deletion) -> Self {
        let during = deletion.block.as_ref().map(|block| block.during.word());
        self.conditions.push(match during {
            Some(word) => format!(" AND block_during = {}", self.sql.bind(word.into())),
            None => " AND block_during IS NULL".to_owned(),
        });
        self
    }

    pub(super) fn add(mut self, column: &str, number: i64) -> Self {
        let number = self.sql.bind(number.into());
        self.assignments.push(format!("{column} = {column} + {number}"));
        self
    }

    /// Into a status, with nothing in the way, and nothing having been in the way.
    pub(super) fn into_status(self, status: Status) -> Self {
        self.back_to(status).set("attempts", 0)
    }

    /// Into a status, with nothing in the way at the moment.
    pub(super) fn back_to(self, status: Status) -> Self {
        let mut change = self.set("status", status.word());
        for column in ["next_attempt_at", "block_code", "block_message", "block_during", "blocked_at"] {
            change.assignments.push(format!("{column} = NULL"));
        }
        change
    }

    pub(super) async fn apply<C: ConnectionTrait>(
        mut self,
        connection: &C,
        deletion: Uuid,
        among: &[Status],
    ) -> Result<bool, Error> {
        let id = self.sql.bind(deletion.into());
        let words: Vec<_> = among.iter().map(|status| format!("'{}'", status.word())).collect();
        let text = format!(
            "UPDATE tenant_deletions SET {} WHERE id = {id} AND status IN ({}){}",
            self.assignments.join(", "),
            words.join(", "),
            self.conditions.concat()
        );
        Ok(connection.execute_raw(self.sql.statement(&text)).await?.rows_affected() > 0)
    }
}

/// Something is in the way. It stops a deletion, or, while the status stays, is tried again at `retry_at`.
pub(super) async fn hinder<C: ConnectionTrait>(
    connection: &C,
    deletion: &Deletion,
    block: &Block,
    is_stopped: bool,
    retry_at: Option<DateTime<Utc>>,
) -> Result<bool, Error> {
    let status = if is_stopped { Status::Blocked } else { block.during };
    let mut change = Change::new(connection)
        .set("status", status.word())
        .set("block_code", block.code.word())
        .set("block_message", block.message.as_str())
        .set("block_during", block.during.word())
        .at("blocked_at", block.since)
        .add("attempts", 1);
    change = match retry_at {
        Some(instant) => change.at("next_attempt_at", instant),
        None => change.set("next_attempt_at", None::<DateTime<Utc>>),
    };
    change.apply(connection, deletion.id, &Status::OPEN).await
}

/// Deletions to go on with now, those asked for first in front. An attempt that is put off for longer
/// than `longest_pause` was put off by a clock that has been set back since.
pub(super) async fn due<C: ConnectionTrait>(
    connection: &C,
    now: DateTime<Utc>,
    longest_pause: TimeDelta,
) -> Result<Vec<Uuid>, Error> {
    let mut sql = Sql::new(connection.get_database_backend());
    let (beyond, now) = (sql.bind_instant(now + longest_pause), sql.bind_instant(now));
    let text = format!(
        "SELECT id FROM tenant_deletions WHERE status NOT IN ('deleted', 'canceled') \
           AND (status NOT IN ('scheduled', 'blocked') \
             OR status = 'scheduled' AND scheduled_for <= {now} OR status = 'blocked' AND next_attempt_at IS NOT NULL) \
           AND (next_attempt_at IS NULL OR next_attempt_at <= {now} OR next_attempt_at > {beyond}) \
         ORDER BY requested_at, id"
    );
    let rows = connection.query_all_raw(sql.statement(&text)).await?;
    Ok(rows.iter().map(|row| row.try_get_by("id")).collect::<Result<_, DbErr>>()?)
}

/// Writes down the plan that is followed from now on, with the rows counted for it. What was erased
/// under another plan stays counted, by the table's name.
pub(super) async fn adopt<C: ConnectionTrait>(
    transaction: &C,
    deletion: Uuid,
    plan: &Plan,
    counted: &[(TableName, i64)],
) -> Result<(), Error> {
    let known = tables(transaction, deletion).await?;
    for table in ["tenant_deletion_tables", "tenant_deletion_ranges"] {
        let mut sql = Sql::new(transaction.get_database_backend());
        let text = format!("DELETE FROM {table} WHERE deletion_id = {}", sql.bind(deletion.into()));
        transaction.execute_raw(sql.statement(&text)).await?;
    }
    let mut rows: Vec<(String, i64, i64)> = Vec::new();
    for step in plan.steps.iter().filter(|step| step.erases()) {
        let name = step.table.to_string();
        let erased = known.get(&name).copied().unwrap_or_default();
        let left = counted.iter().find(|(table, _)| *table == step.table).map_or(0, |(_, rows)| *rows);
        rows.push((name, erased + left, erased));
    }
    let vanished =
        known.iter().filter(|(name, erased)| **erased > 0 && !rows.iter().any(|row| row.0 == **name));
    let vanished: Vec<_> = vanished.map(|(name, erased)| (name.clone(), *erased, *erased)).collect();
    rows.extend(vanished);
    for (position, (name, planned, erased)) in (0_i32..).zip(rows) {
        let mut sql = Sql::new(transaction.get_database_backend());
        let values = [
            sql.bind(deletion.into()),
            sql.bind(position.into()),
            sql.bind(name.into()),
            sql.bind(planned.into()),
            sql.bind(erased.into()),
        ];
        let text = format!(
            "INSERT INTO tenant_deletion_tables (deletion_id, position, table_name, rows_planned, rows_erased) \
             VALUES ({})",
            values.join(", ")
        );
        transaction.execute_raw(sql.statement(&text)).await?;
    }
    Ok(())
}

/// Rows erased so far, by the table's name.
async fn tables<C: ConnectionTrait>(connection: &C, deletion: Uuid) -> Result<HashMap<String, i64>, Error> {
    let mut sql = Sql::new(connection.get_database_backend());
    let id = sql.bind(deletion.into());
    let text = format!("SELECT table_name, rows_erased FROM tenant_deletion_tables WHERE deletion_id = {id}");
    let rows = connection.query_all_raw(sql.statement(&text)).await?;
    let read = |row: &QueryResult| Ok((row.try_get_by("table_name")?, row.try_get_by("rows_erased")?));
    Ok(rows.iter().map(read).collect::<Result<_, DbErr>>()?)
}

/// Whether a plan has been written down.
pub(super) async fn has_tables<C: ConnectionTrait>(connection: &C, deletion: Uuid) -> Result<bool, Error> {
    Ok(!tables(connection, deletion).await?.is_empty())
}

/// What a deletion has erased in all.
pub(super) struct Totals {
    /// Rows by table, children before their parents.
    pub(super) tables: Vec<(String, i64)>,
    pub(super) objects: i64,
    pub(super) bytes: i64,
    pub(super) versions: i64,
    pub(super) uploads: i64,
    /// The usage of the tenant's last month, in JSON.
    pub(super) final_usage: Option<String>,
}

/// What a deletion has erased so far.
pub(super) async fn totals<C: ConnectionTrait>(connection: &C, deletion: Uuid) -> Result<Totals, Error> {
    let mut sql = Sql::new(connection.get_database_backend());
    let id = sql.bind(deletion.into());
    let text = format!("SELECT * FROM tenant_deletions WHERE id = {id}");
    let record = connection
        .query_one_raw(sql.statement(&text))
        .await?
        .ok_or_else(|| Error::Refused("the record of a deletion is gone".to_owned()))?;
    let mut sql = Sql::new(connection.get_database_backend());
    let id = sql.bind(deletion.into());
    let text = format!(
        "SELECT table_name, rows_erased FROM tenant_deletion_tables WHERE deletion_id = {id} ORDER BY position"
    );
    let rows = connection.query_all_raw(sql.statement(&text)).await?;
    let read = |row: &QueryResult| Ok((row.try_get_by("table_name")?, row.try_get_by("rows_erased")?));
    Ok(Totals {
        tables: rows.iter().map(read).collect::<Result<_, DbErr>>()?,
        objects: record.try_get_by("objects_erased")?,
        bytes: record.try_get_by("bytes_erased")?,
        versions: record.try_get_by("versions_erased")?,
        uploads: record.try_get_by("uploads_erased")?,
        final_usage: record.try_get_by("final_usage")?,
    })
}

/// The stretches of a step that are not done, by lane.
pub(super) async fn ranges<C: ConnectionTrait>(
    connection: &C,
    deletion: Uuid,
    step: usize,
) -> Result<Vec<(i32, Range)>, Error> {
    let mut sql = Sql::new(connection.get_database_backend());
    let (id, position) = (sql.bind(deletion.into()), sql.bind(position(step).into()));
    let text = format!(
        "SELECT lane, after_key, until_key FROM tenant_deletion_ranges \
         WHERE deletion_id = {id} AND position = {position} ORDER BY lane"
    );
    let rows = connection.query_all_raw(sql.statement(&text)).await?;
    let read = |row: &QueryResult| {
        let range = Range { after: row.try_get_by("after_key")?, until: row.try_get_by("until_key")? };
        Ok((row.try_get_by("lane")?, range))
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbErr>>()?)
}

/// Forgets how far each step has come.
pub(super) async fn forget_ranges<C: ConnectionTrait>(transaction: &C, deletion: Uuid) -> Result<(), Error> {
    let mut sql = Sql::new(transaction.get_database_backend());
    let text =
        format!("DELETE FROM tenant_deletion_ranges WHERE deletion_id = {}", sql.bind(deletion.into()));
    transaction.execute_raw(sql.statement(&text)).await?;
    Ok(())
}

/// Writes down how far one lane has come with its stretch; none left: it is done.
pub(super) async fn advance<C: ConnectionTrait>(
    transaction: &C,
    deletion: Uuid,
    step: usize,
    lane: i32,
    rest: Option<&Range>,
) -> Result<(), Error> {
    let mut sql = Sql::new(transaction.get_database_backend());
    let key = [sql.bind(deletion.into()), sql.bind(position(step).into()), sql.bind(lane.into())];
    let text = if let Some(range) = rest {
        let (after, until) = (sql.bind(range.after.clone().into()), sql.bind(range.until.clone().into()));
        format!(
            "INSERT INTO tenant_deletion_ranges (deletion_id, position, lane, after_key, until_key) \
             VALUES ({}, {after}, {until}) ON CONFLICT (deletion_id, position, lane) \
             DO UPDATE SET after_key = excluded.after_key, until_key = excluded.until_key",
            key.join(", ")
        )
    } else {
        format!(
            "DELETE FROM tenant_deletion_ranges WHERE deletion_id = {} AND position = {} AND lane = {}",
            key[0], key[1], key[2]
        )
    };
    transaction.execute_raw(sql.statement(&text)).await?;
    Ok(())
}

/// Counts the rows that went with a batch.
pub(super) async fn erased<C: ConnectionTrait>(
    transaction: &C,
    deletion: Uuid,
    table: &TableName,
    rows: i64,
) -> Result<(), Error> {
    if rows == 0 {
        return Ok(());
    }
    let mut sql = Sql::new(transaction.get_database_backend());
    let (rows, id, name) =
        (sql.bind(rows.into()), sql.bind(deletion.into()), sql.bind(table.to_string().into()));
    let text = format!(
        "UPDATE tenant_deletion_tables SET rows_erased = rows_erased + {rows} \
         WHERE deletion_id = {id} AND table_name = {name}"
    );
    transaction.execute_raw(sql.statement(&text)).await?;
    Ok(())
}

fn position(step: usize) -> i32 {
    i32::try_from(step).unwrap_or(i32::MAX)
}
