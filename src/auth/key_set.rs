//! A JSON Web Key Set, from a file or an address, read again when a token names a key it lacks.

use std::{
    path::PathBuf,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use tokio::sync::{Mutex, RwLock};
use url::Url;

use super::KeyError;
use crate::{clock::Clock, telemetry};

/// Shortest time between two readings, so that made-up key names cannot flood the issuer.
const RELOAD_PAUSE: TimeDelta = TimeDelta::seconds(30);
/// Longest wait for the issuer's answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// What keys of a set may verify.
pub(super) const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// Where a key set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySetSource {
    /// A file.
    File(PathBuf),
    /// An `http://` or `https://` address.
    Url(Url),
}

impl FromStr for KeySetSource {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Self::Url(url),
            _ => Self::File(PathBuf::from(text)),
        })
    }
}

/// The keys as last read.
#[derive(Debug)]
pub(super) struct KeySet {
    source: KeySetSource,
    clock: Clock,
    read: RwLock<Vec<Jwk>>,
    /// When the issuer was last asked for keys.
    asked: Mutex<DateTime<Utc>>,
    /// How often the keys were replaced.
    version: AtomicU64,
}

impl KeySet {
    /// Reads the set for the first time.
    pub(super) async fn load(source: KeySetSource, clock: Clock) -> Result<Self, KeyError> {
        let keys = fetch(&source).await?;
        if !keys.iter().any(|key| ALGORITHMS.iter().any(|algorithm| verifies(key, *algorithm))) {
            let reason = "it holds no key that verifies RS256, ES256 or EdDSA";
            return Err(KeyError::KeySet(reason.to_owned()));
        }
        let (read, asked) = (RwLock::new(keys), Mutex::new(clock.now()));
        Ok(Self { source, clock, read, asked, version: AtomicU64::new(0) })
    }

    /// How often the keys were replaced.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The keys that may have signed a token with this key name and algorithm.
    pub(super) async fn candidates(&self, name: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
        let known = matching(&self.read.read().await, name, algorithm);
        if !known.is_empty() {
            return known;
        }
        // One at a time asks the issuer; who has a key that is known does not wait for that.
        let mut asked = self.asked.lock().await;
        let now = self.clock.now();
        if now - *asked >= RELOAD_PAUSE {
            *asked = now;
            match fetch(&self.source).await {
                Ok(keys) => {
                    *self.read.write().await = keys;
                    self.version.fetch_add(1, Ordering::Release);
                }
                Err(error) => tracing::warn!(%error, "keeping the key set as last read"),
            }
        }
        drop(asked);
        matching(&self.read.read().await, name, algorithm)
    }
}

fn matching(keys: &[Jwk], name: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
    keys.iter()
        .filter(|key| name.is_none_or(|name| key.common.key_id.as_deref() == Some(name)))
        .filter(|key| verifies(key, algorithm))
        .filter_map(|key| DecodingKey::from_jwk(key).ok())
        .collect()
}

/// Whether the key is of this algorithm, and meant for signatures where it says what it is meant for.
fn verifies(key: &Jwk, algorithm: Algorithm) -> bool {
    let is_for_signatures =
        key.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
            && key.common.key_operations.as_ref().is_none_or(|can| can.contains(&KeyOperations::Verify));
    let named = match key.common.key_algorithm {
        None => true,
        Some(KeyAlgorithm::RS256) => algorithm == Algorithm::RS256,
        Some(KeyAlgorithm::ES256) => algorithm == Algorithm::ES256,
        Some(KeyAlgorithm::EdDSA) => algorithm == Algorithm::EdDSA,
        Some(_) => false,
    };
    is_for_signatures && named && is_of(&key.algorithm, algorithm)
}

fn is_of(key: &AlgorithmParameters, algorithm: Algorithm) -> bool {
    match key {
        AlgorithmParameters::RSA(_) => algorithm == Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) => {
            algorithm == Algorithm::ES256 && key.curve == EllipticCurve::P256
        }
        AlgorithmParameters::OctetKeyPair(key) => {
            algorithm == Algorithm::EdDSA && key.curve == EllipticCurve::Ed25519
        }
        AlgorithmParameters::OctetKey(_) => false,
    }
}

/// A key set whose keys are not looked at yet.
#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// The keys that the gateway understands. RFC 7517 wants the others passed over, one by one: an issuer
/// may publish keys for other programs in the same set.
async fn fetch(source: &KeySetSource) -> Result<Vec<Jwk>, KeyError> {
    let keys = fetch_document(source).await?.keys;
    Ok(keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
}

async fn fetch_document(source: &KeySetSource) -> Result<Document, KeyError> {
    let failed = |error: &dyn std::fmt::Display| KeyError::KeySet(error.to_string());
    match source {
        KeySetSource::File(path) => {
            let text = tokio::fs::read(path).await.map_err(|error| failed(&error))?;
            serde_json::from_slice(&text).map_err(|error| failed(&error))
        }
        KeySetSource::Url(url) => {
            // A second installation is refused, which is as good as the first.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let mut headers = reqwest::header::HeaderMap::new();
            telemetry::carry(&mut headers);
            let client = reqwest::Client::builder().timeout(FETCH_TIMEOUT).build().map_err(|e| failed(&e))?;
            let answer = client
                .get(url.clone())
                .headers(headers)
                .send()
                .await
                .and_then(reqwest::Response::error_for_status);
            answer.map_err(|error| failed(&error))?.json().await.map_err(|error| failed(&error))
        }
    }
}
