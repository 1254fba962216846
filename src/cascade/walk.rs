//! Walks over a plan: count, erase, prove that nothing remains. Each is one statement a table.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};
use uuid::Uuid;

use super::{
    Gap, GapKind, Plan, Step,
    catalogue::{Catalogue, TableName},
    gone,
    stretch::sql_of,
    together,
    way::Way,
};
use crate::database;

/// A table of up to so many rows may be read whole.
const SMALL_TABLE: i64 = 10_000;

/// Objects that a tenant's rows name in storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// How many.
    pub count: i64,
    /// Their bytes, as the rows say.
    pub bytes: i64,
    /// Whether they were counted.
    pub is_exact: bool,
}

/// Makes policies that would hide rows an error until the transaction ends. SQLite has none.
///
/// # Errors
///
/// [`database::Error`].
pub async fn see_all<C: ConnectionTrait>(connection: &C) -> Result<(), database::Error> {
    if connection.get_database_backend() == DbBackend::Postgres {
        connection.execute_unprepared("SET LOCAL row_security = off").await?;
    }
    Ok(())
}

/// How often SQLite's schema has changed; none on PostgreSQL, whose batches need not know.
///
/// # Errors
///
/// [`database::Error`].
pub async fn schema_version<C: ConnectionTrait>(connection: &C) -> Result<Option<i64>, database::Error> {
    if connection.get_database_backend() == DbBackend::Postgres {
        return Ok(None);
    }
    let row = one(connection, "PRAGMA schema_version", []).await?;
    Ok(Some(row.try_get_by("schema_version")?))
}

/// Makes every table of the plan safe from a change of its keys until the transaction ends. SQLite
/// lets nobody else write anyway.
///
/// # Errors
///
/// [`database::Error`].
pub async fn lock<C: ConnectionTrait>(connection: &C, plan: &Plan) -> Result<(), database::Error> {
    if connection.get_database_backend() == DbBackend::Postgres {
        let tables: Vec<_> = plan.steps.iter().map(|step| step.table.quoted()).collect();
        connection
            .execute_unprepared(&format!("LOCK TABLE {} IN ROW EXCLUSIVE MODE", tables.join(", ")))
            .await?;
    }
    Ok(())
}

/// Waits until whoever has written to these tables has ended, and keeps everybody from writing to them until
/// the transaction ends: no foreign key makes them wait for the tenant's row. SQLite has one writer anyway.
///
/// # Errors
///
/// [`database::Error`]; `Contention` where somebody does not end in time.
pub async fn keep_writers_out<C: ConnectionTrait>(
    transaction: &C,
    tables: &[TableName],
) -> Result<(), database::Error> {
    if transaction.get_database_backend() == DbBackend::Postgres && !tables.is_empty() {
        let tables: Vec<_> = tables.iter().map(TableName::quoted).collect();
        transaction
            .execute_unprepared(&format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", tables.join(", ")))
            .await?;
    }
    Ok(())
}

/// Counts the tenant's rows, in the plan's order. Tables that the gateway may not read, or not
/// wholly, are left out: a gap names each.
///
/// # Errors
///
/// [`database::Error`].
pub async fn count<C: ConnectionTrait>(
    connection: &C,
    plan: &Plan,
    tenant: Uuid,
) -> Result<Vec<(TableName, i64)>, database::Error> {
    let mut counts = Vec::with_capacity(plan.steps.len());
    for step in plan.erasing().filter(|step| step.readable) {
        counts.push((step.table.clone(), together::count(connection, step, tenant, i64::MAX).await?));
    }
    Ok(counts)
}

/// Counts the objects that the tenant's rows name.
///
/// # Errors
///
/// [`database::Error`].
pub async fn objects<C: ConnectionTrait>(
    connection: &C,
    plan: &Plan,
    tenant: Uuid,
) -> Result<Objects, database::Error> {
    let mut total = Objects { is_exact: true, ..Objects::default() };
    for step in plan.erasing().filter(|step| step.names_objects && step.readable) {
        let objects = objects_of(connection, step, tenant, i64::MAX).await?;
        total.count += objects.count;
        total.bytes += objects.bytes;
    }
    Ok(total)
}

/// Those that up to `limit` rows of one table name.
pub(super) async fn objects_of<C: ConnectionTrait>(
    connection: &C,
    step: &Step,
    tenant: Uuid,
    limit: i64,
) -> Result<Objects, database::Error> {
    let mut sql = sql_of(connection.get_database_backend(), tenant);
    let rows = step.query(", storage_key, size_bytes");
    let text = format!(
        "SELECT count(*) AS n, cast(coalesce(sum(size_bytes), 0) AS bigint) AS bytes \
         FROM (SELECT * FROM ({rows}) r WHERE storage_key IS NOT NULL LIMIT {}) s",
        sql.bind(limit.into())
    );
    let row = connection.query_one_raw(sql.statement(&text)).await?.ok_or_else(gone::no_row)?;
    Ok(Objects { count: row.try_get_by("n")?, bytes: row.try_get_by("bytes")?, is_exact: true })
}

/// Adds a gap for each table that is not small and that no index leads into.
pub(super) async fn find_slow_paths<C: ConnectionTrait>(
    connection: &C,
    catalogue: &Catalogue,
    plan: &mut Plan,
) -> Result<(), database::Error> {
    let Plan { steps, gaps, .. } = plan;
    for step in steps.iter().filter(|step| step.readable && step.erases()) {
        let Some(table) = catalogue.table(&step.table) else { continue };
        let ways = step.ways.iter().map(Way::columns);
        let ways = ways.filter(|columns| !table.is_indexed_by(columns));
        // Whoever deletes a parent looks for the rows that refer to it, also by a key that leads to no tenant.
        let checks = catalogue.keys.iter().filter(|key| {
            key.child == step.table && !key.is_implied && steps.iter().any(|other| other.table == key.parent)
        });
        let checks = checks.map(|key| key.child_columns.clone()).filter(|columns| {
            !table
                .indexes
                .iter()
                .any(|index| index.columns.first().is_some_and(|first| columns.contains(first)))
        });
        let unindexed: BTreeSet<Vec<String>> = ways.chain(checks).collect();
        for columns in &unindexed {
            let some = format!("SELECT 1 FROM {} LIMIT {}", step.table.quoted(), SMALL_TABLE + 1);
            let row = one(connection, &format!("SELECT count(*) AS n FROM ({some}) s"), []).await?;
            if row.try_get_by::<i64, _>("n")? > SMALL_TABLE {
                let kind = GapKind::NoIndex(columns.join(", "));
                gaps.push(Gap::new(&step.table, columns.first().map(String::as_str), kind));
            }
        }
    }
    Ok(())
}

async fn one<C: ConnectionTrait, const N: usize>(
    connection: &C,
    sql: &str,
    values: [sea_orm::Value; N],
) -> Result<QueryResult, database::Error> {
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    connection
        .query_one_raw(statement)
        .await?
        .ok_or_else(|| database::Error::Refused("an aggregate gave no row".to_owned()))
}
