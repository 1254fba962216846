//! Object storage that fails, is slow, does a part, breaks off, or says that nothing is there.

use std::{fs, time::Duration};

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    process::Gateway,
    victim::{Victim, ask, deletion_of, rows_of, until, until_status},
    worker::start_worker,
};
use crate::deletion::resume;
use crate::support::{Bucket, FaultProxy, Rows, S3, TenantRow, TestApp, on_both};

/// Behind a proxy: the gateway's way to storage is `app.storage`, the platform's is the bucket.
async fn behind_a_proxy(app: &mut TestApp) -> Option<(FaultProxy, Bucket)> {
    let server = S3::shared().await?;
    let (proxy, bucket) = (FaultProxy::start(server.address).await, server.bucket().await);
    app.storage = bucket.storage_at(&proxy.url, "");
    Some((proxy, bucket))
}

/// Lets the test's clock pass over every pause until the deletion has a status.
async fn in_time(app: &TestApp, victim: &Victim, status: &str) -> Value {
    until(app, victim.id, status, |deletion| {
        if deletion["block"] != Value::Null {
            app.clock.set(app.clock.now() + TimeDelta::seconds(5));
        }
        deletion["status"] == status
    })
    .await
}

#[tokio::test]
async fn storage_that_fails_for_a_while_is_waited_out_and_each_object_counted_once() {
    on_both(async |mut app| {
        let Some((proxy, bucket)) = behind_a_proxy(&mut app).await else { return };
        start_worker(&app).await;
        let faults: [(&str, &dyn Fn()); 4] = [
            ("fails", &|| proxy.fail_next(25)),
            ("is slow", &|| proxy.slow(150)),
            ("breaks off", &|| proxy.cut()),
            ("finds nothing", &|| proxy.not_found()),
        ];
        for (what, fault) in faults {
            let victim = Victim::new(&app, 150).await;
            fault();
            ask(&app, victim.id, json!({ "graceSeconds": 0 })).await;
            tokio::time::sleep(Duration::from_millis(600)).await;
            if what == "finds nothing" {
                until(&app, victim.id, "hindered", |shown| {
                    shown["status"] == "DELETED" || shown["block"] != Value::Null
                })
                .await;
            }
            proxy.heal();
            in_time(&app, &victim, "DELETED").await;
            victim.is_gone(&app).await;
            let left = bucket.count(&format!("?list-type=2&prefix=tenants/{}/", victim.id), "<Key>").await;
            assert_eq!(left, 0, "{what}");
        }
    })
    .await;
}

/// An object that cannot be removed blocks a deletion, which says so; the others go.
#[tokio::test]
async fn an_object_that_stays_blocks_until_it_goes() {
    on_both(async |mut app| {
        let Some((proxy, bucket)) = behind_a_proxy(&mut app).await else { return };
        for name in ["recordings/1", "exports/a"] {
            let victim = Victim::new(&app, 150).await;
            proxy.keep(&format!("tenants/{}/{name}", victim.id));
            ask(&app, victim.id, json!({ "graceSeconds": 0 })).await;
            start_worker(&app).await;
            let blocked = in_time(&app, &victim, "BLOCKED").await;
            assert_eq!(blocked["block"]["code"], "STORAGE_FAILED", "{blocked}");
            let left = bucket.count(&format!("?list-type=2&prefix=tenants/{}/", victim.id), "<Key>").await;
            // Those that no row named come last.
            assert!((1..=4).contains(&left), "{name}: {left} objects are left");
            let rows: i64 = rows_of(&app, victim.id).await.values().sum();
            assert_eq!(rows, 1, "its rows do not wait, but the tenant's own");
            let tenant = "SELECT count(*) FROM tenants WHERE id = $1";
            assert_eq!(
                app.number(tenant, [victim.id.into()]).await,
                1,
                "it is not gone while an object remains"
            );
            proxy.heal();
            in_time(&app, &victim, "DELETED").await;
            victim.is_gone(&app).await;
            assert!(!bucket.has(&format!("tenants/{}/{name}", victim.id)).await);
        }
    })
    .await;
}

