//! The composition root: makes every part, gives each what it needs, and serves.

use std::{sync::Arc, time::Duration};

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
    http::{self, Endpoints, Lookups, RateLimits},
    metrics::Metrics,
    storage::Storage,
    usage::{Keeper, Reader},
    workers,
};

pub use crate::{
    graphql::{DocumentLimits, Exposure, ManifestError, TrustedDocuments},
    http::{Connections, Edge, Ending, Rates, Sockets, TrustedProxies},
};

/// After a shutdown is asked for, requests in flight get so long to finish.
const FAREWELL: Duration = Duration::from_secs(30);

/// What a gateway is made of.
#[derive(Debug)]
pub struct App {
    /// The database, with its schema up to date.
    pub database: Database,
    /// The same for requests, whose statements may take less time than those of workers.
    pub served: Database,
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
    #[must_use = "they stop with it"]
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
            reader: self.reader(&self.database),
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
        let reader = self.reader(&self.served);
        Deletions::new(self.served.clone(), reader, self.clock.clone(), cascade, grace, bell)
    }

    fn reader(&self, database: &Database) -> Reader {
        Reader::new(database.clone(), self.clock.clone(), self.session_timeout)
    }

    /// Answers requests.
    #[must_use]
    pub fn api(&self) -> Api {
        let parts = Parts {
            database: self.served.clone(),
            reader: self.reader(&self.served),
            deletions: self.deletions(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
        };
        Api::new(&parts, self.exposure.clone())
    }

    /// Serves until `ending.shutdown`: the API through `listener`, and what operators see through a listener of its
    /// own where there is one. Then no new connection is accepted, requests in flight finish, and this returns.
    pub async fn serve(self, listener: TcpListener, operators: Option<TcpListener>, ending: Ending) {
        let endpoints = Endpoints {
            api: self.api(),
            deletions: self.deletions(),
            keeper: Keeper::new(self.served.clone()),
            rates: RateLimits::new(self.edge.rates),
            lookups: Lookups::default(),
            edge: self.edge,
            ending: ending.clone(),
            authenticator: self.authenticator,
            database: self.served,
            metrics: self.metrics,
        };
        let too_late = async {
            ending.shutdown.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        tokio::select! {
            () = http::serve(listener, operators, endpoints) => {}
            () = too_late => tracing::warn!("some requests did not finish in time and were dropped"),
        }
    }
}
