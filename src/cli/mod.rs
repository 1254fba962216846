//! The commands. Each is thin: it reads its options, calls one part, and prints.

mod demo;
mod edge;
mod migrate;
mod seed;
mod serve;
mod tenant;
mod token;
mod usage;

use std::{fmt::Display, process::ExitCode, sync::Arc};

use clap::{Parser, Subcommand};
use tempfile::TempDir;
use tracing_subscriber::EnvFilter;

use crate::{
    app::Erasing,
    config::{CertificateOptions, ErasureOptions, StorageOptions},
    database::Database,
    storage::Storage,
    telemetry::{self, LogFormat},
};

/// Statistics of tenants, and their complete erasure, as a GraphQL API
#[derive(Debug, Parser)]
#[command(name = "tenant-gateway", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How the log is written
    #[arg(long, global = true, env = "LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
    /// Address of an OpenTelemetry collector, such as <http://127.0.0.1:4318>: traces are sent there by OTLP over HTTP.
    /// Without it there are none
    #[arg(long, global = true, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "ADDRESS")]
    otlp_endpoint: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  tenant-gateway demo                                   a seeded platform to explore, at once
  export JWT_SECRET=$(head -c 32 /dev/urandom | base64) a secret for the next ones
  tenant-gateway serve --database-url postgres://gateway@db/platform
  tenant-gateway token --role admin --expires 1h        a token, alone on standard output
  tenant-gateway tenant preview ID                      what erasing this tenant would erase

Options that name an environment variable (`env` in a command's --help) can be given by it too. The
secret for tokens is read from JWT_SECRET or a file, never from an option. RUST_LOG sets what is
logged, such as RUST_LOG=debug.

A command that cannot do its work prints one line on standard error and exits with status 1. A command
line that cannot be understood is explained in a few lines, with status 2.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API, after applying pending migrations
    Serve(Box<serve::Options>),
    /// Serve a believable, seeded platform on an embedded SQLite file, with ready-made tokens
    Demo(demo::Options),
    /// Bring the schema up to date, take it back, or show where it stands
    Migrate(migrate::Options),
    /// Fill a database with a believable platform
    Seed(seed::Options),
    /// Look at one tenant, erase it, and prove that it is gone
    Tenant(tenant::Options),
    /// Rebuild the sums that statistics are read from, or verify them
    Usage(usage::Options),
    /// Mint a token
    Token(token::Options),
    /// Print the GraphQL schema
    Schema,
}

impl Command {
    /// What is logged unless `RUST_LOG` says.
    fn log(&self) -> &'static str {
        match self {
            // Somebody watches, and is told what happens in other ways.
            Self::Tenant(_) => "warn",
            // Its spans are for traces.
            _ => "info,sqlx=warn,sea_orm=warn,sea_orm_migration=info",
        }
    }
}

/// Why a command failed, in one line.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs a command to its end.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(cli.command.log()));
    // Kept until all else has ended.
    let telemetry = match telemetry::start(filter, cli.log_format, cli.otlp_endpoint.as_deref()) {
        Ok(telemetry) => telemetry,
        Err(error) => return failed(&error),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let mut kept = None;
    let outcome = runtime.block_on(dispatch(cli.command, &mut kept));
    drop(runtime);
    drop(kept);
    drop(telemetry);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Puts a directory that must go after the runtime into `kept`.
async fn dispatch(command: Command, kept: &mut Option<TempDir>) -> Result<(), Failure> {
    match command {
        Command::Serve(options) => serve::run(*options).await,
        Command::Demo(options) => demo::run(options, kept).await,
        Command::Migrate(options) => migrate::run(options).await,
        Command::Seed(options) => seed::run(options).await,
        Command::Tenant(options) => tenant::run(options).await,
        Command::Usage(options) => usage::run(options).await,
        Command::Token(options) => token::run(&options),
        Command::Schema => {
            print!("{}", crate::graphql::sdl());
            Ok(())
        }
    }
}

/// Object storage, for those who remove objects: its directory is made where it is missing.
fn storage(options: &StorageOptions, database_url: &str) -> Result<Storage, Failure> {
    let url = options.url(database_url)?;
    if options.is_guessed(database_url) {
        tracing::warn!(url, "no --storage-url: objects are looked for here only");
    }
    Ok(Storage::open(&url)?)
}

/// How tenants are erased, where the database has what the options name.
async fn erasing(
    database: &Database,
    storage: Storage,
    erasure: &ErasureOptions,
    certificate: Option<&CertificateOptions>,
) -> Result<Erasing, Failure> {
    let signer = certificate.map(CertificateOptions::signer).transpose()?.flatten();
    let cascade = erasure.cascade()?;
    cascade.check(&database.connection).await?;
    Ok(Erasing {
        signer: signer.map(Arc::new),
        cascade,
        grace: erasure.grace(),
        limits: erasure.limits(),
        ..Erasing::with(storage)
    })
}

fn failed(error: &dyn Display) -> ExitCode {
    eprintln!("error: {}", error.to_string().replace('\n', " "));
    ExitCode::FAILURE
}
