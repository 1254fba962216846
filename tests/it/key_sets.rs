//! Key sets: every algorithm, read over HTTP, and tokens that try to confuse them.

use axum::{Json, Router, routing::get};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tenant_gateway::{
    auth::{Authenticator, KeySetSource, Keys, NotAuthentic, Role},
    clock::Clock,
};
use tokio::net::TcpListener;

use crate::support::noon;

/// Keys made for this test alone; they open nothing else.
const RSA_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCINoeMGw/PsDI2
7OA/HZmDnBWad33UpgK+vH7opsjzbBeP4vCl7cTd+9u64l74woLH7WxGIfSEnI2u
a15wwCQtGHWcnr7WAkCbGLmNZ6It4hieNBgfOnZXpYXgaXFoMGSUBfJ70xbS68Er
ai1njJ6OyURY/ACImeLCCC/zanhGpK/Qy/ho/srKzKuaWY49GY6ZGbRPjhbwsOV7
AaD1IWiboqws4vfmgbunRYI4egAO7FrntBFrT15GzgaAdPJ9vZoOima2MlDbPnoI
vMIxwBo5mzWX8Tapxytjaz/5fQoI7ay57Nt9qIa4pUGL5Ldbof6cljCkl97Re6TI
/5AlolxhAgMBAAECggEAIeO7RrsG7IvwemTmCB4Dr1B6uYNITct9/Fmmk5jHf3Th
yd1TNV1acUZz7WPb8DVo13g1S5+wF/xhbcdt6EyN06B1xqFiZpmJ3GzC4bEqkxLh
QB9C7yYbAoR+sg5Z9muv4no2UeN7lr+sQHJ62HwOiQT/WcpdEZ+D4PWrhHr1cNG0
sTVe9XXpvGvWuXzY62KU13UtdtO6w5XpzT48d4HQrwN5ZOhS/RU5My/mC6o7MJT1
PinK+cYw4J9zX5e6ixd/19GmrWOmOb6fLboJUDGVe9WcEW9mpVtAdkGyONXd8ytS
BNml+V8Tmlu1OE/IW5+a/MwJptln0OFTBtqKDosG3wKBgQC+1wKAo7ehKxUlmhkw
5O/JXu+HuhmgFRa0/40Tp662WaiAcmX0HtIObJlLVAd0lJy+wKxB7JIRgf2PWNqz
KppdbhgZC1kqexB4I4Th4yboQgGEK0OZLZy4d/jDC+4Bpl5vL941BzEJgmitXrW+
rO4sV+KE3e1owgURquT8CPOu0wKBgQC2uK1anjG8jpo7fY3Ep/Oh6rKgQ1LzYxWo
X+KVbG+TqySIDjTTpwbE7BdveZhgdkwYix5ur7q5AFAhwrAPiT1tAoSeJWYo36r9
gG9mP/epIBT5BlIxBhoLhpgnNkvk5OICTrk0XG9bVvN2LlBY8SV3N2lEuLce7XJK
O/76nhUPewKBgQCYVFeTBxuUcic3FIH3HUapnjXkSRAbT7oIT9P0VGyI8Zgmryni
apeRG+5gynoI/HcBbBoTpRoTD4et3Gb1jJQa774cf4p09jZ3LyLqi76KteUv8rjK
lDX8qQbP6b3ZY0sNxU/BVDQ4OvgDKw43XSHgE2akV+EhNX2GVLri0uJwMQKBgBHx
qPSRPIkr5/GXruh1JfPsvIYIlojYXjQe1n2eHIb/86J44q82Y+/Kz7Je2pv+ghKW
9vIfx9KLOVNXbzrXW3TtHmD5g0LYVE544nfEKGovgF/EQyYVV1FyclbHekSMRbW8
TWva+AScUWR1v+Y8KFXA11GsYi9jWin4Il4yUBcpAoGADMprrb8jv1qxp6yR9chZ
HoKtR317IYsw+nvyZPaAhHIldQ0HjoqwsArsVKw9RHKbff2lrqg7uCnvrfkkD4It
pXTrpZAiskN7uMiSc2HUqO4iW/vrJ2IAcc3f+Cvo8WG3hkiKzp1NWKviBcGpHLmK
fLLV5JRG5xJ6hp029+HU0t4=
-----END PRIVATE KEY-----";
const RSA_MODULUS: &str = "iDaHjBsPz7AyNuzgPx2Zg5wVmnd91KYCvrx-6KbI82wXj-Lwpe3E3fvbuuJe-MKCx-1sRiH0hJyNrmtecMAkLRh1nJ6-1gJAmxi5jWeiLeIYnjQYHzp2V6WF4GlxaDBklAXye9MW0uvBK2otZ4yejslEWPwAiJniwggv82p4RqSv0Mv4aP7KysyrmlmOPRmOmRm0T44W8LDlewGg9SFom6KsLOL35oG7p0WCOHoADuxa57QRa09eRs4GgHTyfb2aDopmtjJQ2z56CLzCMcAaOZs1l_E2qccrY2s_-X0KCO2suezbfaiGuKVBi-S3W6H-nJYwpJfe0XukyP-QJaJcYQ";
const EC_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgxQEYqzv3Yhqyh060
Nf2HpyKB2Y00M0QGCQgA9Dp3J3ehRANCAASItP6YoC0Bce6H+oHdzOw7VXc0I/YI
I4dFSf0lb+Fx23+Fv2BeAg/nBEdrySsgYhDZ9yNVVcTx5FQaxHCPSWyt
-----END PRIVATE KEY-----";
const EC_X: &str = "iLT-mKAtAXHuh_qB3czsO1V3NCP2CCOHRUn9JW_hcds";
const EC_Y: &str = "f4W_YF4CD-cER2vJKyBiENn3I1VVxPHkVBrEcI9JbK0";

