//! Certificates that were changed: each is found, under the code that says where.

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tenant_gateway::deletion::certificate::{Certificate, Facts, PublicKey, document, issue, verify};

use crate::certificate::{facts, file, first, second};

fn code(file: &str, trusted: Option<&PublicKey>) -> &'static str {
    match verify(file, trusted) {
        Ok(_) => "HOLDS",
        Err(error) => {
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
            error.code()
        }
    }
}

fn sha256(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// A file with this document, its right digest, and a signature of another document.
fn redigested(document: &str) -> String {
    let certificate = issue(&facts(), Some(&first()));
    let forged = Certificate { sha256: sha256(document), document: document.to_owned(), ..certificate };
    file(&forged, &first())
}

/// A file that the first key signed although a gateway would not have written the document.
fn signed(document: &str) -> String {
    let signature = STANDARD.encode(first().sign(document.as_bytes()));
    let certificate = issue(&facts(), Some(&first()));
    let document = document.to_owned();
    file(
        &Certificate { sha256: sha256(&document), document, signature: Some(signature), ..certificate },
        &first(),
    )
}

#[test]
fn every_field_of_the_file_is_guarded() {
    let certificate = issue(&facts(), Some(&first()));
    let genuine = file(&certificate, &first());
    let (one, other) = (first().public_key(), second().public_key());
    let theirs = issue(&facts(), Some(&second()));
    let digest = &certificate.sha256;
    // Field, what it becomes, the code without a trusted key, the code with it.
    let cases: [(&str, Value, &str, &str); 20] = [
        ("document", json!(certificate.document.replace("31", "30")), "DIGEST_MISMATCH", "DIGEST_MISMATCH"),
        ("document", json!(format!("{} ", certificate.document)), "NOT_CANONICAL", "NOT_CANONICAL"),
        ("document", json!(certificate.document.replace(":7,", ":7.0,")), "NOT_CANONICAL", "NOT_CANONICAL"),
        ("document", json!("once upon a time"), "NOT_A_CERTIFICATE", "NOT_A_CERTIFICATE"),
        ("document", Value::Null, "NOT_A_CERTIFICATE", "NOT_A_CERTIFICATE"),
        ("sha256", json!(digest.replace('a', "b")), "DIGEST_MISMATCH", "DIGEST_MISMATCH"),
        ("sha256", json!(digest.to_uppercase()), "DIGEST_MISMATCH", "DIGEST_MISMATCH"),
        ("sha256", Value::Null, "NOT_A_CERTIFICATE", "NOT_A_CERTIFICATE"),
        ("signature", json!(theirs.signature), "SIGNATURE_INVALID", "SIGNATURE_INVALID"),
        ("signature", json!(STANDARD.encode([0; 63])), "SIGNATURE_INVALID", "SIGNATURE_INVALID"),
        ("signature", json!("not base64"), "SIGNATURE_INVALID", "SIGNATURE_INVALID"),
        ("signature", Value::Null, "NOT_SIGNED", "NOT_SIGNED"),
        ("keyId", json!(other.id()), "KEY_UNKNOWN", "KEY_UNKNOWN"),
        ("keyId", json!(one.id().to_uppercase()), "KEY_UNKNOWN", "KEY_UNKNOWN"),
        ("keyId", Value::Null, "KEY_UNKNOWN", "KEY_UNKNOWN"),
        ("publicKey", json!(other.to_pem()), "KEY_UNKNOWN", "KEY_UNKNOWN"),
        // The trusted key needs no key in the file.
        ("publicKey", Value::Null, "KEY_UNKNOWN", "HOLDS"),
        ("publicKey", json!("a key"), "NOT_A_CERTIFICATE", "NOT_A_CERTIFICATE"),
        ("note", json!("one field more"), "NOT_A_CERTIFICATE", "NOT_A_CERTIFICATE"),
        ("keyId", json!(1), "NOT_A_CERTIFICATE", "NOT_A_CERTIFICATE"),
    ];
    assert_eq!((code(&genuine, None), code(&genuine, Some(&one))), ("HOLDS", "HOLDS"));
    for (field, value, alone, trusting) in cases {
        let mut forged: Value = serde_json::from_str(&genuine).expect("JSON");
        assert_ne!(forged[field], value, "{field} stays as it was");
        forged[field] = value.clone();
        let forged = forged.to_string();
        assert_eq!(code(&forged, None), alone, "{field} {value}");
        assert_eq!(code(&forged, Some(&one)), trusting, "{field} {value}, with the trusted key");
    }
    assert_eq!(code(&genuine, Some(&other)), "KEY_UNKNOWN", "the genuine file and another trusted key");
    assert_eq!(code(&redigested(&certificate.document.replace("31", "30")), None), "SIGNATURE_INVALID");
    for text in ["", "{}", "[]", "null", "\u{0}", &certificate.document] {
        assert_eq!(code(text, None), "NOT_A_CERTIFICATE", "{text}");
    }
}

#[test]
fn a_forger_with_another_key_is_found_only_by_those_who_trust_one() {
    let forged = file(&issue(&Facts { is_forced: false, ..facts() }, Some(&second())), &second());
    let verdict = verify(&forged, None).expect("a verdict");
    assert!(verdict.proof.to_string().contains("not proven"), "{}", verdict.proof);
    assert_eq!(code(&forged, Some(&first().public_key())), "KEY_UNKNOWN");
}

#[test]
fn a_certificate_without_a_signature_says_so() {
    let unsigned = file(&issue(&facts(), None), &first());
    assert_eq!(code(&unsigned, None), "NOT_SIGNED");
    assert_eq!(code(&unsigned, Some(&first().public_key())), "NOT_SIGNED");
    assert!(!unsigned.contains("PUBLIC KEY"), "a key that signed nothing: {unsigned}");
}

#[test]
fn after_a_change_of_keys_the_older_certificate_carries_no_wrong_key() {
    let older = file(&issue(&facts(), Some(&first())), &second());
    assert_eq!(code(&older, Some(&first().public_key())), "HOLDS");
    assert_eq!(code(&older, None), "KEY_UNKNOWN");
}

/// The neutral element as a public key: without a strict check, one signature fits every message.
#[test]
fn a_weak_key_proves_nothing() {
    let point = |first: u8| std::iter::once(first).chain([0; 31]);
    let der: Vec<u8> = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]
        .into_iter()
        .chain(point(1))
        .collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
    let weak = PublicKey::from_pem(&pem).expect("a point of the curve");
    let signature: Vec<u8> = point(1).chain([0; 32]).collect();
    let forged = Certificate {
        signature: Some(STANDARD.encode(signature)),
        key_id: Some(weak.id()),
        ..issue(&facts(), None)
    };
    assert_eq!(code(&forged.to_file(Some(&weak)), Some(&weak)), "SIGNATURE_INVALID");
}

