//! The schema's history, for SQLite and PostgreSQL, kept in a table of its own name so that the
//! platform may use the same migration library in the same database.

mod dialect;
mod m20261123_000001_platform;
mod m20261124_000002_usage;
mod m20261124_000003_deletion;
mod m20261127_000004_storage;

use sea_orm_migration::{
    MigrationName, MigrationTrait,
    sea_orm::{
        ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, DynIden, Statement, sea_query::IntoIden,
    },
};
pub use sea_orm_migration::{MigrationStatus, MigratorTrait};

/// Where applied migrations are recorded.
pub const HISTORY_TABLE: &str = "tenant_gateway_migrations";

/// All migrations, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_platform::Migration),
            Box::new(m20261124_000002_usage::Migration),
            Box::new(m20261124_000003_deletion::Migration),
            Box::new(m20261127_000004_storage::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        HISTORY_TABLE.into_iden()
    }
}

/// Names of the tables that the pending migrations make. Reads only.
///
/// # Errors
///
/// When the database cannot be read, or holds a migration that this program does not know.
pub async fn pending_tables(connection: &DatabaseTransaction) -> Result<Vec<&'static str>, DbErr> {
    let migrations = Migrator::get_migration_with_status_read_only(connection).await?;
    let makes = [
        &m20261123_000001_platform::TABLES[..],
        &m20261124_000002_usage::TABLES,
        &m20261124_000003_deletion::TABLES,
        &[],
    ];
    let pending = migrations.iter().zip(makes).filter(|(it, _)| it.status() == MigrationStatus::Pending);
    Ok(pending.flat_map(|(_, tables)| tables).copied().collect())
}

/// How many deletions are open, or hold a certificate, and would lose that if the newest `steps` applied
/// migrations were taken back. On PostgreSQL their number is the same until the transaction ends.
///
/// # Errors
///
/// When the database cannot be read, or others hold the records.
pub async fn records_at_stake(connection: &DatabaseTransaction, steps: u32) -> Result<i64, DbErr> {
    let migrations = Migrator::get_migration_with_status_read_only(connection).await?;
    let applied = migrations.iter().rev().filter(|it| it.status() == MigrationStatus::Applied);
    let mut taken_back = applied.take(steps.try_into().unwrap_or(usize::MAX));
    let of_records =
        [m20261124_000003_deletion::Migration.name(), m20261127_000004_storage::Migration.name()];
    if !taken_back.any(|it| of_records.contains(&it.name())) {
        return Ok(0);
    }
    let backend = connection.get_database_backend();
    if backend == DbBackend::Postgres {
        connection.execute_unprepared("LOCK TABLE tenant_deletions IN ACCESS EXCLUSIVE MODE").await?;
    }
    let sql = "SELECT count(*) AS n FROM tenant_deletions \
               WHERE certificate IS NOT NULL OR status NOT IN ('deleted', 'canceled')";
    let row = connection.query_one_raw(Statement::from_string(backend, sql)).await?;
    row.map_or(Ok(0), |row| row.try_get_by("n"))
}

/// The schema that holds the tables, quoted: a trigger runs under its writer's search path, and on
/// Citus on another node, so that its function must name every object in full.
async fn current_schema<C: ConnectionTrait>(connection: &C) -> Result<String, DbErr> {
    let sql = "SELECT quote_ident(current_schema()) AS schema";
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    row.ok_or_else(|| DbErr::Custom("the search path names no schema".to_owned()))?.try_get_by("schema")
}
