//! The root of every query.

use async_graphql::{Context, ID, Object};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{
    deletion::TenantDeletion,
    deletions::{TenantDeletionConnection, TenantDeletionFilter},
    error::{Code, Fault},
    request::{loaders, parts, tenant_node, uuid, viewer},
    tenant::TenantNode,
    tenants::{SortDirection, TenantConnection, TenantFilter, TenantOrder, TenantOrderField},
    viewer::Viewer,
};
use crate::{auth::Action, deletion, paging::PageArguments, tenant};

/// Reads. Nothing here changes anything.
#[derive(Clone, Copy, Debug)]
pub struct Query;

/// Reads. Nothing here changes anything.
#[Object]
impl Query {
    /// Who asks: what the request's token says.
    async fn viewer(&self, context: &Context<'_>) -> Viewer {
        Viewer(viewer(context).clone())
    }

    /// One tenant. Null when it does not exist or the viewer may not see it.
    async fn tenant(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The tenant's id.")] id: ID,
    ) -> Option<async_graphql::Result<TenantNode>> {
        let read = async {
            let id = uuid(&id, "id")?;
            if !viewer(context).may(Action::ReadTenant(id)) {
                return Ok(None);
            }
            tenant_node(context, id).await
        };
        match read.await {
            Ok(tenant) => Some(Ok(tenant?)),
            Err(fault) => Some(Err(Fault::into(fault))),
        }
    }

    /// The tenants that the viewer may see, page by page.
    #[expect(clippy::too_many_arguments, reason = "they are the connection's arguments")]
    async fn tenants(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The first so many, at most 100. Neither `first` nor `last`: the first 50.")] first: Option<i32>,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many, at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only those before this cursor.")] before: Option<String>,
        #[graphql(desc = "Which tenants to list.")] filter: Option<TenantFilter>,
        #[graphql(
            desc = "How they are sorted.",
            default_with = "Some(TenantOrder { field: TenantOrderField::Name, direction: SortDirection::Asc })"
        )]
        order_by: Option<TenantOrder>,
    ) -> async_graphql::Result<TenantConnection> {
        let filter = filter.unwrap_or_default();
        if filter.name_contains.as_ref().is_some_and(|part| part.contains('\0')) {
            return Err(Fault::new(Code::BadUserInput, "`nameContains` must not contain a NUL").into());
        }
        let order_by =
            order_by.unwrap_or(TenantOrder { field: TenantOrderField::Name, direction: SortDirection::Asc });
        let criteria = tenant::Criteria {
            visible: viewer(context).visible(),
            name_contains: filter.name_contains,
            status: filter.status.map(|status| status.into_iter().map(Into::into).collect()),
            quota_state: filter.quota_state.map(|state| state.into_iter().map(Into::into).collect()),
            field: order_by.field.into(),
            descending: order_by.direction == SortDirection::Desc,
        };
        let slice = PageArguments { first, after, last, before }
            .slice(&criteria.order_name())
            .map_err(Fault::from)?;
        let found = loaders(context).tenant_page(criteria.clone(), slice.clone()).await?;
        Ok(TenantConnection { criteria, slice, found, counts: OnceCell::new() })
    }

    /// The record of one deletion, by its own id or, the newest, by the tenant's. Give exactly one.
    /// Null when there is none or the viewer may not see the tenant.
    async fn tenant_deletion(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The deletion's id.")] id: Option<ID>,
        #[graphql(desc = "The tenant's id, also after the tenant is gone.")] tenant_id: Option<ID>,
    ) -> Option<async_graphql::Result<TenantDeletion>> {
        let read = async {
            let found = match (id, tenant_id) {
                (Some(id), None) => {
                    let id = uuid(&id, "id")?;
                    loaders(context).deletion(id).await?
                }
                (None, Some(tenant)) => {
                    let tenant = uuid(&tenant, "tenantId")?;
                    if !viewer(context).may(Action::ReadTenant(tenant)) {
                        return Ok(None);
                    }
                    loaders(context).newest_deletion(tenant).await?
                }
                _ => return Err(Fault::new(Code::BadUserInput, "give exactly one of `id` and `tenantId`")),
            };
            Ok(found.filter(|deletion| viewer(context).may(Action::ReadTenant(deletion.tenant))))
        };
        match read.await {
            Ok(deletion) => Some(Ok(TenantDeletion(deletion?))),
            Err(fault) => Some(Err(fault.into())),
        }
    }

    /// The deletions of the tenants that the viewer may see, newest first, page by page.
    async fn tenant_deletions(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The first so many, at most 100. Neither `first` nor `last`: the first 50.")] first: Option<i32>,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many, at most 100.")] last: Option<i32>,
        #[graphql(desc = "Only those before this cursor.")] before: Option<String>,
        #[graphql(desc = "Which deletions to list.")] filter: Option<TenantDeletionFilter>,
    ) -> async_graphql::Result<TenantDeletionConnection> {
        let filter = filter.unwrap_or_default();
        let tenant: Option<Result<Uuid, Fault>> = filter.tenant_id.map(|id| uuid(&id, "filter.tenantId"));
        let criteria = deletion::Criteria {
            visible: viewer(context).visible(),
            tenant: tenant.transpose()?,
            status: filter.status.map(|status| status.into_iter().map(Into::into).collect()),
        };
        let slice = PageArguments { first, after, last, before };
        let slice = slice.slice(deletion::Criteria::ORDER).map_err(Fault::from)?;
        let page = criteria
            .page(&parts(context).database, &slice)
            .await
            .map_err(Fault::from)?
            .map_err(Fault::from)?;
        Ok(TenantDeletionConnection { criteria, slice, page, counts: OnceCell::new() })
    }
}
