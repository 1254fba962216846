//! Batches what one request asks for piece by piece. Loaders live as long as their request: a
//! request that is dropped cannot lose another's batch, and nothing read for one viewer can reach
//! another.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use dataloader::{BatchFn, non_cached::Loader};
use uuid::Uuid;

use super::{error::Fault, request::Parts};
use crate::{
    database::Database,
    deletion::{self, Deletion, TableProgress},
    tenant::{self, Tenant},
    usage::{Reader, Stats, Subject},
};

/// What a key gives: nothing where there is nothing, or the fault of its whole batch.
type Loaded<V> = Result<Option<V>, Fault>;

/// The loaders of one request.
pub(super) struct Loaders {
    tenants: Loader<Uuid, Loaded<Tenant>, Tenants>,
    stats: Loader<Subject, Loaded<Arc<Stats>>, Figures>,
    newest_deletions: Loader<Uuid, Loaded<Deletion>, NewestDeletions>,
    deletion_tables: Loader<Uuid, Loaded<Arc<Vec<TableProgress>>>, DeletionTables>,
}

impl Loaders {
    pub(super) fn new(parts: &Parts) -> Self {
        let database = || parts.database.clone();
        Self {
            tenants: Loader::new(Tenants(database())),
            stats: Loader::new(Figures(parts.reader.clone())),
            newest_deletions: Loader::new(NewestDeletions(database())),
            deletion_tables: Loader::new(DeletionTables(database())),
        }
    }

    pub(super) async fn tenant(&self, id: Uuid) -> Loaded<Tenant> {
        self.tenants.try_load(id).await?
    }

    pub(super) async fn stats(&self, subject: Subject) -> Loaded<Arc<Stats>> {
        self.stats.try_load(subject).await?
    }

    pub(super) async fn newest_deletion(&self, tenant: Uuid) -> Loaded<Deletion> {
        self.newest_deletions.try_load(tenant).await?
    }

    pub(super) async fn deletion_tables(&self, deletion: Uuid) -> Loaded<Arc<Vec<TableProgress>>> {
        self.deletion_tables.try_load(deletion).await?
    }
}

struct Tenants(Database);

impl BatchFn<Uuid, Loaded<Tenant>> for Tenants {
    async fn load(&mut self, ids: &[Uuid]) -> HashMap<Uuid, Loaded<Tenant>> {
        let found = tenant::find(&self.0, ids).await;
        answer(ids, found.map(|rows| rows.into_iter().map(|row| (row.id, row)).collect()))
    }
}

struct Figures(Reader);

impl BatchFn<Subject, Loaded<Arc<Stats>>> for Figures {
    async fn load(&mut self, subjects: &[Subject]) -> HashMap<Subject, Loaded<Arc<Stats>>> {
        let found = self.0.stats(subjects).await;
        answer(subjects, found.map(|rows| rows.into_iter().map(|(key, row)| (key, Arc::new(row))).collect()))
    }
}

struct NewestDeletions(Database);

impl BatchFn<Uuid, Loaded<Deletion>> for NewestDeletions {
    async fn load(&mut self, tenants: &[Uuid]) -> HashMap<Uuid, Loaded<Deletion>> {
        let found = deletion::newest_of(&self.0.connection, tenants).await;
        answer(tenants, found.map(|rows| rows.into_iter().map(|row| (row.tenant, row)).collect()))
    }
}

struct DeletionTables(Database);

impl BatchFn<Uuid, Loaded<Arc<Vec<TableProgress>>>> for DeletionTables {
    async fn load(&mut self, deletions: &[Uuid]) -> HashMap<Uuid, Loaded<Arc<Vec<TableProgress>>>> {
        let found = deletion::tables_of(&self.0, deletions).await;
        answer(deletions, found.map(|rows| rows.into_iter().map(|(key, row)| (key, Arc::new(row))).collect()))
    }
}

/// An answer for every key: a loader without one would panic.
fn answer<K, V, E>(keys: &[K], found: Result<HashMap<K, V>, E>) -> HashMap<K, Loaded<V>>
where
    K: Copy + Eq + Hash,
    Fault: From<E>,
{
    match found {
        Ok(mut rows) => keys.iter().map(|key| (*key, Ok(rows.remove(key)))).collect(),
        Err(error) => {
            let fault = Fault::from(error);
            keys.iter().map(|key| (*key, Err(fault.clone()))).collect()
        }
    }
}
