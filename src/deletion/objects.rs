//! Removes a tenant's objects from storage: those that its erased rows named, then whatever else lies
//! under its prefix. Removing happens outside transactions and may happen twice; it is counted once.

use std::{collections::HashSet, time::Duration};

use sea_orm::{ConnectionTrait, DbErr};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::{
    Status,
    certificate::STORAGE_PREFIX,
    erasure::{Erasure, Rows},
    journal::Change,
    obstacle::Obstacle,
};
use crate::{
    database::{self, Column, Sql},
    faults, storage,
};

/// Objects of one round: as many as S3 removes with one request.
const BULK: usize = 1_000;
/// Between two looks through the outbox while rows are erased.
const PAUSE: Duration = Duration::from_millis(20);
/// A look passes by what was there before, which costs the more the more that was: it rests so many times as
/// long as it read.
const REST: u32 = 3;
/// Before storage that failed is asked again, while there are rows to erase.
const RETRY: Duration = Duration::from_secs(1);

/// Everything that the platform keeps for a tenant lies under it.
pub(super) fn prefix(tenant: Uuid) -> String {
    format!("tenants/{tenant}/")
}

/// Removes what the outbox names while rows are erased, and the rest when they are gone. Storage that fails is
/// no reason for rows to stay: it is asked again, and told to be in the way when nothing else is left to do.
pub(super) async fn remove(erasure: &Erasure<'_>, mut rows: watch::Receiver<Rows>) -> Result<(), Obstacle> {
    loop {
        let state = *rows.borrow_and_update();
        if state == Rows::Paused {
            return Ok(());
        }
        let pause = match empty_outbox(erasure, Origin::Rows).await {
            Ok(look) if state == Rows::Going => PAUSE.max(look.read * REST),
            Ok(look) if look.named == 0 => break,
            Ok(_) => continue,
            Err(Obstacle::Storage(error)) if state == Rows::Going => {
                tracing::info!(deletion = %erasure.id(), %error, "objects stay for now; rows are erased meanwhile");
                RETRY
            }
            Err(obstacle) => return Err(obstacle),
        };
        let _ = tokio::time::timeout(pause, rows.changed()).await;
    }
    empty_prefix(erasure).await?;
    faults::point("objects.gone");
    Ok(())
}

/// What a look through the outbox found.
#[derive(Default)]
struct Look {
    named: usize,
    /// How long it read.
    read: Duration,
}

/// Whether an object may go with the tenant: whoever writes a row chooses the key in it, and must not choose
/// another tenant's object, or a certificate.
fn may_remove(key: &str, tenant: Uuid) -> bool {
    let is_others = key.starts_with("tenants/") && !key.starts_with(&prefix(tenant));
    !is_others && !key.starts_with(STORAGE_PREFIX)
}

/// Removes what the outbox names, in the order of the keys. What cannot be removed stays in it, and is told when
/// all the others are gone.
async fn empty_outbox(erasure: &Erasure<'_>, origin: Origin) -> Result<Look, Obstacle> {
    let (mut after, mut failed, mut look) = (None, None, Look::default());
    loop {
        let begun = Instant::now();
        let found = outbox(erasure, after.as_deref()).await?;
        look.read += begun.elapsed();
        let Some((last, _)) = found.last() else { break };
        after = Some(last.clone());
        look.named += found.len();
        failed = round(erasure, found, origin).await?.or(failed);
    }
    failed.map_or(Ok(look), Err)
}

/// Who says that there are objects of these keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Rows,
    Listing,
}

/// Removes some objects of the outbox, in its order. Returns why the last of those stays that could not be
/// removed.
async fn round(
    erasure: &Erasure<'_>,
    found: Vec<(String, i64)>,
    origin: Origin,
) -> Result<Option<Obstacle>, Obstacle> {
    let (found, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(key, _)| may_remove(key, erasure.deletion.tenant));
    let others: Vec<_> = others.into_iter().map(|(key, _)| key).collect();
    if !others.is_empty() {
        let count = others.len();
        tracing::warn!(count, "erased rows named objects of another tenant, or certificates; these stay");
    }
    let keys: Vec<_> = found.iter().map(|(key, _)| key.clone()).collect();
    let mut failed = None;
    let mut kept = HashSet::new();
    for (key, error) in erasure.tools.storage.remove(&keys).await? {
        if origin == Origin::Rows && matches!(error, storage::Error::Key { .. }) {
            tracing::warn!(%error, "an erased row named no object; there is nothing to remove");
        } else {
            kept.insert(key);
            failed = Some(error.into());
        }
    }
    faults::point("objects.removed");
    let gone: Vec<_> = found.into_iter().filter(|(key, _)| !kept.contains(key)).collect();
    let bytes = gone.iter().map(|(_, bytes)| bytes).sum();
    let mut keys: Vec<_> = gone.iter().map(|(key, _)| key).chain(&others).map(String::as_str).collect();
    keys.sort_unstable();
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(failed) };
    let transaction = erasure.begin().await?;
    let mut sql = Sql::new(transaction.get_database_backend());
    let (id, first, last) =
        (sql.bind(erasure.id().into()), sql.bind((*first).into()), sql.bind((*last).into()));
    let these =
        sql.bind_table("g", vec![("key", Column::Words(keys.iter().map(ToString::to_string).collect()))]);
    // Between two ends, so that a plan made while the outbox was empty does not read all of it; and joined,
    // because an array would be looked through for every row.
    let text = format!(
        "DELETE FROM tenant_deletion_objects WHERE deletion_id = {id} AND storage_key BETWEEN {first} AND {last} \
         AND storage_key IN (SELECT g.key FROM {these})"
    );
    let dropped = transaction.execute_raw(sql.statement(&text)).await?.rows_affected();
    // What stays in storage is no longer waited for, and is not counted as removed.
    let removed = dropped.saturating_sub(others.len() as u64);
    faults::point("objects.forgotten");
    count(erasure, &transaction, i64::try_from(removed).unwrap_or(i64::MAX), bytes).await?;
    erasure.commit(transaction).await?;
    faults::point("objects.recorded");
    Ok(failed)
}

