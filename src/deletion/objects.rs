//! Removes a tenant's objects from storage: those that its erased rows named, then whatever else lies
//! under its prefix. Removing happens outside transactions and may happen twice; it is counted once.

use std::{collections::HashSet, time::Duration};

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
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
    faults,
    storage::{self, Hidden},
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

/// Lets a deletion go on only with the object storage that it was begun with, or, when it begins, that was worked
/// with last: another one has none of its objects, and finding none there would prove nothing.
pub(super) async fn settle_storage(erasure: &Erasure<'_>) -> Result<(), Obstacle> {
    let (own, known) = (erasure.tools.storage.address(), erasure.deletion.storage.as_deref());
    if known == Some(own) {
        return Ok(());
    }
    let transaction = erasure.begin().await?;
    let before = match known {
        Some(known) => Some(known.to_owned()),
        None => last_storage(&transaction).await?,
    };
    if let Some(before) = before.filter(|before| !before.is_empty() && before != own) {
        tracing::warn!(deletion = %erasure.id(), own, before, "deletions were done with another object storage");
        return Err(Obstacle::OtherStorage);
    }
    let change = Change::new(&transaction).set("storage_address", own);
    change.apply(&transaction, erasure.id(), &Status::OPEN).await?;
    faults::point("storage.recorded");
    if !erasure.lease.holds(&transaction).await? {
        return Err(Obstacle::LeaseLost);
    }
    transaction.commit().await?;
    erasure.traffic.done();
    Ok(())
}

async fn last_storage<C: ConnectionTrait>(connection: &C) -> Result<Option<String>, database::Error> {
    let text = "SELECT storage_address FROM tenant_deletions \
                WHERE storage_address <> '' AND started_at IS NOT NULL \
                ORDER BY coalesce(finished_at, started_at) DESC, id DESC LIMIT 1";
    let statement = Sql::new(connection.get_database_backend()).statement(text);
    let row = connection.query_one_raw(statement).await?;
    Ok(row.map(|row| row.try_get_by("storage_address")).transpose()?)
}

/// Removes what the outbox names while rows are erased, and the rest when they are gone. Storage that fails is
/// no reason for rows to stay: it is asked again, and told to be in the way when nothing else is left to do.
pub(super) async fn remove(erasure: &Erasure<'_>, mut rows: watch::Receiver<Rows>) -> Result<(), Obstacle> {
    let mut seen = None;
    loop {
        let state = *rows.borrow_and_update();
        if state == Rows::Paused {
            return Ok(());
        }
        // What comes in while rows are erased comes in behind what was there.
        let after = seen.take().filter(|_| state == Rows::Going);
        let pause = match empty_outbox(erasure, Origin::Rows, after).await {
            Ok(look) if state == Rows::Going => {
                seen = look.last;
                PAUSE.max(look.read * REST)
            }
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
    /// Where it ended, on PostgreSQL.
    last: Option<String>,
    /// How long it read.
    read: Duration,
}

/// Whether an object may go with the tenant: whoever writes a row chooses the key in it, and must not choose
/// another tenant's object, or a certificate.
fn may_remove(key: &str, tenant: Uuid) -> bool {
    let is_others = key.starts_with("tenants/") && !key.starts_with(&prefix(tenant));
    !is_others && !key.starts_with(STORAGE_PREFIX)
}

/// Removes what the outbox names after a place in it. What cannot be removed stays in it, and is told when all the
/// others are gone.
async fn empty_outbox(
    erasure: &Erasure<'_>,
    origin: Origin,
    mut after: Option<String>,
) -> Result<Look, Obstacle> {
    let (mut failed, mut look) = (None, Look::default());
    loop {
        let begun = Instant::now();
        let found = outbox(erasure, after.as_deref()).await?;
        look.read += begun.elapsed();
        let Some(last) = found.last() else { break };
        after = Some(last.place.clone());
        look.named += found.len();
        failed = round(erasure, found, origin).await?.or(failed);
    }
    if erasure.tools.database.backend() == DbBackend::Postgres {
        look.last = after;
    }
    failed.map_or(Ok(look), Err)
}

/// Who says that there are objects of these keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Rows,
    Listing,
}

/// An object that the outbox names.
struct Named {
    key: String,
    bytes: i64,
    /// Its row's place in the outbox: on PostgreSQL where it lies, so that neither reading on nor removing it
    /// searches; on SQLite its key.
    place: String,
}

/// Removes some objects of the outbox, in its order. Returns why the last of those stays that could not be
/// removed.
async fn round(
    erasure: &Erasure<'_>,
    found: Vec<Named>,
    origin: Origin,
) -> Result<Option<Obstacle>, Obstacle> {
    let (found, others): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|named| may_remove(&named.key, erasure.deletion.tenant));
    if !others.is_empty() {
        let count = others.len();
        tracing::warn!(count, "erased rows named objects of another tenant, or certificates; these stay");
    }
    let keys: Vec<_> = found.iter().map(|named| named.key.clone()).collect();
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
    // What lies under the tenant's prefix is looked through as a whole, at the end.
    let prefix = prefix(erasure.deletion.tenant);
    let elsewhere = |key: &&String| !key.starts_with(&prefix) && !kept.contains(*key);
    let elsewhere: Vec<_> = keys.iter().filter(elsewhere).cloned().collect();
    let mut hidden = Hidden::default();
    if !elsewhere.is_empty() {
        match erasure.tools.storage.purge_hidden_of(&elsewhere).await {
            Ok(found) => hidden = found,
            Err(error) => {
                kept.extend(elsewhere);
                failed = Some(error.into());
            }
        }
    }
    faults::point("objects.removed");
    let gone: Vec<_> = found.into_iter().filter(|named| !kept.contains(&named.key)).collect();
    let bytes = gone.iter().map(|named| named.bytes).sum();
    let settled: Vec<_> = gone.iter().chain(&others).collect();
    if settled.is_empty() {
        return Ok(failed);
    }
    let transaction = erasure.begin().await?;
    let mut sql = Sql::new(transaction.get_database_backend());
    let id = sql.bind(erasure.id().into());
    let keys: Vec<_> = settled.iter().map(|named| named.key.as_str()).collect();
    let text = if sql.backend() == DbBackend::Sqlite {
        let these = sql.bind_words(&keys);
        format!("DELETE FROM tenant_deletion_objects WHERE deletion_id = {id} AND storage_key {these}")
    } else {
        // By the key too: a table that is rewritten meanwhile has other rows in these places.
        let column = |of: fn(&Named) -> &String| {
            Column::Words(settled.iter().map(|named| of(named).clone()).collect())
        };
        let these = sql.bind_table(
            "g",
            vec![("place", column(|named| &named.place)), ("key", column(|named| &named.key))],
        );
        format!(
            "DELETE FROM tenant_deletion_objects o USING {these} WHERE o.ctid = CAST(g.place AS tid) \
             AND o.storage_key = g.key AND (o.deletion_id = {id}) IS TRUE"
        )
    };
    let dropped = transaction.execute_raw(sql.statement(&text)).await?.rows_affected();
    // What stays in storage is no longer waited for, and is not counted as removed.
    let removed = dropped.saturating_sub(others.len() as u64);
    faults::point("objects.forgotten");
    count(erasure, &transaction, whole(removed), bytes).await?;
    count_hidden(erasure, &transaction, hidden).await?;
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
        let found: Vec<_> = found.into_iter().map(|(key, bytes)| (key, whole(bytes))).collect();
        let transaction = erasure.begin().await?;
        write_down(erasure.id(), &transaction, &found).await?;
        erasure.commit(transaction).await?;
        faults::point("objects.found");
        empty_outbox(erasure, Origin::Listing, None).await?;
    }
    let hidden = storage.purge_hidden(&prefix).await?;
    faults::point("objects.purged");
    let transaction = erasure.begin().await?;
    count_hidden(erasure, &transaction, hidden).await?;
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

