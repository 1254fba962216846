//! `setTenantStatus`.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};

use super::user_error::{UserError, UserErrorCode, input_uuid};
use crate::{
    auth::Action,
    database,
    graphql::{
        error::Fault,
        request::{parts, require},
        tenant::TenantNode,
    },
    tenant::{self, Status},
};

/// The statuses that people choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum SettableTenantStatus {
    /// It works.
    Active,
    /// It is set aside: the soft alternative to a deletion.
    Inactive,
    /// It is stopped.
    Suspended,
}

/// Which tenant, and its new status.
#[derive(Clone, Debug, InputObject)]
pub struct SetTenantStatusInput {
    /// The tenant.
    tenant_id: ID,
    /// Its new status.
    status: SettableTenantStatus,
}

/// The tenant, or why its status was not set.
#[derive(Clone, Debug, SimpleObject)]
pub struct SetTenantStatusPayload {
    /// The tenant as it is now. Null when there is none.
    tenant: Option<TenantNode>,
    /// Why its status was not set. Empty when it was.
    user_errors: Vec<UserError>,
}

/// Sets statuses.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetTenantStatus;

#[Object]
impl SetTenantStatus {
    /// Makes a tenant active, inactive or suspended. Admins only. Nothing else of it changes;
    /// setting the status it has already is fine.
    async fn set_tenant_status(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which tenant, and its new status.")] input: SetTenantStatusInput,
    ) -> async_graphql::Result<SetTenantStatusPayload> {
        require(context, Action::SetTenantStatus, "set a tenant's status")?;
        let id = match input_uuid(&input.tenant_id, "tenantId") {
            Ok(id) => id,
            Err(error) => return Ok(SetTenantStatusPayload { tenant: None, user_errors: vec![error] }),
        };
        let status = match input.status {
            SettableTenantStatus::Active => Status::Active,
            SettableTenantStatus::Inactive => Status::Inactive,
            SettableTenantStatus::Suspended => Status::Suspended,
        };
        let parts = parts(context);
        let changed = tenant::set_status(&parts.database, id, status, parts.clock.now()).await;
        // None: others held the row for too long, and it is as it was.
        let changed = match changed {
            Ok(changed) => Some(changed),
            Err(database::Error::Contention(reason)) => {
                tracing::warn!(tenant = %id, reason, "gave up setting a status: others were in the way");
                None
            }
            Err(error) => return Err(Fault::from(error).into()),
        };
        let tenant =
            tenant::find(&parts.database, &[id]).await.map_err(Fault::from)?.pop().map(TenantNode::from);
        let error = match (changed, &tenant) {
            (Some(true), _) => None,
            (None, _) => Some(UserError::new(
                UserErrorCode::Busy,
                None,
                "other transactions hold the tenant's row; its status was not set, try again in a moment",
            )),
            (Some(false), Some(_)) => Some(UserError::new(
                UserErrorCode::TenantDeleting,
                Some("tenantId"),
                "the tenant is being erased and keeps its status",
            )),
            (Some(false), None) => Some(UserError::new(
                UserErrorCode::TenantNotFound,
                Some("tenantId"),
                "there is no tenant with this id",
            )),
        };
        Ok(SetTenantStatusPayload { tenant, user_errors: error.into_iter().collect() })
    }
}
