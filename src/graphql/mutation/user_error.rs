//! `UserError`: why a change was refused.

use async_graphql::{Enum, ID, SimpleObject};
use uuid::Uuid;

use crate::deletion::Refusal;

/// The closed list of reasons for which a change is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum UserErrorCode {
    /// There is no such tenant, nor a record of its deletion.
    TenantNotFound,
    /// `confirmName` is not the tenant's name.
    ConfirmationMismatch,
    /// Sessions or calls are active; `force` overrides.
    ActiveSessions,
    /// Something cannot be erased safely; `deletionPreview` names it with a remedy.
    PlanIncomplete,
    /// The plan is not the one that `planDigest` names.
    PlanChanged,
    /// Other transactions were in the way; try again.
    Busy,
    /// No archive can be written here.
    ExportUnavailable,
    /// The key was used for a different request.
    IdempotencyKeyReused,
    /// The tenant is being erased.
    TenantDeleting,
    /// An input is of no use; the message says what to pass.
    InvalidInput,
    /// There is no such deletion.
    DeletionNotFound,
    /// The deletion has begun to erase, or has ended.
    DeletionNotCancelable,
    /// The deletion is not blocked.
    DeletionNotBlocked,
}

/// Why a change was refused. Nothing was changed.
#[derive(Clone, Debug, SimpleObject)]
pub struct UserError {
    /// The reason; stable, for programs.
    code: UserErrorCode,
    /// The reason and the way out, for people.
    message: String,
    /// Path into the input. Null when no one input is the matter.
    field: Option<Vec<String>>,
}

impl UserError {
    pub(super) fn new(code: UserErrorCode, field: Option<&str>, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: field.map(|field| vec![field.to_owned()]) }
    }
}

/// The UUID of an input field.
pub(super) fn input_uuid(id: &ID, field: &str) -> Result<Uuid, UserError> {
    Uuid::parse_str(id).map_err(|_| {
        UserError::new(UserErrorCode::InvalidInput, Some(field), format!("{field} must be a UUID"))
    })
}

impl From<Refusal> for UserError {
    fn from(refusal: Refusal) -> Self {
        use UserErrorCode as Code;
        let (code, field) = match &refusal {
            Refusal::TenantNotFound => (Code::TenantNotFound, Some("tenantId")),
            Refusal::ConfirmationMismatch => (Code::ConfirmationMismatch, Some("confirmName")),
            Refusal::ActiveSessions { .. } => (Code::ActiveSessions, Some("force")),
            Refusal::PlanIncomplete { .. } => (Code::PlanIncomplete, None),
            Refusal::PlanChanged => (Code::PlanChanged, Some("planDigest")),
            Refusal::Busy => (Code::Busy, None),
            Refusal::ExportUnavailable => (Code::ExportUnavailable, Some("export")),
            Refusal::IdempotencyKeyReused => (Code::IdempotencyKeyReused, Some("idempotencyKey")),
            Refusal::InvalidInput { field, .. } => (Code::InvalidInput, Some(*field)),
        };
        Self::new(code, field, refusal.to_string())
    }
}
