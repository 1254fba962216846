//! The composition root: makes every part, gives each what it needs, and serves.

use std::{sync::Arc, time::Duration};

use axum::Router;
use chrono::TimeDelta;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Authenticator,
    cascade,
    clock::Clock,
    database::Database,
    deletion::{Bell, Deletions, Limits, Tools, Worker, certificate::Signer},
    graphql::{Api, Parts},
    http::{self, Endpoints},
    metrics::Metrics,
    storage::Storage,
    usage::{Keeper, Reader},
    workers,
};

pub use crate::{
    graphql::{DocumentLimits, Exposure},
    http::Edge,
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
    /// How tenants are erased.
    pub erasing: Erasing,
    /// What strangers see of the schema, and how much they may ask.
    pub exposure: Exposure,
    /// What stands before the endpoints.
    pub edge: Edge,
}

/// How tenants are erased.
#[derive(Clone, Debug)]
pub struct Erasing {
    /// Where the tenants' objects are, and certificates go.
    pub storage: Storage,
    /// Signs certificates.
    pub signer: Option<Arc<Signer>>,
    /// Which tables belong to a tenant where their keys do not say.
    pub cascade: cascade::Settings,
    /// How long a deletion waits where its request does not say.
    pub grace: TimeDelta,
    /// How large batches are, and how many.
    pub limits: Limits,
    /// Wakes the worker.
    pub bell: Bell,
}

impl Erasing {
    /// Without a signature, a grace period or settings of the cascade.
    #[must_use]
    pub fn with(storage: Storage) -> Self {
        Self {
            storage,
            signer: None,
            cascade: cascade::Settings::default(),
            grace: TimeDelta::zero(),
            limits: Limits::default(),
            bell: Bell::default(),
        }
    }
}

impl App {
    /// Starts the workers, which stop with `shutdown`.
    pub fn start_workers(&self, shutdown: CancellationToken) -> JoinHandle<()> {
        let keeper = Keeper::new(self.database.clone());
        let keeping = workers::run(keeper, self.metrics.usage.clone(), shutdown.clone());
        let erasing = self.eraser().run(shutdown);
        tokio::spawn(async {
            tokio::join!(keeping, erasing);
        })
    }

    /// The worker that erases tenants.
    #[must_use]
    pub fn eraser(&self) -> Worker {
        let tools = Tools {
            database: self.database.clone(),
            reader: self.reader(),
            clock: self.clock.clone(),
            cascade: self.erasing.cascade.clone(),
            storage: self.erasing.storage.clone(),
            signer: self.erasing.signer.clone(),
            limits: self.erasing.limits,
            metrics: self.metrics.deletion.clone(),
        };
        Worker::new(tools, self.erasing.bell.clone())
    }

    /// Takes requests to erase tenants.
    #[must_use]
    pub fn deletions(&self) -> Deletions {
        let Erasing { cascade, grace, bell, .. } = self.erasing.clone();
        Deletions::new(self.database.clone(), self.reader(), self.clock.clone(), cascade, grace, bell)
    }

    fn reader(&self) -> Reader {
        Reader::new(self.database.clone(), self.clock.clone(), self.session_timeout)
    }

    /// Answers requests.
    #[must_use]
    pub fn api(&self) -> Api {
        let parts = Parts {
            database: self.database.clone(),
            reader: self.reader(),
            deletions: self.deletions(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
        };
        Api::new(&parts, self.exposure)
    }

    /// Wires the parts together. What would go on for ever ends with `shutdown`.
    pub fn router(self, shutdown: CancellationToken) -> Router {
        http::router(Endpoints {
            api: self.api(),
            deletions: self.deletions(),
            edge: self.edge,
            shutdown,
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
