//! Which process does a piece of work that only one should do.

use sea_orm::entity::prelude::*;

/// One piece of work and its present holder.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "gateway_leases")]
pub struct Model {
    /// The work.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub name: String,
    /// The process that holds it.
    pub holder: Uuid,
    /// Fencing token: grows whenever the holder changes.
    pub token: i64,
    /// When it may be taken over.
    pub expires_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
