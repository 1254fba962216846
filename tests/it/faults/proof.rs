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

/// 10,000 rows are gone when the request is answered, in a build that is many times slower than a release, on a
/// machine that runs other tests; and a huge tenant does not hold up a small one.
#[tokio::test]
async fn a_small_tenant_is_gone_at_once_while_a_huge_one_is_erased() {
    on_both(async |app| {
        let (huge, small) = (Victim::new(&app, 50_000).await, Victim::new(&app, 2_500).await);
        assert!((9_900..10_500).contains(&small.rows.values().sum::<i64>()), "{:?}", small.rows);
        huge.is_due(&app).await;
        let gateway = Gateway::start_with(&app, None, &["--deletion-batch-time", "10ms"]);
        until(&app, huge.id, "begun", |deletion| deletion["progress"]["rowsErased"] != 0).await;
        let (document, variables) = request(small.id, json!({ "graceSeconds": 0 }));
        let begun = Instant::now();
        gateway.post(document, variables).await.expect("an answer");
        small.is_gone(&app).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(8), "{took:?}");
        let shown = deletion_of(&app, huge.id).await;
        assert_eq!(shown["status"], "ERASING", "{shown}");
        // Asked for again it is the same.
        assert_eq!(ask(&app, huge.id, json!({})).await["deletion"]["id"], shown["id"]);
    })
    .await;
}
