//! Batches on SQLite do not follow foreign keys where nothing can refer to what they erase. Where something can, they do.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;

use super::{
    standing::standing_at,
    victim::{Victim, ask, until_status},
};
use crate::support::{Backend, Rows, TenantRow, TestApp, id, on, on_both};

async fn broken_keys(app: &TestApp) -> usize {
    if app.backend() == DbBackend::Postgres {
        return 0;
    }
    app.rows("PRAGMA foreign_key_check", []).await.len()
}

/// No fence keeps another tenant from referring to a row by its id alone.
#[tokio::test]
async fn what_another_tenant_comes_to_refer_to_is_let_go_of() {
    on_both(async |app| {
        let kind = if app.backend() == DbBackend::Sqlite { "blob" } else { "uuid" };
        for sql in [
            "CREATE UNIQUE INDEX agents_alone ON agents (id)".to_owned(),
            format!(
                "ALTER TABLE activity_logs ADD COLUMN agent {kind} REFERENCES agents (id) ON DELETE SET NULL"
            ),
        ] {
            app.sql(&sql, []).await;
        }
        let other = app.tenant(TenantRow::default()).await;
        let (victim, gateway) = standing_at(&app, 100, "plan.adopted", async |_| {}).await;
        let log = id();
        let written = app
            .sql(
                "INSERT INTO activity_logs (tenant_id, id, actor, action, agent) \
                 SELECT $1, $2, 'somebody', 'looked', id FROM agents WHERE tenant_id = $3 LIMIT 1",
                [other.into(), log.into(), victim.id.into()],
            )
            .await;
        assert_eq!(written, 1);
        gateway.signal("-CONT");
        until_status(&app, victim.id, "DELETED").await;
        let kept = "SELECT count(*) FROM activity_logs WHERE id = $1 AND agent IS NULL";
        assert_eq!(app.number(kept, [log.into()]).await, 1);
        assert_eq!(broken_keys(&app).await, 0);
    })
    .await;
}

/// Who deletes from a table in a trigger relies on its keys for the rest.
#[tokio::test]
async fn what_a_trigger_deletes_takes_along_what_hangs_below() {
    on(Backend::Sqlite, async |app| {
        for sql in [
            "CREATE TABLE media (id blob PRIMARY KEY)",
            "CREATE TABLE chunks (media blob NOT NULL REFERENCES media (id) ON DELETE CASCADE)",
            "CREATE TRIGGER media_go AFTER DELETE ON call_recordings BEGIN DELETE FROM media WHERE id = old.id; END",
        ] {
            app.sql(sql, []).await;
        }
        let (victim, gateway) = standing_at(&app, 100, "plan.adopted", async |victim: &Victim| {
            let recordings = "INSERT INTO media SELECT id FROM call_recordings WHERE tenant_id = $1";
            assert!(app.sql(recordings, [victim.id.into()]).await > 0);
            app.sql("INSERT INTO chunks SELECT id FROM media", []).await;
        })
        .await;
        gateway.signal("-CONT");
        victim.is_gone_with(&app, &BTreeMap::new()).await;
        for table in ["media", "chunks"] {
            assert_eq!(app.number(&format!("SELECT count(*) FROM {table}"), []).await, 0, "{table}");
        }
        assert_eq!(broken_keys(&app).await, 0);
    })
    .await;
}

/// However many connections are asked for.
#[tokio::test]
async fn every_other_connection_follows_foreign_keys() {
    on(Backend::Sqlite, async |app| {
        let erased = app.tenant(TenantRow::default()).await;
        app.platform(erased).await;
        app.erase();
        ask(&app, erased, json!({})).await;
        until_status(&app, erased, "DELETED").await;
        let transactions = join_all((0..12).map(|_| app.database.snapshot())).await;
        for transaction in transactions {
            let transaction = transaction.expect("a connection");
            let asked = Statement::from_string(DbBackend::Sqlite, "PRAGMA foreign_keys");
            let row = transaction.query_one_raw(asked).await.expect("an answer").expect("a row");
            assert!(row.try_get_by::<bool, _>("foreign_keys").expect("a flag"));
        }
    })
    .await;
}
