//! Where deletions are asked for, called off and taken up again. Who erases is told, and works on.

use std::{pin::pin, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DatabaseTransaction;
use tokio::{sync::Notify, time::Instant};
use uuid::{NoContext, Timestamp, Uuid};

use super::{
    BlockCode, Deletion, Error, Refusal, Request, Status,
    certificate::FinalMonth,
    entry::{Entry, Patience, Strictness, lock_tenant, name_of},
    journal::{self, Change, New},
    places::Places,
    store,
};
use crate::{
    cascade,
    clock::Clock,
    database::{self, Database},
    faults, usage,
};

/// A request waits so long for its deletion to end: what is small is gone when it is answered.
const WAIT: Duration = Duration::from_secs(2);
/// Between two looks at a deletion that another process may have ended.
const LOOK: Duration = Duration::from_millis(250);
/// Longest name a caller may give a request.
const MAX_KEY_LENGTH: usize = 255;
/// Longest reason kept.
const MAX_REASON_LENGTH: usize = 2_000;
/// Longest grace period: ten years.
const MAX_GRACE: TimeDelta = TimeDelta::days(3_653);

/// Tells workers of this process that there is something to do, and who waits that something has ended.
#[derive(Clone, Debug, Default)]
pub struct Bell {
    pub(super) asked: Arc<Notify>,
    pub(super) ended: Arc<Notify>,
}

/// Takes requests to erase tenants. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Deletions {
    pub(super) entry: Entry,
    grace: TimeDelta,
    bell: Bell,
    places: Arc<Places>,
}

/// Why a deletion was neither called off nor taken up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unchanged {
    /// There is no such deletion.
    NotFound,
    /// Its status does not allow it.
    Refused,
    /// Others hold its record.
    Busy,
}

impl Deletions {
    /// `reader` tells which sessions and calls are active; `grace` is how long a deletion waits where its
    /// request does not say.
    #[must_use]
    pub fn new(
        database: Database,
        reader: usage::Reader,
        clock: Clock,
        cascade: cascade::Settings,
        grace: TimeDelta,
        bell: Bell,
    ) -> Self {
        Self {
            entry: Entry { database, reader, clock, cascade },
            grace,
            bell,
            places: Arc::new(Places::new()),
        }
    }