fn rsa() -> Value {
    json!({ "kty": "RSA", "kid": "rsa", "n": RSA_MODULUS, "e": "AQAB" })
}

/// The RSA key with more said about it.
fn rsa_with(name: &str, value: Value) -> Value {
    let mut key = rsa();
    key[name] = value;
    key
}

/// A key set at an address, as an identity provider serves it.
async fn issuer(keys: Vec<Value>) -> KeySetSource {
    let keys = json!({ "keys": keys });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().route("/keys", get(move || async move { Json(keys) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/keys").parse().expect("an address")
}

fn signed(algorithm: Algorithm, key: &EncodingKey, name: Option<&str>) -> String {
    let mut header = Header::new(algorithm);
    header.kid = name.map(str::to_owned);
    let claims: Value = json!({ "sub": "somebody", "exp": noon().timestamp() + 60, "role": "support" });
    jsonwebtoken::encode(&header, &claims, key).expect("a token")
}

#[tokio::test]
async fn a_key_set_over_http_verifies_its_own_algorithms_only() {
    let ec = json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "x": EC_X, "y": EC_Y });
    let keys = Keys::KeySet(issuer(vec![rsa(), ec]).await);
    let gateway = Authenticator::new(keys, None, None, Clock::fixed(noon())).await.expect("a key set");
    let verdict = async |token: String| {
        gateway.viewer(Some(&format!("Bearer {token}"))).await.map(|viewer| viewer.role)
    };
    let rsa = EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).expect("a key");
    let ec = EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).expect("a key");
    for name in [Some("rsa"), None] {
        assert_eq!(verdict(signed(Algorithm::RS256, &rsa, name)).await, Ok(Role::Support));
    }
    assert_eq!(verdict(signed(Algorithm::ES256, &ec, Some("ec"))).await, Ok(Role::Support));

    let refused = Err(NotAuthentic::Invalid);
    assert_eq!(verdict(signed(Algorithm::RS512, &rsa, Some("rsa"))).await, refused, "not in the list");
    assert_eq!(verdict(signed(Algorithm::PS256, &rsa, Some("rsa"))).await, refused, "not in the list");
    assert_eq!(verdict(signed(Algorithm::ES256, &ec, Some("rsa"))).await, refused, "another key's name");
    // The public key as the secret of a symmetric algorithm: the classic confusion.
    for public in [RSA_MODULUS, EC_X] {
        let secret = EncodingKey::from_secret(public.as_bytes());
        assert_eq!(verdict(signed(Algorithm::HS256, &secret, Some("rsa"))).await, refused);
    }
    let mut forged = signed(Algorithm::RS256, &rsa, Some("rsa"));
    let changed = if forged.pop() == Some('A') { 'Q' } else { 'A' };
    forged.push(changed);
    assert_eq!(verdict(forged).await, refused);
}

