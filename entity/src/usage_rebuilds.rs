//! Tenants whose sums are not built yet: their figures come from their calls.

use sea_orm::entity::prelude::*;

/// One tenant that waits for its sums, or whose sums are being built.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_rebuilds")]
pub struct Model {
    /// The customer organisation whose calls these are.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// Start of the first day that is still to be built; none before the first step.
    pub next_at: Option<DateTimeUtc>,
    /// Goes with its tenant.
    #[sea_orm(belongs_to, from = "tenant_id", to = "id", on_delete = "Cascade")]
    pub tenant: BelongsTo<super::tenants::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
