//! `seed`.

use clap::Args;

use super::Failure;
use crate::{
    clock::Clock,
    config::{DatabaseOptions, StorageOptions},
    database::Database,
    demo::{self, Shape},
    storage::Storage,
};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    storage: StorageOptions,
    /// How many tenants
    #[arg(long, default_value_t = 50)]
    tenants: u32,
    /// How many calls, on average per tenant and month
    #[arg(long, default_value_t = 200)]
    calls: u32,
    /// How many months, the last of them until now
    #[arg(long, default_value_t = 3)]
    months: u32,
    /// The same number makes the same platform
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let database = Database::open(&options.database.database_url).await?;
    let storage = Storage::open(&options.storage.url(&options.database.database_url)?)?;
    database.migrate_up().await?;
    let shape =
        Shape { tenants: options.tenants, calls: options.calls, months: options.months, seed: options.seed };
    // Hidden by itself where standard error is no terminal.
    let progress = indicatif::ProgressBar::new(0);
    let summary = demo::fill(&database, &storage, &shape, Clock::system().now(), &progress).await?;
    progress.finish_and_clear();
    for (table, rows) in &summary.tables {
        println!("{rows:>12}  {table}");
    }
    println!("{:>12}  objects in storage, {} bytes", summary.objects, summary.object_bytes);
    println!("rows in {:.1} s, objects in {:.1} s", summary.rows_seconds, summary.objects_seconds);
    Ok(())
}