async fn count_hidden<C: ConnectionTrait>(
    erasure: &Erasure<'_>,
    transaction: &C,
    hidden: Hidden,
) -> Result<(), database::Error> {
    if hidden == Hidden::default() {
        return Ok(());
    }
    let change = Change::new(transaction)
        .add("versions_erased", whole(hidden.versions.saturating_add(hidden.markers)))
        .add("uploads_erased", whole(hidden.uploads));
    change.apply(transaction, erasure.id(), &Status::OPEN).await?;
    Ok(())
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The next objects to remove.
async fn outbox(erasure: &Erasure<'_>, after: Option<&str>) -> Result<Vec<Named>, Obstacle> {
    let snapshot = erasure.snapshot().await?;
    let mut sql = Sql::new(snapshot.get_database_backend());
    let id = sql.bind(erasure.id().into());
    let text = if sql.backend() == DbBackend::Sqlite {
        let after = after.map(|after| format!("AND storage_key > {}", sql.bind(after.into())));
        format!(
            "SELECT storage_key, size_bytes, storage_key AS place FROM tenant_deletion_objects \
             WHERE deletion_id = {id} {} ORDER BY storage_key LIMIT {BULK}",
            after.unwrap_or_default()
        )
    } else {
        // Written so that no index fits: in the order of keys, each look would pass by all that is gone.
        format!(
            "SELECT storage_key, size_bytes, CAST(ctid AS text) AS place FROM tenant_deletion_objects \
             WHERE (deletion_id = {id}) IS TRUE AND ctid > CAST({} AS tid) LIMIT {BULK}",
            sql.bind(after.unwrap_or("(0,0)").into())
        )
    };
    let rows = snapshot.query_all_raw(sql.statement(&text)).await.map_err(database::Error::from)?;
    snapshot.commit().await.map_err(database::Error::from)?;
    erasure.traffic.done();
    let read = |row: &sea_orm::QueryResult| {
        let (key, bytes) = (row.try_get_by("storage_key")?, row.try_get_by("size_bytes")?);
        Ok(Named { key, bytes, place: row.try_get_by("place")? })
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbErr>>().map_err(database::Error::from)?)
}

/// Whether the outbox still names objects.
pub(super) async fn any<C: ConnectionTrait>(connection: &C, deletion: Uuid) -> Result<bool, database::Error> {
    let mut sql = Sql::new(connection.get_database_backend());
    let id = sql.bind(deletion.into());
    let text = format!("SELECT 1 FROM tenant_deletion_objects WHERE deletion_id = {id} LIMIT 1");
    Ok(connection.query_one_raw(sql.statement(&text)).await?.is_some())
}
