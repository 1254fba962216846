//! `Viewer`: who asks.

use async_graphql::{Context, Enum, ID, Object};

use super::{request::tenant_node, scalar::DateTime, tenant::TenantNode};
use crate::auth;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum Role {
    /// Everything.
    Admin,
    /// To read every tenant.
    Support,
    /// To read one tenant.
    Tenant,
}

/// Who asks: what the request's token says.
#[derive(Clone, Debug)]
pub struct Viewer(pub(super) auth::Viewer);

impl Viewer {
    fn own_tenant(&self) -> Option<uuid::Uuid> {
        match self.0.role {
            auth::Role::Tenant(tenant) => Some(tenant),
            auth::Role::Admin | auth::Role::Support => None,
        }
    }
}

/// Who asks: what the request's token says.
#[Object]
impl Viewer {
    /// A person or a program, by the name its issuer gave it.
    async fn subject(&self) -> &str {
        &self.0.subject
    }

    /// What the token allows.
    async fn role(&self) -> Role {
        match self.0.role {
            auth::Role::Admin => Role::Admin,
            auth::Role::Support => Role::Support,
            auth::Role::Tenant(_) => Role::Tenant,
        }
    }

    /// The one tenant that the token is for. Null for admins and support.
    async fn tenant_id(&self) -> Option<ID> {
        self.own_tenant().map(ID::from)
    }

    /// The one tenant that the token is for. Null for admins and support, and when it no longer
    /// exists.
    async fn tenant(&self, context: &Context<'_>) -> Option<async_graphql::Result<TenantNode>> {
        match tenant_node(context, self.own_tenant()?).await {
            Ok(tenant) => Some(Ok(tenant?)),
            Err(fault) => Some(Err(fault.into())),
        }
    }

    /// When the token ends.
    async fn expires_at(&self) -> DateTime {
        DateTime(self.0.expires_at)
    }
}