    /// Asks to erase a tenant for `subject`. Returns the deletion as it then stands: scheduled; or begun, and
    /// waited for a little, so that a small tenant is gone. Asking again returns the same deletion. Once
    /// begun it goes on by itself, whoever hangs up.
    ///
    /// # Errors
    ///
    /// [`Error`], with nothing changed.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn delete(&self, request: &Request, subject: &str) -> Result<Deletion, Error> {
        check(request)?;
        match self.ask(request, subject).await {
            Ok(deletion) => Ok(self.wait_for(deletion).await),
            Err(error) => Err(self.entry.explain(request.tenant, error).await),
        }
    }

    async fn ask(&self, request: &Request, subject: &str) -> Result<Deletion, Error> {
        let _turn = self.places.turn(request.tenant).await.ok_or(Refusal::Busy)?;
        let mut patience = Patience::new();
        loop {
            let place = self.places.take().await;
            let outcome = self.attempt(request, subject).await;
            drop(place);
            if let Some(outcome) = patience.settle(outcome).await {
                return outcome;
            }
        }
    }

    /// Waits until a deletion that is under way has ended or stopped, or [`WAIT`] is over.
    async fn wait_for(&self, mut deletion: Deletion) -> Deletion {
        let deadline = Instant::now() + WAIT;
        self.bell.asked.notify_one();
        while matches!(deletion.status, Status::Erasing | Status::Verifying) && Instant::now() < deadline {
            let mut ended = pin!(self.bell.ended.notified());
            // Before the look: what ends between the two is not missed.
            ended.as_mut().enable();
            match store::by_ids(&self.entry.database, &[deletion.id]).await {
                Ok(mut found) => deletion = found.pop().unwrap_or(deletion),
                // It has begun; how it stands can be asked later.
                Err(_) => break,
            }
            if matches!(deletion.status, Status::Erasing | Status::Verifying) {
                let _ = tokio::time::timeout_at(deadline.min(Instant::now() + LOOK), ended).await;
            }
        }
        deletion
    }

    async fn attempt(&self, request: &Request, subject: &str) -> Result<Deletion, Error> {
        let transaction = self.entry.begin().await?;
        if let Some(deletion) = repeated(&transaction, request, subject).await? {
            return Ok(deletion);
        }
        let newest = store::newest_of(&transaction, &[request.tenant]).await?.pop();
        let open = newest.filter(|deletion| Status::OPEN.contains(&deletion.status));
        let grace = request.grace_seconds.map_or(self.grace, |seconds| TimeDelta::seconds(seconds.into()));
        let is_immediate = grace <= TimeDelta::zero();
        let name = if open.is_some() {
            name_of(&transaction, request.tenant).await?
        } else {
            let activity_matters = is_immediate && !request.force;
            let strictness = if activity_matters { Strictness::Writers } else { Strictness::Row };
            lock_tenant(&transaction, request.tenant, strictness).await?
        };
        match (name, open) {
            (Some(name), _) if name != request.confirm_name => {
                return Err(Refusal::ConfirmationMismatch.into());
            }
            (_, Some(open)) => return Ok(open),
            (None, None) => {
                // Read again: it may have ended while the lock was waited for.
                let newest = store::newest_of(&transaction, &[request.tenant]).await?.pop();
                return newest.ok_or(Refusal::TenantNotFound.into());
            }
            (Some(_), None) => {}
        }
        faults::point("request.locked");
        let plan = self.entry.settled_plan(&transaction, request.tenant).await?;
        if request.plan_digest.as_ref().is_some_and(|seen| *seen != plan.digest()) {
            return Err(Refusal::PlanChanged.into());
        }
        let now = self.entry.now();
        let mut deletion = new(request, subject, &plan.digest(), now, now + grace);
        let usage = if is_immediate {
            deletion.status = Status::Erasing;
            deletion.started_at = Some(now);
            self.entry.mark(&transaction, request.tenant, request.force).await?
        } else {
            None
        };
        faults::point("request.marked");
        self.write_down(&transaction, request, &deletion, usage.as_ref()).await?;
        faults::point("request.recorded");
        transaction.commit().await.map_err(database::Error::from)?;
        faults::point("request.committed");
        tracing::info!(
            tenant = %request.tenant, deletion = %deletion.id, status = deletion.status.word(), "asked to erase a tenant"
        );
        Ok(deletion)
    }

    async fn write_down(
        &self,
        transaction: &DatabaseTransaction,
        request: &Request,
        deletion: &Deletion,
        usage: Option<&FinalMonth>,
    ) -> Result<(), database::Error> {
        let digest = request.digest();
        let new = New {
            deletion,
            idempotency_key: request.idempotency_key.as_deref(),
            input_digest: request.idempotency_key.as_ref().map(|_| digest.as_str()),
        };
        journal::insert(transaction, &new).await?;
        faults::point("request.inserted");
        if let Some(started_at) = deletion.started_at {
            begun(transaction, deletion.id, started_at, usage, &[Status::Erasing]).await?;
        }
        Ok(())
    }

    /// Calls off a deletion that has not begun to erase. The tenant stays as it is.
    ///
    /// # Errors
    ///
    /// [`database::Error`]. Refusals are in the result.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn cancel(
        &self,
        deletion: Uuid,
        reason: Option<&str>,
    ) -> Result<Result<Deletion, Unchanged>, database::Error> {
        busy(self.try_cancel(deletion, reason).await)
    }

    async fn try_cancel(
        &self,
        deletion: Uuid,
        reason: Option<&str>,
    ) -> Result<Result<Deletion, Unchanged>, database::Error> {
        let Some(found) = self.find(deletion).await? else { return Ok(Err(Unchanged::NotFound)) };
        if !found.is_cancelable() {
            return Ok(Err(Unchanged::Refused));
        }
        let transaction = self.entry.begin().await?;
        let change = Change::new(&transaction)
            .into_status(Status::Canceled)
            .at("canceled_at", self.entry.now())
            .set("cancel_reason", reason.map(str::to_owned))
            .while_like(&found);
        // The condition is looked at again under the row's lock: erasing may have begun meanwhile.
        let canceled = change.apply(&transaction, deletion, &[found.status]).await?;
        transaction.commit().await?;
        self.bell.ended.notify_waiters();
        let now = self.find(deletion).await?;
        Ok(now.filter(|_| canceled).ok_or(Unchanged::Refused))
    }

    /// Takes up a blocked deletion. `force`: although sessions or calls are active, or with another storage.
    ///
    /// # Errors
    ///
    /// [`database::Error`]. Refusals are in the result.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn resume(
        &self,
        deletion: Uuid,
        force: bool,
    ) -> Result<Result<Deletion, Unchanged>, database::Error> {
        busy(self.try_resume(deletion, force).await)
    }

    async fn try_resume(
        &self,
        deletion: Uuid,
        force: bool,
    ) -> Result<Result<Deletion, Unchanged>, database::Error> {
        let Some(found) = self.find(deletion).await? else { return Ok(Err(Unchanged::NotFound)) };
        let Some(block) = found.block.as_ref().filter(|_| found.status == Status::Blocked) else {
            return Ok(Err(Unchanged::Refused));
        };
        let transaction = self.entry.begin().await?;
        let mut change = Change::new(&transaction).into_status(block.during).while_like(&found);
        if force && block.code == BlockCode::OtherStorage {
            change = change.set("storage_address", "");
        } else if force {
            change = change.set("is_forced", true);
        }
        let resumed = change.apply(&transaction, deletion, &[Status::Blocked]).await?;
        transaction.commit().await?;
        self.bell.asked.notify_one();
        let now = self.find(deletion).await?;
        Ok(now.filter(|_| resumed).ok_or(Unchanged::Refused))
    }

    async fn find(&self, deletion: Uuid) -> Result<Option<Deletion>, database::Error> {
        Ok(store::by_ids(&self.entry.database, &[deletion]).await?.pop())
    }
}

