//! The step into erasing: from here on the tenant's rows go, and nobody adds any.

use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use uuid::Uuid;

use super::{Refusal, certificate::FinalMonth};
use crate::{
    cascade::{self, Plan},
    clock::Clock,
    database::{self, Database, Sql},
    usage,
};

/// How long a statement waits for another transaction's lock, and how long it works.
const TIMEOUTS: &str = "SET LOCAL lock_timeout = '3s'; SET LOCAL statement_timeout = '30s'; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// Work that others were in the way of is tried so many times in all.
const ATTEMPTS: u32 = 3;
/// Wait before the second attempt; doubled before each later one.
const BACKOFF: Duration = Duration::from_millis(100);
/// After so long no further attempt is begun: the caller is told that others are in the way.
const PATIENCE: Duration = Duration::from_secs(3);

/// How strictly a tenant's row is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Waits for every transaction that has inserted a row of the tenant, so that what it inserted is seen
    /// afterwards.
    Writers,
    /// Waits for nobody but who changes the row itself.
    Row,
}

/// Why it was not stepped into.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Refused, with nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database did not answer; nothing was changed.
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// What the step needs.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) database: Database,
    pub(super) reader: usage::Reader,
    pub(super) clock: Clock,
    pub(super) cascade: cascade::Settings,
}

impl Entry {
    /// The present instant as a record keeps it: told now and read later, it is the same.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }

    /// A transaction that sees every row or fails, and neither waits nor works for long.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, database::Error> {
        let transaction = self.database.begin().await?;
        if self.database.backend() == DbBackend::Postgres {
            transaction.execute_unprepared(TIMEOUTS).await?;
        }
        cascade::see_all(&transaction).await?;
        Ok(transaction)
    }

    /// The plan, when it has no gap for this tenant. Until the transaction ends no table of it can change.
    pub(super) async fn settled_plan(
        &self,
        transaction: &DatabaseTransaction,
        tenant: Uuid,
    ) -> Result<Plan, Error> {
        let plan = match self.whole_plan(transaction, tenant).await {
            // Each statement sees what is there by then: a table that came between two of them looks like a gap.
            Err(Error::Refused(Refusal::PlanIncomplete { .. })) => {
                self.whole_plan(transaction, tenant).await?
            }
            plan => plan?,
        };
        cascade::lock(transaction, &plan).await?;
        let locked = cascade::plan(transaction, &self.cascade).await?;
        if locked.digest() != plan.digest() || !locked.gaps.is_empty() {
            let reason = "a table changed while the plan was locked".to_owned();
            return Err(database::Error::Contention(reason).into());
        }
        Ok(locked)
    }

    /// The plan, when it has no gap for this tenant.
    pub(super) async fn whole_plan<C: ConnectionTrait>(
        &self,
        connection: &C,
        tenant: Uuid,
    ) -> Result<Plan, Error> {
        let mut plan = cascade::plan(connection, &self.cascade).await?;
        if plan.gaps.is_empty() {
            plan.gaps = cascade::crossings(connection, &plan, tenant).await?;
        }
        match plan.gaps.first() {
            None => Ok(plan),
            Some(gap) => {
                let first = format!("{}: {}", gap.table, gap.reason());
                Err(Refusal::PlanIncomplete { count: plan.gaps.len(), first }.into())
            }
        }
    }

    /// Marks the tenant, whose row is locked, unless it is active. Returns the usage of its last month.
    pub(super) async fn mark(
        &self,
        transaction: &DatabaseTransaction,
        tenant: Uuid,
        force: bool,
    ) -> Result<Option<FinalMonth>, Error> {
        if !force {
            // After the lock: a session whose insert was in flight has been seen, or will be refused.
            let (sessions, calls) = self.reader.activity(transaction, tenant).await?;
            if sessions > 0 || calls > 0 {
                return Err(Refusal::ActiveSessions { sessions, calls }.into());
            }
        }
        let usage = self.final_month(tenant).await?;
        let mut sql = Sql::new(transaction.get_database_backend());
        let (now, tenant) = (sql.bind_instant(self.now()), sql.bind(tenant.into()));
        let text = format!("UPDATE tenants SET status = 'deleting', updated_at = {now} WHERE id = {tenant}");
        transaction.execute_raw(sql.statement(&text)).await.map_err(database::Error::from)?;
        Ok(usage)
    }

    /// None where the figures cannot be told: that does not keep a tenant. What may pass is tried again.
    async fn final_month(&self, tenant: Uuid) -> Result<Option<FinalMonth>, database::Error> {
        use database::Error::{Contention, Unavailable};
        let read = match self.reader.read(&[tenant]).await {
            Ok(mut readings) => readings.remove(&tenant).and_then(|reading| reading.stats),
            Err(usage::Error::Database(error @ (Contention(_) | Unavailable(_)))) => return Err(error),
            Err(error) => {
                tracing::warn!(%tenant, %error, "the last month's usage cannot be read; the certificate is without");
                None
            }
        };
        Ok(read.map(|stats| FinalMonth {
            month: stats.zone.date(stats.month.start).format("%Y-%m").to_string(),
            time_zone: stats.zone.name().to_owned(),
            calls: stats.figures.calls,
            total_duration_seconds: stats.figures.duration_sum,
            usage_cents: stats.figures.cost_cents,
        }))
    }

    /// What the database refused because of a gap is told as the gap: a row that the gateway may not see
    /// keeps an attempt from getting as far as its plan.
    pub(super) async fn explain(&self, tenant: Uuid, error: Error) -> Error {
        let Error::Database(database::Error::Refused(reason) | database::Error::Denied(reason)) = &error
        else {
            return error;
        };
        tracing::warn!(reason, "the database refused a deletion; looking for a gap that explains it");
        let Ok(snapshot) = self.database.snapshot().await else { return error };
        match self.whole_plan(&snapshot, tenant).await {
            Err(Error::Refused(refusal)) => refusal.into(),
            _ => error,
        }
    }
}

