//! `cancelTenantDeletion` and `resumeTenantDeletion`: changes to a deletion that has not ended.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::user_error::{UserError, UserErrorCode, input_uuid};
use crate::{
    auth::Action,
    deletion::{self, Deletion},
    graphql::{
        deletion::TenantDeletion,
        error::Fault,
        request::{parts, require},
    },
};

/// Which deletion to call off.
#[derive(Clone, Debug, InputObject)]
pub struct CancelTenantDeletionInput {
    /// The deletion.
    deletion_id: ID,
    /// Why; kept in its record.
    reason: Option<String>,
}

/// The deletion, and why it was not canceled.
#[derive(Clone, Debug, SimpleObject)]
pub struct CancelTenantDeletionPayload {
    /// The deletion as it stands. Null when there is none.
    deletion: Option<TenantDeletion>,
    /// Why it was not canceled. Empty when it was.
    user_errors: Vec<UserError>,
}

/// Which deletion to take up again.
#[derive(Clone, Debug, InputObject)]
pub struct ResumeTenantDeletionInput {
    /// The deletion.
    deletion_id: ID,
    /// Goes on although sessions or calls are active. Overrides nothing else.
    #[graphql(default = false)]
    force: bool,
}

/// The deletion, and why it was not resumed.
#[derive(Clone, Debug, SimpleObject)]
pub struct ResumeTenantDeletionPayload {
    /// The deletion as it stands. Null when there is none.
    deletion: Option<TenantDeletion>,
    /// Why it was not resumed. Empty when it was.
    user_errors: Vec<UserError>,
}

/// Changes deletions that have not ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunningDeletion;

#[Object]
impl RunningDeletion {
    /// Calls off a deletion that is still scheduled. Admins only. This gateway erases at once, so
    /// that there is nothing to call off.
    async fn cancel_tenant_deletion(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which deletion to call off.")] input: CancelTenantDeletionInput,
    ) -> async_graphql::Result<CancelTenantDeletionPayload> {
        require(context, Action::DeleteTenant, "cancel a deletion")?;
        let _ = input.reason;
        let (deletion, error) = refused(
            find(context, &input.deletion_id).await?,
            UserErrorCode::DeletionNotCancelable,
            "the deletion has ended and cannot be canceled",
        );
        Ok(CancelTenantDeletionPayload { deletion, user_errors: vec![error] })
    }

    /// Takes up a deletion that is blocked. Admins only. In this gateway a deletion is whole or has
    /// not happened, so that none is ever blocked.
    async fn resume_tenant_deletion(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which deletion to take up again.")] input: ResumeTenantDeletionInput,
    ) -> async_graphql::Result<ResumeTenantDeletionPayload> {
        require(context, Action::DeleteTenant, "resume a deletion")?;
        let _ = input.force;
        let (deletion, error) = refused(
            find(context, &input.deletion_id).await?,
            UserErrorCode::DeletionNotBlocked,
            "the deletion has ended; there is nothing to resume",
        );
        Ok(ResumeTenantDeletionPayload { deletion, user_errors: vec![error] })
    }
}

async fn find(context: &Context<'_>, id: &ID) -> Result<Result<Option<Deletion>, UserError>, Fault> {
    match input_uuid(id, "deletionId") {
        Ok(id) => Ok(Ok(deletion::by_ids(&parts(context).database, &[id]).await?.pop())),
        Err(error) => Ok(Err(error)),
    }
}

/// Every deletion on record has ended: it is shown, with the reason why it stays as it is.
fn refused(
    found: Result<Option<Deletion>, UserError>,
    code: UserErrorCode,
    message: &str,
) -> (Option<TenantDeletion>, UserError) {
    match found {
        Ok(Some(deletion)) => {
            (Some(TenantDeletion(deletion)), UserError::new(code, Some("deletionId"), message))
        }
        Ok(None) => {
            let message = "there is no deletion with this id";
            (None, UserError::new(UserErrorCode::DeletionNotFound, Some("deletionId"), message))
        }
        Err(error) => (None, error),
    }
}
