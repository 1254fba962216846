//! Where the erasure of a table stands, so that it can go on from there.

use sea_orm::entity::prelude::*;

/// One stretch of keys of one table of one deletion's plan.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tenant_deletion_ranges")]
pub struct Model {
    /// The deletion.
    #[sea_orm(primary_key, auto_increment = false)]
    pub deletion_id: Uuid,
    /// The step of the plan.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    /// Tells the stretches of one step apart.
    #[sea_orm(primary_key, auto_increment = false)]
    pub lane: i32,
    /// Everything up to this key is erased; none: nothing yet.
    #[sea_orm(column_type = "Text", nullable)]
    pub after_key: Option<String>,
    /// The last key of the stretch; none: it is the table's last.
    #[sea_orm(column_type = "Text", nullable)]
    pub until_key: Option<String>,
    /// Goes with its deletion.
    #[sea_orm(belongs_to, from = "deletion_id", to = "id", on_delete = "Cascade")]
    pub deletion: BelongsTo<super::tenant_deletions::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
