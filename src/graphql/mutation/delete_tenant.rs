//! `deleteTenant`.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::user_error::{UserError, input_uuid};
use crate::{
    auth::Action,
    deletion::{self, Request},
    graphql::{
        deletion::TenantDeletion,
        error::{Code, Fault},
        request::{parts, require, viewer},
    },
};

/// Which tenant to erase, and how.
#[derive(Clone, Debug, InputObject)]
pub struct DeleteTenantInput {
    /// The tenant to erase.
    tenant_id: ID,
    /// The tenant's name, exactly: proof that this one is meant.
    confirm_name: String,
    /// Why; kept in the record of the deletion.
    reason: Option<String>,
    /// Erases although sessions or calls are active. Overrides nothing else.
    #[graphql(default = false)]
    force: bool,
    /// Seconds to wait before erasing. Null: the server's default. 0: at once.
    grace_seconds: Option<i32>,
    /// Whether to write an archive first. Null: the server's default. True where that is not
    /// possible: `EXPORT_UNAVAILABLE`.
    export: Option<bool>,
    /// The `planDigest` of the preview that was looked at. If the plan is another one by now:
    /// `PLAN_CHANGED`.
    plan_digest: Option<String>,
    /// The caller's own name for this request: asked twice under it, the tenant's one deletion is
    /// returned twice.
    idempotency_key: Option<String>,
}

/// The deletion, or why there is none.
#[derive(Clone, Debug, SimpleObject)]
pub struct DeleteTenantPayload {
    /// The deletion. Null when it was refused.
    deletion: Option<TenantDeletion>,
    /// Why it was refused. Empty when it was not.
    user_errors: Vec<UserError>,
}

/// Erases tenants.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeleteTenant;

#[Object]
impl DeleteTenant {
    /// Erases a tenant and everything it owns, permanently. Admins only. With a grace period the deletion
    /// is `SCHEDULED` and can be called off until then; without one it begins at once and goes on by itself,
    /// whoever hangs up. The answer waits a little, so that a small tenant is `DELETED` in it; a large one is
    /// `ERASING`, and `tenantDeletion` tells how far it has come. Asking again returns the same deletion.
    async fn delete_tenant(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which tenant to erase, and how.")] input: DeleteTenantInput,
    ) -> async_graphql::Result<DeleteTenantPayload> {
        require(context, Action::DeleteTenant, "delete a tenant")?;
        let refused = |error: UserError| DeleteTenantPayload { deletion: None, user_errors: vec![error] };
        let tenant = match input_uuid(&input.tenant_id, "tenantId") {
            Ok(tenant) => tenant,
            Err(error) => return Ok(refused(error)),
        };
        let request = Request {
            tenant,
            confirm_name: input.confirm_name,
            reason: input.reason,
            force: input.force,
            grace_seconds: input.grace_seconds,
            export: input.export,
            plan_digest: input.plan_digest,
            idempotency_key: input.idempotency_key,
            replay_of: None,
        };
        let (deletions, subject) = (parts(context).deletions.clone(), viewer(context).subject.clone());
        // In a task of its own: a client that hangs up does not stop it half-way through.
        let outcome = tokio::spawn(async move { deletions.delete(&request, &subject).await }).await;
        match outcome {
            Ok(Ok(deletion)) => {
                Ok(DeleteTenantPayload { deletion: Some(TenantDeletion(deletion)), user_errors: Vec::new() })
            }
            Ok(Err(deletion::Error::Refused(refusal))) => Ok(refused(refusal.into())),
            Ok(Err(deletion::Error::Database(error))) => Err(Fault::from(error).into()),
            Err(_) => {
                Err(Fault::new(Code::Internal, "the gateway stopped before the deletion was done").into())
            }
        }
    }
}
