//! The outbox of a deletion: objects whose rows are erased and that are still to be removed from storage.
//! Without a foreign key: checking it would cost more than erasing the rows.

use sea_orm::entity::prelude::*;

/// One object.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tenant_deletion_objects")]
pub struct Model {
    /// The deletion.
    #[sea_orm(primary_key, auto_increment = false)]
    pub deletion_id: Uuid,
    /// Its key in object storage, as the erased row named it.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub storage_key: String,
    /// Its size, as the erased row said.
    pub size_bytes: i64,
}

impl ActiveModelBehavior for ActiveModel {}
