//! The end of an erasure: what came in behind the batches goes too, and nothing remains.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use uuid::Uuid;

use super::{Plan, Step, TableName, gone, stretch::sql_of};
use crate::database;

/// What a sweep did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Every row of the tenant but its own is gone: how many from each table, in the plan's order. Tables
    /// without any are left out.
    Done(Vec<(TableName, i64)>),
    /// More rows remain than may be swept; nothing was erased.
    TooMany,
}

/// How many rows of the tenant remain, by table in the plan's order, up to `limit` each. Tables without
/// any, and the tenant's own row, are left out.
///
/// # Errors
///
/// [`database::Error`].
pub async fn remaining<C: ConnectionTrait>(
    connection: &C,
    plan: &Plan,
    tenant: Uuid,
    limit: i64,
) -> Result<Vec<(TableName, i64)>, database::Error> {
    let mut tables = Vec::new();
    for step in plan.below_root() {
        let rows = some(connection, step, tenant, limit, "").await?;
        if rows > 0 {
            tables.push((step.table.clone(), rows));
        }
    }
    Ok(tables)
}

/// Deletes what remains of the tenant but its own row, unless that is more than `limit` rows, and records
/// the objects. For the closing transaction, which holds the tenant's row: nothing can come in behind it.
///
/// # Errors
///
/// [`database::Error`]; the caller rolls back.
pub async fn sweep(
    transaction: &DatabaseTransaction,
    plan: &Plan,
    tenant: Uuid,
    limit: i64,
    deletion: Uuid,
) -> Result<Sweep, database::Error> {
    let is_postgres = transaction.get_database_backend() == DbBackend::Postgres;
    let lock = if is_postgres { " FOR UPDATE" } else { "" };
    let mut left = limit;
    // Parents first: nothing can come to refer to a row that is held.
    for step in plan.below_root().rev() {
        left -= some(transaction, step, tenant, left + 1, lock).await?;
        if left < 0 {
            return Ok(Sweep::TooMany);
        }
    }
    let mut tables = Vec::new();
    for step in plan.below_root().filter(|_| left < limit) {
        let sql = sql_of(transaction.get_database_backend(), tenant);
        let gone = gone::delete(transaction, step, sql, &step.condition, deletion).await?;
        if gone.rows > 0 {
            tables.push((step.table.clone(), i64::try_from(gone.rows).unwrap_or(i64::MAX)));
        }
    }
    Ok(Sweep::Done(tables))
}

/// Deletes the tenant's own row, the last. Returns how many there were: 1, or 0 where it was gone.
///
/// # Errors
///
/// [`database::Error`]; the caller rolls back.
pub async fn delete_root(
    transaction: &DatabaseTransaction,
    plan: &Plan,
    tenant: Uuid,
) -> Result<i64, database::Error> {
    let root = plan.root();
    let sql = sql_of(transaction.get_database_backend(), tenant);
    let gone = gone::delete(transaction, root, sql, &root.condition, Uuid::nil()).await?;
    Ok(i64::try_from(gone.rows).unwrap_or(i64::MAX))
}

/// Rows of the tenant in a step's table, up to `limit`; `lock` follows the query for them.
async fn some<C: ConnectionTrait>(
    connection: &C,
    step: &Step,
    tenant: Uuid,
    limit: i64,
    lock: &str,
) -> Result<i64, database::Error> {
    let mut sql = sql_of(connection.get_database_backend(), tenant);
    let limit = sql.bind(limit.into());
    let (table, condition) = (step.table.quoted(), &step.condition);
    let text =
        format!("SELECT count(*) AS n FROM (SELECT 1 FROM {table} WHERE {condition} LIMIT {limit}{lock}) s");
    gone::number(connection, sql, &text).await
}
