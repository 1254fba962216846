//! `tenant replay`: a restored backup brings tenants back; the certificates in storage take them away again,
//! and nobody else's word does.

use std::process::Command;

use entity::timestamp;
use serde_json::{Value, json};
use tenant_gateway::{
    clock::Clock,
    deletion::certificate::{Facts, Signer, issue, storage_key},
};
use uuid::Uuid;

use crate::{
    certificate::{facts, first, key_file, second},
    cli::refuses,
    support::{Place, Rows, Session, TenantRow, TestApp, places},
    terminal::{as_json, command, output, tenant, told},
};

/// The first lives on; the others are erased after the backup was made.
const NAMES: [&str; 5] = ["Stays", "Plain", "Half gone", "Known", "Scheduled"];

struct Platform {
    app: TestApp,
    tenants: [Uuid; 5],
}

async fn rows(app: &TestApp, tenant: Uuid) -> i64 {
    let mut rows = app.number("SELECT count(*) FROM tenants WHERE id = $1", [tenant.into()]).await;
    for table in ["agents", "calls", "call_recordings", "squad_members", "workflows"] {
        rows +=
            app.number(&format!("SELECT count(*) FROM {table} WHERE tenant_id = $1"), [tenant.into()]).await;
    }
    rows
}

async fn erase(app: &TestApp, tenant: Uuid, name: &str, extra: &[&str]) -> Value {
    let id = tenant.to_string();
    let arguments = [&["delete", &id, "--confirm-name", name, "--json"][..], extra].concat();
    let mut delete = command(app, &arguments);
    let (_directory, key) = key_file(&"11".repeat(32));
    delete.env("CERTIFICATE_KEY_FILE", &key);
    as_json(&told(&output(delete).await))
}

impl Platform {
    /// Tenants are erased after a backup, and the backup is restored. What the storage of the first app holds
    /// is what the second is given.
    async fn restored(place: &Place) -> (Self, Place, TestApp) {
        let app = TestApp::start(place).await;
        let mut tenants = [Uuid::nil(); 5];
        for (tenant, name) in tenants.iter_mut().zip(NAMES) {
            *tenant = app.tenant(TenantRow { name: name.to_owned(), ..TenantRow::default() }).await;
            app.platform(*tenant).await;
        }
        let [_, plain, half, known, scheduled] = tenants;
        let later = erase(&app, scheduled, "Scheduled", &["--grace", "300d"]).await;
        assert_eq!(later["status"], "SCHEDULED");
        // Pools of the test itself.
        app.database.close().await.expect("nobody is connected");
        let backup = place.copy().await;
        let before = TestApp::start(place).await;
        told(&tenant(&before, &["cancel", &scheduled.to_string()]).await);
        for (tenant, name) in
            [(plain, "Plain"), (half, "Half gone"), (known, "Known"), (scheduled, "Scheduled")]
        {
            assert_eq!(erase(&before, tenant, name, &[]).await["status"], "DELETED");
        }
        let app = TestApp::start(&backup).await;
        (Self { app, tenants }, backup, before)
    }
}

/// A command on the restored database, with the certificates of the first.
fn replay(platform: &Platform, source: &TestApp, arguments: &[&str]) -> Command {
    let from = format!("file://{}", source.objects.path().display());
    command(&platform.app, &[&["replay", "--from", &from], arguments].concat())
}

/// As [`replay`], with the gateway's own key.
async fn replayed(platform: &Platform, source: &TestApp, arguments: &[&str]) -> std::process::Output {
    let (_directory, key) = key_file(&"11".repeat(32));
    let mut command = replay(platform, source, arguments);
    command.env("CERTIFICATE_KEY_FILE", &key);
    output(command).await
}

