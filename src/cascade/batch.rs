//! Erasing in batches: each finds the end of its stretch of keys, then deletes between two values. One
//! statement that looks for its own end reads, on PostgreSQL, the whole tenant for every batch.

use sea_orm::{ConnectionTrait, DatabaseTransaction};
use uuid::Uuid;

use super::{
    Plan, Step, StepKind, TableName, blocks,
    gone::{self, Gone},
    key::{self, Place},
    late,
    stretch::{Only, Stretch, sql_of},
    together,
};
use crate::database;

/// A tenant with fewer rows than this in a table has one range there.
const WORTH_SPLITTING: i64 = 20_000;

/// A stretch of a step's keys. `after` is exclusive, `until` inclusive; where there is none it is open.
/// The texts are for this part alone to read, and good for as long as the plan is the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub after: Option<String>,
    /// Where it ends.
    pub until: Option<String>,
}

/// What one batch did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Rows erased from the step's table; 0 in a step that breaks a circle.
    pub rows: i64,
    /// Rows erased from other tables, which had come in late below them.
    pub others: Vec<(TableName, i64)>,
    /// Objects recorded in the outbox, each once.
    pub objects: i64,
    /// Their bytes, as the rows say.
    pub bytes: i64,
    /// What is left of the range; none where it is done.
    pub rest: Option<Range>,
}

/// Splits a step into at most `lanes` ranges of about the same number of rows, which may be erased side
/// by side. Reads an index only; a small tenant has one range.
///
/// # Errors
///
/// [`database::Error`].
pub async fn split<C: ConnectionTrait>(
    connection: &C,
    plan: &Plan,
    step: usize,
    tenant: Uuid,
    lanes: usize,
) -> Result<Vec<Range>, database::Error> {
    let whole = vec![Range::default()];
    let step = step_of(plan, step)?;
    // More than one route cannot be told apart by keys, and leaves that one lane finds may be those of rows in
    // the other.
    let Some(route) = step.walked() else { return Ok(whole) };
    let stretch = Stretch { route, after: None, until: None };
    if stretch.key().is_none() {
        return Ok(whole);
    }
    let rows = count(connection, stretch, tenant, Some(WORTH_SPLITTING)).await?;
    if rows < WORTH_SPLITTING {
        return Ok(whole);
    }
    let rows = count(connection, stretch, tenant, None).await?;
    if let Some(ranges) = blocks::split(connection, step, rows, lanes).await? {
        return Ok(ranges);
    }
    let (mut ranges, mut after) = (Vec::with_capacity(lanes), None);
    for lane in 1..lanes {
        let end = u64::try_from(rows).unwrap_or_default() / lanes as u64 * lane as u64;
        let Some(key) = key_at(connection, stretch, tenant, end).await? else { break };
        let until = Some(Place { key: Some(key), ..Place::default() }.write());
        ranges.push(Range { after, until: until.clone() });
        after = until;
    }
    ranges.push(Range { after, until: None });
    Ok(ranges)
}

/// Deletes up to about `rows` of the tenant's rows at the beginning of a range, and records the objects
/// that they name in the outbox of `deletion`, all in the caller's transaction. Every row that goes is
/// counted, once.
///
/// # Errors
///
/// [`database::Error`]; the caller rolls back. [`database::Error::Circle`] when rows of the table refer to
/// one another in a circle that nothing breaks. The root's step is refused: see [`super::delete_root`].
pub async fn erase_batch(
    transaction: &DatabaseTransaction,
    plan: &Plan,
    step: usize,
    tenant: Uuid,
    range: &Range,
    rows: u64,
    deletion: Uuid,
) -> Result<Batch, database::Error> {
    let step = step_of(plan, step)?;
    if !step.together.is_empty() && step.erases() {
        let gone = together::erase(transaction, plan, &step.together, tenant, deletion).await?;
        return Ok(Batch::of(step, gone, None));
    }
    let from = range.after.as_deref().map(Place::read).transpose()?.unwrap_or_default();
    if let Some(block) = &from.block {
        return blocks::erase(transaction, step, tenant, (range, &from, block), rows, deletion).await;
    }
    let until = range.until.as_deref().map(Place::read).transpose()?.and_then(|place| place.key);
    let Some(route) = step.routes.get(from.route) else { return Ok(Batch::of(step, Vec::new(), None)) };
    let rows = rows.max(1);
    let open = Stretch { route, after: from.key.as_deref(), until: until.as_deref() };
    let end = key_at(transaction, open, tenant, rows).await?;
    let stretch = Stretch { until: end.as_deref().or(open.until), ..open };
    let mut all = Vec::new();
    if step.erases() {
        all = late::take(transaction, plan, step, stretch, tenant, deletion).await?;
    }
    let gone = work(transaction, step, stretch, tenant, rows, deletion).await?;
    all.push((step.table.clone(), gone));
    let has_erased = from.has_erased || gone.rows > 0;
    // As many as were asked for: there may be more of them below the same stretch.
    let is_full = !stretch.is_direct() && gone.rows >= rows;
    let next = if is_full {
        Some(Place { has_erased, ..from.clone() })
    } else if end.is_some() && end != until {
        Some(Place { key: end, has_erased, ..from })
    } else if from.route + 1 < step.routes.len() {
        Some(Place { has_erased, ..Place::start(from.route + 1) })
    } else if step.leaves_first.is_empty() {
        None
    } else {
        next_pass(transaction, step, tenant, has_erased).await?
    };
    let rest = next.map(|place| Range { after: Some(place.write()), until: range.until.clone() });
    Ok(Batch::of(step, all, rest))
}

