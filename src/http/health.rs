//! `/healthz`, `/readyz` and `/metrics`.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};

use tokio::sync::Semaphore;

use super::Endpoints;
use crate::database::NotServable;

/// The rest is shown without what a database that does not answer by then would tell.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lookups for whoever asks without a token: so many at a time, and the others wait.
#[derive(Debug)]
pub struct Lookups {
    ready: Semaphore,
    metrics: Semaphore,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { ready: Semaphore::new(2), metrics: Semaphore::new(1) }
    }
}

/// The process runs.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// The database can be reached and has the schema that this program needs.
pub(super) async fn ready(State(endpoints): State<Arc<Endpoints>>) -> (StatusCode, &'static str) {
    if endpoints.ending.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the gateway stops\n");
    }
    let _turn = endpoints.lookups.ready.acquire().await;
    match endpoints.database.check_servable().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            let reason = match error {
                NotServable::Database(_) => "the database cannot be reached\n",
                NotServable::Pending(_) => "the database is not migrated\n",
                NotServable::Newer(_) | NotServable::ForeignTables(_) | NotServable::NoSchema => {
                    "the database has another schema\n"
                }
                // Told to who migrates.
                NotServable::Held | NotServable::Records(_) => "the database is being migrated\n",
            };
            (StatusCode::SERVICE_UNAVAILABLE, reason)
        }
    }
}

/// What is measured, in the text format of Prometheus. What waits to be done is looked up each time: it is there to
/// be seen where no process works on it. While the database does not answer, it is shown as it was last seen.
pub(super) async fn metrics(State(endpoints): State<Arc<Endpoints>>) -> impl IntoResponse {
    let _turn = endpoints.lookups.metrics.acquire().await;
    let statements = &endpoints.metrics.statements;
    let (connections, idle) = endpoints.database.pool_use();
    statements.connections.set(connections.into());
    statements.idle.set(idle.try_into().unwrap_or(i64::MAX));
    let (backlog, unfolded) = tokio::join!(
        tokio::time::timeout(PATIENCE, endpoints.deletions.backlog()),
        tokio::time::timeout(PATIENCE, endpoints.keeper.unfolded()),
    );
    match unfolded {
        Ok(Ok((waiting, oldest))) => {
            statements.unfolded.set(waiting);
            statements.fold_lag.set(oldest.as_secs_f64());
        }
        Ok(Err(error)) => tracing::warn!(%error, "could not see what is not folded yet"),
        Err(_) => tracing::warn!("could not see in time what is not folded yet"),
    }
    match backlog {
        Ok(Ok(backlog)) => {
            let open = backlog.open.iter().map(|(status, count)| (status.word(), *count));
            let oldest_due = backlog.oldest_due.to_std().unwrap_or_default();
            endpoints.metrics.deletion.wait(open, oldest_due, backlog.unstored);
        }
        Ok(Err(error)) => tracing::warn!(%error, "could not see what waits to be done"),
        Err(_) => tracing::warn!("could not see what waits to be done in time"),
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], endpoints.metrics.text())
}
