//! The end of an erasure: what came in behind the batches goes too, and nothing remains.

use sea_orm::{ConnectionTrait, DatabaseTransaction};
use uuid::Uuid;

use super::{
    Plan, StepKind, TableName,
    gone::{self, Gone},
    together,
};
use crate::database;

/// What a sweep did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Every row of the tenant but its own is gone.
    Done {
        /// Rows erased, by table, in the plan's order; tables without any are left out.
        tables: Vec<(TableName, i64)>,
        /// Objects recorded in the outbox.
        objects: i64,
        /// Their bytes.
        bytes: i64,
    },
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
    for step in plan.below_root().filter(|step| step.erases()) {
        let rows = together::count(connection, step, tenant, limit).await?;
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
    let (mut tables, mut left) = (Vec::new(), limit);
    // Parents first: nothing can come to refer to a row that is held.
    for step in plan.below_root().rev().filter(|step| step.erases()) {
        together::hold(transaction, step, tenant, limit + 1).await?;
        let rows = together::count(transaction, step, tenant, left + 1).await?;
        left -= rows;
        if left < 0 {
            return Ok(Sweep::TooMany);
        }
        if rows > 0 {
            tables.insert(0, (step.table.clone(), rows));
        }
    }
    if tables.is_empty() {
        return Ok(Sweep::Done { tables, objects: 0, bytes: 0 });
    }
    if plan.steps.iter().any(|step| !step.together.is_empty()) {
        together::defer(transaction).await?;
    }
    let mut total = Gone::default();
    for step in plan.below_root() {
        match &step.kind {
            StepKind::Erase => total += gone::delete_all(transaction, step, tenant, deletion).await?,
            StepKind::Break { column } => gone::set_all_null(transaction, step, tenant, column).await?,
        }
    }
    Ok(Sweep::Done { tables, objects: total.objects, bytes: total.bytes })
}

/// Deletes the tenant's own row, the last. Returns whether it was there.
///
/// # Errors
///
/// [`database::Error`]; the caller rolls back.
pub async fn delete_root(
    transaction: &DatabaseTransaction,
    plan: &Plan,
    tenant: Uuid,
) -> Result<bool, database::Error> {
    let root = plan.root();
    for step in plan.steps.iter().filter(|step| step.table == root.table) {
        if let StepKind::Break { column } = &step.kind {
            gone::set_all_null(transaction, step, tenant, column).await?;
        }
    }
    let gone = gone::delete_all(transaction, root, tenant, Uuid::nil()).await?;
    Ok(gone.rows > 0)
}