#[tokio::test]
async fn tenants_that_a_backup_brings_back_are_erased_again() {
    for place in places().await {
        let (platform, backup, source) = Platform::restored(&place).await;
        let app = &platform.app;
        let [stays, plain, half, known, scheduled] = platform.tenants;
        // The backup can be older or newer than what was known of a tenant when it was made.
        app.sql("UPDATE tenants SET status = 'deleting' WHERE id IN ($1, $2)", [half.into(), known.into()])
            .await;
        let now = timestamp::value(app.backend(), Clock::system().now());
        let record = "INSERT INTO tenant_deletions (id, tenant_id, status, requested_by, requested_at, is_forced, \
             is_export_requested, plan_digest, started_at, finished_at) \
             VALUES ($1, $2, 'deleted', 'somebody', $3, false, false, '0', $3, $3)";
        app.sql(record, [Uuid::now_v7().into(), known.into(), now]).await;
        app.session(&Session::of(plain, Clock::system().now())).await;
        let stays_before = rows(app, stays).await;

        refuses(&output(replay(&platform, &source, &[])).await, "--unsigned");
        let dry = as_json(&told(&replayed(&platform, &source, &["--dry-run", "--json"]).await));
        assert_eq!((&dry["certificates"], &dry["gone"], &dry["erased"]), (&json!(4), &json!(0), &json!([])));
        let mut found: Vec<_> =
            dry["found"].as_array().expect("a list").iter().map(|f| f["tenantId"].clone()).collect();
        found.sort_by_key(Value::to_string);
        let mut gone = [plain, half, known, scheduled].map(|tenant| json!(tenant)).to_vec();
        gone.sort_by_key(Value::to_string);
        assert_eq!(found, gone);
        assert!(rows(app, plain).await > 1, "a dry run erases nothing");

        let said = as_json(&told(&replayed(&platform, &source, &["--json"]).await));
        let erased = said["erased"].as_array().expect("a list");
        assert_eq!(erased.len(), 4, "{said:#}");
        for deletion in erased {
            assert_eq!(deletion["status"], "DELETED");
            let document = as_json(deletion["certificate"]["document"].as_str().expect("a document"));
            let earlier = dry["found"].as_array().expect("a list").iter();
            let earlier = earlier
                .clone()
                .find(|found| found["tenantId"] == deletion["tenantId"])
                .expect("it was found");
            assert_eq!(document["replayOf"], earlier["replayOf"], "{document}");
            assert_eq!(deletion["requestedBy"], "terminal");
        }
        for tenant in [plain, half, known, scheduled] {
            assert_eq!(rows(app, tenant).await, 0, "{tenant}");
        }
        assert_eq!(rows(app, stays).await, stays_before);
        let again = told(&replayed(&platform, &source, &[]).await);
        assert_eq!(again, "4 certificate(s): 4 tenant(s) gone, 0 back, 0 erased again\n");
        drop((platform, source));
        backup.remove().await;
        place.remove().await;
    }
}

/// Writes a certificate that says that the tenant is gone; returns its key.
async fn plant(source: &TestApp, tenant: Uuid, deletion: Uuid, signer: Option<&Signer>) -> String {
    let certificate = issue(&Facts { tenant, deletion, ..facts() }, signer);
    let file = certificate.to_file(signer.map(Signer::public_key).as_ref());
    let key = storage_key(tenant, deletion);
    source.storage.put(&key, file.into_bytes()).await.expect("an object");
    key
}

