//! Reads the records of deletions.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::timestamp;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Value};
use uuid::Uuid;

use super::{Block, BlockCode, Certificate, Deletion, Status, TableProgress};
use crate::{
    auth::Visible,
    database::{Database, Error, Sql},
    paging::{Counts, Cursor, Page, PageError, Slice, Sorting},
};

/// Which deletions a list holds: newest first.
#[derive(Clone, Debug)]
pub struct Criteria {
    /// Those of the tenants that the viewer may see.
    pub visible: Visible,
    /// Of this tenant.
    pub tenant: Option<Uuid>,
    /// In any of these states.
    pub status: Option<Vec<Status>>,
}

/// The deletion that `subject` asked for under this key, with the digest of what was asked.
pub(super) async fn by_idempotency_key<C: ConnectionTrait>(
    connection: &C,
    subject: &str,
    key: &str,
) -> Result<Option<(Deletion, Option<String>)>, Error> {
    let mut sql = Sql::new(connection.get_database_backend());
    let (subject, key) = (sql.bind(subject.into()), sql.bind(key.into()));
    let text =
        format!("SELECT * FROM tenant_deletions WHERE requested_by = {subject} AND idempotency_key = {key}");
    let row = connection.query_one_raw(sql.statement(&text)).await?;
    Ok(row.map(|row| Ok::<_, DbErr>((read(&row)?, row.try_get_by("input_digest")?))).transpose()?)
}

/// Deletions by their own ids, in no order, in one statement.
///
/// # Errors
///
/// [`Error`].
pub async fn by_ids(database: &Database, ids: &[Uuid]) -> Result<Vec<Deletion>, Error> {
    let mut sql = Sql::new(database.backend());
    let text = format!("SELECT * FROM tenant_deletions WHERE id {}", sql.bind_ids(ids));
    all(&database.connection, sql, &text).await
}

/// The newest deletion of each tenant that has one, in one statement.
///
/// # Errors
///
/// [`Error`].
pub async fn newest_of<C: ConnectionTrait>(connection: &C, tenants: &[Uuid]) -> Result<Vec<Deletion>, Error> {
    let mut sql = Sql::new(connection.get_database_backend());
    let text = format!(
        "SELECT * FROM tenant_deletions d WHERE d.tenant_id {} AND NOT EXISTS ( \
           SELECT 1 FROM tenant_deletions later WHERE later.tenant_id = d.tenant_id \
             AND (later.requested_at, later.id) > (d.requested_at, d.id))",
        sql.bind_ids(tenants)
    );
    all(connection, sql, &text).await
}

/// The tables of each of these deletions, in the plan's order, in one statement.
///
/// # Errors
///
/// [`Error`].
pub async fn tables_of(
    database: &Database,
    deletions: &[Uuid],
) -> Result<HashMap<Uuid, Vec<TableProgress>>, Error> {
    let mut sql = Sql::new(database.backend());
    let text = format!(
        "SELECT * FROM tenant_deletion_tables WHERE deletion_id {} ORDER BY deletion_id, position",
        sql.bind_ids(deletions)
    );
    let mut tables: HashMap<Uuid, Vec<TableProgress>> = HashMap::new();
    for row in database.connection.query_all_raw(sql.statement(&text)).await? {
        tables.entry(row.try_get_by("deletion_id")?).or_default().push(TableProgress {
            name: row.try_get_by("table_name")?,
            rows_planned: row.try_get_by("rows_planned")?,
            rows_erased: row.try_get_by("rows_erased")?,
        });
    }
    Ok(tables)
}

impl Criteria {
    /// Names this list's order in its cursors.
    pub const ORDER: &'static str = "deletions newest";

    fn sorting(backend: DbBackend) -> Sorting {
        let key: fn(&str) -> Option<Value> = match backend {
            DbBackend::Sqlite => |text| Some(text.into()),
            _ => |text| text.parse::<DateTime<Utc>>().ok().map(Value::from),
        };
        Sorting { descending: true, nullable: false, key }
    }

    /// One page, in one statement.
    ///
    /// # Errors
    ///
    /// The page, or the database.
    pub async fn page(
        &self,
        database: &Database,
        slice: &Slice,
    ) -> Result<Result<Page<Deletion>, PageError>, Error> {
        let sorting = Self::sorting(database.backend());
        let mut sql = Sql::new(database.backend());
        let source = self.source(&mut sql);
        let after = slice.after.as_ref().map(|cursor| sorting.after(&mut sql, cursor));
        let before = slice.before.as_ref().map(|cursor| sorting.before(&mut sql, cursor));
        let conditions: Result<Vec<_>, PageError> =
            std::iter::once(Ok("true".to_owned())).chain(after).chain(before).collect();
        let conditions = match conditions {
            Ok(conditions) => conditions,
            Err(error) => return Ok(Err(error)),
        };
        let text = format!(
            "SELECT * FROM ({source}) l WHERE {} {} LIMIT {}",
            conditions.join(" AND "),
            sorting.order_by(slice.from_end),
            slice.size + 1,
        );
        let mut found = all(&database.connection, sql, &text).await?;
        let has_more = found.len() > slice.size;
        found.truncate(slice.size);
        if slice.from_end {
            found.reverse();
        }
        let place = |deletion: Deletion| {
            let key = Some(timestamp::text(deletion.requested_at));
            (Cursor { order: Self::ORDER.to_owned(), key, id: deletion.id }, deletion)
        };
        Ok(Ok(Page { edges: found.into_iter().map(place).collect(), has_more }))
    }

