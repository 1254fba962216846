//! A JSON Web Key Set, from a file or an address, read again when a token names a key it lacks.

use std::{path::PathBuf, str::FromStr, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet},
};
use tokio::sync::RwLock;
use url::Url;

use super::KeyError;
use crate::clock::Clock;

/// Shortest time between two readings, so that made-up key names cannot flood the issuer.
const RELOAD_PAUSE: TimeDelta = TimeDelta::seconds(30);
/// Longest wait for the issuer's answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

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
    read: RwLock<(JwkSet, DateTime<Utc>)>,
}

impl KeySet {
    /// Reads the set for the first time.
    pub(super) async fn load(source: KeySetSource, clock: Clock) -> Result<Self, KeyError> {
        let set = fetch(&source).await?;
        if set.keys.is_empty() {
            return Err(KeyError::KeySet("it holds no key".to_owned()));
        }
        let read = RwLock::new((set, clock.now()));
        Ok(Self { source, clock, read })
    }

    /// The keys that may have signed a token with this key name and algorithm.
    pub(super) async fn candidates(&self, name: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
        let known = matching(&self.read.read().await.0, name, algorithm);
        if !known.is_empty() {
            return known;
        }
        let mut read = self.read.write().await;
        let now = self.clock.now();
        if now - read.1 >= RELOAD_PAUSE {
            read.1 = now;
            match fetch(&self.source).await {
                Ok(set) => read.0 = set,
                Err(error) => tracing::warn!(%error, "keeping the key set as last read"),
            }
        }
        matching(&read.0, name, algorithm)
    }
}

fn matching(set: &JwkSet, name: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
    set.keys
        .iter()
        .filter(|key| name.is_none_or(|name| key.common.key_id.as_deref() == Some(name)))
        .filter(|key| signs_with(key, algorithm))
        .filter_map(|key| DecodingKey::from_jwk(key).ok())
        .collect()
}

fn signs_with(key: &Jwk, algorithm: Algorithm) -> bool {
    match &key.algorithm {
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

async fn fetch(source: &KeySetSource) -> Result<JwkSet, KeyError> {
    let failed = |error: &dyn std::fmt::Display| KeyError::KeySet(error.to_string());
    match source {
        KeySetSource::File(path) => {
            let text = tokio::fs::read(path).await.map_err(|error| failed(&error))?;
            serde_json::from_slice(&text).map_err(|error| failed(&error))
        }
        KeySetSource::Url(url) => {
            // A second installation is refused, which is as good as the first.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = reqwest::Client::builder().timeout(FETCH_TIMEOUT).build().map_err(|e| failed(&e))?;
            let answer = client.get(url.clone()).send().await.and_then(reqwest::Response::error_for_status);
            answer.map_err(|error| failed(&error))?.json().await.map_err(|error| failed(&error))
        }
    }
}
