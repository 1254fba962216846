//! `serve`.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use super::{Failure, edge::EdgeOptions, erasing, storage};
use crate::{
    app::{App, Ending},
    auth::Authenticator,
    clock::Clock,
    config::{
        CertificateOptions, DatabaseOptions, ErasureOptions, SessionOptions, StorageOptions, TokenOptions,
        between,
    },
    database::Database,
    metrics::Metrics,
};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    tokens: TokenOptions,
    #[command(flatten)]
    session: SessionOptions,
    #[command(flatten)]
    storage: StorageOptions,
    #[command(flatten)]
    erasure: ErasureOptions,
    #[command(flatten)]
    certificate: CertificateOptions,
    /// Address to listen on
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Address of its own for `/metrics`, which is then not to be seen at the other; health is at both
    #[arg(long, env = "METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,
    /// Longest time that a statement of a request may take on PostgreSQL
    #[arg(long, env = "STATEMENT_TIMEOUT", default_value = "30s", value_parser = statement_timeout)]
    statement_timeout: Duration,
    /// After SIGTERM, go on serving for so long while `/readyz` says that the gateway stops: balancers send requests
    /// elsewhere before this one refuses them. SIGINT does not wait
    #[arg(long, env = "SHUTDOWN_DELAY", default_value = "5s", value_parser = shutdown_delay)]
    shutdown_delay: Duration,
    /// Refuse a database that lacks migrations, instead of applying them
    #[arg(long)]
    no_migrate: bool,
    /// Leave keeping the statistics' sums and erasing tenants to other processes: figures stay exact, reads get
    /// slower, and deletions wait
    #[arg(long)]
    no_workers: bool,
    // Last: what follows would stand under its heading.
    #[command(flatten)]
    edge: EdgeOptions,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let clock = Clock::system();
    let keys = options.tokens.keys()?;
    let authenticator =
        Authenticator::new(keys, options.tokens.jwt_issuer, options.tokens.jwt_audience, clock.clone())
            .await?;
    let exposure = options.edge.exposure()?;
    let listener = listen(options.listen).await?;
    let operators = match options.metrics_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    // Every connection is a file to the system, and what it allows at first is often too few.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    let url = &options.database.database_url;
    // Before anything is changed.
    let cascade = options.erasure.cascade()?;
    options.certificate.signer()?;
    let mut database = if options.no_migrate {
        let database = Database::open_existing(url).await?;
        cascade.check(&database.connection).await?;
        database.check_servable().await?;
        database.write_ahead().await?;
        database
    } else {
        let database = Database::open(url).await?;
        cascade.check(&database.connection).await?;
        let applied = database.migrate_up().await?;
        tracing::info!(applied, "the schema is up to date");
        database
    };
    let metrics = Metrics::default();
    observe(&mut database, &metrics);
    let mut served = database.for_requests(url, options.statement_timeout).await?;
    observe(&mut served, &metrics);
    let storage = storage(&options.storage, url)?;
    let erasing = erasing(&database, storage, &options.erasure, Some(&options.certificate)).await?;
    let app = App {
        database,
        served,
        authenticator,
        clock,
        session_timeout: options.session.timeout(),
        metrics,
        erasing,
        exposure,
        edge: options.edge.edge(),
    };
    tracing::info!(address = %listener.local_addr()?, "listening");
    if let Some(operators) = &operators {
        tracing::info!(address = %operators.local_addr()?, "metrics");
    }
    let ending = until_ending(options.shutdown_delay)?;
    let workers = (!options.no_workers).then(|| app.start_workers(ending.stopping.clone()));
    app.serve(listener, operators, ending).await;
    if let Some(workers) = workers {
        workers.await?;
    }
    tracing::info!("stopped");
    Ok(())
}

pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}").into())
}

/// Has the statements of `database` counted.
pub(super) fn observe(database: &mut Database, metrics: &Metrics) {
    let statements = metrics.statements.clone();
    database.observe(move |info| statements.ended(info.elapsed, info.failed));
}

/// Cancelled by the first SIGINT or SIGTERM from now on.
pub(super) fn until_signal() -> Result<CancellationToken, Failure> {
    Ok(until_ending(Duration::ZERO)?.shutdown)
}

/// Stopping begins with the first SIGINT or SIGTERM from now on, and ends `delay` after a SIGTERM, or with the next
/// signal.
fn until_ending(delay: Duration) -> Result<Ending, Failure> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let ending = Ending::default();
    let told = ending.clone();
    tokio::spawn(async move {
        let has_time = tokio::select! {
            _ = interrupted.recv() => false,
            _ = terminated.recv() => true,
        };
        told.stopping.cancel();
        if has_time && !delay.is_zero() {
            tracing::info!("stopping: from now on not ready, and serving until balancers have seen it");
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
        }
        tracing::info!("stopping: requests in flight finish first");
        told.shutdown.cancel();
    });
    Ok(ending)
}

fn statement_timeout(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_millis(1), Duration::from_hours(1))
}

fn shutdown_delay(text: &str) -> Result<Duration, String> {
    between(text, Duration::ZERO, Duration::from_mins(10))
}
