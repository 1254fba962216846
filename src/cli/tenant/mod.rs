//! `tenant`: what administrators do with one tenant, at a terminal.

mod certificate;
mod delete;
mod desk;
mod follow;
mod print;
mod replay;
mod show;
mod trust;

use clap::{Args, Subcommand};

use super::Failure;
use crate::config::{CertificateOptions, DatabaseOptions, ErasureOptions, SessionOptions, StorageOptions};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

const HELP: &str = "\
Each works on the database (--database-url, DATABASE_URL) by itself: no `serve` need run. With --json each
prints what the GraphQL API answers to the same question. What is refused is one line on standard error with a
code, such as ACTIVE_SESSIONS, and exit status 1.

Where ID names a deletion, a tenant's id will do: its newest deletion is meant. `tenants` in the API lists ids.

Examples:
  tenant-gateway tenant preview ID                             what would go, and what is in the way
  tenant-gateway tenant delete ID                              asks for the tenant's name, then erases
  tenant-gateway tenant delete ID --confirm-name Acme --grace 7d --reason 'contract ended'
  tenant-gateway tenant cancel ID                              until the seven days are over
  tenant-gateway tenant status ID --json                       how it stands, for programs
  tenant-gateway tenant resume ID                              after what blocked it is mended
  tenant-gateway tenant certificate ID --output gone.json      what a finished deletion proves
  tenant-gateway tenant certificate gone.json --verify --trusted-key gateway.pub
  tenant-gateway tenant replay --from s3://BUCKET --dry-run    after a backup was restored

A deletion is durable: it may be interrupted anywhere, and goes on in any `serve` on this database, or with
`tenant delete` or `tenant resume` again.";

#[derive(Debug, Subcommand)]
enum Action {
    /// Show a tenant's figures
    Stats(show::Tenant),
    /// Show what a deletion would erase, and what keeps the tenant from being erased
    ///
    /// Changes nothing. A count that begins with ~ is an estimate.
    Preview(show::Tenant),
    /// Erase a tenant and everything it owns, permanently
    ///
    /// Asks for the tenant's name, unless --confirm-name gives it, and works until nothing remains. It may be
    /// interrupted: the deletion goes on in any `serve`, or with the same command again. With a grace period it
    /// is scheduled only, and a `serve` begins when it is over.
    Delete(delete::Delete),
    /// Show how a deletion stands
    Status(show::Record),
    /// Call off a deletion that has not begun to erase
    Cancel(delete::Cancel),
    /// Take up a deletion that is blocked or was interrupted, and work until it has ended
    Resume(delete::Resume),
    /// Print the certificate of a finished deletion, or verify one
    ///
    /// Verifying a file needs nothing but the file, and no database.
    Certificate(certificate::Options),
    /// Erase again the tenants that a restored backup has brought back
    ///
    /// Reads the certificates in object storage. A tenant that one of them says is gone, and that exists, is
    /// erased again, whatever its status and however active it is; one that was created after its deletion had
    /// ended is named and kept. A certificate is believed only if a key of
    /// the gateway has signed it: else whoever can write to the storage could have any tenant erased.
    Replay(replay::Options),
}

/// What every command needs that asks the database.
#[derive(Debug, Args)]
struct Platform {
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    session: SessionOptions,
    #[command(flatten)]
    erasure: ErasureOptions,
}

/// What every command needs that erases.
#[derive(Debug, Args)]
struct Means {
    #[command(flatten)]
    storage: StorageOptions,
    #[command(flatten)]
    certificate: CertificateOptions,
}

/// How an answer is given.
#[derive(Clone, Copy, Debug, Args)]
struct Form {
    /// Print what the API answers, as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    match options.action {
        Action::Stats(options) => show::stats(&options).await,
        Action::Preview(options) => show::preview(&options).await,
        Action::Delete(options) => delete::delete(&options).await,
        Action::Status(options) => show::status(&options).await,
        Action::Cancel(options) => delete::cancel(&options).await,
        Action::Resume(options) => delete::resume(&options).await,
        Action::Certificate(options) => certificate::run(&options).await,
        Action::Replay(options) => replay::run(&options).await,
    }
}
