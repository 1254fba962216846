//! What a resolver has at hand: the parts it may use, who asks, and the request's loaders.

use async_graphql::{Context, ID};
use uuid::Uuid;

use super::{
    error::{Code, Fault},
    loaders::Loaders,
    tenant::TenantNode,
};
use crate::{
    auth::{Action, Viewer},
    clock::Clock,
    database::Database,
    deletion::Deletions,
    metrics::Metrics,
    usage,
};

/// The parts that resolvers may use.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where everything is.
    pub database: Database,
    /// Reads figures.
    pub reader: usage::Reader,
    /// Takes requests to erase tenants.
    pub deletions: Deletions,
    /// Counts what operators see.
    pub metrics: Metrics,
    /// Tells the time.
    pub clock: Clock,
}

pub(super) fn parts<'a>(context: &Context<'a>) -> &'a Parts {
    context.data_unchecked()
}

pub(super) fn viewer<'a>(context: &Context<'a>) -> &'a Viewer {
    context.data_unchecked()
}

pub(super) fn loaders<'a>(context: &Context<'a>) -> &'a Loaders {
    context.data_unchecked()
}

/// A tenant that the viewer may see, with its figures where the query asks for them: one statement
/// instead of two. What keeps the figures from being read does not keep the tenant from being shown.
pub(super) async fn tenant_node(context: &Context<'_>, id: Uuid) -> Result<Option<TenantNode>, Fault> {
    let wanted = context.look_ahead();
    if wanted.field("stats").exists() || wanted.field("quota").exists() {
        match loaders(context).reading(id).await {
            Ok(reading) => return Ok(reading.map(TenantNode::from)),
            Err(fault) if fault.is_passing() => return Err(fault),
            Err(_) => {}
        }
    }
    Ok(loaders(context).tenant(id).await?.map(TenantNode::from))
}

/// Denies what the viewer may not do.
pub(super) fn require(context: &Context<'_>, action: Action, what: &str) -> Result<(), Fault> {
    if viewer(context).may(action) { Ok(()) } else { Err(Fault::forbidden(what)) }
}

/// The UUID of an argument.
pub(super) fn uuid(id: &ID, argument: &str) -> Result<Uuid, Fault> {
    Uuid::parse_str(id).map_err(|_| {
        Fault::new(
            Code::BadUserInput,
            format!("`{argument}` must be a UUID, such as 0198c3a4-7d2e-7b10-9c55-2f6a1e0b4d33"),
        )
    })
}
