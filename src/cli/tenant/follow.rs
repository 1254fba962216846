//! Works on a deletion in this process, or watches another that does, until it has ended.

use std::time::Duration;

use chrono::{DateTime, Utc};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Form,
    desk::{Desk, text},
    print,
};
use crate::{
    cli::{Failure, serve::until_signal},
    deletion::certificate,
};

/// Between two looks at a deletion.
const LOOK: Duration = Duration::from_millis(250);
/// The worker writes a certificate to storage right after the deletion has ended; it is waited for so long.
const STORING: Duration = Duration::from_secs(10);

/// A worker of this process, and the signal that interrupts the command.
pub(super) struct Hands {
    interrupted: CancellationToken,
    stop: CancellationToken,
    worker: JoinHandle<()>,
}

/// Asks for a deletion, works until it has ended or stopped, and reports.
pub(super) async fn see_through(
    desk: &Desk,
    asked: impl Future<Output = Result<Value, Failure>>,
    form: Form,
) -> Result<(), Failure> {
    let hands = Hands::begin(desk)?;
    let outcome = hands.unless_interrupted(async { hands.follow(desk, asked.await?).await }).await;
    hands.end().await?;
    report(&outcome?, form)
}

impl Hands {
    /// Starts the worker. From here on a signal interrupts cleanly.
    pub(super) fn begin(desk: &Desk) -> Result<Self, Failure> {
        let (interrupted, stop) = (until_signal()?, CancellationToken::new());
        let worker = tokio::spawn(desk.app.eraser().run(stop.clone()));
        Ok(Self { interrupted, stop, worker })
    }

    /// Does `work`, or fails as soon as a signal comes. What was asked of the API then goes on in a task of
    /// its own, until the worker stops.
    pub(super) async fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            outcome = work => outcome,
            () = self.interrupted.cancelled() => Err(interrupted()),
        }
    }

    /// Watches a deletion until it has ended or stopped, and its certificate is in storage.
    pub(super) async fn follow(&self, desk: &Desk, mut deletion: Value) -> Result<Value, Failure> {
        let id = text(&deletion["id"]);
        let bar = bar();
        while is_under_way(&deletion, desk.now()) {
            show(&bar, &deletion, desk.now());
            tokio::time::sleep(LOOK).await;
            if self.worker.is_finished() {
                return Err("the worker has ended by a fault; the log names it".into());
            }
            match desk.deletion_now(&id).await {
                Ok(now) => deletion = now,
                // The worker tries again by itself.
                Err(error) if error.code == "UNAVAILABLE" => bar.set_message(error.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        bar.finish_and_clear();
        if deletion["status"] == "DELETED" {
            self.wait_for_certificate(desk, &deletion).await?;
        }
        Ok(deletion)
    }

    /// Until the certificate is in storage, where the worker has one to write.
    async fn wait_for_certificate(&self, desk: &Desk, deletion: &Value) -> Result<(), Failure> {
        let ids = (text(&deletion["tenantId"]).parse::<Uuid>()?, text(&deletion["id"]).parse::<Uuid>()?);
        let key = certificate::storage_key(ids.0, ids.1);
        let stored = async {
            while !matches!(desk.app.erasing.storage.get(&key).await, Ok(Some(_))) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = stored => {}
            () = tokio::time::sleep(STORING) => {
                tracing::warn!(key, "the certificate is not in this storage; a `serve` writes it there");
            }
        }
        Ok(())
    }

    /// Stops the worker; what it has begun of other deletions is rolled back.
    pub(super) async fn end(self) -> Result<(), Failure> {
        self.stop.cancel();
        Ok(self.worker.await?)
    }
}

/// Whether somebody erases now: rows go, or are about to.
pub(super) fn is_under_way(deletion: &Value, now: DateTime<Utc>) -> bool {
    match deletion["status"].as_str() {
        Some("SCHEDULED") => instant(&deletion["scheduledFor"]).is_some_and(|begins| begins <= now),
        Some(status) => ["EXPORTING", "ERASING", "VERIFYING"].contains(&status),
        None => false,
    }
}

/// Prints how a deletion was left. One that is blocked is a failure.
pub(super) fn report(deletion: &Value, form: Form) -> Result<(), Failure> {
    let id = text(&deletion["id"]);
    form.show(deletion, || match deletion["status"].as_str() {
        Some("DELETED") => print::ended(deletion),
        Some("SCHEDULED") => format!(
            "deletion {id} begins at {}, in a `serve`; until then `tenant-gateway tenant cancel {id}` calls it off\n",
            text(&deletion["scheduledFor"])
        ),
        _ => print::deletion(deletion),
    });
    match deletion["status"].as_str() {
        Some("BLOCKED") => Err(blocked(deletion)),
        _ => Ok(()),
    }
}

/// Why a deletion is blocked, and what to do.
pub(super) fn blocked(deletion: &Value) -> Failure {
    let (id, block) = (text(&deletion["id"]), &deletion["block"]);
    let (code, message) = (text(&block["code"]), text(&block["message"]));
    let force = if code == "ACTIVE_SESSIONS" { " --force" } else { "" };
    format!("the deletion is blocked, {code}: {message}; then run `tenant-gateway tenant resume {id}{force}`")
        .into()
}

fn interrupted() -> Failure {
    "interrupted, with nothing half done: the deletion goes on in any `serve`, or with `tenant-gateway tenant delete` \
     or `tenant-gateway tenant resume` again"
        .into()
}

/// Hidden by itself where standard error is no terminal.
fn bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:20} {percent:>3}% {human_pos}/{human_len} rows  {wide_msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, deletion: &Value, now: DateTime<Utc>) {
    let progress = &deletion["progress"];
    let number = |field: &str| progress[field].as_u64().unwrap_or_default();
    bar.set_length(number("rowsPlanned").max(number("rowsErased")));
    bar.set_position(number("rowsErased"));
    let mut told = vec![text(&deletion["status"]).to_lowercase()];
    if let Some(rate) = progress["rowsPerSecond"].as_f64() {
        told.push(format!("{rate:.0}/s"));
    }
    if let Some(left) = instant(&progress["estimatedEndAt"]).and_then(|end| (end - now).to_std().ok()) {
        told.push(format!("{} left", HumanDuration(left)));
    }
    if number("objectsPlanned") > 0 {
        told.push(format!("{}/{} objects", number("objectsErased"), number("objectsPlanned")));
    }
    if let Some(message) = deletion["block"]["message"].as_str() {
        told.push(format!("waits: {message}"));
    }
    bar.set_message(told.join(", "));
}

fn instant(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str()?.parse().ok()
}
