//! What a token says, and how one is minted.

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::{Role, Viewer};

/// The claims the gateway reads; others are ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// A person or a program.
    pub sub: String,
    /// Seconds since 1970, after which the token is worth nothing.
    pub exp: i64,
    /// What the holder may do.
    pub role: RoleClaim,
    /// With role `tenant`: which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<Uuid>,
    /// Who issued the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom the token is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    /// It was not signed by a key this gateway trusts, is for somebody else, or is malformed.
    #[error("the token is not valid here; get a new one")]
    Invalid,
}

impl Claims {
    /// Who these claims, once their signature is verified, make the holder at `now`.
    pub(super) fn viewer(self, now: DateTime<Utc>) -> Result<Viewer, NotAuthentic> {
        let expires_at = DateTime::from_timestamp(self.exp, 0).ok_or(NotAuthentic::Invalid)?;
        if expires_at <= now {
            return Err(NotAuthentic::Expired);
        }
        let role = match (self.role, self.tenant_id) {
            (RoleClaim::Admin, _) => Role::Admin,
            (RoleClaim::Support, _) => Role::Support,
            (RoleClaim::Tenant, Some(tenant)) => Role::Tenant(tenant),
            (RoleClaim::Tenant, None) => return Err(NotAuthentic::Invalid),
        };
        Ok(Viewer { subject: self.sub, role, expires_at })
    }
}

/// Signs `claims` with HS256.
///
/// # Errors
///
/// When they cannot be written as JSON, which these claims always can.
pub fn mint(secret: &[u8], claims: &Claims) -> Result<String, jsonwebtoken::errors::Error> {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret))
}
