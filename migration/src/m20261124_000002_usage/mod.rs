//! Roll-ups of calls, the triggers that keep them, and what their workers need.
//!
//! Calls that were there before are counted by a rebuild: each tenant that exists now is put on the
//! list of rebuilds, and its figures come from its calls until it is done.

mod postgres;
mod sqlite;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, Statement};

/// Every table made here, parents first.
pub(crate) const TABLES: [&str; 5] =
    ["usage_quarter_hours", "usage_days", "usage_deltas", "usage_rebuilds", "gateway_leases"];

/// The second migration.
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261124_000002_usage"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let statements = match manager.get_database_backend() {
            DbBackend::Sqlite => sqlite::up(),
            _ => postgres::up(&schema(connection).await?),
        };
        for statement in statements {
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let statements = match manager.get_database_backend() {
            DbBackend::Sqlite => sqlite::down(),
            _ => postgres::down(&schema(connection).await?),
        };
        for statement in statements {
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}

/// The schema that holds the tables, quoted: a trigger runs under its writer's search path, and on
/// Citus on another node, so that its function must name every object in full.
async fn schema<C: ConnectionTrait>(connection: &C) -> Result<String, DbErr> {
    let sql = "SELECT quote_ident(current_schema()) AS schema";
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    row.ok_or_else(|| DbErr::Custom("the search path names no schema".to_owned()))?.try_get_by("schema")
}
