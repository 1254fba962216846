//! Erases a tenant in one transaction, and keeps the record in the same one.

use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use tokio::sync::Semaphore;
use uuid::{NoContext, Timestamp, Uuid};

use super::{
    Deletion, Refusal, Request, Status, TableProgress,
    store::{self, Remembered},
};
use crate::{
    cascade::{self, Erased, Erasure, Plan},
    clock::Clock,
    database::{self, Database, Sql},
    usage,
};

/// A transaction that others were in the way of is tried so many times in all.
const ATTEMPTS: u32 = 3;
/// Wait before the second attempt; doubled before each later one.
const BACKOFF: Duration = Duration::from_millis(100);
/// After so long no further attempt is begun: the caller is told that others are in the way.
const PATIENCE: Duration = Duration::from_secs(3);
/// Erasures at the same time in this process: the rest of the connections are for readers.
const SIDE_BY_SIDE: usize = 2;
/// How long a statement waits for another transaction's lock.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '3s'";
/// Longest name a caller may give a request.
const MAX_KEY_LENGTH: usize = 255;
/// Longest reason kept.
const MAX_REASON_LENGTH: usize = 2_000;

/// Why a deletion neither happened nor was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Refused, with nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database did not answer; nothing was changed.
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Erases tenants.
#[derive(Debug)]
pub struct Eraser {
    database: Database,
    reader: usage::Reader,
    clock: Clock,
    places: Semaphore,
}

impl Eraser {
    /// `reader` tells which sessions and calls are active.
    #[must_use]
    pub fn new(database: Database, reader: usage::Reader, clock: Clock) -> Self {
        Self { database, reader, clock, places: Semaphore::new(SIDE_BY_SIDE) }
    }

    /// Erases a tenant for `subject`. When this returns a deletion, it is done; asking again returns
    /// the same one. Dropping the future before rolls everything back.
    ///
    /// # Errors
    ///
    /// [`Error`], with nothing changed.
    pub async fn delete(&self, request: &Request, subject: &str) -> Result<Deletion, Error> {
        check(request)?;
        // Never closed, so always had.
        let _place = self.places.acquire().await;
        let (mut wait, begun) = (BACKOFF, Instant::now());
        for attempt in 1..=ATTEMPTS {
            match self.explained(self.attempt(request, subject).await).await {
                // Rows that remain may have appeared behind the walk: the next one finds them.
                Err(
                    Error::Database(database::Error::Contention(_) | database::Error::Duplicate(_))
                    | Error::Refused(Refusal::RowsKept { .. }),
                ) if attempt < ATTEMPTS && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Err(Error::Database(database::Error::Contention(reason))) => {
                    tracing::warn!(tenant = %request.tenant, reason, "gave up erasing: others were in the way");
                    return Err(Refusal::Busy.into());
                }
                outcome => return outcome,
            }
        }
        Err(Refusal::Busy.into())
    }

    /// What the database refused because of a gap is told as the gap: a tenant's row, or a record, that
    /// the gateway may not see keeps an attempt from getting as far as its plan.
    async fn explained(&self, outcome: Result<Deletion, Error>) -> Result<Deletion, Error> {
        let Err(Error::Database(database::Error::Refused(reason))) = &outcome else { return outcome };
        tracing::warn!(reason, "the database refused a deletion; looking for a gap that explains it");
        let snapshot = self.database.snapshot().await?;
        let gap = incomplete(&cascade::plan(&snapshot, &cascade::Settings::default()).await?);
        gap.map_or(outcome, |refusal| Err(refusal.into()))
    }

    async fn attempt(&self, request: &Request, subject: &str) -> Result<Deletion, Error> {
        let transaction = self.database.begin().await?;
        if self.database.backend() == DbBackend::Postgres {
            transaction.execute_unprepared(LOCK_TIMEOUT).await.map_err(database::Error::from)?;
        }
        cascade::see_all(&transaction).await?;
        if let Some(deletion) = repeated(&transaction, request, subject).await? {
            return Ok(deletion);
        }
        match lock_tenant(&transaction, request.tenant).await? {
            Some(name) if name == request.confirm_name => {}
            Some(_) => return Err(Refusal::ConfirmationMismatch.into()),
            None => {
                let known = store::newest_of(&transaction, &[request.tenant]).await?;
                return known.into_iter().next().ok_or(Refusal::TenantNotFound.into());
            }
        }
        let plan = settled_plan(&transaction, request).await?;
        // After the lock: a session whose insert was in flight has been seen, or will be refused.
        let (sessions, calls) = self.reader.activity(&transaction, request.tenant).await?;
        if !request.force && (sessions > 0 || calls > 0) {
            return Err(Refusal::ActiveSessions { sessions, calls }.into());
        }
        let deletion = self.carry_out(&transaction, &plan, request, subject).await?;
        transaction.commit().await.map_err(database::Error::from)?;
        tracing::info!(tenant = %request.tenant, deletion = %deletion.id, "erased a tenant");
        Ok(deletion)
    }

    /// The present instant as the record keeps it: told now and read later, it is the same.
    fn now(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }

