//! What was said in calls.

use sea_orm::entity::prelude::*;

/// The transcript of a call.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "call_transcripts")]
pub struct Model {
    /// The customer organisation that owns the row.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// Unique within the tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The call.
    pub call_id: Uuid,
    /// BCP 47 tag of the language spoken.
    #[sea_orm(column_type = "Text")]
    pub language: String,
    /// The words.
    #[sea_orm(column_type = "Text")]
    pub content: String,
    /// When the row was made.
    pub created_at: DateTimeUtc,
    /// Goes with its tenant.
    #[sea_orm(belongs_to, from = "tenant_id", to = "id", on_delete = "Cascade")]
    pub tenant: BelongsTo<super::tenants::Entity>,
    /// Goes with its call.
    #[sea_orm(belongs_to, from = "(tenant_id, call_id)", to = "(tenant_id, id)", on_delete = "Cascade")]
    pub call: BelongsTo<super::calls::Entity>,
}

impl ActiveModelBehavior for ActiveModel {}
