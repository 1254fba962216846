//! How many rows of each table a deletion planned and erased.

use sea_orm::entity::prelude::*;

/// One table of one deletion's plan.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tenant_deletion_tables")]
pub struct Model {
    /// The deletion.
    #[sea_orm(primary_key, auto_increment = false)]
    pub deletion_id: Uuid,
    /// Position in the plan: children come before their parents.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    /// The table, as the plan names it.
    #[sea_orm(column_type = "Text")]
    pub table_name: String,
    /// Rows found when erasing began.
    pub rows_planned: i64,
    /// Rows erased.
    pub rows_erased: i64,
    /// Goes with its deletion.
    #[sea_orm(belongs_to, from = "deletion_id", to = "id", on_delete = "Cascade")]
    pub deletion: BelongsTo<super::tenant_deletions::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
