//! What is asked for, and the answers that are not a deletion.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::cascade::hex;

/// A request to erase a tenant.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which tenant.
    pub tenant: Uuid,
    /// Its name, exactly: proof that the caller means this one.
    pub confirm_name: String,
    /// Why; kept in the record.
    pub reason: Option<String>,
    /// Whether active sessions and calls do not matter.
    pub force: bool,
    /// Seconds to wait before erasing; none: the gateway's default.
    pub grace_seconds: Option<i32>,
    /// Whether to write an archive first. This gateway writes none.
    pub export: Option<bool>,
    /// The plan that the caller has seen.
    pub plan_digest: Option<String>,
    /// The caller's own name for this request, to ask once.
    pub idempotency_key: Option<String>,
    /// The deletion after which the tenant came back.
    pub replay_of: Option<Uuid>,
}

impl Request {
    /// SHA-256 of everything that was asked, in hexadecimal: two requests with one idempotency key
    /// must agree on it.
    #[must_use]
    pub fn digest(&self) -> String {
        let parts = serde_json::json!([
            self.tenant,
            self.confirm_name,
            self.reason,
            self.force,
            self.grace_seconds,
            self.export,
            self.plan_digest,
        ]);
        hex(&Sha256::digest(parts.to_string()))
    }
}

/// Why a tenant was not erased. Nothing was changed. Each display sentence is for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such tenant, nor a record of its deletion.
    #[error("there is no tenant with this id, and no record of its deletion")]
    TenantNotFound,
    /// The name is not the tenant's.
    #[error("confirmName is not the tenant's name; repeat the name exactly, case and spaces included")]
    ConfirmationMismatch,
    /// People are talking.
    #[error(
        "the tenant has {sessions} active session(s) and {calls} active call(s); \
         wait until they end, or pass force: true to erase them too"
    )]
    ActiveSessions {
        /// Sessions with a recent sign of life.
        sessions: i64,
        /// Calls going on.
        calls: i64,
    },
    /// Something could not be erased safely.
    #[error("the plan has {count} gap(s), the first: {first}; deletionPreview names each with its remedy")]
    PlanIncomplete {
        /// How many gaps.
        count: usize,
        /// Table and reason of the first.
        first: String,
    },
    /// The plan is not the one the caller has seen.
    #[error("the plan has changed since the preview; read deletionPreview again and pass its planDigest")]
    PlanChanged,
    /// Others were in the way for too long.
    #[error("other transactions hold the tenant's rows; nothing was erased, try again in a moment")]
    Busy,
    /// An archive was asked for.
    #[error("this gateway cannot export; pass export: false, or leave it out, to erase without an archive")]
    ExportUnavailable,
    /// The key was used for another request.
    #[error("this idempotencyKey was used for a different request; use a new key")]
    IdempotencyKeyReused,
    /// An input is of no use.
    #[error("{message}")]
    InvalidInput {
        /// Which one.
        field: &'static str,
        /// What to pass.
        message: String,
    },
}
