//! Erasing in the order in which rows lie, block by block of their table, on PostgreSQL: for a tenant that has a
//! large part of it. In the order of a key that is not the order of writing, each row lies in another block, and
//! reading and writing that costs more than all the rest.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use uuid::Uuid;

use super::{
    Batch, Range, Step, StepKind,
    catalogue::{RowName, quote},
    gone,
    key::Place,
    stretch::sql_of,
    way::Route,
};
use crate::database::{self, Sql};

/// A tenant has a large part of a table when it has at least one row in so many.
const PART: i64 = 4;

/// Where a walk by blocks stands: before this block, in a table with about so many of the tenant's rows in each.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Block {
    #[serde(rename = "b")]
    number: u64,
    #[serde(rename = "d")]
    rows: u64,
}

/// Ranges of blocks of about the same size, where the tenant's `rows` rows are so large a part of the step's
/// table that it should be walked so.
pub(super) async fn split<C: ConnectionTrait>(
    connection: &C,
    step: &Step,
    rows: i64,
    lanes: usize,
) -> Result<Option<Vec<Range>>, database::Error> {
    let is_plain = step.rows == RowName::Place && step.kind == StepKind::Erase && step.late.is_empty();
    if connection.get_database_backend() != DbBackend::Postgres || !is_plain || step.walked().is_none() {
        return Ok(None);
    }
    let mut sql = Sql::new(DbBackend::Postgres);
    // Version 14 is the first that reads a range of blocks. A table whose rows are elsewhere has none.
    let text = format!(
        "SELECT CAST(c.reltuples AS bigint) AS n FROM pg_class c WHERE c.oid = to_regclass({}) AND c.relkind = 'r' \
         AND c.reltuples > 0 AND pg_relation_size(c.oid) > 0 \
         AND CAST(current_setting('server_version_num') AS integer) >= 140000",
        sql.bind(step.table.qualifier().into())
    );
    let row = connection.query_one_raw(sql.statement(&text)).await?;
    let all: Option<i64> = row.map(|row| row.try_get_by("n")).transpose()?;
    if all.is_none_or(|all| rows.saturating_mul(PART) < all) {
        return Ok(None);
    }
    let blocks = size(connection, step).await?.max(1);
    let each = u64::try_from(rows).unwrap_or_default().div_ceil(blocks).max(1);
    let place = |lane: usize| {
        let block = Block { number: blocks * lane as u64 / lanes as u64, rows: each };
        Place { block: Some(block), ..Place::default() }.write()
    };
    let range = |lane| Range { after: Some(place(lane)), until: (lane + 1 < lanes).then(|| place(lane + 1)) };
    Ok(Some((0..lanes).map(range).collect()))
}

/// Deletes about so many rows from where a range by blocks begins.
pub(super) async fn erase(
    transaction: &DatabaseTransaction,
    step: &Step,
    tenant: Uuid,
    (range, from, block): (&Range, &Place, &Block),
    rows: u64,
    deletion: Uuid,
) -> Result<Batch, database::Error> {
    let Some(route) = step.walked() else { return Ok(Batch::of(step, Vec::new(), None)) };
    let until = range.until.as_deref().map(Place::read).transpose()?.and_then(|place| place.block);
    let last = match until {
        Some(block) => block.number,
        None => size(transaction, step).await?,
    };
    let end = last.min(block.number + (rows / block.rows).max(1));
    let mut sql = sql_of(DbBackend::Postgres, tenant);
    let condition = between(&mut sql, route, block.number, end);
    let gone = gone::delete(transaction, step, sql, &condition, deletion).await?;
    let next = Place { block: Some(Block { number: end, ..block.clone() }), ..from.clone() };
    let rest = (end < last).then(|| Range { after: Some(next.write()), until: range.until.clone() });
    Ok(Batch::of(step, vec![(step.table.clone(), gone)], rest))
}

/// True for the tenant's rows in blocks from `first` up to, and without, `end`. Written so that no index fits:
/// one would find all of the tenant's rows for every batch.
fn between(sql: &mut Sql, route: &Route, first: u64, end: u64) -> String {
    let [first, end] = [first, end].map(|block| sql.bind(format!("({block},0)").into()));
    format!(
        "({} = {}) IS TRUE AND ctid >= CAST({first} AS tid) AND ctid < CAST({end} AS tid)",
        quote(&route.column),
        route.form.tenant()
    )
}

/// How many blocks the step's table has now.
async fn size<C: ConnectionTrait>(connection: &C, step: &Step) -> Result<u64, database::Error> {
    let mut sql = Sql::new(DbBackend::Postgres);
    let text = format!(
        "SELECT pg_relation_size(to_regclass({})) / CAST(current_setting('block_size') AS bigint) AS n",
        sql.bind(step.table.qualifier().into())
    );
    Ok(u64::try_from(gone::number(connection, sql, &text).await?).unwrap_or_default())
}
