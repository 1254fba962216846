//! The heart: reads the database's own foreign keys, makes a plan that covers every row a tenant
//! owns, and walks it. Only this part builds a `DELETE` of tenants' rows.

mod batch;
mod catalogue;
mod gap;
mod gone;
mod graph;
mod key;
mod plan;
mod shim;
mod stretch;
mod sweep;
mod walk;
mod way;

pub use batch::{Batch, Range, erase_batch, split};
pub use catalogue::TableName;
pub use gap::{Gap, GapKind};
pub(crate) use plan::hex;
pub use plan::{Plan, Step, StepKind};
pub use shim::*;
pub use sweep::{Sweep, delete_root, remaining, sweep};
pub use walk::{Erased, Erasure, Objects, count, erase, lock, objects, see_all};

use sea_orm::ConnectionTrait;

use crate::database;

/// Plans the erasure of a tenant from what the database looks like now, tables that the gateway has
/// never heard of included.
///
/// # Errors
///
/// [`database::Error`] when the catalogue cannot be read.
pub async fn plan<C: ConnectionTrait>(connection: &C, _: &Settings) -> Result<Plan, database::Error> {
    let catalogue = catalogue::read(connection).await?;
    let mut plan = graph::plan(&catalogue);
    walk::find_slow_paths(connection, &catalogue, &mut plan).await?;
    Ok(plan)
}
