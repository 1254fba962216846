//! `tenant`: what administrators do with one tenant, at a terminal.

mod certificate;
mod delete;
mod print;
mod replay;
mod show;

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::Failure;
use crate::{
    app::{App, Erasing},
    auth::{Authenticator, Keys},
    clock::Clock,
    config::{CertificateOptions, DatabaseOptions, ErasureOptions, SessionOptions, StorageOptions},
    database::Database,
    deletion::{self, Deletion},
    metrics::Metrics,
    storage::Storage,
};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show a tenant's figures
    Stats(show::Tenant),
    /// Show what a deletion would erase, and what keeps it from being erased
    Preview(show::Tenant),
    /// Erase a tenant and everything it owns, permanently
    ///
    /// Asks for the tenant's name, or takes it from --confirm-name. Works until the deletion has ended; it
    /// may be interrupted, and goes on in any `serve`, or with the same command again.
    Delete(delete::Options),
    /// Show how a deletion stands
    Status(show::Deletion),
    /// Call off a deletion that has not begun to erase
    Cancel(delete::Cancel),
    /// Take up a blocked deletion, and work until it has ended
    Resume(delete::Resume),
    /// Print the certificate of a deletion, or verify one offline
    Certificate(certificate::Options),
    /// Erase again the tenants that a restored backup has brought back
    ///
    /// Reads the certificates in object storage. A tenant that one of them says is gone, and that exists, is
    /// erased again, however active it is.
    Replay(replay::Options),
}

/// What every command on the database needs.
#[derive(Debug, Args)]
struct Platform {
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    session: SessionOptions,
    #[command(flatten)]
    erasure: ErasureOptions,
}

/// What erasing needs beside it.
#[derive(Debug, Args)]
struct Means {
    #[command(flatten)]
    storage: StorageOptions,
    #[command(flatten)]
    certificate: CertificateOptions,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    match options.action {
        Action::Stats(options) => show::stats(options).await,
        Action::Preview(options) => show::preview(options).await,
        Action::Delete(options) => delete::run(options).await,
        Action::Status(options) => show::status(options).await,
        Action::Cancel(options) => delete::cancel(options).await,
        Action::Resume(options) => delete::resume(options).await,
        Action::Certificate(options) => certificate::run(options).await,
        Action::Replay(options) => replay::run(options).await,
    }
}

impl Platform {
    /// The gateway's parts, without anything that serves.
    async fn open(&self, storage: Storage, certificate: Option<&CertificateOptions>) -> Result<App, Failure> {
        let database = Database::open_existing(&self.database.database_url).await?;
        database.check_servable().await?;
        let clock = Clock::system();
        let erasing = self.erasure.erasing(&database, storage, certificate).await?;
        // Nobody comes in with a token.
        let nobody = Keys::Secrets(Vec::new());
        Ok(App {
            authenticator: Authenticator::new(nobody, None, None, clock.clone()).await?,
            database,
            clock,
            session_timeout: self.session.timeout(),
            metrics: Metrics::default(),
            erasing,
        })
    }

    /// As [`Self::open`], for commands that touch no object.
    async fn look(&self) -> Result<App, Failure> {
        self.open(Storage::none(), None).await
    }

    /// As [`Self::open`], for commands that erase.
    async fn erase(&self, means: &Means) -> Result<App, Failure> {
        let storage = Storage::open(&means.storage.url(&self.database.database_url)?)?;
        self.open(storage, Some(&means.certificate)).await
    }
}

/// The deletion of this id, or the newest of the tenant of this id.
async fn find(database: &Database, id: Uuid) -> Result<Deletion, Failure> {
    if let Some(deletion) = deletion::by_ids(database, &[id]).await?.pop() {
        return Ok(deletion);
    }
    let newest = deletion::newest_of(&database.connection, &[id]).await?.pop();
    newest.ok_or_else(|| format!("there is no deletion {id}, and no tenant {id} with one").into())
}
