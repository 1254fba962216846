//! What runs beside the requests: keeping the sums of calls, and checking them.
//!
//! A worker's only input is what the database holds. It is safe to run in every process, to kill and to
//! start again: one lease decides which process works.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    database::Error,
    metrics::UsageMetrics,
    usage::{Folded, Keeper, Lease, Rebuilt},
};

/// Between two rounds of folding: readers add so much of what is not folded yet.
const ROUND: Duration = Duration::from_millis(500);
/// Between two tries of a process that does not hold the lease.
const STANDBY: Duration = Duration::from_secs(1);
/// A check takes at most this part of the time: it rests so many times as long as it worked.
const REST: u32 = 50;
/// Shortest rest of the check.
const SHORTEST_REST: Duration = Duration::from_secs(2);

/// Keeps sums, and checks them, until `shutdown`. A step that is under way is finished, or rolled back.
pub async fn run(keeper: Keeper, metrics: UsageMetrics, shutdown: CancellationToken) {
    let keep = shutdown.run_until_cancelled(keep(&keeper, &metrics));
    let check = shutdown.run_until_cancelled(check(&keeper, &metrics));
    tokio::join!(keep, check);
    if let Err(error) = keeper.release().await {
        tracing::debug!(%error, "the lease was not given back; it runs out by itself");
    }
}

/// Folds, and builds what is not built yet, round after round.
async fn keep(keeper: &Keeper, metrics: &UsageMetrics) {
    loop {
        let pause = match round(keeper, metrics).await {
            Ok(true) => ROUND,
            Ok(false) => STANDBY,
            Err(error) => {
                failed(metrics, &error);
                STANDBY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn failed(metrics: &UsageMetrics, error: &Error) {
    metrics.failures.inc();
    tracing::warn!(%error, "a step of keeping the statistics failed; it is tried again");
}

/// One round. Returns whether this process holds the lease.
async fn round(keeper: &Keeper, metrics: &UsageMetrics) -> Result<bool, Error> {
    let Some(lease) = keeper.lease().await? else { return Ok(false) };
    let begun = Instant::now();
    let held = fold_all(keeper, lease, metrics).await? && build_all(keeper, metrics).await?;
    metrics.round_seconds.set(begun.elapsed().as_secs_f64());
    Ok(held)
}

/// Folds every tenant that has differences. A tenant whose step fails does not hold up the next.
async fn fold_all(keeper: &Keeper, lease: Lease, metrics: &UsageMetrics) -> Result<bool, Error> {
    let (mut from, mut tenants) = (Uuid::nil(), 0);
    let mut beat = Instant::now();
    loop {
        if beat.elapsed() > STANDBY {
            if keeper.lease().await? != Some(lease) {
                return Ok(false);
            }
            beat = Instant::now();
        }
        from = match keeper.fold(lease, from).await {
            Ok(Folded::Nothing) => break,
            Ok(Folded::LeaseLost) => return Ok(false),
            Ok(Folded::Tenant { tenant, rows, more }) => {
                metrics.folded.inc_by(rows);
                tenants += i64::from(!more);
                if more { tenant } else { after(tenant) }
            }
            Err(error) => {
                failed(metrics, &error);
                match keeper.next_with_differences(from).await? {
                    Some(tenant) => after(tenant),
                    None => break,
                }
            }
        };
    }
    metrics.tenants_unfolded.set(tenants);
    Ok(true)
}

/// The least id that is greater.
fn after(tenant: Uuid) -> Uuid {
    Uuid::from_u128(tenant.as_u128().saturating_add(1))
}

/// Builds the tenants on the list of rebuilds, one step of each in turn until none is left, with the
/// folding of the others in between.
async fn build_all(keeper: &Keeper, metrics: &UsageMetrics) -> Result<bool, Error> {
    let mut after = Uuid::nil();
    while let Some(mut building) = keeper.next_unbuilt(after).await? {
        metrics.tenants_unbuilt.set(keeper.unbuilt().await?);
        let Some(mut lease) = keeper.lease().await? else { return Ok(false) };
        let mut beat = Instant::now();
        loop {
            match keeper.rebuild(Some(lease), &mut building).await {
                Ok(Rebuilt::Until(_)) => {}
                Ok(Rebuilt::Done | Rebuilt::Elsewhere) => break,
                Err(error) => {
                    failed(metrics, &error);
                    break;
                }
            }
            if beat.elapsed() > ROUND {
                beat = Instant::now();
                let Some(renewed) = keeper.lease().await? else { return Ok(false) };
                lease = renewed;
                if !fold_all(keeper, lease, metrics).await? {
                    return Ok(false);
                }
            }
        }
        after = building.tenant;
    }
    metrics.tenants_unbuilt.set(keeper.unbuilt().await?);
    Ok(true)
}

/// Compares a week of every tenant in turn with its calls, slowly, for ever.
async fn check(keeper: &Keeper, metrics: &UsageMetrics) {
    let mut last = Uuid::nil();
    loop {
        let begun = Instant::now();
        if let Err(error) = check_next(keeper, metrics, &mut last).await {
            failed(metrics, &error);
        }
        tokio::time::sleep((begun.elapsed() * REST).max(SHORTEST_REST)).await;
    }
}

/// Compares a week, any of its weeks, of the tenant after `last`, which that tenant becomes; at the end of
/// the list it begins anew. Where another process checks nothing is done.
async fn check_next(keeper: &Keeper, metrics: &UsageMetrics, last: &mut Uuid) -> Result<(), Error> {
    if keeper.lease().await?.is_none() {
        return Ok(());
    }
    let tenant = keeper.next_tenant(*last).await?;
    *last = tenant.unwrap_or_default();
    let Some(tenant) = tenant else { return Ok(()) };
    let dice = rand::random();
    let differences = keeper.verify_week(tenant, dice).await?;
    metrics.compared.inc();
    metrics.drift.inc_by(differences.len() as u64);
    if let Some(first) = differences.first() {
        let count = differences.len();
        tracing::error!(
            %tenant, count, bucket = %first.starts_at,
            "sums differ from calls; see `tenant-gateway usage verify`, and mend with `usage rebuild`"
        );
    }
    Ok(())
}
