//! `usage`.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use rand::seq::SliceRandom;
use uuid::Uuid;

use super::Failure;
use crate::{
    config::DatabaseOptions,
    database::{Database, Error},
    usage::{Asked, Building, Difference, Figures, Grain, Keeper, Rebuilt},
};

/// Longest wait for the steps of others.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two attempts.
const REST: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build the sums anew from the calls, while writers go on
    ///
    /// Needed after calls were written past the triggers: by a restore of data only, with
    /// `session_replication_role = replica`, or by `INSERT OR REPLACE` on SQLite. Until a tenant is
    /// built its figures come from its calls.
    Rebuild {
        #[command(flatten)]
        database: DatabaseOptions,
        /// Only this tenant
        #[arg(long)]
        tenant: Option<Uuid>,
    },
    /// Recount from the calls and print every difference; exit with status 1 if there is one
    Verify {
        #[command(flatten)]
        database: DatabaseOptions,
        /// So many tenants, chosen at random
        #[arg(long, default_value_t = 100)]
        sample: usize,
        /// Every tenant
        #[arg(long, conflicts_with = "sample")]
        all: bool,
    },
}

pub(super) async fn run(options: Options) -> Result<(), Failure> {
    match options.action {
        Action::Rebuild { database, tenant } => rebuild(&keeper(&database).await?, tenant).await,
        Action::Verify { database, sample, all } => {
            verify(&keeper(&database).await?, if all { usize::MAX } else { sample }).await
        }
    }
}

async fn keeper(options: &DatabaseOptions) -> Result<Keeper, Failure> {
    let database = Database::open_existing(&options.database_url).await?;
    database.check_servable().await?;
    Ok(Keeper::new(database))
}

/// Tries again what the steps of others hold up, for a minute at most: each takes much less, as a rule.
async fn patiently<T>(mut attempt: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    let begun = Instant::now();
    loop {
        match attempt().await {
            Err(Error::Contention(_)) if begun.elapsed() < PATIENCE => tokio::time::sleep(REST).await,
            outcome => return outcome,
        }
    }
}

async fn rebuild(keeper: &Keeper, tenant: Option<Uuid>) -> Result<(), Failure> {
    let Asked { listed, held } = patiently(async || keeper.ask_rebuild(tenant).await).await?;
    if let (Some(tenant), 0, 0) = (tenant, listed, held) {
        return Err(format!("there is no tenant {tenant} whose sums could be built").into());
    }
    let progress = bar(listed);
    let is_asked = |building: &Building| tenant.is_none_or(|tenant| tenant == building.tenant);
    let mut after = Uuid::nil();
    while let Some(mut building) = keeper.next_unbuilt(after).await? {
        if is_asked(&building) {
            while let Rebuilt::Until(day) =
                patiently(async || keeper.rebuild(None, &mut building).await).await?
            {
                progress.set_message(format!("{} until {}", building.tenant, day.date_naive()));
            }
            progress.inc(1);
        }
        after = building.tenant;
    }
    progress.finish_and_clear();
    // Whom somebody else had may be built by now.
    let (mut left, mut after) = (0_u64, Uuid::nil());
    while let Some(building) = keeper.next_unbuilt(after).await? {
        left += u64::from(is_asked(&building));
        after = building.tenant;
    }
    println!("{} tenant(s) built", listed.saturating_sub(left));
    let left = left + held;
    if left > 0 {
        return Err(
            format!("{left} tenant(s) are held by others and are not built anew; run this again").into()
        );
    }
    Ok(())
}

async fn verify(keeper: &Keeper, sample: usize) -> Result<(), Failure> {
    let mut tenants = Vec::new();
    let mut last = Uuid::nil();
    while let Some(tenant) = keeper.next_tenant(last).await? {
        tenants.push(tenant);
        last = tenant;
    }
    tenants.shuffle(&mut rand::rng());
    tenants.truncate(sample);
    let progress = bar(tenants.len() as u64);
    let (mut found, mut wrong) = (0, 0);
    for tenant in &tenants {
        let differences = keeper.verify(*tenant).await?;
        (found, wrong) = (found + differences.len(), wrong + usize::from(!differences.is_empty()));
        progress.suspend(|| differences.iter().for_each(print));
        progress.inc(1);
    }
    progress.finish_and_clear();
    let orphans = keeper.orphans().await?;
    for (table, rows) in &orphans {
        println!(
            "{rows} row(s) of {table} belong to no tenant: a writer passed foreign keys by; delete them"
        );
    }
    let unbuilt = keeper.unbuilt().await?;
    if unbuilt > 0 {
        println!(
            "{unbuilt} tenant(s) are not built yet and were passed over: their figures come from their calls"
        );
    }
    if found > 0 {
        return Err(format!(
            "{found} difference(s) in {wrong} of {} tenant(s); `tenant-gateway usage rebuild` mends them",
            tenants.len()
        )
        .into());
    }
    if !orphans.is_empty() {
        return Err("some rows belong to no tenant".into());
    }
    println!("{} tenant(s) looked at: no sum differs from its calls", tenants.len());
    Ok(())
}

/// Hidden by itself where standard error is no terminal.
fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} tenants, {eta} left  {msg}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn print(difference: &Difference) {
    let grain = match difference.grain {
        Grain::QuarterHour => "quarter-hour",
        Grain::Day => "day",
    };
    let start = difference.starts_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    for (name, kept, counted) in pairs(&difference.kept, &difference.counted) {
        if kept != counted {
            println!("{} {grain} {start} {name}: sums say {kept}, calls say {counted}", difference.tenant);
        }
    }
}

fn pairs(kept: &Figures, counted: &Figures) -> [(&'static str, i64, i64); 6] {
    [
        ("calls", kept.calls, counted.calls),
        ("duration_sum", kept.duration_sum, counted.duration_sum),
        ("duration_count", kept.duration_count, counted.duration_count),
        ("score_sum", kept.score_sum, counted.score_sum),
        ("score_count", kept.score_count, counted.score_count),
        ("cost_cents", kept.cost_cents, counted.cost_cents),
    ]
}
