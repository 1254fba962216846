//! The heart: reads the database's own foreign keys, makes a plan that covers every row a tenant
//! owns, and walks it. Only this part builds a `DELETE` of tenants' rows.

mod batch;
mod blocks;
mod catalogue;
mod circle;
mod doubt;
mod estimate;
mod gap;
mod gone;
mod graph;
mod holes;
mod key;
mod late;
mod plan;
mod settings;
mod stretch;
mod sweep;
mod together;
mod walk;
mod way;
mod work;

pub use batch::{Batch, Range, erase_batch, split};
pub use catalogue::TableName;
pub use doubt::crossings;
pub use estimate::{Counted, estimate, estimate_objects};
pub use gap::{Gap, GapKind};
pub(crate) use plan::hex;
pub use plan::{Plan, Step, StepKind};
pub use settings::{Settings, SettingsError};
pub use sweep::{Sweep, delete_root, remaining, sweep};
pub use walk::{Objects, count, keep_writers_out, lock, objects, schema_version, see_all};

use sea_orm::ConnectionTrait;

use crate::database;

/// Plans the erasure of a tenant from what the database looks like now, tables that the gateway has
/// never heard of included. `settings` say how to treat those that no foreign key binds to a tenant.
///
/// # Errors
///
/// [`database::Error`] when the catalogue cannot be read.
pub async fn plan<C: ConnectionTrait>(connection: &C, settings: &Settings) -> Result<Plan, database::Error> {
    let catalogue = catalogue::read(connection).await?;
    let mut plan = graph::plan(&catalogue, settings);
    walk::find_slow_paths(connection, &catalogue, &mut plan).await?;
    Ok(plan)
}