    /// How many deletions match, and how many come before the page; see
    /// the list of tenants.
    ///
    /// # Errors
    ///
    /// The cursor, or the database.
    pub async fn counts(
        &self,
        database: &Database,
        first: Option<&Cursor>,
        after: Option<&Cursor>,
    ) -> Result<Result<Counts, PageError>, Error> {
        let sorting = Self::sorting(database.backend());
        let mut sql = Sql::new(database.backend());
        let source = self.source(&mut sql);
        let before = match (first, after) {
            (Some(first), _) => sorting.before(&mut sql, first),
            (None, Some(after)) => sorting.after(&mut sql, after).map(|after| format!("NOT {after}")),
            (None, None) => Ok("false".to_owned()),
        };
        let before = match before {
            Ok(before) => before,
            Err(error) => return Ok(Err(error)),
        };
        let text = format!(
            "SELECT count(*) AS total, count(CASE WHEN {before} THEN 1 END) AS earlier FROM ({source}) l"
        );
        let Some(row) = database.connection.query_one_raw(sql.statement(&text)).await? else {
            return Ok(Ok(Counts::default()));
        };
        Ok(Ok(Counts { total: row.try_get_by("total")?, before: row.try_get_by("earlier")? }))
    }

    fn source(&self, sql: &mut Sql) -> String {
        let mut conditions = vec!["true".to_owned()];
        if let Visible::Only(tenant) = self.visible {
            conditions.push(format!("d.tenant_id = {}", sql.bind(tenant.into())));
        }
        if let Some(tenant) = self.tenant {
            conditions.push(format!("d.tenant_id = {}", sql.bind(tenant.into())));
        }
        if let Some(status) = &self.status {
            let words: Vec<_> = status.iter().map(|status| status.word()).collect();
            conditions.push(format!("d.status {}", sql.bind_words(&words)));
        }
        format!("SELECT d.*, d.requested_at AS k FROM tenant_deletions d WHERE {}", conditions.join(" AND "))
    }
}

async fn all<C: ConnectionTrait>(connection: &C, sql: Sql, text: &str) -> Result<Vec<Deletion>, Error> {
    let rows = connection.query_all_raw(sql.statement(text)).await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

fn read(row: &QueryResult) -> Result<Deletion, DbErr> {
    let requested_at: DateTime<Utc> = row.try_get_by("requested_at")?;
    let scheduled_for: Option<DateTime<Utc>> = row.try_get_by("scheduled_for")?;
    Ok(Deletion {
        id: row.try_get_by("id")?,
        tenant: row.try_get_by("tenant_id")?,
        status: status(&row.try_get_by::<String, _>("status")?)?,
        reason: row.try_get_by("reason")?,
        requested_by: row.try_get_by("requested_by")?,
        requested_at,
        is_forced: row.try_get_by("is_forced")?,
        is_export_requested: row.try_get_by("is_export_requested")?,
        started_at: row.try_get_by("started_at")?,
        finished_at: row.try_get_by("finished_at")?,
        scheduled_for: scheduled_for.unwrap_or(requested_at),
        block: block(row)?,
        plan_digest: row.try_get_by("plan_digest")?,
        steps_done: count(row.try_get_by("steps_done")?)?,
        attempts: count(row.try_get_by("attempts")?)?,
        objects_planned: row.try_get_by("objects_planned")?,
        objects_erased: row.try_get_by("objects_erased")?,
        bytes_erased: row.try_get_by("bytes_erased")?,
        storage: row.try_get_by("storage_address")?,
        replay_of: row.try_get_by("replay_of")?,
        certificate: certificate(row)?,
    })
}

fn status(word: &str) -> Result<Status, DbErr> {
    Status::of(word).ok_or_else(|| DbErr::Type(format!("unknown status {word:?}")))
}

fn count<T: TryFrom<i32>>(number: i32) -> Result<T, DbErr> {
    T::try_from(number).map_err(|_| DbErr::Type(format!("a count is {number}")))
}

fn block(row: &QueryResult) -> Result<Option<Block>, DbErr> {
    let Some(word) = row.try_get_by::<Option<String>, _>("block_code")? else { return Ok(None) };
    let code = BlockCode::of(&word).ok_or_else(|| DbErr::Type(format!("unknown code {word:?}")))?;
    Ok(Some(Block {
        code,
        message: row.try_get_by("block_message")?,
        during: status(&row.try_get_by::<String, _>("block_during")?)?,
        since: row.try_get_by("blocked_at")?,
    }))
}

fn certificate(row: &QueryResult) -> Result<Option<Certificate>, DbErr> {
    let Some(document) = row.try_get_by::<Option<String>, _>("certificate")? else { return Ok(None) };
    Ok(Some(Certificate {
        document,
        sha256: row.try_get_by("certificate_sha256")?,
        signature: row.try_get_by("certificate_signature")?,
        key_id: row.try_get_by("certificate_key_id")?,
    }))
}
