//! A bearer token becomes a [`Viewer`]; the one place that says who may see or do what.

mod key_set;
mod keys;
mod token;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use key_set::KeySetSource;
pub use keys::{Authenticator, KeyError, Keys};
pub use token::{Claims, NotAuthentic, RoleClaim, mint};

/// Who asks, and with which right. Made from a verified token only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The token's `sub`: a person or a program.
    pub subject: String,
    /// What the viewer may do at all.
    pub role: Role,
    /// When the token ends.
    pub expires_at: DateTime<Utc>,
}

/// What a viewer may do at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// Reads every tenant.
    Support,
    /// Reads this one tenant.
    Tenant(Uuid),
}

/// Something that not everybody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// See a tenant, its figures and its deletions.
    ReadTenant(Uuid),
    /// See what a deletion would erase.
    PreviewDeletion,
    /// Erase a tenant, or call that off.
    DeleteTenant,
    /// Make a tenant active, inactive or suspended.
    SetTenantStatus,
}

/// Which tenants a viewer's lists may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visible {
    /// Every tenant.
    All,
    /// This one only.
    Only(Uuid),
}

impl Viewer {
    /// Whether the viewer may do `action`. What is not allowed here is denied.
    #[must_use]
    pub fn may(&self, action: Action) -> bool {
        match (self.role, action) {
            (Role::Admin, _) | (Role::Support, Action::ReadTenant(_)) => true,
            (Role::Tenant(own), Action::ReadTenant(tenant)) => own == tenant,
            (
                Role::Support | Role::Tenant(_),
                Action::PreviewDeletion | Action::DeleteTenant | Action::SetTenantStatus,
            ) => false,
        }
    }

    /// Which tenants the viewer's lists may show.
    #[must_use]
    pub fn visible(&self) -> Visible {
        match self.role {
            Role::Admin | Role::Support => Visible::All,
            Role::Tenant(own) => Visible::Only(own),
        }
    }
}

impl Visible {
    /// Whether `tenant` is among them.
    #[must_use]
    pub fn includes(self, tenant: Uuid) -> bool {
        match self {
            Self::All => true,
            Self::Only(own) => own == tenant,
        }
    }
}
