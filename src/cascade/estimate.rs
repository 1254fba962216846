//! Counts for a preview: exact for tables in which a tenant has few rows, else told as estimates, so that
//! the answer takes no longer for a large tenant.

use sea_orm::{ConnectionTrait, DbBackend};
use uuid::Uuid;

use super::{
    Objects, Plan, Step, TableName, batch,
    stretch::{Stretch, sql_of},
    together,
    walk::objects_of,
};
use crate::database;

/// More of a tenant's rows in a table than these are estimated.
const COUNTED: i64 = 100_000;
/// The same for objects: their bytes are in no index.
const OBJECTS_COUNTED: i64 = 20_000;
/// Where SQLite looks how close to one another the keys are, and at how many rows each time.
const LOOKS: u32 = 32;
const LOOKED_AT: u64 = 500;

/// Rows of a tenant in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The table.
    pub table: TableName,
    /// How many.
    pub rows: i64,
    /// Whether they were counted; an estimate is never below what was counted before it was given up.
    pub is_exact: bool,
}

/// Counts the tenant's rows, in the plan's order, or estimates them where they are many. Tables that the
/// gateway may not read, or not wholly, are left out: a gap names each.
///
/// # Errors
///
/// [`database::Error`].
pub async fn estimate<C: ConnectionTrait>(
    connection: &C,
    plan: &Plan,
    tenant: Uuid,
) -> Result<Vec<Counted>, database::Error> {
    let mut all = Vec::with_capacity(plan.steps.len());
    for step in plan.erasing().filter(|step| step.readable) {
        let (rows, is_exact) = rows(connection, step, tenant).await?;
        all.push(Counted { table: step.table.clone(), rows, is_exact });
    }
    Ok(all)
}

/// Counts the objects that the tenant's rows name, or estimates them where they are many.
///
/// # Errors
///
/// [`database::Error`].
pub async fn estimate_objects<C: ConnectionTrait>(
    connection: &C,
    plan: &Plan,
    tenant: Uuid,
) -> Result<Objects, database::Error> {
    let mut total = Objects { is_exact: true, ..Objects::default() };
    for step in plan.erasing().filter(|step| step.names_objects && step.readable) {
        let counted = objects_of(connection, step, tenant, OBJECTS_COUNTED + 1).await?;
        if counted.count <= OBJECTS_COUNTED {
            total.count += counted.count;
            total.bytes += counted.bytes;
            continue;
        }
        let (rows, _) = rows(connection, step, tenant).await?;
        let bytes = i128::from(counted.bytes) * i128::from(rows) / i128::from(counted.count);
        total.count += rows;
        total.bytes = total.bytes.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
        // The sizes of the rest are taken to be like those of the first.
        total.is_exact = false;
    }
    Ok(total)
}

async fn rows<C: ConnectionTrait>(
    connection: &C,
    step: &Step,
    tenant: Uuid,
) -> Result<(i64, bool), database::Error> {
    let counted = together::count(connection, step, tenant, COUNTED + 1).await?;
    if counted <= COUNTED {
        return Ok((counted, true));
    }
    let guess = match connection.get_database_backend() {
        DbBackend::Sqlite => by_keys(connection, step, tenant).await?,
        _ => by_planner(connection, step, tenant).await?,
    };
    Ok((guess.unwrap_or_default().max(counted), false))
}

/// What the planner expects for this tenant, from the statistics that the database keeps.
async fn by_planner<C: ConnectionTrait>(
    connection: &C,
    step: &Step,
    tenant: Uuid,
) -> Result<Option<i64>, database::Error> {
    let sql = sql_of(connection.get_database_backend(), tenant);
    let text = format!("EXPLAIN (FORMAT JSON) {}", step.query(""));
    let Some(row) = connection.query_one_raw(sql.statement(&text)).await? else { return Ok(None) };
    let plan: serde_json::Value = row.try_get_by_index(0)?;
    Ok(plan[0]["Plan"]["Plan Rows"].as_i64())
}

/// From how close to one another the tenant's keys are in some places between its first and its last. Keys
/// are 16 bytes or whole numbers, else there is no guess.
async fn by_keys<C: ConnectionTrait>(
    connection: &C,
    step: &Step,
    tenant: Uuid,
) -> Result<Option<i64>, database::Error> {
    let [route] = &step.routes[..] else { return Ok(None) };
    let whole = Stretch { route, after: None, until: None };
    if !whole.is_direct() || whole.key().is_none_or(|key| key.len() != 1) {
        return Ok(None);
    }
    let first = batch::key_at(connection, whole, tenant, 1).await?;
    let last = batch::last_key(connection, whole, tenant).await?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(None) };
    let (Some(start), Some(end)) = (number(&first), number(&last)) else { return Ok(None) };
    let width = end.saturating_sub(start) / u128::from(LOOKS);
    let mut rows = 0.0;
    for look in 0..LOOKS {
        let from = start + width * u128::from(look);
        let after = [text(&first[0], from)];
        let stretch = Stretch { after: Some(&after), ..whole };
        let found = batch::key_at(connection, stretch, tenant, LOOKED_AT).await?;
        let to = found.as_deref().map_or(Some(end), number);
        let Some(to) = to.filter(|to| *to > from) else { continue };
        rows += share(width, to - from) * 500.0;
    }
    Ok(Some(whole_rows(rows)))
}

/// How much of `width` one look covered, the other way round.
#[allow(clippy::cast_precision_loss, reason = "an estimate")]
fn share(width: u128, looked: u128) -> f64 {
    width as f64 / looked as f64
}

#[allow(clippy::cast_possible_truncation, reason = "an estimate; the cast keeps to the type's bounds")]
fn whole_rows(rows: f64) -> i64 {
    rows as i64
}

/// A key's place among all keys of its kind.
fn number(key: &[String]) -> Option<u128> {
    let [key] = key else { return None };
    match key.split_at_checked(1)? {
        ("b", digits) if digits.len() == 32 => u128::from_str_radix(digits, 16).ok(),
        ("i", digits) => u128::try_from(digits.parse::<i128>().ok()? - i128::from(i64::MIN)).ok(),
        _ => None,
    }
}

/// The key at a place, of the kind of `like`.
fn text(like: &str, number: u128) -> String {
    if like.starts_with('b') {
        format!("b{number:032X}")
    } else {
        let whole = i128::try_from(number).unwrap_or(i128::MAX) + i128::from(i64::MIN);
        format!("i{whole}")
    }
}
