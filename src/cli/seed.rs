//! `seed`.

use clap::Args;

use super::Failure;
use crate::{
    clock::Clock,
    config::{DatabaseOptions, StorageOptions},
    database::Database,
    demo::{Platform, Shape},
    storage::{self, Storage},
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

/// Looks at everything before it changes anything.
pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let storage_url = options.storage.url(&options.database.database_url)?;
    storage::check(&storage_url)?;
    let shape =
        Shape { tenants: options.tenants, calls: options.calls, months: options.months, seed: options.seed };
    let mut platform = Platform::plan(&shape, Clock::system().now())?;
    let database = Database::open(&options.database.database_url).await?;
    database.check_migratable().await?;
    if database.migrations().await?.iter().any(|migration| migration.applied) {
        platform = platform.without_present(&database).await?;
    }

    let storage = Storage::open(&storage_url)?;
    database.migrate_up().await?;
    // Hidden by itself where standard error is no terminal.
    let progress = indicatif::ProgressBar::new(0);
    let summary = platform.make(&database, &storage, &progress).await?;
    progress.finish_and_clear();
    for (table, rows) in &summary.tables {
        println!("{rows:>12}  {table}");
    }
    println!("{:>12}  objects in storage, {} bytes", summary.objects, summary.object_bytes);
    println!("rows in {:.1} s, objects in {:.1} s", summary.rows_seconds, summary.objects_seconds);
    Ok(())
}
