//! The platform's tables, the record of deletions, and their indexes.

mod postgres;
mod sqlite;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// Every table made here, parents first.
pub(crate) const TABLES: [&str; 16] = [
    "tenants",
    "agents",
    "calls",
    "call_recordings",
    "call_transcripts",
    "sessions",
    "workflows",
    "integrations",
    "knowledge_files",
    "activity_logs",
    "sip_trunks",
    "phone_numbers",
    "squads",
    "squad_members",
    "tenant_deletions",
    "tenant_deletion_tables",
];

/// The first migration.
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261123_000001_platform"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let statements = match manager.get_database_backend() {
            DbBackend::Sqlite => sqlite::up(),
            _ => postgres::UP.iter().map(ToString::to_string).collect(),
        };
        for statement in statements {
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES.iter().rev() {
            manager.get_connection().execute_unprepared(&format!("DROP TABLE {table}")).await?;
        }
        Ok(())
    }
}
