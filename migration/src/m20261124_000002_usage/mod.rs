//! Roll-ups of calls, the triggers that keep them, and what their workers need.
//!
//! Calls that were there before are counted by a rebuild: each tenant that exists now is put on the
//! list of rebuilds, and its figures come from its calls until it is done.

mod postgres;
pub(crate) mod sqlite;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

use crate::current_schema;

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
            _ => postgres::up(&current_schema(connection).await?),
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
            _ => postgres::down(&current_schema(connection).await?),
        };
        for statement in statements {
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}