/// Removes what no row named: objects under the tenant's prefix, older versions, unfinished uploads. An object
/// that is found is written down before it is removed, so that it is counted, whoever comes to do that.
async fn empty_prefix(erasure: &Erasure<'_>) -> Result<(), Obstacle> {
    let (storage, prefix) = (&erasure.tools.storage, prefix(erasure.deletion.tenant));
    loop {
        let found = storage.list(&prefix, BULK).await?;
        if found.is_empty() {
            break;
        }
        let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let found: Vec<_> = found.into_iter().map(|(key, bytes)| (key, size(bytes))).collect();
        let transaction = erasure.begin().await?;
        write_down(erasure.id(), &transaction, &found).await?;
        erasure.commit(transaction).await?;
        faults::point("objects.found");
        empty_outbox(erasure, Origin::Listing).await?;
    }
    let hidden = storage.purge_hidden(&prefix).await?;
    faults::point("objects.purged");
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let transaction = erasure.begin().await?;
    Change::new(&transaction)
        .add("versions_erased", number(hidden.versions) + number(hidden.markers))
        .add("uploads_erased", number(hidden.uploads))
        .apply(&transaction, erasure.id(), &Status::OPEN)
        .await?;
    erasure.commit(transaction).await
}

async fn write_down<C: ConnectionTrait>(
    deletion: Uuid,
    transaction: &C,
    objects: &[(String, i64)],
) -> Result<(), database::Error> {
    let mut sql = Sql::new(transaction.get_database_backend());
    let id = sql.bind(deletion.into());
    let rows: Vec<_> = objects
        .iter()
        .map(|(key, bytes)| {
            format!("({id}, {}, {})", sql.bind(key.as_str().into()), sql.bind((*bytes).into()))
        })
        .collect();
    let text = format!(
        "INSERT INTO tenant_deletion_objects (deletion_id, storage_key, size_bytes) VALUES {} \
         ON CONFLICT DO NOTHING",
        rows.join(", ")
    );
    transaction.execute_raw(sql.statement(&text)).await?;
    Ok(())
}

async fn count<C: ConnectionTrait>(
    erasure: &Erasure<'_>,
    transaction: &C,
    objects: i64,
    bytes: i64,
) -> Result<(), database::Error> {
    let change = Change::new(transaction).add("objects_erased", objects).add("bytes_erased", bytes);
    change.apply(transaction, erasure.id(), &Status::OPEN).await?;
    Ok(())
}

/// The next objects to remove, in the order of their keys, with their bytes.
async fn outbox(erasure: &Erasure<'_>, after: Option<&str>) -> Result<Vec<(String, i64)>, Obstacle> {
    let snapshot = erasure.snapshot().await?;
    let mut sql = Sql::new(snapshot.get_database_backend());
    let id = sql.bind(erasure.id().into());
    let rest = after.map(|after| format!("AND storage_key > {}", sql.bind(after.into()))).unwrap_or_default();
    let text = format!(
        "SELECT storage_key, size_bytes FROM tenant_deletion_objects \
         WHERE deletion_id = {id} {rest} ORDER BY storage_key LIMIT {BULK}"
    );
    let rows = snapshot.query_all_raw(sql.statement(&text)).await.map_err(database::Error::from)?;
    snapshot.commit().await.map_err(database::Error::from)?;
    erasure.traffic.done();
    let read =
        |row: &sea_orm::QueryResult| Ok((row.try_get_by("storage_key")?, row.try_get_by("size_bytes")?));
    Ok(rows.iter().map(read).collect::<Result<_, DbErr>>().map_err(database::Error::from)?)
}

/// Whether the outbox still names objects.
pub(super) async fn any<C: ConnectionTrait>(connection: &C, deletion: Uuid) -> Result<bool, database::Error> {
    let mut sql = Sql::new(connection.get_database_backend());
    let id = sql.bind(deletion.into());
    let text = format!("SELECT 1 FROM tenant_deletion_objects WHERE deletion_id = {id} LIMIT 1");
    Ok(connection.query_one_raw(sql.statement(&text)).await?.is_some())
}
