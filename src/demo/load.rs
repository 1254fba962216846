//! Takes tenants' rows to a database: generated on one thread, written on another, a batch or two
//! between them. A transaction holds one large tenant, or several small ones, always whole.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chrono::{DateTime, Utc};
use indicatif::ProgressBar;
use sea_orm::EntityTrait;
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::{self, JoinSet},
};

use super::{
    SeedError,
    rows::{self, Rows, Visit},
    story::Story,
    tenants::Outline,
};
use crate::database::Database;

/// Calls in one batch, at least, where there are more to come. With all that belongs to them they take
/// some five megabytes; a smaller batch spends its time on statements.
const BATCH: usize = 8_000;

/// Most tenants in one transaction.
const COMPANY: usize = 100;

/// Batches generated ahead of the database.
const AHEAD: usize = 1;

/// One connection that writes tenants, one after another.
pub(super) trait Sink: Sized + Send + 'static {
    /// Connections that can write at the same time.
    const WRITERS: usize;

    /// A statement with its rows, ready to be sent.
    type Statement: Send + 'static;

    /// Takes a connection for itself.
    fn open(database: &Database) -> impl Future<Output = Result<Self, SeedError>> + Send;

    /// Turns rows into statements, in the order of their tables. Runs on the generator's thread.
    fn encode(rows: &Rows) -> Result<Vec<Self::Statement>, SeedError>;

    /// Writes all steps in one transaction, which is committed only when the last has come.
    fn write(&mut self, steps: Steps<Self::Statement>) -> impl Future<Output = Result<(), SeedError>> + Send;

    /// Leaves the connection as it was.
    fn close(self) -> impl Future<Output = Result<(), SeedError>> + Send;

    /// Tells the database's planner what has come, once all writers are done.
    fn settle(database: &Database, tables: &[&str]) -> impl Future<Output = Result<(), SeedError>> + Send;
}

/// What is to be loaded, shared by the writers.
pub(super) struct Work {
    /// Tenants that share a transaction.
    groups: Vec<Vec<Outline>>,
    /// The next group that nobody has taken.
    next: AtomicUsize,
    seed: u64,
    now: DateTime<Utc>,
    progress: ProgressBar,
}

impl Work {
    pub(super) fn new(outlines: Vec<Outline>, seed: u64, now: DateTime<Utc>, progress: ProgressBar) -> Self {
        let mut groups: Vec<Vec<Outline>> = Vec::new();
        for outline in outlines {
            match groups.last_mut().filter(|group| has_room(group)) {
                Some(group) => group.push(outline),
                None => groups.push(vec![outline]),
            }
        }
        Self { groups, next: AtomicUsize::new(0), seed, now, progress }
    }

    fn take(&self) -> Option<impl Iterator<Item = Rows> + Send + use<>> {
        let group = self.groups.get(self.next.fetch_add(1, Ordering::Relaxed))?.clone();
        let (seed, now) = (self.seed, self.now);
        Some(group.into_iter().flat_map(move |outline| Story::new(outline, seed, now)))
    }
}

/// Whether another tenant may share the group's transaction.
fn has_room(group: &[Outline]) -> bool {
    group.len() < COMPANY && group.iter().map(|outline| outline.calls).sum::<u64>() < BATCH as u64
}

/// A group's statements on their way from the generator to the database.
pub(super) struct Steps<S> {
    received: Receiver<Step<S>>,
    progress: ProgressBar,
    calls: u64,
}

enum Step<S> {
    Rows {
        statements: Vec<S>,
        calls: u64,
    },
    /// The group is complete. Without this a generator that failed would pass for one that is done.
    Done,
}

impl<S> Steps<S> {
    /// The next statements; none when the group is complete.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<S>>, SeedError> {
        // Asking for more means that the former ones have been written.
        self.progress.inc(std::mem::take(&mut self.calls));
        match self.received.recv().await {
            Some(Step::Rows { statements, calls }) => {
                self.calls = calls;
                Ok(Some(statements))
            }
            Some(Step::Done) => Ok(None),
            None => Err(SeedError::Interrupted("the rows ended early".to_owned())),
        }
    }
}

/// Loads everything, and returns what that was.
pub(super) async fn load<S: Sink>(database: &Database, work: Arc<Work>) -> Result<Ledger, SeedError> {
    let mut writers = JoinSet::new();
    for _ in 0..S::WRITERS {
        let (database, work) = (database.clone(), Arc::clone(&work));
        writers.spawn(async move { load_some::<S>(&database, &work).await });
    }
    let mut total = Ledger::default();
    total.count(&Rows::default())?;
    while let Some(writer) = writers.join_next().await {
        total.add(writer??);
    }
    let tables: Vec<_> = total.tables.iter().map(|(table, _)| *table).collect();
    S::settle(database, &tables).await?;
    Ok(total)
}

/// Loads groups until none is left.
async fn load_some<S: Sink>(database: &Database, work: &Work) -> Result<Ledger, SeedError> {
    let mut sink = S::open(database).await?;
    let mut total = Ledger::default();
    while let Some(parts) = work.take() {
        let (sender, received) = mpsc::channel(AHEAD);
        let generator = task::spawn_blocking(move || generate::<S>(parts, &sender));
        let written = sink.write(Steps { received, progress: work.progress.clone(), calls: 0 }).await;
        // A generator that failed knows the reason, where the writer has only missed the end.
        let ledger = generator.await??;
        written?;
        total.add(ledger);
    }
    sink.close().await?;
    Ok(total)
}

/// Sends what the parts hold, in batches.
fn generate<S: Sink>(
    parts: impl Iterator<Item = Rows>,
    sender: &Sender<Step<S::Statement>>,
) -> Result<Ledger, SeedError> {
    let mut ledger = Ledger::default();
    let mut parts = parts.peekable();
    let mut batch = Rows::default();
    while let Some(part) = parts.next() {
        batch.append(part);
        if batch.calls.len() >= BATCH || parts.peek().is_none() {
            let rows = std::mem::take(&mut batch);
            ledger.count(&rows)?;
            let step = Step::Rows { statements: S::encode(&rows)?, calls: rows.calls.len() as u64 };
            if sender.blocking_send(step).is_err() {
                // The writer has given up, and tells why itself.
                return Ok(ledger);
            }
        }
    }
    let _ = sender.blocking_send(Step::Done);
    Ok(ledger)
}

/// What has been loaded.
#[derive(Default)]
pub(super) struct Ledger {
    /// Each table with its new rows, parents first.
    pub(super) tables: Vec<(&'static str, u64)>,
}

impl Ledger {
    fn count(&mut self, rows: &Rows) -> Result<(), SeedError> {
        let mut counted = Counted::default();
        rows.walk(&mut counted)?;
        self.add(Self { tables: counted.0 });
        Ok(())
    }

    fn add(&mut self, other: Self) {
        if self.tables.is_empty() {
            self.tables = other.tables;
        } else {
            for ((_, count), (_, more)) in self.tables.iter_mut().zip(other.tables) {
                *count += more;
            }
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.tables.iter().map(|(_, count)| count).sum()
    }
}

/// The tables with their rows, in the order of the walk.
#[derive(Default)]
struct Counted(Vec<(&'static str, u64)>);

impl Visit for Counted {
    fn table<E: EntityTrait>(&mut self, rows: &[E::Model]) -> Result<(), SeedError> {
        self.0.push((rows::table_name::<E>(), rows.len() as u64));
        Ok(())
    }
}
