//! Who erases: in every process, for every deletion that is due, one process at a time for each.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use tokio::{
    sync::Notify,
    task::{Id, JoinSet},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use uuid::Uuid;

use super::{
    Bell, Block, Deletion, Limits, Status,
    certificate::Signer,
    entry::Entry,
    erasure::{Erasure, Outcome, Turn},
    journal,
    obstacle::Obstacle,
    pace::Traffic,
    store,
    storing::Storing,
};
use crate::{
    cascade,
    clock::Clock,
    database::{self, Database, Lease},
    faults,
    metrics::DeletionMetrics,
    storage::Storage,
    usage,
};

/// How long a lease lasts without a heartbeat.
const TERM: TimeDelta = TimeDelta::seconds(10);
/// Between two heartbeats.
const BEAT: Duration = Duration::from_secs(3);
/// Between two looks for deletions that were asked for elsewhere.
const LOOK: Duration = Duration::from_secs(1);
/// A deletion gives its place to another that waits after so long.
const TURN: Duration = Duration::from_secs(5);
/// Deletions that this process works on at the same time; their batches take turns.
const SIDE_BY_SIDE: usize = 8;
/// Pause after the first failed attempt; doubled after each later one, up to the longest.
const FIRST_PAUSE: TimeDelta = TimeDelta::milliseconds(200);
const LONGEST_PAUSE: TimeDelta = TimeDelta::seconds(60);
/// After so many failed attempts in a row, about half a minute, the deletion is told to be blocked. It is
/// tried again all the same where the obstacle may go away by itself.
const PATIENCE: u32 = 8;

/// What a worker needs.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Where the tenants are.
    pub database: Database,
    /// Reads the usage of a tenant's last month.
    pub reader: usage::Reader,
    /// Tells the time.
    pub clock: Clock,
    /// Which tables belong to a tenant where their keys do not say.
    pub cascade: cascade::Settings,
    /// Where the tenants' objects are, and certificates go.
    pub storage: Storage,
    /// Signs certificates.
    pub signer: Option<Arc<Signer>>,
    /// How large batches are, and how many.
    pub limits: Limits,
    /// Counts what operators see.
    pub metrics: DeletionMetrics,
}

/// Erases tenants whose deletion is due, until it is told to stop.
#[derive(Debug)]
pub struct Worker {
    tools: Tools,
    traffic: Arc<Traffic>,
    bell: Bell,
    /// A certificate waits to be stored.
    certified: Notify,
    holder: Uuid,
}

impl Worker {
    /// Each worker counts as a process of its own.
    #[must_use]
    pub fn new(tools: Tools, bell: Bell) -> Self {
        let traffic = Arc::new(Traffic::new(tools.database.clone(), tools.limits));
        Self { tools, traffic, bell, certified: Notify::new(), holder: Uuid::new_v4() }
    }

    /// Works until `shutdown`. A batch that is under way then is rolled back, and done again by whoever
    /// comes next.
    pub async fn run(self, shutdown: CancellationToken) {
        let worker = Arc::new(self);
        // Beside the turns: storage that is slow to take certificates holds up nobody.
        let beside = async { tokio::join!(worker.look_around(), worker.store_certificates()) };
        tokio::join!(worker.take_turns(&shutdown), shutdown.run_until_cancelled(beside));
    }

