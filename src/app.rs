//! The composition root: makes every part, gives each what it needs, and serves.

use std::{sync::Arc, time::Duration};

use axum::Router;
use chrono::TimeDelta;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Authenticator,
    clock::Clock,
    database::Database,
    deletion::Eraser,
    graphql::{Api, Parts},
    http::{self, Endpoints},
    metrics::Metrics,
    usage::{Keeper, Reader},
    workers,
};

/// After a shutdown is asked for, requests in flight get so long to finish.
const FAREWELL: Duration = Duration::from_secs(30);

/// What a gateway is made of.
#[derive(Debug)]
pub struct App {
    /// The database, with its schema up to date.
    pub database: Database,
    /// Turns tokens into viewers.
    pub authenticator: Authenticator,
    /// Tells the time.
    pub clock: Clock,
    /// A session without a sign of life for longer is over.
    pub session_timeout: TimeDelta,
    /// Counts what operators see.
    pub metrics: Metrics,
}

impl App {
    /// Starts the workers, which stop with `shutdown`.
    pub fn start_workers(&self, shutdown: CancellationToken) -> JoinHandle<()> {
        let keeper = Keeper::new(self.database.clone(), self.clock.clone());
        tokio::spawn(workers::run(keeper, self.metrics.usage.clone(), shutdown))
    }

    /// Wires the parts together.
    pub fn router(self) -> Router {
        let reader = Reader::new(self.database.clone(), self.clock.clone(), self.session_timeout);
        let eraser = Arc::new(Eraser::new(self.database.clone(), reader.clone(), self.clock.clone()));
        let parts = Parts {
            database: self.database.clone(),
            reader,
            eraser,
            metrics: self.metrics.clone(),
            clock: self.clock,
        };
        http::router(Endpoints {
            api: Api::new(parts),
            authenticator: self.authenticator,
            database: self.database,
            metrics: self.metrics,
        })
    }
}

/// Serves until `shutdown` is cancelled. Then no new connection is accepted, requests in flight
/// finish, and this returns.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let server = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        outcome = server => outcome,
        () = too_late => {
            tracing::warn!("some requests did not finish in time and were dropped");
            Ok(())
        }
    }
}
