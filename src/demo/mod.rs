//! A believable platform, generated from a seed: tenants of very different sizes with months of calls,
//! and the objects that their recordings and files name.
//!
//! One seed and one instant make the same rows, ids included, on either database. Nothing lies after
//! that instant. `tenants` decides who there is, `story` turns each of them into rows, `objects` fills the
//! storage, then `load` takes the rows to the database (`copy` on PostgreSQL, `insert` on SQLite).

mod calls;
mod cast;
mod copy;
mod dice;
mod founding;
mod insert;
mod load;
mod objects;
mod rhythm;
mod rows;
mod speech;
mod story;
mod tenants;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc, time::Instant};

use chrono::{DateTime, SubsecRound, Utc};
use indicatif::ProgressBar;
use sea_orm::{DbBackend, EntityTrait, QuerySelect};
use thiserror::Error as ThisError;
use tokio::task::{self, JoinError};
use uuid::Uuid;

use crate::{
    database::{self, Database},
    storage::{self, Storage},
};

/// What to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many tenants.
    pub tenants: u32,
    /// Calls of a tenant in a month, on average; the largest has many times as many.
    pub calls: u32,
    /// Months of history, up to now.
    pub months: u32,
    /// Decides everything else.
    pub seed: u64,
}

/// What was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Each table with its new rows, parents first.
    pub tables: Vec<(&'static str, u64)>,
    /// New objects in storage.
    pub objects: u64,
    /// Their bytes.
    pub object_bytes: u64,
    /// How long the rows took, with bringing the database's own statistics up to date.
    pub rows_seconds: f64,
    /// How long the objects took.
    pub objects_seconds: f64,
}

/// Why a platform was not made, or not all of it. A tenant's rows are there all or not at all.
#[derive(Debug, ThisError)]
pub enum SeedError {
    /// This seed has been here before, and came to its end.
    #[error(
        "every tenant of this seed, {0} the first, is in this database or was deleted from it; \
         use another seed or an empty database"
    )]
    AlreadyThere(String),
    /// The history would begin too early.
    #[error("the history must not reach back beyond 2012: ask for fewer months")]
    TooLong,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// Object storage failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// A column has a type that cannot be loaded yet: a mistake in the program.
    #[error("column {column} of table {table} has a type that cannot be loaded")]
    Column {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A part of the work ended before it was done.
    #[error("generating the platform was interrupted: {0}")]
    Interrupted(String),
}

impl From<JoinError> for SeedError {
    fn from(error: JoinError) -> Self {
        Self::Interrupted(error.to_string())
    }
}

/// A platform that is decided and not made yet.
#[derive(Debug)]
pub struct Platform {
    outlines: Vec<tenants::Outline>,
    seed: u64,
    now: DateTime<Utc>,
}

impl Platform {
    /// Decides who there will be. Looks at nothing and changes nothing.
    ///
    /// # Errors
    ///
    /// [`SeedError::TooLong`].
    pub fn plan(shape: &Shape, now: DateTime<Utc>) -> Result<Self, SeedError> {
        // PostgreSQL keeps no more, and both databases are to hold the same.
        let now = now.trunc_subsecs(6);
        Ok(Self { outlines: tenants::outlines(shape, now)?, seed: shape.seed, now })
    }

    /// Leaves out the tenants that an earlier run with the same seed has made, also those that were
    /// deleted since. What remains is what an interrupted run still owes. The database must have the
    /// tables.
    ///
    /// # Errors
    ///
    /// [`SeedError::AlreadyThere`] when nobody is left, with nothing changed.
    pub async fn without_present(mut self, database: &Database) -> Result<Self, SeedError> {
        // The seed alone decides the chance in a tenant's id, whenever it is used.
        let present: HashSet<_> = known_tenants(database).await?.iter().map(chance).collect();
        let first = self.outlines.first().map(|outline| outline.name.clone());
        self.outlines.retain(|outline| !present.contains(&chance(&outline.id)));
        match first {
            Some(first) if self.outlines.is_empty() => Err(SeedError::AlreadyThere(first)),
            _ => Ok(self),
        }
    }

    /// Makes it. `progress` first counts objects, then calls; its length is set here.
    ///
    /// Objects come before rows: a run that is cut short may leave objects without rows, which harm
    /// nobody, but no row without its object.
    ///
    /// # Errors
    ///
    /// [`SeedError`]. Whole tenants may have been made; the next run adds the others.
    pub async fn make(
        self,
        database: &Database,
        storage: &Storage,
        progress: &ProgressBar,
    ) -> Result<Summary, SeedError> {
        let Self { outlines, seed, now } = self;
        let begun = Instant::now();
        let named = outlines.clone();
        let objects = task::spawn_blocking(move || objects::of(named, seed, now)).await?;
        let (count, bytes) = (objects.len() as u64, objects.iter().map(objects::Object::size).sum());
        progress.set_length(count);
        objects::write(storage, objects, progress).await?;
        let objects_seconds = begun.elapsed().as_secs_f64();
        tracing::info!(seconds = objects_seconds, objects = count, "wrote the platform's objects");

        let begun = Instant::now();
        progress.reset();
        progress.set_length(outlines.iter().map(|outline| outline.calls).sum());
        let work = load::Work::new(outlines, seed, now, progress.clone());
        let ledger = match database.backend() {
            DbBackend::Sqlite => load::load::<insert::Insert>(database, Arc::new(work)).await?,
            _ => load::load::<copy::Copy>(database, Arc::new(work)).await?,
        };
        let rows_seconds = begun.elapsed().as_secs_f64();
        tracing::info!(seconds = rows_seconds, rows = ledger.rows(), "loaded the platform's rows");
        Ok(Summary {
            tables: ledger.tables,
            objects: count,
            object_bytes: bytes,
            rows_seconds,
            objects_seconds,
        })
    }
}

/// Fills a migrated database and the storage behind it with the tenants that are not there yet.
///
/// # Errors
///
/// As [`Platform::plan`], [`Platform::without_present`] and [`Platform::make`].
pub async fn fill(
    database: &Database,
    storage: &Storage,
    shape: &Shape,
    now: DateTime<Utc>,
    progress: &ProgressBar,
) -> Result<Summary, SeedError> {
    Platform::plan(shape, now)?.without_present(database).await?.make(database, storage, progress).await
}

/// Every tenant there is, or was until it was deleted.
async fn known_tenants(database: &Database) -> Result<Vec<Uuid>, database::Error> {
    let mut known: Vec<Uuid> = entity::tenants::Entity::find()
        .select_only()
        .column(entity::tenants::Column::Id)
        .into_tuple()
        .all(&database.connection)
        .await?;
    let deleted: Vec<Uuid> = entity::tenant_deletions::Entity::find()
        .select_only()
        .column(entity::tenant_deletions::Column::TenantId)
        .into_tuple()
        .all(&database.connection)
        .await?;
    known.extend(deleted);
    Ok(known)
}

/// The part of an id that is not its time.
fn chance(id: &Uuid) -> u64 {
    id.as_u64_pair().1
}
