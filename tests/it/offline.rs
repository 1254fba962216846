//! Certificates at a terminal: verified from the file alone, and kept where no option says where.

use std::{fs, path::Path, process::Output};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tenant_gateway::deletion::certificate::Signer;
use uuid::Uuid;

use crate::{
    certificate::key_file,
    cli::{gateway, refuses},
    support::{Rows, TenantRow, TestApp, on_both},
    terminal::{as_json, command, output, tenant, told},
};

async fn erased(app: &TestApp, key: Option<&Path>) -> Uuid {
    let acme = app.tenant(TenantRow::default()).await;
    app.platform(acme).await;
    let mut delete = command(app, &["delete", &acme.to_string(), "--confirm-name", "Acme"]);
    if let Some(key) = key {
        delete.env("CERTIFICATE_KEY_FILE", key);
    }
    told(&output(delete).await);
    acme
}

/// Runs where no database answers.
fn offline(arguments: &[&str]) -> Output {
    let mut command = gateway(&[&["tenant", "certificate"], arguments].concat());
    command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing").output().expect("the program")
}

fn public_key(private: &Path, directory: &Path, name: &str) -> String {
    let file = directory.join(name);
    let key = Signer::from_pem_file(private).expect("a key").public_key();
    fs::write(&file, key.to_pem()).expect("a file");
    file.to_str().expect("text").to_owned()
}

fn changed(file: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut certificate: Value = as_json(file);
    change(&mut certificate);
    certificate.to_string()
}

fn replace(certificate: &mut Value, field: &str, from: &str, to: &str) {
    let text = certificate[field].as_str().expect("text");
    assert!(text.contains(from), "{text}");
    certificate[field] = json!(text.replacen(from, to, 1));
}

fn digest(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

#[tokio::test]
async fn a_file_is_verified_without_a_database_and_no_change_goes_unseen() {
    on_both(async |app| {
        let ((_first, first), (_second, second)) = (key_file(&"11".repeat(32)), key_file(&"22".repeat(32)));
        let acme = erased(&app, Some(&first)).await;
        let directory = tempfile::tempdir().expect("a directory");
        let (ours, theirs) = (
            public_key(&first, directory.path(), "ours.pub"),
            public_key(&second, directory.path(), "theirs.pub"),
        );
        let file = directory.path().join("gone.json").to_str().expect("text").to_owned();
        let id = acme.to_string();
        let write = ["certificate", &id, "--trusted-key", &ours, "--output", &file];
        assert_eq!(told(&tenant(&app, &write).await), "");
        let whole = fs::read_to_string(&file).expect("the certificate");
        // The same by the record, and by the private key.
        let mut by_record = command(&app, &["certificate", &id, "--verify"]);
        by_record.env("CERTIFICATE_KEY_FILE", &first);
        assert!(told(&output(by_record).await).contains("signed by the trusted key"));

        let said = told(&offline(&[&file, "--verify", "--trusted-key", &ours]));
        assert!(said.starts_with("The certificate holds, signed by the trusted key"), "{said}");
        assert!(said.contains(&id) && said.contains("2 object(s)"), "{said}");
        // After a change of keys the earlier one is trusted too.
        let both =
            told(&offline(&[&file, "--verify", "--trusted-key", &theirs, "--trusted-key", &ours, "--json"]));
        let verdict = as_json(&both);
        assert_eq!((&verdict["holds"], &verdict["proof"]), (&json!(true), &json!("TRUSTED_KEY")));
        assert_eq!(verdict["facts"]["tenantId"], json!(acme));
        assert!(told(&offline(&[&file, "--verify"])).contains("is not proven"));
        assert_eq!(told(&offline(&[&file])), whole);
        refuses(&offline(&[&file, "--verify", "--trusted-key", &theirs]), "KEY_UNKNOWN: ");

        let tampered = [
            ("not JSON".to_owned(), "NOT_A_CERTIFICATE: "),
            (changed(&whole, |c| replace(c, "document", ":1}", ":2}")), "DIGEST_MISMATCH: "),
            (
                changed(&whole, |c| {
                    replace(c, "document", ":1}", ":2}");
                    c["sha256"] = json!(digest(c["document"].as_str().expect("text")));
                }),
                "SIGNATURE_INVALID: ",
            ),
            (changed(&whole, |c| replace(c, "document", ":", ": ")), "NOT_CANONICAL: "),
            (changed(&whole, |c| c["signature"] = json!(STANDARD.encode([0; 64]))), "SIGNATURE_INVALID: "),
            (changed(&whole, |c| c["signature"] = Value::Null), "NOT_SIGNED: "),
        ];
        for (text, code) in tampered {
            fs::write(&file, text).expect("a file");
            let arguments = [&file, "--verify", "--trusted-key", &ours];
            refuses(&offline(&arguments), code);
            let with_json = offline(&[&arguments[..], &["--json"]].concat());
            assert!(!with_json.status.success());
            let verdict = as_json(&String::from_utf8_lossy(&with_json.stdout));
            assert_eq!(
                (&verdict["holds"], &verdict["code"]),
                (&json!(false), &json!(code.trim_end_matches(": ")))
            );
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_key_nothing_proves_who_wrote_it() {
    on_both(async |app| {
        let acme = erased(&app, None).await;
        refuses(&tenant(&app, &["certificate", &acme.to_string(), "--verify"]).await, "NOT_SIGNED: ");
    })
    .await;
}

/// Beside the file on SQLite; else where the program was started, which it says.
#[tokio::test]
async fn objects_are_looked_for_in_a_directory_where_no_option_says() {
    on_both(async |app| {
        let acme = app.tenant(TenantRow::default()).await;
        let here = tempfile::tempdir().expect("a directory");
        let id = acme.to_string();
        let mut look = command(&app, &["preview", &id]);
        look.env_remove("STORAGE_URL").current_dir(here.path());
        told(&output(look).await);
        assert_eq!(fs::read_dir(here.path()).expect("a directory").count(), 0, "a look makes nothing");
        let mut delete = command(&app, &["delete", &id, "--confirm-name", "Acme"]);
        delete.env_remove("STORAGE_URL").current_dir(here.path());
        let ended = output(delete).await;
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{said}");
        let (beside, warns) = match app.database_url.strip_prefix("sqlite://") {
            Some(file) => (Path::new(file).parent().expect("a directory").to_owned(), false),
            None => (here.path().to_owned(), true),
        };
        let certificates = beside.join("tenant-gateway-objects/deletion-certificates");
        assert!(certificates.join(&id).is_dir(), "no certificate in {}", certificates.display());
        assert_eq!(said.contains("--storage-url"), warns, "{said}");
        assert_eq!(said.is_empty(), !warns, "{said}");
    })
    .await;
}

#[test]
fn help_alone_is_enough() {
    let help =
        |arguments: &[&str]| told(&gateway(&[arguments, &["--help"]].concat()).output().expect("help"));
    let whole = help(&["tenant"]);
    for command in ["stats", "preview", "delete", "status", "cancel", "resume", "certificate", "replay"] {
        assert!(whole.contains(&format!("  {command} ")), "{command} is not in {whole}");
        assert!(
            whole.contains(&format!("tenant-gateway tenant {command} ")) || command == "stats",
            "{command}"
        );
        let own = help(&["tenant", command]);
        assert!(
            own.contains("--json") && own.contains("--database-url") && own.contains("ID")
                || command == "replay"
        );
    }
    let delete = help(&["tenant", "delete"]);
    for option in ["--confirm-name", "--force", "--grace", "--reason", "--plan-digest", "--storage-url"] {
        assert!(delete.contains(option), "{option}");
    }
}
