//! A tenant's rows, table by table, in short transactions that others do not notice.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::future::try_join_all;
use tokio::time::Instant;

use super::{
    BlockCode, Status,
    erasure::{Erasure, Rows, Turn},
    journal::{self, Change},
    obstacle::Obstacle,
    pace::Company,
};
use crate::{
    cascade::{self, Batch, Plan, Range},
    database, faults,
};

/// A batch that others were in the way of is tried so many times in all, then the whole turn is.
const TRIES: u32 = 5;
/// Wait before the second try; doubled before each later one.
const BACKOFF: Duration = Duration::from_millis(50);
/// Between two looks whether a replica has caught up.
const LAG_PAUSE: Duration = Duration::from_secs(1);

/// Erases the tenant's rows of one table, by stretches of keys side by side, when so many are `done`.
pub(super) async fn erase(
    erasure: &Erasure<'_>,
    plan: &Plan,
    done: usize,
    turn: &Turn,
) -> Result<Rows, Obstacle> {
    let (tenant, id) = (erasure.deletion.tenant, erasure.deletion.id);
    let step = plan.order[done];
    let mut ranges = journal::ranges(&erasure.tools.database.connection, id, step).await?;
    if ranges.is_empty() {
        let snapshot = erasure.snapshot().await?;
        let split = cascade::split(&snapshot, plan, step, tenant, erasure.traffic.lanes()).await?;
        snapshot.commit().await?;
        ranges = (0..).zip(split).collect();
        // One stretch alone is written down with its first batch.
        if ranges.len() > 1 {
            let transaction = erasure.begin().await?;
            for (lane, range) in &ranges {
                journal::advance(&transaction, id, step, *lane, Some(range)).await?;
                faults::point("ranges.recorded");
            }
            erasure.commit(transaction).await?;
            faults::point("ranges.committed");
        }
    }
    erasure.size.restart();
    let lanes = ranges.into_iter().map(|(lane, range)| lane_of(erasure, plan, step, lane, range, turn));
    if try_join_all(lanes).await?.contains(&Rows::Paused) {
        return Ok(Rows::Paused);
    }
    let transaction = erasure.begin().await?;
    let done = i32::try_from(done + 1).unwrap_or(i32::MAX);
    Change::new(&transaction).set("steps_done", done).apply(&transaction, id, &Status::OPEN).await?;
    faults::point("step.recorded");
    erasure.commit(transaction).await?;
    faults::point("step.done");
    Ok(Rows::Gone)
}

/// Erases one stretch of keys, batch by batch.
async fn lane_of(
    erasure: &Erasure<'_>,
    plan: &Plan,
    step: usize,
    lane: i32,
    mut range: Range,
    turn: &Turn,
) -> Result<Rows, Obstacle> {
    let mut tries = 0;
    loop {
        if turn.is_over() || !wait_for_replicas(erasure, turn).await? {
            return Ok(Rows::Paused);
        }
        let place = erasure.traffic.place().await;
        let (wanted, begun) = (erasure.size.rows(), Instant::now());
        match batch(erasure, plan, step, lane, &range, wanted).await {
            Ok(batch) => {
                let time = begun.elapsed();
                let rows = batch.rows + batch.others.iter().map(|(_, rows)| rows).sum::<i64>();
                erasure.tools.metrics.batch(rows, time);
                let found = u64::try_from(batch.rows).unwrap_or_default();
                let (table, micros) = (&plan.steps[step].table, time.as_micros());
                tracing::debug!(deletion = %erasure.id(), %table, rows, micros, "a batch was committed");
                tries = 0;
                let Some(rest) = batch.rest else { return Ok(Rows::Gone) };
                range = rest;
                let company = erasure.traffic.company();
                let is_slowed = erasure.size.took(wanted, found, time, &company);
                // With the place in hand, so that no other batch begins.
                tokio::time::sleep(erasure.traffic.rest(time, is_slowed)).await;
            }
            Err(Obstacle::Database(error @ database::Error::Contention(_))) if tries < TRIES => {
                tracing::debug!(%error, rows = wanted, "a batch was given up and is tried again");
                drop(place);
                erasure.size.shrink();
                tokio::time::sleep(BACKOFF * (1 << tries)).await;
                tries += 1;
            }
            Err(obstacle) => return Err(obstacle),
        }
    }
}

async fn batch(
    erasure: &Erasure<'_>,
    plan: &Plan,
    step: usize,
    lane: i32,
    range: &Range,
    rows: u64,
) -> Result<Batch, Obstacle> {
    let (tenant, id) = (erasure.deletion.tenant, erasure.deletion.id);
    let transaction = erasure.begin_batch(&plan.steps[step]).await?;
    faults::point("batch.begun");
    let batch = cascade::erase_batch(&transaction, plan, step, tenant, range, rows, id).await?;
    faults::point("batch.erased");
    journal::erased(&transaction, id, &plan.steps[step].table, batch.rows).await?;
    for (table, rows) in &batch.others {
        journal::erased(&transaction, id, table, *rows).await?;
    }
    faults::point("batch.counted");
    journal::advance(&transaction, id, step, lane, batch.rest.as_ref()).await?;
    if batch.rows > 0 || !batch.others.is_empty() {
        erasure.progress(&transaction).await?;
    }
    faults::point("batch.recorded");
    erasure.commit(transaction).await?;
    faults::point("batch.committed");
    Ok(batch)
}

/// Waits until no replica lags. False when others have their turn before.
async fn wait_for_replicas(erasure: &Erasure<'_>, turn: &Turn) -> Result<bool, Obstacle> {
    while let Company::Lagging(how) = erasure.traffic.company() {
        if turn.is_over() {
            return Ok(false);
        }
        if !erasure.is_hindered.load(Ordering::Relaxed) {
            let transaction = erasure.begin().await?;
            Change::new(&transaction)
                .set("block_code", BlockCode::Internal.word())
                .set("block_message", format!("{how}; erasing goes on when it has caught up"))
                .set("block_during", erasure.phase().word())
                .at("blocked_at", erasure.entry.now())
                .apply(&transaction, erasure.deletion.id, &Status::OPEN)
                .await?;
            if !erasure.lease.holds(&transaction).await? {
                return Err(Obstacle::LeaseLost);
            }
            transaction.commit().await?;
            erasure.is_hindered.store(true, Ordering::Relaxed);
        }
        tokio::time::sleep(LAG_PAUSE).await;
    }
    Ok(true)
}