/// RFC 8785: the example of 3.2.2 to 3.2.4, the keys of 3.2.3, numbers of appendix B. First what the
/// canonical form is, then other ways to write the same.
#[test]
fn canonical_is_what_rfc_8785_says() {
    let example = r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#;
    let keys = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}";
    let numbers = "[0,5e-324,-5e-324,1.7976931348623157e+308,9007199254740992,-9007199254740992,295147905179352830000,9.999999999999997e+22,1e+23,1.0000000000000001e+23,999999999999999700000,999999999999999900000,1e+21,9.999999999999997e-7,0.000001,333333333.3333332,1424953923781206.2]";
    for canonical in [example, keys, numbers] {
        assert_eq!(code(&redigested(canonical), None), "NOT_A_CERTIFICATE", "{canonical} is canonical");
    }
    let raw = r#"{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"#;
    let by_code_point = keys.replace("\u{1f600}\":\"Emoji: Grinning Face", "\u{fb33}\":\"x").replacen(
        "\u{fb33}\":\"Hebrew Letter Dalet With Dagesh",
        "\u{1f600}\":\"Emoji: Grinning Face",
        1,
    );
    for other in [
        raw,
        &by_code_point,
        "[-0]",
        "[1.0]",
        "[1E0]",
        "[9007199254740993]",
        "[1e21 ]",
        r#"["\u00e9"]"#,
        r#"["\/"]"#,
        r#"{"b":1,"a":2}"#,
        r#"{"a":1,"a":1}"#,
    ] {
        assert_eq!(code(&redigested(other), None), "NOT_CANONICAL", "{other}");
    }
}

