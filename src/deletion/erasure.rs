//! One deletion's work, phase by phase: the grace period's end, rows with their objects beside them, and the
//! closing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::future::try_join;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::{
    Deletion, Refusal, Status, Tools, closing, deletions,
    entry::{self, Entry, Patience, Strictness},
    journal::{self, Change},
    log, objects,
    obstacle::Obstacle,
    pace::{Size, Traffic},
    rows,
};
use crate::{
    cascade::{self, Plan, Step},
    database::{self, Lease},
    faults,
};

/// A batch neither waits nor works for long. What the server loses of it in a crash is done again.
const BATCH: &str = "SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '2s'; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL synchronous_commit = off";
/// Rows are read in the order of an index. A plan made for a table that was thought to be small would read and
/// sort all that is left of it for every batch.
const IN_ORDER: &str = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off";

/// So often in one turn erasing begins anew.
const MOST_REOPENED: u32 = 5;
/// Rows that remain are counted up to so many.
const MANY: i64 = 1_000;

/// How long a deletion may keep its place.
#[derive(Debug)]
pub(super) struct Turn {
    begun: Instant,
    length: Duration,
    others_wait: Arc<AtomicBool>,
}

impl Turn {
    pub(super) fn new(length: Duration, others_wait: Arc<AtomicBool>) -> Self {
        Self { begun: Instant::now(), length, others_wait }
    }

    pub(super) fn is_over(&self) -> bool {
        self.others_wait.load(Ordering::Relaxed) && self.begun.elapsed() > self.length
    }
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The deletion has ended.
    Ended,
    /// There is more to do.
    Paused,
}

/// Where the rows stand; the objects' side follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// More may come.
    Going,
    /// All are erased.
    Gone,
    /// Others have their turn.
    Paused,
}

/// A deletion in the hands of this process.
pub(super) struct Erasure<'a> {
    pub(super) tools: &'a Tools,
    pub(super) entry: Entry,
    pub(super) lease: &'a Lease,
    pub(super) deletion: Deletion,
    pub(super) traffic: &'a Traffic,
    pub(super) size: Size,
    /// How often the schema had changed when the plan was made from it; see [`cascade::schema_version`].
    schema_version: Option<i64>,
    /// Whether the record still shows an obstacle.
    pub(super) is_hindered: AtomicBool,
    /// Whether the record still counts attempts that failed.
    has_failed: AtomicBool,
    /// How often rows that came in late were a reason to erase again.
    reopened: AtomicU32,
}

impl<'a> Erasure<'a> {
    pub(super) fn new(
        tools: &'a Tools,
        traffic: &'a Traffic,
        entry: Entry,
        lease: &'a Lease,
        deletion: Deletion,
    ) -> Self {
        let is_hindered = AtomicBool::new(deletion.block.is_some());
        let has_failed = AtomicBool::new(deletion.attempts > 0);
        Self {
            tools,
            entry,
            lease,
            deletion,
            traffic,
            size: Size::new(&tools.limits),
            schema_version: None,
            is_hindered,
            has_failed,
            reopened: AtomicU32::new(0),
        }
    }

    /// Works until the deletion has ended, or the turn is over.
    pub(super) async fn run(mut self, turn: &Turn) -> Result<Outcome, Obstacle> {
        objects::settle_storage(&self).await?;
        loop {
            match self.phase() {
                Status::Scheduled => self.enter().await?,
                Status::Exporting | Status::Erasing => {
                    if self.erase(turn).await? == Rows::Paused {
                        return Ok(Outcome::Paused);
                    }
                    self.verify().await?;
                }
                Status::Verifying => match closing::close(&self).await? {
                    closing::Closing::Closed => return Ok(Outcome::Ended),
                    closing::Closing::Again => self.erase_anew().await?,
                },
                Status::Deleted | Status::Canceled | Status::Blocked => return Ok(Outcome::Ended),
            }
        }
    }

    /// What to do next; what is blocked goes on where it stopped.
    pub(super) fn phase(&self) -> Status {
        match (self.deletion.status, &self.deletion.block) {
            (Status::Blocked, Some(block)) => block.during,
            (status, _) => status,
        }
    }

    /// Ends a grace period.
    async fn enter(&mut self) -> Result<(), Obstacle> {
        let (tenant, now) = (self.deletion.tenant, self.entry.now());
        let mut patience = Patience::new();
        let outcome = loop {
            let outcome = self.try_enter(now).await;
            if let Some(outcome) = patience.settle(outcome).await {
                break outcome;
            }
        };
        match outcome {
            Ok(true) => {
                faults::point("entry.committed");
                self.is_hindered.store(false, Ordering::Relaxed);
                (self.deletion.status, self.deletion.block) = (Status::Erasing, None);
                self.deletion.started_at = Some(now);
                Ok(())
            }
            Ok(false) => Err(Obstacle::LeaseLost),
            Err(error) => Err(self.entry.explain(tenant, error).await.into()),
        }
    }