/// It has none of the tenant's objects, and must not call that erased.
#[tokio::test]
async fn a_gateway_with_another_storage_erases_nothing_unless_it_is_told_to() {
    on_both(async |app| {
        let first = Victim::new(&app, 50).await;
        first.is_due(&app).await;
        let right = Gateway::start(&app, None);
        first.is_gone(&app).await;
        drop(right);

        let elsewhere = tempfile::tempdir().expect("a directory");
        let url = format!("file://{}", elsewhere.path().display());
        let (victim, other) = (Victim::new(&app, 50).await, Victim::new(&app, 50).await);
        let wrong = Gateway::start_with(&app, None, &["--storage-url", &url]);
        for victim in [&victim, &other] {
            victim.is_due(&app).await;
            let blocked = until_status(&app, victim.id, "BLOCKED").await;
            assert_eq!(blocked["block"]["code"], "OTHER_STORAGE", "{blocked}");
            assert_eq!(rows_of(&app, victim.id).await, victim.rows, "nothing has begun");
            resume(&app, &blocked["id"], json!({})).await;
            until_status(&app, victim.id, "BLOCKED").await;
        }
        assert!(!wrong.log().contains("panicked") && wrong.log().contains(&url), "the log names it");
        // Storage has moved, and somebody says so: from then on it is that one.
        let blocked = deletion_of(&app, other.id).await;
        resume(&app, &blocked["id"], json!({ "force": true })).await;
        let deleted = until_status(&app, other.id, "DELETED").await;
        assert_eq!(deleted["isForced"], false, "its sessions were not overridden");
        let kept = elsewhere.path().join(format!("deletion-certificates/{}", other.id));
        let end = std::time::Instant::now() + super::process::DEADLINE;
        while !kept.exists() {
            assert!(std::time::Instant::now() < end, "the certificate is with the objects");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(wrong);
        let _right = Gateway::start(&app, None);
        let blocked = deletion_of(&app, victim.id).await;
        resume(&app, &blocked["id"], json!({ "force": true })).await;
        victim.is_gone(&app).await;
    })
    .await;
}

/// What cannot be written there waits, and holds up no deletion.
#[tokio::test]
async fn certificates_wait_for_storage_and_deletions_do_not() {
    on_both(async |app| {
        let victims = [Victim::new(&app, 50).await, Victim::new(&app, 50).await];
        // A file in the place of the certificates' directory.
        let place = app.objects.path().join("deletion-certificates");
        std::fs::write(&place, "in the way").expect("a file");
        let gateway = Gateway::start(&app, None);
        for victim in &victims {
            victim.is_due(&app).await;
        }
        for victim in &victims {
            victim.is_gone(&app).await;
        }
        std::fs::remove_file(&place).expect("a way");
        for victim in &victims {
            let id = until_status(&app, victim.id, "DELETED").await["id"].clone();
            let file =
                place.join(victim.id.to_string()).join(format!("{}.json", id.as_str().expect("an id")));
            let end = std::time::Instant::now() + super::process::DEADLINE;
            while !file.exists() {
                assert!(std::time::Instant::now() < end, "{} is not written", file.display());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        drop(gateway);
    })
    .await;
}

/// An object that a row names outside the tenant's prefix, and what an upload of it has left behind there.
#[tokio::test]
async fn unfinished_uploads_of_an_object_elsewhere_go_too() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        let files = ["shared/greeting.ogg", "shared/greeting.ogg#7", "shared/greetings.ogg#7"];
        let at = |file: &str| app.objects.path().join(file);
        fs::create_dir_all(at("shared")).expect("a directory");
        for file in files {
            fs::write(at(file), "sound").expect("a file");
        }
        let named = "UPDATE knowledge_files SET storage_key = $2 WHERE tenant_id = $1";
        assert!(app.sql(named, [tenant.into(), files[0].into()]).await > 0);
        ask(&app, tenant, json!({})).await;
        app.erase();
        until_status(&app, tenant, "DELETED").await;
        let left: Vec<_> = files.into_iter().filter(|file| at(file).exists()).collect();
        assert_eq!(left, ["shared/greetings.ogg#7"], "somebody else's");
        let told = app.number("SELECT uploads_erased FROM tenant_deletions", []).await;
        assert_eq!(told, 1);
    })
    .await;
}
