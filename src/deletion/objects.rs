//! Removes a tenant's objects from storage: those that its erased rows named, then whatever else lies
//! under its prefix. Removing happens outside transactions and may happen twice; it is counted once.

use std::{collections::HashSet, time::Duration};

use sea_orm::{ConnectionTrait, DbErr};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::{
    Status,
    erasure::{Erasure, Rows},
    journal::Change,
    obstacle::Obstacle,
};
use crate::{
    database::{self, Sql},
    faults, storage,
};

/// Objects of one round: as many as S3 removes with one request.
const BULK: usize = 1_000;
/// Between two looks through the outbox while rows are erased.
const PAUSE: Duration = Duration::from_millis(20);
/// A look passes by what was there before, which costs the more the more that was: it rests so many times as
/// long as it read.
const REST: u32 = 3;

/// Everything that the platform keeps for a tenant lies under it.
pub(super) fn prefix(tenant: Uuid) -> String {
    format!("tenants/{tenant}/")
}

/// Removes what the outbox names while rows are erased, and the rest when they are gone.
pub(super) async fn remove(erasure: &Erasure<'_>, rows: watch::Receiver<Rows>) -> Result<(), Obstacle> {
    let mut after = None;
    let mut failed = None;
    let mut read = Duration::ZERO;
    loop {
        let state = *rows.borrow();
        if state == Rows::Paused {
            return failed.map_or(Ok(()), Err);
        }
        let begun = Instant::now();
        let found = outbox(erasure, after.as_deref()).await?;
        read += begun.elapsed();
        match found.last() {
            Some((last, _)) => after = Some(last.clone()),
            None if failed.is_some() => return failed.map_or(Ok(()), Err),
            None if after.is_none() && state == Rows::Gone => break,
            // From the beginning again: keys come in any order.
            None => {
                after = None;
                if state == Rows::Going {
                    tokio::time::sleep(PAUSE.max(read * REST)).await;
                }
                read = Duration::ZERO;
            }
        }
        if !found.is_empty() {
            failed = round(erasure, found).await?.or(failed);
        }
    }
    empty_prefix(erasure).await?;
    faults::point("objects.gone");
    Ok(())
}

/// Removes some objects of the outbox. Returns why the last of those stays that could not be removed.
async fn round(erasure: &Erasure<'_>, found: Vec<(String, i64)>) -> Result<Option<Obstacle>, Obstacle> {
    let keys: Vec<_> = found.iter().map(|(key, _)| key.clone()).collect();
    let mut failed = None;
    let mut kept = HashSet::new();
    for (key, error) in erasure.tools.storage.remove(&keys).await? {
        if matches!(error, storage::Error::Key { .. }) {
            tracing::warn!(%error, "an erased row named no object; there is nothing to remove");
        } else {
            kept.insert(key);
            failed = Some(error.into());
        }
    }
    faults::point("objects.removed");
    let gone: Vec<_> = found.into_iter().filter(|(key, _)| !kept.contains(key)).collect();
    let bytes = gone.iter().map(|(_, bytes)| bytes).sum();
    let keys: Vec<_> = gone.iter().map(|(key, _)| key.as_str()).collect();
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(failed) };
    let transaction = erasure.begin().await?;
    let mut sql = Sql::new(transaction.get_database_backend());
    let (id, these) = (sql.bind(erasure.id().into()), sql.bind_words(&keys));
    let (first, last) = (sql.bind((*first).into()), sql.bind((*last).into()));
    // Between two ends, so that a plan made while the outbox was empty does not read all of it.
    let text = format!(
        "DELETE FROM tenant_deletion_objects WHERE deletion_id = {id} AND storage_key BETWEEN {first} AND {last} \
         AND storage_key {these}"
    );
    let removed = transaction.execute_raw(sql.statement(&text)).await?.rows_affected();
    count(erasure, &transaction, i64::try_from(removed).unwrap_or(i64::MAX), bytes).await?;
    erasure.commit(transaction).await?;
    faults::point("objects.recorded");
    Ok(failed)
}

/// Removes what no row named: objects under the tenant's prefix, older versions, unfinished uploads.
async fn empty_prefix(erasure: &Erasure<'_>) -> Result<(), Obstacle> {
    let (storage, prefix) = (&erasure.tools.storage, prefix(erasure.deletion.tenant));
    loop {
        let found = storage.list(&prefix, BULK).await?;
        if found.is_empty() {
            break;
        }
        let keys: Vec<_> = found.iter().map(|(key, _)| key.clone()).collect();
        if let Some((_, error)) = storage.remove(&keys).await?.into_iter().next() {
            return Err(error.into());
        }
        let bytes = found.iter().map(|(_, bytes)| i64::try_from(*bytes).unwrap_or(i64::MAX)).sum();
        let transaction = erasure.begin().await?;
        count(erasure, &transaction, i64::try_from(found.len()).unwrap_or(i64::MAX), bytes).await?;
        erasure.commit(transaction).await?;
    }
    let hidden = storage.purge_hidden(&prefix).await?;
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let transaction = erasure.begin().await?;
    Change::new(&transaction)
        .add("versions_erased", number(hidden.versions) + number(hidden.markers))
        .add("uploads_erased", number(hidden.uploads))
        .apply(&transaction, erasure.id(), &Status::OPEN)
        .await?;
    erasure.commit(transaction).await
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
async fn outbox(erasure: &Erasure<'_>, after: Option<&str>) -> Result<Vec<(String, i64)>, database::Error> {
    let connection = &erasure.tools.database.connection;
    let mut sql = Sql::new(connection.get_database_backend());
    let id = sql.bind(erasure.id().into());
    let rest = after.map(|after| format!("AND storage_key > {}", sql.bind(after.into()))).unwrap_or_default();
    let text = format!(
        "SELECT storage_key, size_bytes FROM tenant_deletion_objects \
         WHERE deletion_id = {id} {rest} ORDER BY storage_key LIMIT {BULK}"
    );
    let rows = connection.query_all_raw(sql.statement(&text)).await?;
    erasure.traffic.done();
    let read =
        |row: &sea_orm::QueryResult| Ok((row.try_get_by("storage_key")?, row.try_get_by("size_bytes")?));
    Ok(rows.iter().map(read).collect::<Result<_, DbErr>>()?)
}

/// Whether the outbox still names objects.
pub(super) async fn any<C: ConnectionTrait>(connection: &C, deletion: Uuid) -> Result<bool, database::Error> {
    let mut sql = Sql::new(connection.get_database_backend());
    let id = sql.bind(deletion.into());
    let text = format!("SELECT 1 FROM tenant_deletion_objects WHERE deletion_id = {id} LIMIT 1");
    Ok(connection.query_one_raw(sql.statement(&text)).await?.is_some())
}
