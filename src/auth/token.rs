//! What a token says, and how one is minted.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::{Role, Viewer};

/// The claims of a token that the gateway mints.
#[derive(Clone, Debug, Serialize)]
pub struct Claims {
    /// A person or a program.
    pub sub: String,
    /// Seconds since 1970, after which the token is worth nothing.
    pub exp: i64,
    /// What the holder may do.
    pub role: RoleClaim,
    /// With role `tenant`: which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<Uuid>,
    /// Who issued the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom the token is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<serde_json::Value>,
}

/// The values of the claim `role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum RoleClaim {
    /// Everything.
    Admin,
    /// Reads every tenant.
    Support,
    /// Reads the tenant of the claim `tenant_id`.
    Tenant,
}

/// Why a token is not accepted. The sentences are for its holder and give nothing away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotAuthentic {
    /// There is none, or the header is not `Authorization: Bearer TOKEN`.
    #[error("send a token: `Authorization: Bearer TOKEN`")]
    Missing,
    /// Its time is over.
    #[error("the token has expired; get a new one")]
    Expired,
    /// Its time has not begun.
    #[error("the token is not valid yet; wait, or get a new one")]
    NotYet,
    /// It was not signed by a key this gateway trusts, is for somebody else, or is malformed.
    #[error("the token is not valid here; get a new one")]
    Invalid,
}

/// The claims that the gateway reads in a token whose signature is verified; others are ignored. Issuer
/// and audience are compared while the signature is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Received {
    sub: String,
    /// Seconds since 1970, which RFC 7519 allows to have a fraction.
    exp: f64,
    nbf: Option<f64>,
    role: RoleClaim,
    tenant_id: Option<Uuid>,
}

impl Received {
    /// Who these claims make the holder at `now`.
    pub(super) fn viewer(&self, now: DateTime<Utc>) -> Result<Viewer, NotAuthentic> {
        let expires_at = instant(self.exp).ok_or(NotAuthentic::Invalid)?;
        if expires_at <= now {
            return Err(NotAuthentic::Expired);
        }
        if let Some(begins) = self.nbf {
            let begins_at = instant(begins).ok_or(NotAuthentic::Invalid)?;
            if now < begins_at {
                return Err(NotAuthentic::NotYet);
            }
        }
        let role = match (self.role, self.tenant_id) {
            (RoleClaim::Admin, _) => Role::Admin,
            (RoleClaim::Support, _) => Role::Support,
            (RoleClaim::Tenant, Some(tenant)) => Role::Tenant(tenant),
            (RoleClaim::Tenant, None) => return Err(NotAuthentic::Invalid),
        };
        Ok(Viewer { subject: self.sub.clone(), role, expires_at })
    }
}

/// The instant so many seconds after 1970; a number below zero counts as zero.
fn instant(seconds: f64) -> Option<DateTime<Utc>> {
    let since = Duration::try_from_secs_f64(seconds.max(0.0)).ok()?;
    DateTime::UNIX_EPOCH.checked_add_signed(TimeDelta::from_std(since).ok()?)
}

/// Signs `claims` with HS256.
///
/// # Errors
///
/// When they cannot be written as JSON, which these claims always can.
pub fn mint(secret: &[u8], claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret))
}
