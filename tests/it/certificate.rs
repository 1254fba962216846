//! Certificates: the same facts give the same bytes, only the right bytes verify, and nothing personal
//! is in them. OpenSSL, which knows nothing of this program, signs and verifies as well.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Parser;
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;
use tenant_gateway::{
    config::CertificateOptions,
    deletion::certificate::{
        Certificate, Facts, FinalMonth, Proof, PublicKey, Signer, issue, storage_key, verify,
    },
};
use uuid::Uuid;

use crate::support::at;

/// What the standard puts before the 32 bytes of a private key: PKCS#8, RFC 8410.
const PRIVATE_KEY_PREFIX: &str = "302e020100300506032b657004220420";

/// The facts' document in [`facts`], byte for byte: a change to it is a change of the format.
const DOCUMENT: &str = concat!(
    r#"{"bytesErased":"9007199254740993","deletionId":"01980000-0000-7000-8000-000000000002","#,
    r#""finalMonth":{"calls":31,"month":"2026-11","timeZone":"Asia/Kathmandu","totalDurationSeconds":4000,"usageCents":-25},"#,
    r#""finishedAt":"2026-11-24T10:00:02.500000Z","format":"tenant-gateway/deletion-certificate/1","#,
    r#""gatewayVersion":"0.1.0","hiddenVersionsErased":3,"isForced":true,"objectsErased":7,"planDigest":"c0ffee","#,
    r#""replayOf":null,"requestedAt":"2026-11-24T10:00:00.000000Z","startedAt":"2026-11-24T10:00:01.000001Z","#,
    r#""tables":[{"name":"calls","rowsErased":31},{"name":"\"Odd\\Näme\"","rowsErased":0},{"name":"tenants","rowsErased":1}],"#,
    r#""tenantId":"01980000-0000-7000-8000-000000000001","unfinishedUploadsErased":1}"#
);

