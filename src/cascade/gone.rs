//! The statements that change tenants' rows. No other file has one.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use uuid::Uuid;

use super::{Step, catalogue::quote, stretch::sql_of};
use crate::database::{self, Sql};

/// What went with one statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) rows: u64,
    /// Objects recorded that were not recorded before.
    pub(super) objects: i64,
    pub(super) bytes: i64,
}

impl std::ops::AddAssign for Gone {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}

/// Deletes the rows of the step's table for which `condition` holds, with the values bound in `sql`, and
/// records the objects that they name.
pub(super) async fn delete(
    transaction: &DatabaseTransaction,
    step: &Step,
    mut sql: Sql,
    condition: &str,
    deletion: Uuid,
) -> Result<Gone, database::Error> {
    let delete = format!("DELETE FROM {} WHERE {condition}", step.table.quoted());
    if !step.names_objects {
        let rows = transaction.execute_raw(sql.statement(&delete)).await?.rows_affected();
        return Ok(Gone { rows, ..Gone::default() });
    }
    if sql.backend() == DbBackend::Sqlite {
        let mut gone = record(transaction, step, sql.clone(), condition, deletion).await?;
        gone.rows = transaction.execute_raw(sql.statement(&delete)).await?.rows_affected();
        return Ok(gone);
    }
    let record = record_from("gone", &sql.bind(deletion.into()), "true");
    let text = format!(
        "WITH gone AS ({delete} RETURNING storage_key, size_bytes), recorded AS ({record}) \
         SELECT (SELECT count(*) FROM gone) AS n, count(*) AS objects, \
         CAST(coalesce(sum(size_bytes), 0) AS bigint) AS bytes FROM recorded"
    );
    let row = transaction.query_one_raw(sql.statement(&text)).await?.ok_or_else(no_row)?;
    let rows = u64::try_from(row.try_get_by::<i64, _>("n")?).unwrap_or_default();
    Ok(Gone { rows, objects: row.try_get_by("objects")?, bytes: row.try_get_by("bytes")? })
}

/// Deletes all of the tenant's rows of the step's table, and records the objects that they name.
pub(super) async fn delete_all(
    transaction: &DatabaseTransaction,
    step: &Step,
    tenant: Uuid,
    deletion: Uuid,
) -> Result<Gone, database::Error> {
    let mut all = Gone::default();
    for route in &step.routes {
        let sql = sql_of(transaction.get_database_backend(), tenant);
        all += delete(transaction, step, sql, &route.condition(), deletion).await?;
    }
    Ok(all)
}

/// Records the objects that the rows name and does not delete them.
pub(super) async fn record(
    transaction: &DatabaseTransaction,
    step: &Step,
    mut sql: Sql,
    condition: &str,
    deletion: Uuid,
) -> Result<Gone, database::Error> {
    let record = record_from(&step.table.quoted(), &sql.bind(deletion.into()), condition);
    let mut gone = Gone::default();
    for row in transaction.query_all_raw(sql.statement(&record)).await? {
        gone.objects += 1;
        gone.bytes += row.try_get_by::<i64, _>("size_bytes")?;
    }
    Ok(gone)
}

fn record_from(source: &str, deletion: &str, condition: &str) -> String {
    format!(
        "INSERT INTO tenant_deletion_objects (deletion_id, storage_key, size_bytes) \
         SELECT {deletion}, storage_key, coalesce(size_bytes, 0) FROM {source} \
         WHERE ({condition}) AND storage_key IS NOT NULL ON CONFLICT DO NOTHING RETURNING size_bytes"
    )
}

/// Sets a column to null in the rows for which `condition` holds.
pub(super) async fn set_null(
    transaction: &DatabaseTransaction,
    step: &Step,
    sql: Sql,
    column: &str,
    condition: &str,
) -> Result<Gone, database::Error> {
    let text = format!("UPDATE {} SET {} = NULL WHERE {condition}", step.table.quoted(), quote(column));
    let rows = transaction.execute_raw(sql.statement(&text)).await?.rows_affected();
    Ok(Gone { rows, ..Gone::default() })
}

/// The same in all of the tenant's rows where it is not null already.
pub(super) async fn set_all_null(
    transaction: &DatabaseTransaction,
    step: &Step,
    tenant: Uuid,
    column: &str,
) -> Result<(), database::Error> {
    for route in &step.routes {
        let sql = sql_of(transaction.get_database_backend(), tenant);
        let condition = format!("{} AND {} IS NOT NULL", route.condition(), quote(column));
        set_null(transaction, step, sql, column, &condition).await?;
    }
    Ok(())
}

/// The number that a query's one row calls `n`.
pub(super) async fn number<C: ConnectionTrait>(
    connection: &C,
    sql: Sql,
    text: &str,
) -> Result<i64, database::Error> {
    let row = connection.query_one_raw(sql.statement(text)).await?.ok_or_else(no_row)?;
    Ok(row.try_get_by("n")?)
}

pub(super) fn no_row() -> database::Error {
    database::Error::Refused("an aggregate gave no row".to_owned())
}