fn busy<T>(
    outcome: Result<Result<T, Unchanged>, database::Error>,
) -> Result<Result<T, Unchanged>, database::Error> {
    match outcome {
        Err(database::Error::Contention(_)) => Ok(Err(Unchanged::Busy)),
        outcome => outcome,
    }
}

/// Erasing has begun, unless the deletion is in none of these states any more.
pub(super) async fn begun(
    transaction: &DatabaseTransaction,
    deletion: Uuid,
    at: DateTime<Utc>,
    usage: Option<&FinalMonth>,
    among: &[Status],
) -> Result<bool, database::Error> {
    let usage = usage.and_then(|usage| serde_json::to_string(usage).ok());
    Change::new(transaction)
        .into_status(Status::Erasing)
        .at("started_at", at)
        .set("final_usage", usage)
        .apply(transaction, deletion, among)
        .await
}

fn new(
    request: &Request,
    subject: &str,
    plan_digest: &str,
    requested_at: DateTime<Utc>,
    scheduled_for: DateTime<Utc>,
) -> Deletion {
    Deletion {
        id: new_id(requested_at),
        tenant: request.tenant,
        status: Status::Scheduled,
        reason: request.reason.clone(),
        requested_by: subject.to_owned(),
        requested_at,
        is_forced: request.force,
        is_export_requested: false,
        started_at: None,
        finished_at: None,
        scheduled_for,
        block: None,
        plan_digest: plan_digest.to_owned(),
        steps_done: 0,
        attempts: 0,
        objects_planned: 0,
        objects_erased: 0,
        bytes_erased: 0,
        storage: None,
        replay_of: request.replay_of,
        certificate: None,
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
        Some(seconds) if TimeDelta::seconds(seconds.into()) > MAX_GRACE => {
            return invalid("graceSeconds", "graceSeconds must be at most ten years");
        }
        _ => {}
    }
    if request.idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > MAX_KEY_LENGTH) {
        return invalid("idempotencyKey", "idempotencyKey must have from 1 to 255 bytes");
    }
    check_text("reason", request.reason.as_deref())?;
    if request.idempotency_key.as_ref().is_some_and(|key| key.contains('\0')) {
        return invalid("idempotencyKey", "idempotencyKey must not contain a NUL");
    }
    Ok(())
}

/// Whether a text can be kept.
///
/// # Errors
///
/// [`Refusal::InvalidInput`].
pub fn check_text(field: &'static str, text: Option<&str>) -> Result<(), Refusal> {
    let invalid = |message: String| Err(Refusal::InvalidInput { field, message });
    if text.is_some_and(|text| text.contains('\0')) {
        return invalid(format!("{field} must not contain a NUL"));
    }
    if text.is_some_and(|text| text.chars().count() > MAX_REASON_LENGTH) {
        return invalid(format!("{field} must have at most {MAX_REASON_LENGTH} characters"));
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

/// A version 7 UUID of that instant: ids made later sort later.
fn new_id(instant: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(instant.timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, instant.timestamp_subsec_nanos()))
}
