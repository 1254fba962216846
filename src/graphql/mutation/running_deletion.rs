//! `cancelTenantDeletion` and `resumeTenantDeletion`: changes to a deletion that has not ended.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use uuid::Uuid;

use super::user_error::{UserError, UserErrorCode, input_uuid};
use crate::{
    auth::Action,
    deletion::{self, Deletion, Unchanged},
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
    /// Goes on although sessions or calls are active, or, where `OTHER_STORAGE` is in the way, with the storage of
    /// this gateway. Overrides nothing else.
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
    /// Calls off a deletion that has not begun to erase. Admins only. The tenant goes on as it was.
    async fn cancel_tenant_deletion(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which deletion to call off.")] input: CancelTenantDeletionInput,
    ) -> async_graphql::Result<CancelTenantDeletionPayload> {
        require(context, Action::DeleteTenant, "cancel a deletion")?;
        let checked = input_uuid(&input.deletion_id, "deletionId").and_then(|id| {
            deletion::check_text("reason", input.reason.as_deref()).map(|()| id).map_err(Into::into)
        });
        let id = match checked {
            Ok(id) => id,
            Err(error) => {
                return Ok(CancelTenantDeletionPayload { deletion: None, user_errors: vec![error] });
            }
        };
        let outcome =
            parts(context).deletions.cancel(id, input.reason.as_deref()).await.map_err(Fault::from)?;
        let (deletion, user_errors) = told(
            context,
            id,
            outcome,
            UserErrorCode::DeletionNotCancelable,
            "the deletion has begun to erase, or has ended, and cannot be canceled",
        )
        .await?;
        Ok(CancelTenantDeletionPayload { deletion, user_errors })
    }

    /// Takes up a blocked deletion where it stopped. Admins only. It then goes on by itself.
    async fn resume_tenant_deletion(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which deletion to take up again.")] input: ResumeTenantDeletionInput,
    ) -> async_graphql::Result<ResumeTenantDeletionPayload> {
        require(context, Action::DeleteTenant, "resume a deletion")?;
        let id = match input_uuid(&input.deletion_id, "deletionId") {
            Ok(id) => id,
            Err(error) => {
                return Ok(ResumeTenantDeletionPayload { deletion: None, user_errors: vec![error] });
            }
        };
        let outcome = parts(context).deletions.resume(id, input.force).await.map_err(Fault::from)?;
        let (deletion, user_errors) = told(
            context,
            id,
            outcome,
            UserErrorCode::DeletionNotBlocked,
            "the deletion is not blocked; there is nothing to resume",
        )
        .await?;
        Ok(ResumeTenantDeletionPayload { deletion, user_errors })
    }
}

/// The deletion as it stands, with the reason why it stays so.
async fn told(
    context: &Context<'_>,
    id: Uuid,
    outcome: Result<Deletion, Unchanged>,
    code: UserErrorCode,
    message: &str,
) -> Result<(Option<TenantDeletion>, Vec<UserError>), Fault> {
    let field = Some("deletionId");
    let error = match outcome {
        Ok(deletion) => return Ok((Some(TenantDeletion(deletion)), Vec::new())),
        Err(Unchanged::NotFound) => {
            UserError::new(UserErrorCode::DeletionNotFound, field, "there is no deletion with this id")
        }
        Err(Unchanged::Refused) => UserError::new(code, field, message),
        Err(Unchanged::Busy) => {
            let message = "other transactions hold the deletion's record; try again in a moment";
            UserError::new(UserErrorCode::Busy, field, message)
        }
    };
    let deletion = deletion::by_ids(&parts(context).database, &[id]).await?.pop();
    Ok((deletion.map(TenantDeletion), vec![error]))
}