#[tokio::test]
async fn a_planted_certificate_erases_nobody() {
    for place in places().await {
        let (platform, backup, source) = Platform::restored(&place).await;
        let app = &platform.app;
        let [stays, plain, half, known, scheduled] = platform.tenants;
        let deletion = Uuid::now_v7;
        let unsigned = plant(&source, stays, deletion(), None).await;
        let foreign = plant(&source, stays, deletion(), Some(&second())).await;
        // Of another tenant, under this one's key; and what is no certificate at all.
        let own = plant(&source, Uuid::now_v7(), deletion(), Some(&first())).await;
        let misplaced = storage_key(stays, deletion());
        let file = source.storage.get(&own).await.expect("an answer").expect("a certificate");
        source.storage.put(&misplaced, file).await.expect("an object");
        let junk = format!("deletion-certificates/{stays}/readme.txt");
        source.storage.put(&junk, b"\xff".to_vec()).await.expect("an object");

        let ended = replayed(&platform, &source, &["--json"]).await;
        assert_eq!(ended.status.code(), Some(1));
        let said = as_json(&String::from_utf8_lossy(&ended.stdout));
        let mut refused: Vec<_> = said["notBelieved"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|file| (file["key"].as_str().expect("a key"), file["code"].as_str().expect("a code")))
            .collect();
        refused.sort_unstable();
        let mut expected = [
            (unsigned.as_str(), "NOT_SIGNED"),
            (foreign.as_str(), "KEY_UNKNOWN"),
            (misplaced.as_str(), "MISPLACED"),
            (junk.as_str(), "NOT_A_CERTIFICATE"),
        ];
        expected.sort_unstable();
        assert_eq!(refused, expected);
        let shown = String::from_utf8_lossy(&ended.stderr);
        assert!(expected.iter().all(|(key, code)| shown.contains(&format!("{key}: {code}: "))), "{shown}");
        // The others are not held up.
        assert_eq!(said["erased"].as_array().map(Vec::len), Some(4));
        for tenant in [plain, half, known, scheduled] {
            assert_eq!(rows(app, tenant).await, 0);
        }
        assert!(rows(app, stays).await > 1);

        // Who asks for it believes whoever can write there, but nothing that a stranger has signed.
        source.storage.remove(&[misplaced, junk]).await.expect("an answer");
        let ended = replayed(&platform, &source, &["--unsigned"]).await;
        let shown = String::from_utf8_lossy(&ended.stderr);
        assert!(
            shown.contains(&format!("{foreign}: KEY_UNKNOWN: ")) && !shown.contains("NOT_SIGNED"),
            "{shown}"
        );
        let told = String::from_utf8_lossy(&ended.stdout);
        assert!(told.contains("Stays (") && told.ends_with("1 back, 1 erased again\n"), "{told}");
        assert_eq!(rows(app, stays).await, 0);
        drop((platform, source));
        backup.remove().await;
        place.remove().await;
    }
}

/// A platform may give a new tenant the id of one that is gone.
#[tokio::test]
async fn a_tenant_that_was_created_anew_is_kept_unless_it_is_asked_for() {
    for place in places().await {
        let app = TestApp::start(&place).await;
        let back = TenantRow { name: "Back".to_owned(), ..TenantRow::default() };
        let anew = TenantRow { name: "Anew".to_owned(), ..TenantRow::default() };
        for tenant in [&back, &anew] {
            app.tenant(tenant.clone()).await;
            assert_eq!(erase(&app, tenant.id, &tenant.name, &[]).await["status"], "DELETED");
        }
        app.tenant(back.clone()).await;
        let created_at = Clock::system().now();
        app.tenant(TenantRow { created_at, ..anew.clone() }).await;
        let replay = async |extra: &[&str]| {
            let (_directory, key) = key_file(&"11".repeat(32));
            let from = format!("file://{}", app.objects.path().display());
            let mut replay = command(&app, &[&["replay", "--from", &from], extra].concat());
            replay.env("CERTIFICATE_KEY_FILE", &key);
            output(replay).await
        };
        let dry = replay(&["--dry-run", "--json"]).await;
        let said = as_json(&String::from_utf8_lossy(&dry.stdout));
        assert_eq!(said["found"][0]["tenantId"], json!(back.id), "{said}");
        assert_eq!(said["recreated"][0]["tenantId"], json!(anew.id), "{said}");
        assert_eq!((said["found"].as_array().map(Vec::len), dry.status.code()), (Some(1), Some(0)));
        let ended = replay(&[]).await;
        let (shown, told) = (String::from_utf8_lossy(&ended.stderr), String::from_utf8_lossy(&ended.stdout));
        assert!(
            shown.contains(&format!("kept: Anew ({})", anew.id)) && shown.contains("--include-recreated"),
            "{shown}"
        );
        assert!(
            told.ends_with("0 tenant(s) gone, 1 back, 1 erased again, 1 created anew and kept\n"),
            "{told}"
        );
        assert_eq!((rows(&app, back.id).await, rows(&app, anew.id).await), (0, 1));
        let all = replay(&["--include-recreated"]).await;
        let told = String::from_utf8_lossy(&all.stdout);
        assert!(told.ends_with("1 tenant(s) gone, 1 back, 1 erased again\n"), "{told}");
        assert_eq!(rows(&app, anew.id).await, 0);
        drop(app);
        place.remove().await;
    }
}
