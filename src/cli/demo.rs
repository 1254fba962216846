//! `demo`.

use std::net::SocketAddr;

use chrono::TimeDelta;
use clap::Args;
use entity::tenants;
use sea_orm::{EntityTrait, QueryOrder};
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    Failure,
    serve::{listen, observe, until_signal},
};
use crate::{
    app::{App, Edge, Ending, Erasing, Exposure},
    auth::{Authenticator, Claims, Keys, RoleClaim, mint},
    clock::Clock,
    database::Database,
    demo::{self, Shape},
    metrics::Metrics,
    storage::Storage,
};

/// As in `serve`, where it is an option.
const SESSION_TIMEOUT: TimeDelta = TimeDelta::hours(2);
/// The tokens outlast any look around.
const TOKEN_LIFE: TimeDelta = TimeDelta::hours(24);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Address to listen on
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Do not open the playground in a browser
    #[arg(long)]
    no_open: bool,
}

/// Serves until a signal. The platform lies in a directory that is put into `kept`: it must outlive
/// the runtime, whose tasks may write there until they are gone.
pub(super) async fn run(options: Options, kept: &mut Option<TempDir>) -> Result<(), Failure> {
    let clock = Clock::system();
    let listener = listen(options.listen).await?;
    // From before the directory is made, or a signal would leave it behind.
    let shutdown = until_signal()?;
    let directory = kept.insert(tempfile::Builder::new().prefix("tenant-gateway-demo-").tempdir()?);
    let file = directory.path().join("demo.db");
    let mut database = Database::open(&format!("sqlite://{}?mode=rwc", file.display())).await?;
    let metrics = Metrics::default();
    observe(&mut database, &metrics);
    database.migrate_up().await?;
    let storage = Storage::open_directory(&directory.path().join("objects"))?;
    let shape = Shape { tenants: 60, calls: 250, months: 3, seed: 1 };
    let progress = indicatif::ProgressBar::new(0);
    let seeding = demo::fill(&database, &storage, &shape, clock.now(), &progress);
    tokio::select! {
        filled = seeding => filled?,
        () = shutdown.cancelled() => return Ok(()),
    };
    progress.finish_and_clear();

    let newest = tenants::Entity::find().order_by_asc(tenants::Column::CreatedAt);
    let tenant = newest.one(&database.connection).await?.ok_or("the demo has no tenant")?;
    let secret: [u8; 32] = rand::random();
    let tokens = Tokens::mint(&secret, tenant.id, clock.now() + TOKEN_LIFE)?;
    let address = format!("http://{}", listener.local_addr()?);
    let playground = format!("{address}/graphiql#token={}&tenant={}", tokens.admin, tenant.id);
    println!("A platform of {} tenants in {}, gone when this stops.\n", shape.tenants, file.display());
    println!("Playground   {playground}");
    println!("GraphQL      {address}/graphql");
    println!("Metrics      {address}/metrics");
    println!("Health       {address}/healthz  {address}/readyz\n");
    println!("Tokens, for 24 hours, as `Authorization: Bearer TOKEN`:");
    println!("admin    {}", tokens.admin);
    println!("support  {}", tokens.support);
    println!("tenant   {}\n         reads only {} ({})", tokens.tenant, tenant.name, tenant.id);
    if !options.no_open && std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        // Where there is no browser the address above is as good.
        let _ = open::that_detached(&playground);
    }

    let keys = Keys::Secrets(vec![secret.to_vec()]);
    let authenticator = Authenticator::new(keys, None, None, clock.clone()).await?;
    let app = App {
        served: database.clone(),
        database,
        authenticator,
        clock,
        session_timeout: SESSION_TIMEOUT,
        metrics,
        erasing: Erasing::with(storage),
        exposure: Exposure::default(),
        edge: Edge::default(),
    };
    let workers = app.start_workers(shutdown.clone());
    app.serve(listener, None, Ending { stopping: shutdown.clone(), shutdown }).await;
    workers.await?;
    Ok(())
}

/// One token of each role.
struct Tokens {
    admin: String,
    support: String,
    tenant: String,
}

impl Tokens {
    fn mint(secret: &[u8], tenant: Uuid, ends: chrono::DateTime<chrono::Utc>) -> Result<Self, Failure> {
        let token = |role, tenant_id| {
            let claims = Claims {
                sub: "demo".to_owned(),
                exp: ends.timestamp(),
                role,
                tenant_id,
                iss: None,
                aud: None,
            };
            mint(secret, &claims)
        };
        Ok(Self {
            admin: token(RoleClaim::Admin, None)?,
            support: token(RoleClaim::Support, None)?,
            tenant: token(RoleClaim::Tenant, Some(tenant))?,
        })
    }
}
