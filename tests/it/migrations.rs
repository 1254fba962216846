//! The schema's history beside records that must not be lost, and beside those who use the tables.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;
use tenant_gateway::database::Database;

use crate::{
    cli::{refuses, run},
    deletion::{delete, until},
    support::{Backend, Rows, TenantRow, TestApp, on, on_both},
};

async fn migrate_down(app: &TestApp, steps: &'static str) -> std::process::Output {
    let url = app.database_url.clone();
    let work = move || run(&["migrate", "down", "--steps", steps, "--database-url", &url]);
    tokio::task::spawn_blocking(work).await.expect("an output")
}

#[tokio::test]
async fn certificates_and_open_deletions_are_not_taken_back() {
    on_both(async |app| {
        let (gone, leaves) = (app.tenant(TenantRow::default()).await, app.tenant(TenantRow::default()).await);
        delete(&app, json!({ "tenantId": leaves, "confirmName": "Acme", "graceSeconds": 86_400 })).await;
        for (steps, records) in [("1", "1 deletion(s)"), ("3", "2 deletion(s)")] {
            if steps == "3" {
                delete(&app, json!({ "tenantId": gone, "confirmName": "Acme" })).await;
                until(&app, gone, "DELETED").await;
            }
            let refused = migrate_down(&app, steps).await;
            refuses(&refused, records);
            refuses(&refused, "certificate");
            let states = app.database.migrations().await.expect("states");
            assert!(states.iter().all(|state| state.applied), "{states:?}");
        }
        assert!(until(&app, gone, "DELETED").await["certificate"]["document"].is_string());
        // What was called off proves nothing.
        app.sql("DELETE FROM tenant_deletions WHERE status = 'deleted'", []).await;
        app.sql("UPDATE tenant_deletions SET status = 'canceled'", []).await;
        assert!(migrate_down(&app, "1").await.status.success());
    })
    .await;
}

/// Who waits for a lock makes everybody wait who comes later: a migration does so for a moment only.
#[tokio::test]
async fn a_migration_gives_way_to_who_holds_a_table() {
    on(Backend::Postgres, async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        let writer = Database::open(&app.database_url).await.expect("the test's database");
        for steps in [2, 3] {
            app.database.migrate_down(steps).await.expect("nothing is lost");
            let holder = writer.begin().await.expect("a transaction");
            holder.execute_unprepared("UPDATE calls SET status = status").await.expect("a lock");
            let longest = async {
                let mut longest = Duration::ZERO;
                for _ in 0..40 {
                    let begun = Instant::now();
                    let sql = "UPDATE calls SET status = status WHERE false";
                    writer.connection.execute_unprepared(sql).await.expect("a statement");
                    longest = longest.max(begun.elapsed());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                longest
            };
            let both = async { tokio::join!(app.database.migrate_up(), longest) };
            let both = tokio::time::timeout(Duration::from_secs(30), both).await;
            let (refused, longest) = both.expect("an end, of the migration and of others' statements");
            let refused = refused.expect_err("a table is held").to_string();
            assert!(refused.contains("holds a table"), "{refused}");
            assert!(longest < Duration::from_secs(2), "a writer waited for {longest:?}");
            let migrating = app.database.migrate_up();
            let lets_go = async {
                tokio::time::sleep(Duration::from_millis(1_500)).await;
                holder.rollback().await.expect("an end");
            };
            let (applied, ()) = tokio::join!(migrating, lets_go);
            assert_eq!(applied.expect("the table is free"), steps as usize);
        }
        assert_eq!(app.backend(), DbBackend::Postgres);
    })
    .await;
}