    async fn carry_out(
        &self,
        transaction: &DatabaseTransaction,
        plan: &Plan,
        request: &Request,
        subject: &str,
    ) -> Result<Deletion, Error> {
        let started_at = self.now();
        let objects = cascade::objects(transaction, plan, request.tenant).await?;
        let planned = cascade::count(transaction, plan, request.tenant).await?;
        mark(transaction, request.tenant).await?;
        let erased = match cascade::erase(transaction, plan, request.tenant, &planned).await? {
            Erasure::Done(erased) => erased,
            Erasure::Kept(table) => return Err(Refusal::RowsKept { table: table.to_string() }.into()),
        };
        let deletion = Deletion {
            id: new_id(started_at),
            tenant: request.tenant,
            status: Status::Deleted,
            reason: request.reason.clone(),
            requested_by: subject.to_owned(),
            requested_at: started_at,
            is_forced: request.force,
            is_export_requested: false,
            started_at: Some(started_at),
            finished_at: Some(self.now()),
            objects_planned: objects.count,
        };
        let progress = |Erased { table, planned, erased }: Erased| TableProgress {
            name: table.to_string(),
            rows_planned: planned,
            rows_erased: erased,
        };
        let tables: Vec<_> = erased.into_iter().map(progress).collect();
        let digest = request.digest();
        let remembered = Remembered {
            plan_digest: &plan.digest(),
            bytes_planned: objects.bytes,
            idempotency_key: request.idempotency_key.as_deref(),
            input_digest: request.idempotency_key.as_ref().map(|_| digest.as_str()),
        };
        store::insert(transaction, &deletion, &remembered, &tables).await?;
        Ok(deletion)
    }
}

/// What can be refused without asking the database.
fn check(request: &Request) -> Result<(), Refusal> {
    let invalid = |field, message: &str| Err(Refusal::InvalidInput { field, message: message.to_owned() });
    if request.export == Some(true) {
        return Err(Refusal::ExportUnavailable);
    }
    match request.grace_seconds {
        Some(seconds) if seconds < 0 => return invalid("graceSeconds", "graceSeconds must be 0 or more"),
        Some(seconds) if seconds > 0 => {
            return invalid(
                "graceSeconds",
                "this gateway erases at once and cannot wait; pass 0, or leave it out",
            );
        }
        _ => {}
    }
    if request.idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > MAX_KEY_LENGTH) {
        return invalid("idempotencyKey", "idempotencyKey must have from 1 to 255 bytes");
    }
    let texts = [("reason", &request.reason), ("idempotencyKey", &request.idempotency_key)];
    for (field, text) in texts {
        if text.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(Refusal::InvalidInput { field, message: format!("{field} must not contain a NUL") });
        }
    }
    if request.reason.as_ref().is_some_and(|reason| reason.chars().count() > MAX_REASON_LENGTH) {
        return invalid("reason", "reason must have at most 2000 characters");
    }
    Ok(())
}

/// The deletion that this very request made before, if it did.
async fn repeated(
    transaction: &DatabaseTransaction,
    request: &Request,
    subject: &str,
) -> Result<Option<Deletion>, Error> {
    let Some(key) = &request.idempotency_key else { return Ok(None) };
    match store::by_idempotency_key(transaction, subject, key).await? {
        Some((deletion, digest)) if digest.as_deref() == Some(&request.digest()) => Ok(Some(deletion)),
        Some(_) => Err(Refusal::IdempotencyKeyReused.into()),
        None => Ok(None),
    }
}

/// Locks the tenant's row, so that no row can come to refer to it any more. Returns its name.
async fn lock_tenant(
    transaction: &DatabaseTransaction,
    tenant: Uuid,
) -> Result<Option<String>, database::Error> {
    let backend = transaction.get_database_backend();
    let mut sql = Sql::new(backend);
    // On SQLite the transaction is the only writer from its first statement on.
    let lock = if backend == DbBackend::Postgres { "FOR UPDATE" } else { "" };
    let text = format!("SELECT name FROM tenants WHERE id = {} {lock}", sql.bind(tenant.into()));
    let row = transaction.query_one_raw(sql.statement(&text)).await?;
    Ok(row.map(|row| row.try_get_by("name")).transpose()?)
}

/// From here on the statistics of the tenant are no longer kept: its sums go too.
async fn mark(transaction: &DatabaseTransaction, tenant: Uuid) -> Result<(), database::Error> {
    let mut sql = Sql::new(transaction.get_database_backend());
    let text = format!("UPDATE tenants SET status = 'deleting' WHERE id = {}", sql.bind(tenant.into()));
    transaction.execute_raw(sql.statement(&text)).await?;
    Ok(())
}

/// The plan, when it has no gap, is the one the caller has seen and cannot change any more.
async fn settled_plan(transaction: &DatabaseTransaction, request: &Request) -> Result<Plan, Error> {
    let plan = cascade::plan(transaction, &cascade::Settings::default()).await?;
    if let Some(refusal) = incomplete(&plan) {
        return Err(refusal.into());
    }
    let digest = plan.digest();
    if request.plan_digest.as_ref().is_some_and(|seen| *seen != digest) {
        return Err(Refusal::PlanChanged.into());
    }
    cascade::lock(transaction, &plan).await?;
    let locked = cascade::plan(transaction, &cascade::Settings::default()).await?;
    if locked.digest() != digest || !locked.gaps.is_empty() {
        return Err(
            database::Error::Contention("a table changed while the plan was locked".to_owned()).into()
        );
    }
    Ok(locked)
}

/// The refusal of a plan that has a gap.
fn incomplete(plan: &Plan) -> Option<Refusal> {
    let gap = plan.gaps.first()?;
    let first = format!("{}: {}", gap.table, gap.reason());
    Some(Refusal::PlanIncomplete { count: plan.gaps.len(), first })
}

/// A version 7 UUID of that instant: ids made later sort later.
fn new_id(instant: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(instant.timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, instant.timestamp_subsec_nanos()))
}
