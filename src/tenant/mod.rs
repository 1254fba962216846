//! Finds tenants, and changes their status.

mod list;
mod status;

pub use list::{Criteria, Error, OrderField};
pub use status::{Status, set_status};

use entity::tenants::COLUMNS;
use uuid::Uuid;

use crate::database::{self, Database, Sql};
pub use entity::tenants::Model as Tenant;

/// The tenants of these ids, in one statement and no order. Those that do not exist are missing.
///
/// # Errors
///
/// [`database::Error`].
pub async fn find(database: &Database, ids: &[Uuid]) -> Result<Vec<Tenant>, database::Error> {
    let mut sql = Sql::new(database.backend());
    let text = format!("SELECT {COLUMNS} FROM tenants t WHERE t.id {}", sql.bind_ids(ids));
    let rows = database.query_all(sql.statement(&text)).await?;
    Ok(rows.iter().map(Tenant::read).collect::<Result<_, _>>()?)
}
