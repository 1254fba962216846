//! Writes the certificates of ended deletions to object storage, each until it is there.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, stream};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Certificate, Status, Tools, certificate, journal::Change, worker::pause};
use crate::{
    database::{self, Sql},
    faults, storage,
};

/// Certificates that one round writes.
const ROUND: usize = 100;
/// How many of them at the same time: storage that is slow to refuse one need not hold up the next.
const SIDE_BY_SIDE: usize = 4;

/// Which certificates have not been taken by storage, and when each is tried again.
#[derive(Debug, Default)]
pub(super) struct Storing {
    failed: HashMap<Uuid, Failed>,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    attempts: u32,
    again_at: Instant,
}

/// Why a certificate is not in storage.
#[derive(Debug, thiserror::Error)]
enum Unstored {
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl From<DbErr> for Unstored {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}

impl Storing {
    /// Writes those that are not there yet, the oldest first, but none whose pause is not over. Returns whether
    /// there may be more.
    pub(super) async fn round(&mut self, tools: &Tools) -> Result<bool, database::Error> {
        let now = Instant::now();
        let pausing: Vec<Uuid> =
            self.failed.iter().filter(|(_, failed)| failed.again_at > now).map(|(id, _)| *id).collect();
        let connection = &tools.database.connection;
        let mut sql = Sql::new(connection.get_database_backend());
        // One whose deletion was done with another storage belongs there.
        let own = sql.bind(tools.storage.address().into());
        let text = format!(
            "SELECT id, tenant_id, certificate, certificate_sha256, certificate_signature, certificate_key_id \
             FROM tenant_deletions WHERE certificate IS NOT NULL AND certificate_stored_at IS NULL \
             AND coalesce(storage_address, {own}) = {own} AND NOT (id {}) ORDER BY finished_at, id LIMIT {ROUND}",
            sql.bind_ids(&pausing)
        );
        let rows = connection.query_all_raw(sql.statement(&text)).await?;
        let is_full = rows.len() == ROUND;
        let rows: Vec<(Uuid, QueryResult)> =
            rows.into_iter().map(|row| Ok((row.try_get_by("id")?, row))).collect::<Result<_, DbErr>>()?;
        let tried: HashSet<Uuid> = rows.iter().map(|(id, _)| *id).collect();
        // Of the others another process has taken care.
        self.failed.retain(|id, failed| failed.again_at > now || tried.contains(id));
        let mut outcomes = stream::iter(rows)
            .map(async |(id, row)| (id, store(tools, id, &row).await))
            .buffer_unordered(SIDE_BY_SIDE);
        while let Some((id, outcome)) = outcomes.next().await {
            match outcome {
                Ok(()) => drop(self.failed.remove(&id)),
                Err(error) => {
                    tracing::warn!(deletion = %id, %error, "a certificate could not be written to object storage");
                    let attempts = self.failed.get(&id).map_or(0, |failed| failed.attempts) + 1;
                    let again_at = Instant::now() + pause(attempts).to_std().unwrap_or_default();
                    self.failed.insert(id, Failed { attempts, again_at });
                }
            }
        }
        Ok(is_full)
    }
}

async fn store(tools: &Tools, id: Uuid, row: &QueryResult) -> Result<(), Unstored> {
    let tenant: Uuid = row.try_get_by("tenant_id")?;
    let certificate = Certificate {
        document: row.try_get_by("certificate")?,
        sha256: row.try_get_by("certificate_sha256")?,
        signature: row.try_get_by("certificate_signature")?,
        key_id: row.try_get_by("certificate_key_id")?,
    };
    let public_key = tools.signer.as_deref().map(certificate::Signer::public_key);
    let file = certificate.to_file(public_key.as_ref());
    tools.storage.put(&certificate::storage_key(tenant, id), file.into_bytes()).await?;
    faults::point("certificate.stored");
    let connection = &tools.database.connection;
    let stored = Change::new(connection).at("certificate_stored_at", tools.clock.now());
    stored.apply(connection, id, &[Status::Deleted]).await?;
    faults::point("certificate.recorded");
    Ok(())
}