impl Batch {
    pub(super) fn of(step: &Step, gone: Vec<(TableName, Gone)>, rest: Option<Range>) -> Self {
        let mut batch = Self { rows: 0, others: Vec::new(), objects: 0, bytes: 0, rest };
        for (table, gone) in gone {
            let rows = i64::try_from(gone.rows).unwrap_or(i64::MAX);
            batch.objects += gone.objects;
            batch.bytes += gone.bytes;
            if table != step.table && rows > 0 {
                batch.others.push((table, rows));
            } else if table == step.table && step.erases() {
                batch.rows += rows;
            }
        }
        batch
    }
}

/// Where a pass over leaves goes on when it has seen all rows. Without an end to passes where rows refer
/// to one another in a circle: a pass that found no leaf among rows that remain is a fault.
async fn next_pass(
    transaction: &DatabaseTransaction,
    step: &Step,
    tenant: Uuid,
    has_erased: bool,
) -> Result<Option<Place>, database::Error> {
    let sql = sql_of(transaction.get_database_backend(), tenant);
    let text = format!("SELECT count(*) AS n FROM (SELECT 1 FROM ({}) s LIMIT 1) s", step.query(""));
    let remains = gone::number(transaction, sql, &text).await? > 0;
    match (remains, has_erased) {
        (false, _) => Ok(None),
        (true, true) => Ok(Some(Place::default())),
        (true, false) => Err(database::Error::Circle(step.table.to_string())),
    }
}

async fn work(
    transaction: &DatabaseTransaction,
    step: &Step,
    stretch: Stretch<'_>,
    tenant: Uuid,
    rows: u64,
    deletion: Uuid,
) -> Result<Gone, database::Error> {
    let mut sql = sql_of(transaction.get_database_backend(), tenant);
    match &step.kind {
        StepKind::Erase => {
            let leaves = &step.leaves_first;
            let only = if leaves.is_empty() { Only::All } else { Only::Leaves(leaves) };
            let condition = stretch.rows_of(&mut sql, step, only, rows)?;
            gone::delete(transaction, step, sql, &condition, deletion).await
        }
        StepKind::Break { column } => {
            let condition = stretch.rows_of(&mut sql, step, Only::Set(column), rows)?;
            gone::set_null(transaction, step, sql, column, &condition).await
        }
    }
}

/// The key of the row at a place in a stretch, counted from 1; none where the stretch is shorter, or has
/// no order.
pub(super) async fn key_at<C: ConnectionTrait>(
    connection: &C,
    stretch: Stretch<'_>,
    tenant: Uuid,
    place: u64,
) -> Result<Option<Vec<String>>, database::Error> {
    let Some(columns) = stretch.key() else { return Ok(None) };
    let mut sql = sql_of(connection.get_database_backend(), tenant);
    let condition = stretch.condition(&mut sql)?;
    let before = i64::try_from(place.saturating_sub(1)).unwrap_or(i64::MAX);
    let text = format!(
        "SELECT {} FROM {} WHERE {condition} ORDER BY {} LIMIT 1 OFFSET {}",
        key::selected(sql.backend(), columns),
        stretch.route.walked.quoted(),
        key::list(columns),
        sql.bind(before.into())
    );
    let row = connection.query_one_raw(sql.statement(&text)).await?;
    row.map(|row| key::read(&row, columns)).transpose()
}

/// The key of the last row of a stretch; none where there is no row, or no order.
pub(super) async fn last_key<C: ConnectionTrait>(
    connection: &C,
    stretch: Stretch<'_>,
    tenant: Uuid,
) -> Result<Option<Vec<String>>, database::Error> {
    let Some(columns) = stretch.key() else { return Ok(None) };
    let mut sql = sql_of(connection.get_database_backend(), tenant);
    let condition = stretch.condition(&mut sql)?;
    let text = format!(
        "SELECT {} FROM {} WHERE {condition} ORDER BY {} LIMIT 1",
        key::selected(sql.backend(), columns),
        stretch.route.walked.quoted(),
        key::list_descending(columns)
    );
    let row = connection.query_one_raw(sql.statement(&text)).await?;
    row.map(|row| key::read(&row, columns)).transpose()
}

async fn count<C: ConnectionTrait>(
    connection: &C,
    stretch: Stretch<'_>,
    tenant: Uuid,
    limit: Option<i64>,
) -> Result<i64, database::Error> {
    let mut sql = sql_of(connection.get_database_backend(), tenant);
    let mut some =
        format!("SELECT 1 FROM {} WHERE {}", stretch.route.walked.quoted(), stretch.condition(&mut sql)?);
    if let Some(limit) = limit {
        some += " LIMIT ";
        some += &sql.bind(limit.into());
    }
    gone::number(connection, sql, &format!("SELECT count(*) AS n FROM ({some}) s")).await
}

fn step_of(plan: &Plan, step: usize) -> Result<&Step, database::Error> {
    let below_root = &plan.steps[..plan.steps.len().saturating_sub(1)];
    below_root
        .get(step)
        .ok_or_else(|| database::Error::Refused(format!("no step {step} of the plan erases in batches")))
}
