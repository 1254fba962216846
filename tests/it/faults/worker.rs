//! A worker of this process, beside that of the test's gateway: with connections and an identity of its own, and
//! with batches so small that there are many.

use std::time::Duration;

use chrono::TimeDelta;
use tenant_gateway::{
    cascade,
    clock::Clock,
    database::Database,
    deletion::{Bell, Limits, Tools, Worker},
    metrics::Metrics,
    usage::Reader,
};

use crate::support::TestApp;

/// Starts one that goes by the test's clock. It works until the test ends.
pub async fn start_worker(app: &TestApp) {
    start_worker_at(app, app.clock.clone()).await;
}

/// The same, with a clock of its own.
pub async fn start_worker_at(app: &TestApp, clock: Clock) {
    let database = Database::open(&app.database_url).await.expect("the test's database");
    let tools = Tools {
        reader: Reader::new(database.clone(), clock.clone(), TimeDelta::hours(2)),
        database,
        clock,
        cascade: cascade::Settings::default(),
        storage: app.storage.clone(),
        signer: None,
        limits: Limits { batch_time: Duration::from_millis(1), ..Limits::default() },
        metrics: Metrics::default().deletion,
    };
    tokio::spawn(Worker::new(tools, Bell::default()).run(app.shutdown.clone()));
}
