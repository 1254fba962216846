//! `serve`.

use std::net::SocketAddr;

use clap::Args;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use super::{Failure, edge::EdgeOptions, erasing, storage};
use crate::{
    app::{self, App},
    auth::Authenticator,
    clock::Clock,
    config::{
        CertificateOptions, DatabaseOptions, ErasureOptions, SessionOptions, StorageOptions, TokenOptions,
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
    let listener = listen(options.listen).await?;
    let url = &options.database.database_url;
    // Before anything is changed.
    let cascade = options.erasure.cascade()?;
    options.certificate.signer()?;
    let database = if options.no_migrate {
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
    let storage = storage(&options.storage, url)?;
    let erasing = erasing(&database, storage, &options.erasure, Some(&options.certificate)).await?;
    let app = App {
        database,
        authenticator,
        clock,
        session_timeout: options.session.timeout(),
        metrics: Metrics::default(),
        erasing,
        exposure: options.edge.exposure(),
        edge: options.edge.edge(),
    };
    tracing::info!(address = %listener.local_addr()?, "listening");
    let shutdown = until_signal()?;
    let workers = (!options.no_workers).then(|| app.start_workers(shutdown.clone()));
    app::serve(listener, app.router(shutdown.clone()), shutdown).await?;
    if let Some(workers) = workers {
        workers.await?;
    }
    tracing::info!("stopped");
    Ok(())
}

pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}").into())
}

/// Cancelled by the first SIGINT or SIGTERM from now on.
pub(super) fn until_signal() -> Result<CancellationToken, Failure> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        tracing::info!("stopping: requests in flight finish first");
        cancel.cancel();
    });
    Ok(token)
}
