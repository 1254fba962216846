//! On SQLite the fence looks at each row before it is inserted, and the triggers that keep sums leave
//! calls alone that go with their tenant: its sums go too.

use super::{COLUMNS, FENCED};
use crate::{dialect, m20261124_000002_usage::sqlite::count_deleted};

/// Whether the tenant of a row is not being erased.
const KEPT: &str = "EXISTS (SELECT 1 FROM tenants WHERE id = old.tenant_id AND status <> 'deleting')";

/// Each is sent as a message of its own, in this order.
pub(super) fn up() -> Vec<String> {
    let columns = COLUMNS.iter().map(|(name, kind)| {
        let column = dialect::sqlite(&format!("{name} {}", kind.replace("BIGINT", "INTEGER")));
        format!("ALTER TABLE tenant_deletions ADD COLUMN {column}")
    });
    let fences = FENCED.iter().map(|table| {
        format!(
            "CREATE TRIGGER tenant_fence_{table} BEFORE INSERT ON {table} \
             WHEN EXISTS (SELECT 1 FROM tenants WHERE id = new.tenant_id AND status = 'deleting') \
             BEGIN SELECT RAISE(ABORT, 'FOREIGN KEY constraint failed: the tenant is being deleted'); END"
        )
    });
    let counting = ["DROP TRIGGER usage_count_deleted".to_owned(), count_deleted(Some(KEPT))];
    columns.chain(tables()).chain(fences).chain(counting).collect()
}

fn tables() -> Vec<String> {
    vec![
        dialect::sqlite(
            "CREATE TABLE tenant_deletion_ranges (
    deletion_id ID NOT NULL,
    position INTEGER NOT NULL CHECK (position BETWEEN -2147483648 AND 2147483647),
    lane INTEGER NOT NULL CHECK (lane BETWEEN -2147483648 AND 2147483647),
    after_key TEXT,
    until_key TEXT,
    PRIMARY KEY (deletion_id, position, lane),
    CONSTRAINT tenant_deletion_ranges_deletion_fkey
        FOREIGN KEY (deletion_id) REFERENCES tenant_deletions (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID",
        ),
        dialect::sqlite(
            "CREATE TABLE tenant_deletion_objects (
    deletion_id ID NOT NULL,
    storage_key TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (deletion_id, storage_key)
) STRICT, WITHOUT ROWID",
        ),
        "CREATE INDEX tenant_deletions_unstored_idx ON tenant_deletions (id) \
         WHERE certificate IS NOT NULL AND certificate_stored_at IS NULL"
            .to_owned(),
    ]
}

/// Takes back what [`up`] made.
pub(super) fn down() -> Vec<String> {
    let counting = ["DROP TRIGGER usage_count_deleted".to_owned(), count_deleted(None)];
    let fences = FENCED.iter().map(|table| format!("DROP TRIGGER tenant_fence_{table}"));
    let tables = super::TABLES.iter().rev().map(|table| format!("DROP TABLE {table}"));
    let index = "DROP INDEX tenant_deletions_unstored_idx".to_owned();
    let columns =
        COLUMNS.iter().rev().map(|(name, _)| format!("ALTER TABLE tenant_deletions DROP COLUMN {name}"));
    counting.into_iter().chain(fences).chain(tables).chain([index]).chain(columns).collect()
}