pub(crate) fn facts() -> Facts {
    let id = |last: u128| Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + last);
    Facts {
        deletion: id(2),
        tenant: id(1),
        requested_at: at("2026-11-24T10:00:00Z"),
        started_at: at("2026-11-24T10:00:01.000001999Z"),
        finished_at: at("2026-11-24T12:00:02.5+02:00"),
        is_forced: true,
        plan_digest: "c0ffee".into(),
        tables: vec![("calls".into(), 31), (r#""Odd\Näme""#.into(), 0), ("tenants".into(), 1)],
        objects: 7,
        bytes: 9_007_199_254_740_993,
        hidden_versions: 3,
        unfinished_uploads: 1,
        final_month: Some(FinalMonth {
            month: "2026-11".into(),
            time_zone: "Asia/Kathmandu".into(),
            calls: 31,
            total_duration_seconds: 4000,
            usage_cents: -25,
        }),
        replay_of: None,
        gateway_version: "0.1.0".into(),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

fn file_with(content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    fs::write(&path, content).expect("written");
    (directory, path)
}

/// The file of the private key of these 32 bytes, in hexadecimal.
pub(crate) fn key_file(seed: &str) -> (TempDir, PathBuf) {
    let der = bytes(&format!("{PRIVATE_KEY_PREFIX}{seed}"));
    file_with(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der)))
}

/// A signer with that key.
fn signer(seed: &str) -> Signer {
    let (_directory, path) = key_file(seed);
    Signer::from_pem_file(&path).expect("a signer")
}

pub(crate) fn first() -> Signer {
    signer(&"11".repeat(32))
}

pub(crate) fn second() -> Signer {
    signer(&"22".repeat(32))
}

/// The file of a certificate with this signer's key in it.
pub(crate) fn file(certificate: &Certificate, signer: &Signer) -> String {
    certificate.to_file(Some(&signer.public_key()))
}

#[test]
fn the_bytes_of_a_document_are_fixed() {
    let certificate = issue(&facts(), None);
    assert_eq!(certificate.document, DOCUMENT);
    assert_eq!(issue(&facts(), Some(&first())), issue(&facts(), Some(&first())));
    assert_eq!(
        storage_key(facts().tenant, facts().deletion),
        "deletion-certificates/01980000-0000-7000-8000-000000000001/01980000-0000-7000-8000-000000000002.json"
    );
}

/// Integers around the largest that every reader of JSON has exactly.
fn number() -> impl Strategy<Value = i64> {
    let edge = (1_i64 << 53) - 1;
    prop_oneof![0..100_000_i64, edge - 2..edge + 4, -edge - 3..-edge + 3, any::<i64>()]
}

prop_compose! {
    fn month()(month in "20[0-9]{2}-(0[1-9]|1[0-2])", time_zone in "[A-Z][a-z]{2,9}(/[A-Z][a-z]{2,9})?",
        calls in number(), total_duration_seconds in number(), usage_cents in number()) -> FinalMonth {
        FinalMonth { month, time_zone, calls, total_duration_seconds, usage_cents }
    }
}

prop_compose! {
    /// Any facts, with times that a document keeps whole: to the microsecond, of the years 1900 to 9999.
    fn any_facts()(
        ids in any::<[u128; 2]>(), times in prop::array::uniform3(-2_208_988_800_000_000..253_402_300_800_000_000_i64),
        is_forced in any::<bool>(), plan_digest in "[0-9a-f]{64}",
        tables in prop::collection::vec((any::<String>(), number()), 0..6), numbers in prop::array::uniform4(number()),
        final_month in prop::option::of(month()), replay_of in prop::option::of(any::<u128>()),
        gateway_version in "[0-9]\\.[0-9]{1,2}\\.[0-9]",
    ) -> Facts {
        let [requested_at, started_at, finished_at] =
            times.map(|time| chrono::DateTime::from_timestamp_micros(time).expect("an instant"));
        let [deletion, tenant] = ids.map(Uuid::from_u128);
        let [objects, bytes, hidden_versions, unfinished_uploads] = numbers;
        Facts {
            deletion, tenant, requested_at, started_at, finished_at, is_forced, plan_digest, tables, objects, bytes,
            hidden_versions, unfinished_uploads, final_month, replay_of: replay_of.map(Uuid::from_u128), gateway_version,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_verified(facts in any_facts()) {
        let certificate = issue(&facts, Some(&first()));
        let written = file(&certificate, &first());
        let (read, key) = Certificate::from_file(&written).expect("a file");
        prop_assert_eq!(read, certificate);
        prop_assert_eq!(key, Some(first().public_key()));
        let verdict = verify(&written, None).expect("a verdict");
        prop_assert_eq!(verdict.proof, Proof::KeyInFile);
        prop_assert_eq!(&verdict.facts, &facts);
        let verdict = verify(&written, Some(&first().public_key())).expect("a verdict");
        prop_assert_eq!(verdict.proof, Proof::TrustedKey);
        prop_assert_eq!(verdict.key_id, first().public_key().id());
    }

    #[test]
    fn a_document_holds_what_the_format_lists_and_no_more(facts in any_facts()) {
        let document: Value = serde_json::from_str(&issue(&facts, None).document).expect("JSON");
        check_shape("", &document, &facts.tables)?;
    }
}

/// Every text in a document is an id, a time, a digest, a zone, a month, a version or a table's name;
/// a field for a name, a reason or a subject has no place.
fn check_shape(path: &str, value: &Value, tables: &[(String, i64)]) -> Result<(), TestCaseError> {
    let digits = |text: &str| text.parse::<i64>().is_ok_and(|number| number.unsigned_abs() >= 1 << 53);
    let is_known = match (path, value) {
        ("" | ".finalMonth", Value::Object(fields)) => {
            return fields
                .iter()
                .try_for_each(|(key, value)| check_shape(&format!("{path}.{key}"), value, tables));
        }
        (".tables[]", Value::Object(fields)) => {
            return fields
                .iter()
                .try_for_each(|(key, value)| check_shape(&format!("{path}.{key}"), value, tables));
        }
        (".tables", Value::Array(rows)) => {
            return rows.iter().try_for_each(|row| check_shape(".tables[]", row, tables));
        }
        (".format", Value::String(text)) => text == "tenant-gateway/deletion-certificate/1",
        (".deletionId" | ".tenantId" | ".replayOf", Value::String(text)) => Uuid::parse_str(text).is_ok(),
        (".requestedAt" | ".startedAt" | ".finishedAt", Value::String(text)) => {
            text.len() == "2026-11-24T10:00:00.000000Z".len()
                && text.parse::<chrono::DateTime<chrono::Utc>>().is_ok()
        }
        (".planDigest", Value::String(text)) => {
            text.len() == 64 && !text.contains(|c: char| !c.is_ascii_hexdigit())
        }
        (".gatewayVersion", Value::String(text)) => text.split('.').all(|part| part.parse::<u32>().is_ok()),
        (".finalMonth.month", Value::String(text)) => text.len() == 7,
        (".finalMonth.timeZone", Value::String(text)) => !text.is_empty(),
        (".tables[].name", Value::String(text)) => tables.iter().any(|(name, _)| name == text),
        (".isForced", Value::Bool(_)) | (".replayOf" | ".finalMonth", Value::Null) => true,
        (
            ".objectsErased"
            | ".bytesErased"
            | ".hiddenVersionsErased"
            | ".unfinishedUploadsErased"
            | ".tables[].rowsErased"
            | ".finalMonth.calls"
            | ".finalMonth.totalDurationSeconds"
            | ".finalMonth.usageCents",
            number,
        ) => number.as_i64().is_some() || number.as_str().is_some_and(digits),
        _ => false,
    };
    prop_assert!(is_known, "{path} is {value}");
    Ok(())
}

/// RFC 8032, section 7.1, tests 1 to 3: private key, public key, message, signature.
const ED25519: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

#[test]
fn signatures_are_those_of_rfc_8032() {
    for [private, public, message, signature] in ED25519 {
        let signer = signer(private);
        let der = STANDARD.decode(signer.public_key().to_pem().lines().nth(1).expect("base64")).expect("DER");
        assert_eq!(der[12..], bytes(public));
        let made = signer.sign(&bytes(message));
        assert_eq!(made.as_slice(), bytes(signature));
        assert!(signer.public_key().has_signed(&bytes(message), &made));
        assert!(!signer.public_key().has_signed(b"another", &made));
    }
}

fn openssl(directory: &Path, arguments: &str) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output();
    let output = output.expect("these tests need the program openssl");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn openssl_verifies_what_is_signed_here_and_signs_what_is_verified_here() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    openssl(at, "genpkey -algorithm ed25519 -out key.pem");
    let signer = Signer::from_pem_file(&at.join("key.pem")).expect("a signer");
    let certificate = issue(&facts(), Some(&signer));

    let public = openssl(at, "pkey -in key.pem -pubout");
    assert_eq!(signer.public_key().to_pem().as_bytes(), public);
    fs::write(at.join("public.pem"), signer.public_key().to_pem()).expect("written");
    assert_eq!(PublicKey::from_pem_file(&at.join("public.pem")).expect("a key"), signer.public_key());
    fs::write(at.join("raw"), &openssl(at, "pkey -in key.pem -pubout -outform DER")[12..]).expect("written");
    let digest = String::from_utf8(openssl(at, "dgst -sha256 -r raw")).expect("text");
    assert_eq!(certificate.key_id.as_deref(), Some(&digest[..32]));

    fs::write(at.join("document"), &certificate.document).expect("written");
    let digest = String::from_utf8(openssl(at, "dgst -sha256 -r document")).expect("text");
    assert_eq!(certificate.sha256, digest[..64]);
    let signature = STANDARD.decode(certificate.signature.as_ref().expect("signed")).expect("base64");
    fs::write(at.join("signature"), &signature).expect("written");
    openssl(at, "pkeyutl -verify -pubin -inkey public.pem -rawin -in document -sigfile signature");

    openssl(at, "pkeyutl -sign -inkey key.pem -rawin -in document -out theirs");
    let theirs = STANDARD.encode(fs::read(at.join("theirs")).expect("a signature"));
    let certificate = Certificate { signature: Some(theirs), ..certificate };
    let verdict = verify(&file(&certificate, &signer), Some(&signer.public_key())).expect("a verdict");
    assert_eq!(verdict.facts, Facts::read(DOCUMENT).expect("facts"));
}

#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    certificate: CertificateOptions,
}

#[test]
fn a_key_file_of_another_kind_is_refused_in_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    openssl(at, "genpkey -algorithm ed25519 -out key");
    openssl(at, "pkey -in key -pubout -out public");
    openssl(at, "genpkey -algorithm x25519 -out other-curve");
    openssl(at, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out p256");
    openssl(at, "pkey -in key -aes256 -passout pass:secret -out encrypted");
    openssl(at, "pkey -in key -outform DER -out der");
    fs::write(at.join("empty"), "").expect("written");
    let key = fs::read_to_string(at.join("key")).expect("a key");
    fs::write(at.join("cut"), &key[..key.len() / 2]).expect("written");
    let signer = |name: &str| {
        let path = at.join(name).display().to_string();
        let arguments = ["gateway", "--certificate-key-file", &path];
        Arguments::try_parse_from(arguments).expect("arguments").certificate.signer()
    };
    for name in ["public", "other-curve", "p256", "encrypted", "der", "empty", "cut", "missing", "."] {
        let error = signer(name).expect_err(name).to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(&at.display().to_string()), "{error}");
        let part = if ["missing", "."].contains(&name) { "cannot be read" } else { "no Ed25519 private key" };
        assert!(error.contains(part), "{name}: {error}");
    }
    let signer = signer("key").expect("a key").expect("a signer");
    fs::write(at.join("windows"), key.replace('\n', "\r\n")).expect("written");
    assert_eq!(Signer::from_pem_file(&at.join("windows")).expect("a key").public_key(), signer.public_key());
    let private = PublicKey::from_pem_file(&at.join("key")).expect_err("the private half").to_string();
    assert!(private.contains("no Ed25519 public key") && !private.contains("MC4C"), "{private}");
}

#[test]
fn a_signer_shows_its_id_and_not_its_key() {
    let shown = format!("{:?} {:#?}", first(), first().public_key());
    assert!(shown.contains(&first().public_key().id()), "{shown}");
    for secret in ["11".repeat(32), STANDARD.encode([0x11; 32]), format!("{:?}", [0x11_u8; 32])] {
        assert!(!shown.contains(&secret), "{shown} shows {secret}");
    }
}
