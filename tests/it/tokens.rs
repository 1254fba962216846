//! Tokens: which are accepted, and which never.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tenant_gateway::{
    auth::{Authenticator, KeySetSource, Keys, NotAuthentic, Role},
    clock::Clock,
};

use crate::support::{noon, on_both};

fn claims() -> Value {
    json!({ "sub": "somebody", "exp": noon().timestamp() + 60, "role": "admin" })
}

fn signed(secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).expect("a token")
}

async fn secrets(lines: &str) -> Authenticator {
    let keys = Keys::from_secret_lines(lines).expect("secrets");
    Authenticator::new(keys, None, None, Clock::fixed(noon())).await.expect("an authenticator")
}

async fn verdict(authenticator: &Authenticator, token: &str) -> Result<Role, NotAuthentic> {
    authenticator.viewer(Some(&format!("Bearer {token}"))).await.map(|viewer| viewer.role)
}

#[tokio::test]
async fn every_secret_verifies_so_that_they_can_be_rotated() {
    let both = secrets("new secret\n\n  old secret  \n").await;
    assert_eq!(verdict(&both, &signed("new secret", &claims())).await, Ok(Role::Admin));
    assert_eq!(verdict(&both, &signed("old secret", &claims())).await, Ok(Role::Admin));
    assert_eq!(verdict(&both, &signed("other secret", &claims())).await, Err(NotAuthentic::Invalid));
    Keys::from_secret_lines(" \n\n").expect_err("no secret at all");
}

#[tokio::test]
async fn claims_that_do_not_make_a_viewer_are_refused() {
    let gateway = secrets("secret").await;
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        signed("secret", &claims)
    };
    let past = with("exp", json!(noon().timestamp()));
    assert_eq!(verdict(&gateway, &past).await, Err(NotAuthentic::Expired));
    for token in [
        with("role", json!("root")),
        with("role", Value::Null),
        with("role", json!("tenant")),
        with("tenant_id", json!("not an id")),
        with("exp", Value::Null),
        with("sub", Value::Null),
        "nonsense".to_owned(),
    ] {
        assert_eq!(verdict(&gateway, &token).await, Err(NotAuthentic::Invalid), "{token}");
    }
    for header in [None, Some(""), Some("Bearer"), Some("Basic YTpi"), Some("bearer")] {
        assert_eq!(gateway.viewer(header).await.expect_err("no token"), NotAuthentic::Missing, "{header:?}");
    }
}

#[tokio::test]
async fn a_token_is_worth_nothing_before_its_time() {
    let gateway = secrets("secret").await;
    let from = |nbf: Value| {
        let mut claims = claims();
        claims["nbf"] = nbf;
        signed("secret", &claims)
    };
    let now = noon().timestamp();
    assert_eq!(verdict(&gateway, &from(json!(now + 1))).await, Err(NotAuthentic::NotYet));
    assert_eq!(verdict(&gateway, &from(json!(1e300))).await, Err(NotAuthentic::Invalid));
    assert_eq!(verdict(&gateway, &from(json!("soon"))).await, Err(NotAuthentic::Invalid));
    for begun in [json!(now), json!(now - 1), json!(0), json!(-1), Value::Null] {
        assert_eq!(verdict(&gateway, &from(begun.clone())).await, Ok(Role::Admin), "{begun}");
    }
}

#[tokio::test]
async fn a_token_that_was_accepted_ends_all_the_same() {
    let clock = Clock::fixed(noon());
    let keys = Keys::from_secret_lines("secret").expect("a secret");
    let gateway = Authenticator::new(keys, None, None, clock.clone()).await.expect("an authenticator");
    let token = signed("secret", &claims());
    for _ in 0..2 {
        assert_eq!(verdict(&gateway, &token).await, Ok(Role::Admin));
    }
    clock.set(noon() + TimeDelta::minutes(1));
    assert_eq!(verdict(&gateway, &token).await, Err(NotAuthentic::Expired));
}