    /// Whether it was stepped into; not when it was called off meanwhile, or taken over.
    async fn try_enter(&self, now: DateTime<Utc>) -> Result<bool, entry::Error> {
        let (tenant, is_forced) = (self.deletion.tenant, self.deletion.is_forced);
        let transaction = self.entry.begin().await?;
        let strictness = if is_forced { Strictness::Row } else { Strictness::Writers };
        if entry::lock_tenant(&transaction, tenant, strictness).await?.is_none() {
            // Somebody else has deleted it: there is nothing of which to prove that it was erased here.
            return Err(Refusal::TenantNotFound.into());
        }
        faults::point("entry.locked");
        self.entry.settled_plan(&transaction, tenant).await?;
        let usage = self.entry.mark(&transaction, tenant, is_forced).await?;
        faults::point("entry.marked");
        let among = [self.deletion.status];
        let begun = deletions::begun(&transaction, self.deletion.id, now, usage.as_ref(), &among).await?;
        faults::point("entry.recorded");
        if begun && self.lease.holds(&transaction).await? {
            transaction.commit().await.map_err(database::Error::from)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Rows have gone: what failed before is no reason to give up any more.
    pub(super) async fn progress(&self, transaction: &DatabaseTransaction) -> Result<(), Obstacle> {
        if self.has_failed.swap(false, Ordering::Relaxed) {
            let change = Change::new(transaction).set("attempts", 0);
            change.apply(transaction, self.deletion.id, &Status::OPEN).await?;
        }
        Ok(())
    }

    /// On to the proof.
    async fn verify(&mut self) -> Result<(), Obstacle> {
        let transaction = self.begin().await?;
        let change = Change::new(&transaction).into_status(Status::Verifying);
        change.apply(&transaction, self.deletion.id, &Status::OPEN).await?;
        self.has_become(transaction, Status::Verifying).await
    }

    /// Back to the first step of the plan.
    async fn erase_anew(&mut self) -> Result<(), Obstacle> {
        let transaction = self.begin().await?;
        journal::forget_ranges(&transaction, self.deletion.id).await?;
        let change = Change::new(&transaction).back_to(Status::Erasing).set("steps_done", 0);
        change.apply(&transaction, self.deletion.id, &Status::OPEN).await?;
        self.deletion.steps_done = 0;
        self.has_become(transaction, Status::Erasing).await
    }

    async fn has_become(&mut self, transaction: DatabaseTransaction, status: Status) -> Result<(), Obstacle> {
        // The change has cleared what was in the way.
        self.is_hindered.store(false, Ordering::Relaxed);
        faults::point("phase.recorded");
        self.commit(transaction).await?;
        faults::point("phase.committed");
        (self.deletion.status, self.deletion.block) = (status, None);
        Ok(())
    }

    /// Erases rows and objects. Where a foreign key is in the way, rows have come in behind the batches, or a
    /// table has: it begins anew with the tables as they are then.
    async fn erase(&mut self, turn: &Turn) -> Result<Rows, Obstacle> {
        let mut left = None;
        loop {
            let plan = self.adopted_plan().await?;
            match self.erase_all(&plan, turn).await {
                Err(Obstacle::ForeignKey(reason)) => {
                    tracing::info!(deletion = %self.id(), reason, "a foreign key is in the way; erasing anew");
                    let connection = &self.tools.database.connection;
                    let remaining = cascade::remaining(connection, &plan, self.deletion.tenant, MANY).await?;
                    let is_unchanged = left.as_ref() == Some(&remaining);
                    match remaining.first() {
                        None if is_unchanged => return Err(Obstacle::ForeignKey(reason)),
                        Some((table, _)) if is_unchanged => {
                            return Err(Obstacle::RowsRemain(table.to_string()));
                        }
                        _ => left = Some(remaining),
                    }
                    self.reopen()?;
                    self.erase_anew().await?;
                }
                outcome => return outcome,
            }
        }
    }

    async fn erase_all(&self, plan: &Plan, turn: &Turn) -> Result<Rows, Obstacle> {
        let (told, hears) = watch::channel(Rows::Going);
        let erasing = async {
            let mut outcome = Rows::Gone;
            for done in self.deletion.steps_done..plan.order.len() {
                outcome = rows::erase(self, plan, done, turn).await?;
                if outcome == Rows::Paused {
                    break;
                }
            }
            told.send_replace(outcome);
            Ok(outcome)
        };
        let (rows, ()) = tokio::select! {
            outcome = try_join(erasing, objects::remove(self, hears)) => outcome?,
            never = log::keep_short(self) => match never {},
        };
        log::finish(self).await;
        Ok(rows)
    }

    /// The plan, written down with the rows counted for it when it is another than before.
    async fn adopted_plan(&mut self) -> Result<Plan, Obstacle> {
        let (tenant, id) = (self.deletion.tenant, self.deletion.id);
        let snapshot = self.tools.database.snapshot().await?;
        cascade::see_all(&snapshot).await?;
        let plan = self.entry.whole_plan(&snapshot, tenant).await?;
        self.schema_version = cascade::schema_version(&snapshot).await?;
        let digest = plan.digest();
        let is_known = digest == self.deletion.plan_digest && journal::has_tables(&snapshot, id).await?;
        if is_known {
            return Ok(plan);
        }
        let counted = cascade::count(&snapshot, &plan, tenant).await?;
        let objects = cascade::objects(&snapshot, &plan, tenant).await?;
        snapshot.commit().await?;
        faults::point("plan.counted");
        let transaction = self.begin().await?;
        journal::adopt(&transaction, id, &plan, &counted).await?;
        faults::point("plan.recorded");
        Change::new(&transaction)
            .set("plan_digest", digest.as_str())
            .set("steps_done", 0)
            .set("objects_planned", self.deletion.objects_erased + objects.count)
            .set("bytes_planned", self.deletion.bytes_erased + objects.bytes)
            .apply(&transaction, id, &Status::OPEN)
            .await?;
        self.commit(transaction).await?;
        faults::point("plan.adopted");
        (self.deletion.plan_digest, self.deletion.steps_done) = (digest, 0);
        Ok(plan)
    }

    /// A short transaction of this deletion.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, Obstacle> {
        self.settled(self.tools.database.begin_without_checkpoint().await?).await
    }

    /// One that erases rows of a step of the plan. Foreign keys are passed by only where the plan knows all of them:
    /// who has made a table meanwhile may refer to the rows from there.
    pub(super) async fn begin_batch(&self, step: &Step) -> Result<DatabaseTransaction, Obstacle> {
        if step.is_unreferred() {
            let transaction = self.settled(self.tools.database.begin_unreferred().await?).await?;
            if cascade::schema_version(&transaction).await? == self.schema_version {
                return Ok(transaction);
            }
            transaction.rollback().await?;
        }
        self.begin().await
    }

    async fn settled(&self, transaction: DatabaseTransaction) -> Result<DatabaseTransaction, Obstacle> {
        if self.tools.database.backend() == DbBackend::Postgres {
            transaction.execute_unprepared(&format!("{BATCH}; {IN_ORDER}")).await?;
        }
        cascade::see_all(&transaction).await?;
        Ok(transaction)
    }

    /// A snapshot that shares statements, hence their plans, with batches.
    pub(super) async fn snapshot(&self) -> Result<DatabaseTransaction, Obstacle> {
        let snapshot = self.tools.database.snapshot().await?;
        if self.tools.database.backend() == DbBackend::Postgres {
            snapshot.execute_unprepared(IN_ORDER).await?;
        }
        cascade::see_all(&snapshot).await?;
        Ok(snapshot)
    }

    /// Commits it, unless another process has taken over. What was in the way is no longer.
    pub(super) async fn commit(&self, transaction: DatabaseTransaction) -> Result<(), Obstacle> {
        let was_hindered = self.is_hindered.load(Ordering::Relaxed);
        if was_hindered {
            Change::new(&transaction)
                .back_to(self.phase())
                .apply(&transaction, self.deletion.id, &Status::OPEN)
                .await?;
        }
        if !self.lease.holds(&transaction).await? {
            return Err(Obstacle::LeaseLost);
        }
        transaction.commit().await?;
        self.traffic.done();
        if was_hindered {
            self.is_hindered.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Erasing is to begin anew: a few times in one turn, then writers are in the way.
    pub(super) fn reopen(&self) -> Result<(), Obstacle> {
        let is_often = self.reopened.fetch_add(1, Ordering::Relaxed) >= MOST_REOPENED;
        if is_often { Err(Obstacle::Flooded) } else { Ok(()) }
    }

    pub(super) fn id(&self) -> Uuid {
        self.deletion.id
    }
}
