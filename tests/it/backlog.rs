//! What waits to be done is seen by whoever looks at the metrics, also where nobody does it.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Rows, TenantRow, TestApp, at, noon, on_both};

async fn metrics(app: &TestApp) -> String {
    let answer = app.client.get(format!("{}/metrics", app.url)).send().await.expect("an answer");
    answer.text().await.expect("text")
}

async fn ask(app: &TestApp, tenant: Uuid, grace: i32) {
    let document =
        "mutation ($input: DeleteTenantInput!) { deleteTenant(input: $input) { deletion { id } } }";
    let input = json!({ "tenantId": tenant, "confirmName": "Acme", "graceSeconds": grace });
    app.admin(document, json!({ "input": input })).await;
}

/// No process runs workers.
#[tokio::test]
async fn deletions_that_nobody_works_on_are_seen() {
    on_both(async |app| {
        let none = metrics(&app).await;
        for line in [
            "tenant_gateway_deletions_open{status=\"erasing\"} 0\n",
            "tenant_gateway_deletion_oldest_due_seconds 0.0\n",
            "tenant_gateway_deletion_certificates_unstored 0\n",
        ] {
            assert!(none.contains(line), "{line}\n{none}");
        }
        for grace in [0, 600, 86_400] {
            let tenant = app.tenant(TenantRow::default()).await;
            ask(&app, tenant, grace).await;
        }
        app.clock.set(noon() + TimeDelta::minutes(30));
        let shown = metrics(&app).await;
        for line in [
            "tenant_gateway_deletions_open{status=\"scheduled\"} 2\n",
            "tenant_gateway_deletions_open{status=\"erasing\"} 1\n",
            "tenant_gateway_deletion_oldest_due_seconds 1800.0\n",
        ] {
            assert!(shown.contains(line), "{line}\n{shown}");
        }
        app.sql("DELETE FROM tenant_deletions WHERE status = 'erasing'", []).await;
        let shown = metrics(&app).await;
        for line in [
            "tenant_gateway_deletions_open{status=\"erasing\"} 0\n",
            "tenant_gateway_deletion_oldest_due_seconds 1200.0\n",
        ] {
            assert!(shown.contains(line), "{line}\n{shown}");
        }
    })
    .await;
}

/// More certificates than one round takes have no place in storage; the one after them has.
#[tokio::test]
async fn a_certificate_that_cannot_be_stored_holds_up_no_other() {
    on_both(async |app| {
        let now = entity::timestamp::value(app.backend(), at("2026-03-18T11:00:00Z"));
        let record = async |tenant: Uuid| {
            let sql = "INSERT INTO tenant_deletions (id, tenant_id, status, requested_by, requested_at, is_forced, \
                       is_export_requested, plan_digest, started_at, finished_at, certificate, certificate_sha256) \
                       VALUES ($1, $2, 'deleted', 'somebody', $3, false, false, '0', $3, $3, '{}', '0')";
            app.sql(sql, [Uuid::now_v7().into(), tenant.into(), now.clone()]).await;
        };
        // Where a directory has to be there is a file.
        let stuck = Uuid::now_v7();
        let file = format!("deletion-certificates/{stuck}");
        app.storage.put(&file, b"in the way".to_vec()).await.expect("an object");
        for _ in 0..120 {
            record(stuck).await;
        }
        record(Uuid::now_v7()).await;
        app.erase();
        let stored = "SELECT count(*) FROM tenant_deletions WHERE certificate_stored_at IS NOT NULL";
        let begun = Instant::now();
        while app.number(stored, []).await == 0 {
            assert!(begun.elapsed() < Duration::from_secs(15), "those before it are in its way");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let shown = metrics(&app).await;
        assert!(shown.contains("tenant_gateway_deletion_certificates_unstored 120\n"), "{shown}");
        app.storage.remove(&[file]).await.expect("an answer");
        while app.number(stored, []).await < 121 {
            assert!(begun.elapsed() < Duration::from_mins(2), "they are tried again by themselves");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
}
