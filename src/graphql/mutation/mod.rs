//! The root of every change. Expected outcomes are data in a payload; faults are errors.

mod delete_tenant;
mod running_deletion;
mod set_tenant_status;
mod user_error;

use async_graphql::MergedObject;

/// Changes. A change that is refused has changed nothing; its payload says why in `userErrors`.
#[derive(Clone, Copy, Debug, Default, MergedObject)]
pub struct Mutation(
    delete_tenant::DeleteTenant,
    running_deletion::RunningDeletion,
    set_tenant_status::SetTenantStatus,
);
