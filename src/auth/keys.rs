//! The keys a token may be signed with, and the check of its signature.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use quick_cache::{Weighter, sync::Cache};
use thiserror::Error;

use super::{NotAuthentic, Viewer, key_set::KeySet, token::Received};
use crate::{auth::KeySetSource, clock::Clock};

/// Why keys cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file of secrets cannot be read.
    #[error("the secret file cannot be read: {0}")]
    SecretFile(std::io::Error),
    /// There is no line with a secret.
    #[error("the secret is empty")]
    EmptySecret,
    /// The key set cannot be read, or is none.
    #[error("the key set cannot be used: {0}")]
    KeySet(String),
}

/// Where keys come from.
#[derive(Clone, Debug)]
pub enum Keys {
    /// HS256 secrets: the first signs, all verify, so that they can be rotated.
    Secrets(Vec<Vec<u8>>),
    /// Public keys for RS256, ES256 and `EdDSA`; the gateway can sign nothing.
    KeySet(KeySetSource),
}

impl Keys {
    /// Reads secrets, one a line; blank lines are passed over.
    ///
    /// # Errors
    ///
    /// [`KeyError::EmptySecret`] when none is left.
    pub fn from_secret_lines(text: &str) -> Result<Self, KeyError> {
        let secrets: Vec<Vec<u8>> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(|line| line.as_bytes().to_vec())
            .collect();
        if secrets.is_empty() { Err(KeyError::EmptySecret) } else { Ok(Self::Secrets(secrets)) }
    }
}

/// Bytes of all tokens remembered together.
const CAPACITY: u64 = 1024 * 1024;
/// Tokens that this has room for, about.
const EXPECTED: usize = 4_000;

/// Turns tokens into viewers.
#[derive(Debug)]
pub struct Authenticator {
    verifier: Verifier,
    /// What was read in tokens whose signature was verified, under the number of the keys that did. Whether
    /// they are still in time is looked at each time.
    known: Cache<String, (u64, Arc<Received>), ByLength>,
    issuer: Option<String>,
    audience: Option<String>,
    clock: Clock,
}

#[derive(Clone, Debug)]
struct ByLength;

impl<V> Weighter<String, V> for ByLength {
    fn weight(&self, token: &String, _: &V) -> u64 {
        token.len() as u64
    }
}

enum Verifier {
    Secrets(Vec<DecodingKey>),
    KeySet(Box<KeySet>),
}

impl Verifier {
    /// Numbers the keys: with others it changes.
    fn keys(&self) -> u64 {
        match self {
            Self::Secrets(_) => 0,
            Self::KeySet(keys) => keys.version(),
        }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Secrets(_) => "Secrets",
            Self::KeySet(_) => "KeySet",
        })
    }
}

impl Authenticator {
    /// Reads the keys. With `issuer` or `audience`, only tokens that name it are accepted.
    ///
    /// # Errors
    ///
    /// [`KeyError::KeySet`] when the key set cannot be had.
    pub async fn new(
        keys: Keys,
        issuer: Option<String>,
        audience: Option<String>,
        clock: Clock,
    ) -> Result<Self, KeyError> {
        let verifier = match keys {
            Keys::Secrets(secrets) => {
                Verifier::Secrets(secrets.iter().map(|secret| DecodingKey::from_secret(secret)).collect())
            }
            Keys::KeySet(source) => Verifier::KeySet(Box::new(KeySet::load(source, clock.clone()).await?)),
        };
        let known = Cache::with_weighter(EXPECTED, CAPACITY, ByLength);
        Ok(Self { verifier, known, issuer, audience, clock })
    }

    /// The viewer behind the value of an `Authorization` header.
    ///
    /// # Errors
    ///
    /// [`NotAuthentic`].
    pub async fn viewer(&self, authorization: Option<&str>) -> Result<Viewer, NotAuthentic> {
        let (scheme, token) =
            authorization.and_then(|value| value.trim().split_once(' ')).ok_or(NotAuthentic::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(NotAuthentic::Missing);
        }
        let token = token.trim();
        // Asked for before the keys are: those read meanwhile may not have this token's among them any more.
        let keys = self.verifier.keys();
        if let Some((_, claims)) = self.known.get(token).filter(|(verified_by, _)| *verified_by == keys) {
            return claims.viewer(self.clock.now());
        }
        let claims = Arc::new(self.claims(token).await.ok_or(NotAuthentic::Invalid)?);
        self.known.insert(token.to_owned(), (keys, claims.clone()));
        claims.viewer(self.clock.now())
    }

    /// Whether the token that made a viewer has ended since.
    #[must_use]
    pub fn has_ended(&self, viewer: &Viewer) -> bool {
        viewer.expires_at <= self.clock.now()
    }

    async fn claims(&self, token: &str) -> Option<Received> {
        let header = decode_header(token).ok()?;
        // A kind of key verifies its own algorithms only: a public key never serves as a secret.
        match &self.verifier {
            Verifier::Secrets(secrets) if header.alg == Algorithm::HS256 => {
                self.first_valid(token, header.alg, secrets)
            }
            Verifier::KeySet(keys)
                if matches!(header.alg, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA) =>
            {
                let candidates = keys.candidates(header.kid.as_deref(), header.alg).await;
                self.first_valid(token, header.alg, &candidates)
            }
            _ => None,
        }
    }

    fn first_valid(&self, token: &str, algorithm: Algorithm, keys: &[DecodingKey]) -> Option<Received> {
        let mut validation = Validation::new(algorithm);
        // `exp` and `nbf` are compared with the gateway's own clock, in `Received::viewer`.
        validation.validate_exp = false;
        validation.validate_aud = self.audience.is_some();
        let mut required = vec!["exp", "sub"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        keys.iter().find_map(|key| decode::<Received>(token, key, &validation).ok()).map(|data| data.claims)
    }
}
