//! The end of a deletion: one short transaction that proves that nothing is left, and says so for ever.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use tokio::time::Instant;

use super::{
    Status,
    certificate::{self, Facts},
    entry::{Strictness, lock_tenant},
    erasure::Erasure,
    journal::{self, Change},
    objects,
    obstacle::Obstacle,
};
use crate::{
    cascade::{self, Sweep, TableName},
    database, faults,
};

/// It waits for no lock longer than this, and works no longer than that.
const CLOSING: &str = "SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '10s'; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'";
/// More late rows than these are erased in batches again.
const STRAGGLERS: i64 = 1_000;

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// Nothing remains, and the record says so.
    Closed,
    /// Something came in late: erase again.
    Again,
}

/// Closes a deletion whose rows and objects are gone.
pub(super) async fn close(erasure: &Erasure<'_>) -> Result<Closing, Obstacle> {
    let (tenant, id) = (erasure.deletion.tenant, erasure.id());
    // Outside: the first look past erased rows is the slow one, and others need not wait for it.
    let snapshot = erasure.tools.database.snapshot().await?;
    cascade::see_all(&snapshot).await?;
    let plan = erasure.entry.whole_plan(&snapshot, tenant).await?;
    cascade::remaining(&snapshot, &plan, tenant, STRAGGLERS).await?;
    let owned = erasure.entry.cascade.owned(&snapshot).await?;
    snapshot.commit().await?;

    let begun = Instant::now();
    let transaction = begin(erasure).await?;
    faults::point("closing.begun");
    // Before any other lock: two ends that both held a weaker one would wait for each other.
    cascade::keep_writers_out(&transaction, &owned).await.map_err(|error| written_to(&owned, error))?;
    let plan = erasure.entry.settled_plan(&transaction, tenant).await?;
    if plan.digest() != erasure.deletion.plan_digest {
        return Ok(Closing::Again);
    }
    lock_tenant(&transaction, tenant, Strictness::Writers).await.map_err(held)?;
    // From here on nobody can add a row.
    let Sweep::Done { tables, .. } = cascade::sweep(&transaction, &plan, tenant, STRAGGLERS, id).await?
    else {
        return again(erasure, "more rows came in than are swept up at the end");
    };
    for (table, rows) in &tables {
        journal::erased(&transaction, id, table, *rows).await?;
    }
    faults::point("closing.swept");
    let remaining = cascade::remaining(&transaction, &plan, tenant, 1).await?;
    if let Some((table, _)) = remaining.first() {
        // With them what the sweep counted goes back.
        return Err(Obstacle::RowsRemain(table.to_string()));
    }
    faults::point("closing.proven");
    if objects::any(&transaction, id).await? {
        // What was swept up is erased for good; its objects have to go first.
        erasure.commit(transaction).await?;
        return again(erasure, "rows with objects came in late");
    }
    if cascade::delete_root(&transaction, &plan, tenant).await?
        && let Some(root) = plan.steps.last()
    {
        journal::erased(&transaction, id, &root.table, 1).await?;
    }
    faults::point("closing.erased");
    // Once more: deleting the tenant itself may have let a trigger write.
    if let Some((table, _)) = cascade::remaining(&transaction, &plan, tenant, 1).await?.first() {
        return Err(Obstacle::RowsRemain(table.to_string()));
    }
    record(erasure, &transaction).await?;
    faults::point("closing.recorded");
    // Nobody else has taken over, and nobody need any more.
    if !erasure.lease.end(&transaction).await? {
        return Err(Obstacle::LeaseLost);
    }
    faults::point("closing.ended");
    transaction.commit().await?;
    faults::point("closing.committed");
    tracing::debug!(deletion = %id, micros = begun.elapsed().as_micros(), "the closing transaction was committed");
    erasure.tools.metrics.ended.inc();
    Ok(Closing::Closed)
}

async fn begin(erasure: &Erasure<'_>) -> Result<DatabaseTransaction, Obstacle> {
    let transaction = erasure.tools.database.begin().await?;
    if erasure.tools.database.backend() == DbBackend::Postgres {
        transaction.execute_unprepared(CLOSING).await?;
    }
    cascade::see_all(&transaction).await?;
    Ok(transaction)
}

fn held(error: database::Error) -> Obstacle {
    match error {
        database::Error::Contention(_) => Obstacle::Held,
        error => error.into(),
    }
}

fn written_to(tables: &[TableName], error: database::Error) -> Obstacle {
    match error {
        database::Error::Contention(_) => {
            Obstacle::Written(tables.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        }
        error => error.into(),
    }
}

fn again(erasure: &Erasure<'_>, why: &str) -> Result<Closing, Obstacle> {
    tracing::info!(deletion = %erasure.id(), why, "erasing again");
    erasure.reopen()?;
    Ok(Closing::Again)
}

/// Writes down that nothing remains, with the certificate.
async fn record(erasure: &Erasure<'_>, transaction: &DatabaseTransaction) -> Result<(), Obstacle> {
    let (now, deletion) = (erasure.entry.now(), &erasure.deletion);
    let kept = journal::totals(transaction, deletion.id).await?;
    let facts = Facts {
        deletion: deletion.id,
        tenant: deletion.tenant,
        requested_at: deletion.requested_at,
        started_at: deletion.started_at.unwrap_or(deletion.requested_at),
        finished_at: now,
        is_forced: deletion.is_forced,
        plan_digest: deletion.plan_digest.clone(),
        tables: kept.tables,
        objects: kept.objects,
        bytes: kept.bytes,
        hidden_versions: kept.versions,
        unfinished_uploads: kept.uploads,
        final_month: kept.final_usage.as_deref().and_then(|text| serde_json::from_str(text).ok()),
        replay_of: deletion.replay_of,
        gateway_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let certificate = certificate::issue(&facts, erasure.tools.signer.as_deref());
    Change::new(transaction)
        .into_status(Status::Deleted)
        .at("finished_at", now)
        .set("certificate", certificate.document)
        .set("certificate_sha256", certificate.sha256)
        .set("certificate_signature", certificate.signature)
        .set("certificate_key_id", certificate.key_id)
        .apply(transaction, deletion.id, &Status::OPEN)
        .await?;
    Ok(())
}
