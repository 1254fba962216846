//! The schema's history, for SQLite and PostgreSQL, kept in a table of its own name so that the
//! platform may use the same migration library in the same database.

mod m20261123_000001_platform;

pub use sea_orm_migration::{MigrationStatus, MigratorTrait};
use sea_orm_migration::{
    MigrationTrait,
    sea_orm::{DatabaseTransaction, DbErr, DynIden, sea_query::IntoIden},
};

/// Where applied migrations are recorded.
pub const HISTORY_TABLE: &str = "tenant_gateway_migrations";

/// All migrations, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m20261123_000001_platform::Migration)]
    }

    fn migration_table_name() -> DynIden {
        HISTORY_TABLE.into_iden()
    }
}

/// Names of tables that the pending migrations would make and that exist already: somebody else's,
/// not to be touched. Reads only.
///
/// # Errors
///
/// When the database cannot be read, or holds a migration that this program does not know.
pub async fn foreign_tables(connection: &DatabaseTransaction) -> Result<Vec<&'static str>, DbErr> {
    let migrations = Migrator::get_migration_with_status_read_only(connection).await?;
    let mut taken = Vec::new();
    if migrations.first().is_some_and(|first| first.status() == MigrationStatus::Pending) {
        let manager = sea_orm_migration::SchemaManager::new(connection);
        for table in m20261123_000001_platform::TABLES {
            if manager.has_table(table).await? {
                taken.push(table);
            }
        }
    }
    Ok(taken)
}
