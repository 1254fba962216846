//! A believable platform, generated from a seed: tenants of very different sizes with months of calls,
//! and the objects that their recordings and files name.
//!
//! One seed and one instant make the same rows, ids included, on either database. Nothing lies after
//! that instant. `tenants` decides who there is, `story` turns each of them into rows, `load` takes the
//! rows to the database (`copy` on PostgreSQL, `insert` on SQLite), `objects` fills the storage.

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
use tokio::task::JoinError;
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
    /// This seed has been here before.
    #[error("the database already holds {0}, made from the same seed; use another seed or an empty database")]
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

/// Fills a migrated database and the storage behind it. `progress` first counts calls, then objects;
/// its length is set here.
///
/// Rows come before objects, so a run that is cut short may leave rows whose objects are missing.
///
/// # Errors
///
/// [`SeedError::AlreadyThere`] and [`SeedError::TooLong`] with nothing changed; the others may leave
/// whole tenants behind.
pub async fn fill(
    database: &Database,
    storage: &Storage,
    shape: &Shape,
    now: DateTime<Utc>,
    progress: &ProgressBar,
) -> Result<Summary, SeedError> {
    // PostgreSQL keeps no more, and both databases are to hold the same.
    let now = now.trunc_subsecs(6);
    let begun = Instant::now();
    let outlines = tenants::outlines(shape, now)?;
    refuse_same_seed(database, &outlines).await?;

    progress.set_length(outlines.iter().map(|outline| outline.calls).sum());
    let work = load::Work::new(outlines, shape.seed, now, progress.clone());
    let ledger = match database.backend() {
        DbBackend::Sqlite => load::load::<insert::Insert>(database, Arc::new(work)).await?,
        _ => load::load::<copy::Copy>(database, Arc::new(work)).await?,
    };
    let rows_seconds = begun.elapsed().as_secs_f64();
    tracing::info!(seconds = rows_seconds, rows = ledger.rows(), "loaded the platform's rows");

    let begun = Instant::now();
    let mut summary = Summary { rows_seconds, ..ledger.summary() };
    progress.reset();
    progress.set_length(summary.objects);
    objects::write(storage, ledger.objects, progress).await?;
    summary.objects_seconds = begun.elapsed().as_secs_f64();
    tracing::info!(
        seconds = summary.objects_seconds,
        objects = summary.objects,
        "wrote the platform's objects"
    );
    Ok(summary)
}

/// The seed alone decides the chance in a tenant's id, whenever it is used, so a tenant with the same
/// chance was made from the same seed.
async fn refuse_same_seed(database: &Database, outlines: &[tenants::Outline]) -> Result<(), SeedError> {
    let there: Vec<Uuid> = entity::tenants::Entity::find()
        .select_only()
        .column(entity::tenants::Column::Id)
        .into_tuple()
        .all(&database.connection)
        .await
        .map_err(database::Error::from)?;
    let there: HashSet<_> = there.iter().map(chance).collect();
    match outlines.iter().find(|outline| there.contains(&chance(&outline.id))) {
        Some(outline) => Err(SeedError::AlreadyThere(outline.name.clone())),
        None => Ok(()),
    }
}

/// The part of an id that is not its time.
fn chance(id: &Uuid) -> u64 {
    id.as_u64_pair().1
}
