//! Finds tenants, and changes their status.

mod list;
mod status;

pub use list::{Criteria, Error, OrderField};
pub use status::{Status, set_status};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::database::{self, Database};
pub use entity::tenants::Model as Tenant;

/// The tenants of these ids, in one statement and no order. Those that do not exist are missing.
///
/// # Errors
///
/// [`database::Error`].
pub async fn find(database: &Database, ids: &[Uuid]) -> Result<Vec<Tenant>, database::Error> {
    let column = entity::tenants::Column::Id;
    Ok(entity::tenants::Entity::find()
        .filter(column.is_in(ids.iter().copied()))
        .all(&database.connection)
        .await?)
}
