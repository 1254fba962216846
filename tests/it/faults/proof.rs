//! What a finished deletion leaves behind, and how soon.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use tenant_gateway::deletion::certificate::{PublicKey, storage_key, verify};
use uuid::Uuid;

use super::{
    process::{DEADLINE, Gateway},
    victim::{Victim, ask, deletion_of, request, until},
};
use crate::support::on_both;

/// The certificate lies in storage and is verified from the file alone, with the operator's key.
#[tokio::test]
async fn the_certificate_is_signed_stored_and_verified() {
    on_both(async |app| {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str| directory.path().join(name).display().to_string();
        for arguments in [
            vec!["genpkey", "-algorithm", "ed25519", "-out", &file("key.pem")],
            vec!["pkey", "-in", &file("key.pem"), "-pubout", "-out", &file("public.pem")],
        ] {
            let made = Command::new("openssl").args(arguments).output().expect("these tests need openssl");
            assert!(made.status.success(), "{made:?}");
        }
        let key = PublicKey::from_pem_file(&directory.path().join("public.pem")).expect("a key");
        let victim = Victim::new(&app, 100).await;
        victim.is_due(&app).await;
        let _gateway = Gateway::start_with(&app, None, &["--certificate-key-file", &file("key.pem")]);
        victim.is_gone(&app).await;
        let deletion = deletion_of(&app, victim.id).await;
        let id: Uuid = deletion["id"].as_str().expect("an id").parse().expect("an id");
        let end = Instant::now() + DEADLINE;
        let stored = loop {
            if let Some(bytes) = app.storage.get(&storage_key(victim.id, id)).await.expect("storage") {
                break String::from_utf8(bytes).expect("text");
            }
            assert!(Instant::now() < end, "it is not stored");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        verify(&stored, Some(&key)).expect("a certificate that is verified");
        assert_eq!(deletion["certificate"]["keyId"], key.id());
        let forged = stored.replacen("\\\"rowsErased\\\":1", "\\\"rowsErased\\\":2", 1);
        assert!(forged != stored || stored.contains("rowsErased"), "{stored}");
        if forged != stored {
            verify(&forged, Some(&key)).expect_err("a forgery");
        }
        let kept = "SELECT count(*) FROM tenant_deletions WHERE certificate_stored_at IS NOT NULL";
        assert_eq!(app.number(kept, []).await, 1);
    })
    .await;
}

/// 10,000 rows, in a build that is many times slower than a release, on a machine that runs other tests.
#[tokio::test]
async fn a_small_tenant_is_gone_at_once() {
    on_both(async |app| {
        let small = Victim::new(&app, 2_500).await;
        assert!((9_900..10_500).contains(&small.rows.values().sum::<i64>()), "{:?}", small.rows);
        let gateway = Gateway::start_with(&app, None, &["--deletion-batch-time", "50ms"]);
        let (document, variables) = request(small.id, &json!({ "graceSeconds": 0 }));
        let begun = Instant::now();
        gateway.post(document, variables).await.expect("an answer");
        // Seldom: who asks often is somebody else at work.
        while deletion_of(&app, small.id).await["status"] != "DELETED" {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(begun.elapsed() < DEADLINE);
        }
        let took = begun.elapsed();
        eprintln!("10,000 rows took {took:?}");
        assert!(took < Duration::from_secs(5), "{took:?}");
        small.is_gone(&app).await;
    })
    .await;
}

#[tokio::test]
async fn a_huge_tenant_does_not_hold_up_a_small_one() {
    on_both(async |app| {
        let (huge, small) = (Victim::new(&app, 50_000).await, Victim::new(&app, 500).await);
        huge.is_due(&app).await;
        let gateway = Gateway::start_with(&app, None, &["--deletion-batch-time", "10ms"]);
        until(&app, huge.id, "begun", |deletion| deletion["progress"]["rowsErased"] != 0).await;
        let (document, variables) = request(small.id, &json!({ "graceSeconds": 0 }));
        gateway.post(document, variables).await.expect("an answer");
        small.is_gone(&app).await;
        let shown = deletion_of(&app, huge.id).await;
        assert_eq!(shown["status"], "ERASING", "{shown}");
        let left = shown["progress"]["rowsErased"].as_i64().expect("a number");
        assert!(left < 150_000, "{left} of 200,000 rows went first");
        // Asked for again it is the same.
        assert_eq!(ask(&app, huge.id, json!({})).await["deletion"]["id"], shown["id"]);
    })
    .await;
}