/// Locks the tenant's row. Returns its name.
pub(super) async fn lock_tenant(
    transaction: &DatabaseTransaction,
    tenant: Uuid,
    strictness: Strictness,
) -> Result<Option<String>, database::Error> {
    let backend = transaction.get_database_backend();
    let mut sql = Sql::new(backend);
    let lock = match (backend, strictness) {
        // The transaction is the only writer from its first statement on.
        (DbBackend::Sqlite, _) => "",
        (_, Strictness::Writers) => "FOR UPDATE",
        (_, Strictness::Row) => "FOR NO KEY UPDATE",
    };
    let text = format!("SELECT name FROM tenants WHERE id = {} {lock}", sql.bind(tenant.into()));
    let row = transaction.query_one_raw(sql.statement(&text)).await?;
    Ok(row.map(|row| row.try_get_by("name")).transpose()?)
}

/// The tenant's name, as it is now.
pub(super) async fn name_of(
    transaction: &DatabaseTransaction,
    tenant: Uuid,
) -> Result<Option<String>, database::Error> {
    let mut sql = Sql::new(transaction.get_database_backend());
    let text = format!("SELECT name FROM tenants WHERE id = {}", sql.bind(tenant.into()));
    let row = transaction.query_one_raw(sql.statement(&text)).await?;
    Ok(row.map(|row| row.try_get_by("name")).transpose()?)
}

/// How often and how long work is tried that others may be in the way of.
#[derive(Debug)]
pub(super) struct Patience {
    attempts: u32,
    begun: Instant,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { attempts: 0, begun: Instant::now() }
    }

    /// What to do after an attempt: waits and returns nothing where it should be made again. In the end
    /// what others were in the way of is refused as busy.
    pub(super) async fn settle<T>(&mut self, outcome: Result<T, Error>) -> Option<Result<T, Error>> {
        use database::Error as Cause;
        self.attempts += 1;
        match outcome {
            Err(Error::Database(Cause::Contention(_) | Cause::Duplicate(_) | Cause::Changed(_)))
                if self.attempts < ATTEMPTS && self.begun.elapsed() < PATIENCE =>
            {
                tokio::time::sleep(BACKOFF * (1 << (self.attempts - 1))).await;
                None
            }
            Err(Error::Database(Cause::Contention(reason))) => {
                tracing::warn!(reason, "gave up: others were in the way");
                Some(Err(Refusal::Busy.into()))
            }
            outcome => Some(outcome),
        }
    }
}