    async fn take_turns(self: &Arc<Self>, shutdown: &CancellationToken) {
        let mut turns = Turns::default();
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.bell.asked.notified() => {}
                _ = ticks.tick() => {}
                Some(ended) = turns.tasks.join_next_with_id() => {
                    turns.over(match ended {
                        Ok((task, ())) => task,
                        Err(error) => {
                            tracing::error!(%error, "a deletion's turn ended in a fault of the gateway");
                            error.id()
                        }
                    });
                    self.bell.ended.notify_waiters();
                }
            }
            if let Err(error) = self.begin_turns(&mut turns, shutdown).await {
                tracing::warn!(%error, "could not look for deletions; trying again");
            }
        }
        while turns.tasks.join_next().await.is_some() {}
    }

    /// Looks who else uses the database, for ever.
    async fn look_around(&self) {
        loop {
            if let Err(error) = self.traffic.look().await {
                tracing::debug!(%error, "could not see who else is at work");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Writes the certificates of ended deletions to object storage, those that are not there yet, for ever.
    async fn store_certificates(&self) {
        let mut storing = Storing::default();
        loop {
            match storing.round(&self.tools).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "could not look for certificates to store; trying again");
                }
            }
            let _ = tokio::time::timeout(LOOK, self.certified.notified()).await;
        }
    }

    /// Begins a turn of each deletion that is due, as far as there are places.
    async fn begin_turns(
        self: &Arc<Self>,
        turns: &mut Turns,
        shutdown: &CancellationToken,
    ) -> Result<(), database::Error> {
        let due =
            journal::due(&self.tools.database.connection, self.tools.clock.now(), LONGEST_PAUSE * 2).await?;
        let waiting = turns.waiting(&due);
        turns
            .others_wait
            .store(waiting.len() > SIDE_BY_SIDE.saturating_sub(turns.running.len()), Ordering::Relaxed);
        for id in waiting {
            if turns.running.len() >= SIDE_BY_SIDE {
                break;
            }
            let Some(lease) = self.lease(id).await? else { continue };
            let (worker, others_wait) = (self.clone(), turns.others_wait.clone());
            let stop = shutdown.child_token();
            let task = turns
                .tasks
                .spawn(async move { worker.turn(id, lease, Turn::new(TURN, others_wait), stop).await });
            turns.running.insert(task.id(), id);
        }
        Ok(())
    }

    async fn lease(&self, deletion: Uuid) -> Result<Option<Lease>, database::Error> {
        let name = format!("deletion {deletion}");
        Lease::take(&self.tools.database.connection, &name, self.holder, TERM).await
    }

    /// One deletion's turn: to its end, to an obstacle, or until others have waited for long.
    async fn turn(&self, id: Uuid, lease: Lease, turn: Turn, stop: CancellationToken) {
        faults::point("turn.leased");
        // It stops with the turn, however that ends: a lease that is kept and not worked under is nobody's turn.
        let heart = tokio::spawn(beat(self.tools.database.clone(), lease.clone(), stop.clone()));
        let heart = AbortOnDropHandle::new(heart);
        let outcome = stop.run_until_cancelled(self.work(id, &lease, &turn)).await;
        drop(heart);
        let is_over = matches!(outcome, Some(Ok(Outcome::Ended)));
        match outcome {
            Some(Ok(Outcome::Ended)) => {
                tracing::info!(deletion = %id, "a deletion has ended");
                self.certified.notify_one();
            }
            Some(Ok(Outcome::Paused)) | None => {}
            Some(Err(Obstacle::LeaseLost)) => {
                tracing::info!(deletion = %id, "another process has taken over");
            }
            Some(Err(obstacle)) => self.hinder(id, &lease, obstacle).await,
        }
        // Nobody need wait until it runs out; of one that is over nothing is left.
        let connection = &self.tools.database.connection;
        let given_back =
            if is_over { lease.end(connection).await.map(drop) } else { lease.give_back(connection).await };
        if let Err(error) = given_back {
            tracing::debug!(%error, "a lease was not given back; it runs out by itself");
        }
    }

    async fn work(&self, id: Uuid, lease: &Lease, turn: &Turn) -> Result<Outcome, Obstacle> {
        let Some(deletion) = store::by_ids(&self.tools.database, &[id]).await?.pop() else {
            return Ok(Outcome::Paused);
        };
        let tools = &self.tools;
        let entry = Entry {
            database: tools.database.clone(),
            reader: tools.reader.clone(),
            clock: tools.clock.clone(),
            cascade: tools.cascade.clone(),
        };
        Erasure::new(tools, &self.traffic, entry, lease, deletion).run(turn).await
    }

    /// Writes down what is in the way, and when it is tried again.
    async fn hinder(&self, id: Uuid, lease: &Lease, obstacle: Obstacle) {
        tracing::warn!(deletion = %id, ?obstacle, "a deletion has met an obstacle");
        self.tools.metrics.obstacles.inc();
        let written = async {
            let transaction = self.tools.database.begin().await?;
            let now = self.tools.clock.now();
            let Some(deletion) = store::by_ids(&self.tools.database, &[id]).await?.pop() else {
                return Ok(());
            };
            if lease.holds(&transaction).await? {
                let block = Block {
                    code: obstacle.code(),
                    message: obstacle.to_string(),
                    during: block_during(&deletion),
                    since: deletion.block.as_ref().map_or(now, |block| block.since),
                };
                // A whole turn of writing against the eraser says that the next one would be the same.
                let is_lasting = obstacle.is_lasting();
                let attempts = if is_lasting { PATIENCE } else { deletion.attempts + 1 };
                let pause = if is_lasting { LONGEST_PAUSE } else { pause(attempts) };
                let retry_at = obstacle.is_passing().then(|| now + pause);
                let is_stopped = !obstacle.is_passing() || attempts >= PATIENCE;
                journal::hinder(&transaction, &deletion, &block, is_stopped, retry_at).await?;
            }
            faults::point("obstacle.recorded");
            transaction.commit().await?;
            faults::point("obstacle.committed");
            Ok::<_, database::Error>(())
        };
        if let Err(error) = written.await {
            tracing::warn!(deletion = %id, %error, "the obstacle could not be written down");
        }
    }
}

fn block_during(deletion: &Deletion) -> Status {
    match (&deletion.block, deletion.status) {
        (Some(block), Status::Blocked) => block.during,
        (_, status) => status,
    }
}

/// How long to wait after so many failed attempts in a row.
pub(super) fn pause(attempts: u32) -> TimeDelta {
    let factor = 1_i32.checked_shl(attempts.saturating_sub(1).min(20)).unwrap_or(i32::MAX);
    FIRST_PAUSE.checked_mul(factor).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}

/// Renews a lease until it is lost, and stops the work then.
async fn beat(database: Database, lease: Lease, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match lease.renew(&database.connection, TERM).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::info!(lease = lease.name, "another process has taken over");
                return stop.cancel();
            }
            // Each batch finds out by itself whether it may commit.
            Err(error) => tracing::warn!(lease = lease.name, %error, "a heartbeat failed"),
        }
    }
}

/// The turns that are under way in this process.
#[derive(Debug, Default)]
struct Turns {
    tasks: JoinSet<()>,
    running: HashMap<Id, Uuid>,
    /// When each had its last turn: who waited longest comes first.
    last: HashMap<Uuid, Instant>,
    others_wait: Arc<AtomicBool>,
}

impl Turns {
    fn over(&mut self, task: Id) {
        if let Some(deletion) = self.running.remove(&task) {
            self.last.insert(deletion, Instant::now());
        }
    }

    /// Those of the due that have no turn, in the order in which they should get one.
    fn waiting(&mut self, due: &[Uuid]) -> Vec<Uuid> {
        self.last.retain(|id, _| due.contains(id));
        let mut waiting: Vec<_> =
            due.iter().copied().filter(|id| !self.running.values().any(|running| running == id)).collect();
        waiting.sort_by_key(|id| self.last.get(id).copied());
        waiting
    }
}
