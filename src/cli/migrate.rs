//! `migrate`.

use clap::{Args, Subcommand};

use super::Failure;
use crate::{config::DatabaseOptions, database::Database};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Apply every pending migration, all or none
    Up {
        #[command(flatten)]
        database: DatabaseOptions,
    },
    /// Take back the newest migrations, with all data in the tables they made. Refused while deletions are open or
    /// hold a certificate
    Down {
        #[command(flatten)]
        database: DatabaseOptions,
        /// How many
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// List the migrations, and which of them this database has
    Status {
        #[command(flatten)]
        database: DatabaseOptions,
    },
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    match options.action {
        Action::Up { database } => {
            let applied = Database::open(&database.database_url).await?.migrate_up().await?;
            println!("{applied} migration(s) applied");
        }
        Action::Down { database, steps } => {
            let taken_back =
                Database::open_existing(&database.database_url).await?.migrate_down(steps).await?;
            println!("{taken_back} migration(s) taken back");
        }
        Action::Status { database } => {
            let database = Database::open_existing(&database.database_url).await?;
            for state in database.migrations().await? {
                println!("{}  {}", if state.applied { "applied" } else { "pending" }, state.name);
            }
        }
    }
    Ok(())
}
