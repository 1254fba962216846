//! Differences that are not yet in the sums: the triggers of PostgreSQL append them, a worker folds them.

use sea_orm::entity::prelude::*;

/// One difference. It has no foreign key, so that appending it waits for nobody.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_deltas")]
pub struct Model {
    /// The customer organisation whose calls these are.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// Unique within the tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Start of the quarter-hour that it belongs to.
    pub starts_at: DateTimeUtc,
    /// How many calls.
    pub calls: i32,
    /// Seconds, over calls that have a duration.
    pub duration_sum: i64,
    /// Calls that have a duration.
    pub duration_count: i32,
    /// Millionths of a score, over scored calls.
    pub score_sum: i64,
    /// Calls that have a score.
    pub score_count: i32,
    /// Cents, over all calls.
    pub cost_cents: i64,
}

impl ActiveModelBehavior for ActiveModel {}
