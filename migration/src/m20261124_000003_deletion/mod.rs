//! What a deletion that takes its time needs: where it stands, what it has recorded, and a fence that
//! keeps writers from adding to a tenant that is being erased.

mod postgres;
mod sqlite;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::current_schema;

/// Every table made here, parents first.
pub(crate) const TABLES: [&str; 2] = ["tenant_deletion_ranges", "tenant_deletion_objects"];

/// The platform's tables that a tenant owns: the fence stands before each.
const FENCED: [&str; 13] = [
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
];

/// Columns that the record gains, with their types in the dialect of either database: `INSTANT` and
/// `BIGINT` are spelt out. The gateway keeps each of them consistent with the status.
const COLUMNS: [(&str, &str); 21] = [
    ("scheduled_for", "INSTANT"),
    ("canceled_at", "INSTANT"),
    ("cancel_reason", "TEXT"),
    ("block_code", "TEXT"),
    ("block_message", "TEXT"),
    ("block_during", "TEXT"),
    ("blocked_at", "INSTANT"),
    ("steps_done", "INTEGER NOT NULL DEFAULT 0"),
    ("attempts", "INTEGER NOT NULL DEFAULT 0"),
    ("next_attempt_at", "INSTANT"),
    ("replay_of", "ID"),
    ("final_usage", "TEXT"),
    ("objects_erased", "BIGINT NOT NULL DEFAULT 0"),
    ("bytes_erased", "BIGINT NOT NULL DEFAULT 0"),
    ("versions_erased", "BIGINT NOT NULL DEFAULT 0"),
    ("uploads_erased", "BIGINT NOT NULL DEFAULT 0"),
    ("certificate", "TEXT"),
    ("certificate_sha256", "TEXT"),
    ("certificate_signature", "TEXT"),
    ("certificate_key_id", "TEXT"),
    ("certificate_stored_at", "INSTANT"),
];

/// The third migration.
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261124_000003_deletion"
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