#[tokio::test]
async fn instants_may_have_a_fraction() {
    let gateway = secrets("secret").await;
    let until = |seconds: f64| {
        let mut claims = claims();
        claims["exp"] = json!(seconds);
        signed("secret", &claims)
    };
    let now = f64::from(i32::try_from(noon().timestamp()).expect("seconds"));
    assert_eq!(verdict(&gateway, &until(now + 0.5)).await, Ok(Role::Admin));
    for past in [now, now - 0.5, 0.5] {
        assert_eq!(verdict(&gateway, &until(past)).await, Err(NotAuthentic::Expired), "{past}");
    }
    assert_eq!(verdict(&gateway, &until(1e300)).await, Err(NotAuthentic::Invalid));
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    let gateway = secrets("secret").await;
    for header in [json!({ "alg": "none" }), json!({ "alg": "None", "typ": "JWT" })] {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.", part(&header), part(&claims()));
        assert_eq!(verdict(&gateway, &token).await, Err(NotAuthentic::Invalid));
    }
}

#[tokio::test]
async fn issuer_and_audience_are_demanded_where_they_are_set() {
    let keys = Keys::from_secret_lines("secret").expect("a secret");
    let (issuer, audience) = (Some("us".to_owned()), Some("gateway".to_owned()));
    let gateway =
        Authenticator::new(keys, issuer, audience, Clock::fixed(noon())).await.expect("an authenticator");
    let with = |iss: Value, aud: Value| {
        let mut claims = claims();
        claims["iss"] = iss;
        claims["aud"] = aud;
        signed("secret", &claims)
    };
    assert_eq!(verdict(&gateway, &with(json!("us"), json!(["gateway", "x"]))).await, Ok(Role::Admin));
    for (iss, aud) in
        [(json!("them"), json!("gateway")), (json!("us"), json!("else")), (Value::Null, Value::Null)]
    {
        assert_eq!(verdict(&gateway, &with(iss, aud)).await, Err(NotAuthentic::Invalid));
    }
}

/// An Ed25519 key pair of RFC 8037, appendix A: PKCS #8 of the private part, and the public part.
const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----";
const ED25519_PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn by_ed25519(name: &str) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(name.to_owned());
    let key = EncodingKey::from_ed_pem(ED25519_PRIVATE.as_bytes()).expect("a key");
    jsonwebtoken::encode(&header, &claims(), &key).expect("a token")
}

fn key_set(names: &[&str]) -> String {
    let keys: Vec<_> = names
        .iter()
        .map(|name| json!({ "kty": "OKP", "crv": "Ed25519", "kid": name, "x": ED25519_PUBLIC }))
        .collect();
    json!({ "keys": keys }).to_string()
}

#[tokio::test]
async fn a_key_set_is_read_again_when_a_token_names_a_new_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("keys.json");
    std::fs::write(&file, key_set(&["first"])).expect("a file");
    let clock = Clock::fixed(noon() - TimeDelta::minutes(1));
    let keys = Keys::KeySet(KeySetSource::File(file.clone()));
    let gateway = Authenticator::new(keys, None, None, clock.clone()).await.expect("a key set");
    assert_eq!(verdict(&gateway, &by_ed25519("first")).await, Ok(Role::Admin));
    assert_eq!(verdict(&gateway, &by_ed25519("second")).await, Err(NotAuthentic::Invalid));
    std::fs::write(&file, key_set(&["second"])).expect("a file");
    assert_eq!(verdict(&gateway, &by_ed25519("second")).await, Err(NotAuthentic::Invalid), "too soon");
    clock.set(noon());
    assert_eq!(verdict(&gateway, &by_ed25519("second")).await, Ok(Role::Admin));
    let withdrawn = verdict(&gateway, &by_ed25519("first")).await;
    assert_eq!(
        withdrawn,
        Err(NotAuthentic::Invalid),
        "what its key verified once is not remembered beyond it"
    );
    // A public key is no secret: whoever knows it cannot sign with it.
    assert_eq!(verdict(&gateway, &signed(ED25519_PUBLIC, &claims())).await, Err(NotAuthentic::Invalid));
}

#[tokio::test]
async fn without_an_accepted_token_nothing_is_answered() {
    on_both(async |app| {
        for header in [None, Some("Bearer nonsense"), Some("Basic YTpi")] {
            let mut request = app
                .client
                .post(format!("{}/graphql", app.url))
                .json(&json!({ "query": "{ viewer { role } }" }));
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status(), 401);
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
            let body: Value = answer.json().await.expect("JSON");
            assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
            assert_eq!(body.get("data"), None);
        }
    })
    .await;
}
