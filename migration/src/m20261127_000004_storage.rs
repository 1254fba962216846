//! With which object storage a deletion is done: a gateway that has another one must not find nothing there and call
//! that erased.

use sea_orm_migration::prelude::*;

/// The fourth migration.
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261127_000004_storage"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let add = "ALTER TABLE tenant_deletions ADD COLUMN storage_address TEXT";
        manager.get_connection().execute_unprepared(add).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drop_it = "ALTER TABLE tenant_deletions DROP COLUMN storage_address";
        manager.get_connection().execute_unprepared(drop_it).await.map(drop)
    }
}