/// Signed by the right key and canonical, but not what a gateway writes.
#[test]
fn a_document_is_read_only_as_it_is_written() {
    let genuine = document(&facts());
    assert_eq!(code(&signed(&genuine), None), "HOLDS");
    for (part, instead) in [
        (
            r#""format":"tenant-gateway/deletion-certificate/1""#,
            r#""format":"tenant-gateway/deletion-certificate/2""#,
        ),
        (r#""isForced":true,"#, r#""isForced":true,"name":"Lumen Dental","#),
        (r#""calls":31,"#, r#""calls":31,"callsBy":"x","#),
        (r#""replayOf":null,"#, ""),
        (r#""isForced":true"#, r#""isForced":null"#),
        ("2026-11-24T10:00:00.000000Z", "2026-11-24T10:00:00Z"),
        ("2026-11-24T10:00:00.000000Z", "2026-11-24T11:00:00.000000+01:00"),
        ("2026-11-24T10:00:00.000000Z", "yesterday"),
        (r#""objectsErased":7"#, r#""objectsErased":"7""#),
        (r#""objectsErased":7"#, r#""objectsErased":7.5"#),
        (r#""bytesErased":"9007199254740993""#, r#""bytesErased":9007199254740992"#),
        (r#""bytesErased":"9007199254740993""#, r#""bytesErased":"09007199254740993""#),
        ("01980000-0000-7000-8000-000000000001", "0198000000007000800000000000000a"),
    ] {
        assert!(genuine.contains(part), "{part}");
        let forged = genuine.replace(part, instead);
        assert_eq!(code(&signed(&forged), None), "NOT_A_CERTIFICATE", "{instead}");
        Facts::read(&forged).expect_err(instead);
    }
    let later =
        Facts::read(r#"{"format":"tenant-gateway/deletion-certificate/2"}"#).expect_err("a later format");
    assert!(later.to_string().contains("format is not"), "{later}");
    assert_eq!(Facts::read(&genuine).map(|facts| document(&facts)), Ok(genuine));
}

proptest! {
    /// Whoever changes a character cannot repair it with a new digest.
    #[test]
    fn no_character_of_a_document_can_change(at in any::<prop::sample::Index>(), put in any::<char>()) {
        let mut characters: Vec<char> = document(&facts()).chars().collect();
        let at = at.index(characters.len());
        prop_assume!(characters[at] != put);
        characters[at] = put;
        let forged: String = characters.into_iter().collect();
        let found = code(&redigested(&forged), Some(&first().public_key()));
        prop_assert!(["NOT_A_CERTIFICATE", "NOT_CANONICAL", "SIGNATURE_INVALID"].contains(&found), "{}: {}", found, forged);
    }

    #[test]
    fn any_text_at_all_is_refused_in_peace(text in any::<String>(), nested in 0..3000_usize) {
        prop_assert_eq!(code(&text, None), "NOT_A_CERTIFICATE");
        let deep = "[".repeat(nested) + &"]".repeat(nested);
        prop_assert_ne!(code(&redigested(&deep), None), "HOLDS");
        Facts::read(&text).expect_err("no facts");
    }
}
