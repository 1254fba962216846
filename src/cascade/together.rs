//! Tables that only one transaction can erase: a circle of foreign keys that can be deferred to its end,
//! and nothing else. It is not divided into batches.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use uuid::Uuid;

use super::{
    Plan, Step, TableName,
    gone::{self, Gone},
    stretch::sql_of,
};
use crate::database;

/// Erases the tenant's rows of these tables; returns what went from each.
pub(super) async fn erase(
    transaction: &DatabaseTransaction,
    plan: &Plan,
    tables: &[TableName],
    tenant: Uuid,
    deletion: Uuid,
) -> Result<Vec<(TableName, Gone)>, database::Error> {
    defer(transaction).await?;
    let steps: Vec<&Step> = tables.iter().filter_map(|table| plan.erasing_from(table)).collect();
    for step in steps.iter().rev() {
        hold(transaction, step, tenant, i64::MAX).await?;
    }
    // Counted and recorded before any goes: a key that cascades takes rows along without a word.
    let mut all = Vec::with_capacity(steps.len());
    for step in &steps {
        let rows = count(transaction, step, tenant, i64::MAX).await?;
        let mut gone = Gone { rows: u64::try_from(rows).unwrap_or_default(), ..Gone::default() };
        if step.names_objects {
            for route in &step.routes {
                let sql = sql_of(transaction.get_database_backend(), tenant);
                gone += gone::record(transaction, step, sql, &route.condition(), deletion).await?;
            }
        }
        all.push((step.table.clone(), gone));
    }
    for step in steps {
        gone::delete_all(transaction, step, tenant, deletion).await?;
    }
    Ok(all)
}

/// Lets keys be checked when the transaction ends, those that allow it.
pub(super) async fn defer(transaction: &DatabaseTransaction) -> Result<(), database::Error> {
    let text = match transaction.get_database_backend() {
        DbBackend::Sqlite => "PRAGMA defer_foreign_keys = ON",
        _ => "SET CONSTRAINTS ALL DEFERRED",
    };
    transaction.execute_unprepared(text).await?;
    Ok(())
}

/// Locks up to `limit` of the tenant's rows of a table that others could come to refer to. SQLite has one
/// writer anyway.
pub(super) async fn hold(
    transaction: &DatabaseTransaction,
    step: &Step,
    tenant: Uuid,
    limit: i64,
) -> Result<(), database::Error> {
    if transaction.get_database_backend() == DbBackend::Sqlite || !step.is_held() {
        return Ok(());
    }
    for route in &step.routes {
        let mut sql = sql_of(transaction.get_database_backend(), tenant);
        let (table, condition, limit) = (step.table.quoted(), route.condition(), sql.bind(limit.into()));
        let rows = format!("SELECT 1 FROM {table} WHERE {condition} LIMIT {limit} FOR UPDATE");
        gone::number(transaction, sql, &format!("SELECT count(*) AS n FROM ({rows}) s")).await?;
    }
    Ok(())
}

/// Rows of the tenant in a step's table, up to `limit`.
pub(super) async fn count<C: ConnectionTrait>(
    connection: &C,
    step: &Step,
    tenant: Uuid,
    limit: i64,
) -> Result<i64, database::Error> {
    let mut sql = sql_of(connection.get_database_backend(), tenant);
    let limit = sql.bind(limit.into());
    let text = format!("SELECT count(*) AS n FROM (SELECT 1 FROM ({}) r LIMIT {limit}) s", step.query(""));
    gone::number(connection, sql, &text).await
}