#[tokio::test]
async fn a_key_set_that_cannot_be_had_refuses_to_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gone = listener.local_addr().expect("an address");
    drop(listener);
    for source in [format!("http://{gone}/keys"), "/nowhere/keys.json".to_owned()] {
        let keys = Keys::KeySet(source.parse().expect("a source"));
        let refused = Authenticator::new(keys, None, None, Clock::fixed(noon())).await;
        assert!(refused.expect_err("no keys").to_string().contains("key set"), "{source}");
    }
}

/// Keys for other programs, which the gateway has no use for.
fn strange_keys() -> Vec<Value> {
    vec![
        json!({ "kty": "EC", "crv": "secp256k1", "kid": "a", "x": EC_X, "y": EC_Y }),
        json!({ "kty": "OKP", "crv": "X25519", "kid": "b", "x": EC_X }),
        json!({ "kty": "OKP", "crv": "Ed448", "kid": "c", "x": EC_X }),
        json!({ "kty": "AKP", "alg": "ML-DSA-65", "kid": "d", "pub": EC_X }),
        json!({ "kid": "of no kind" }),
        json!("no key at all"),
    ]
}

#[tokio::test]
async fn keys_that_the_gateway_does_not_know_are_passed_over() {
    let token = signed(
        Algorithm::RS256,
        &EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).expect("a key"),
        Some("rsa"),
    );
    let mut keys = strange_keys();
    keys.insert(3, rsa());
    let keys = Keys::KeySet(issuer(keys).await);
    let gateway = Authenticator::new(keys, None, None, Clock::fixed(noon())).await.expect("a key set");
    let viewer = gateway.viewer(Some(&format!("Bearer {token}"))).await.expect("a viewer");
    assert_eq!(viewer.role, Role::Support);

    for useless in [strange_keys(), vec![], vec![rsa_with("use", json!("enc"))]] {
        let keys = Keys::KeySet(issuer(useless).await);
        Authenticator::new(keys, None, None, Clock::fixed(noon())).await.expect_err("nothing to verify with");
    }
}

#[tokio::test]
async fn a_key_verifies_only_what_it_is_published_for() {
    let key = EncodingKey::from_rsa_pem(RSA_PRIVATE.as_bytes()).expect("a key");
    let token = signed(Algorithm::RS256, &key, Some("rsa"));
    for (published, accepted) in [
        (rsa_with("use", json!("sig")), true),
        (rsa_with("alg", json!("RS256")), true),
        (rsa_with("key_ops", json!(["verify"])), true),
        (rsa_with("use", json!("enc")), false),
        (rsa_with("alg", json!("RSA-OAEP")), false),
        (rsa_with("alg", json!("PS256")), false),
        (rsa_with("key_ops", json!(["encrypt"])), false),
    ] {
        // Another key keeps the set usable; it has not signed the token.
        let other = json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "x": EC_X, "y": EC_Y });
        let keys = Keys::KeySet(issuer(vec![published.clone(), other]).await);
        let gateway = Authenticator::new(keys, None, None, Clock::fixed(noon())).await.expect("a key set");
        let verdict = gateway.viewer(Some(&format!("Bearer {token}"))).await;
        assert_eq!(verdict.is_ok(), accepted, "{published}");
    }
}
