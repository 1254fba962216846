//! How many requests are worked on at the same time: a few, and of one tenant one, so that a tenant that others hold
//! keeps no place from the rest.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit};
use uuid::Uuid;

/// Requests that may hold a connection at the same time: the rest is for readers.
const SIDE_BY_SIDE: usize = 4;
/// A request waits so long for earlier ones of the same tenant.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lets requests begin.
#[derive(Debug)]
pub(super) struct Places {
    all: Semaphore,
    tenants: std::sync::Mutex<HashMap<Uuid, Weak<Mutex<()>>>>,
}

impl Places {
    pub(super) fn new() -> Self {
        Self { all: Semaphore::new(SIDE_BY_SIDE), tenants: std::sync::Mutex::default() }
    }

    /// Waits until no other request of the tenant is worked on; none where that takes too long.
    pub(super) async fn turn(&self, tenant: Uuid) -> Option<OwnedMutexGuard<()>> {
        let turns = self.turns_of(tenant);
        tokio::time::timeout(PATIENCE, turns.lock_owned()).await.ok()
    }

    /// Waits for a connection's place. Never closed, so always had.
    pub(super) async fn take(&self) -> Option<SemaphorePermit<'_>> {
        self.all.acquire().await.ok()
    }

    fn turns_of(&self, tenant: Uuid) -> Arc<Mutex<()>> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, turns| turns.strong_count() > 0);
        if let Some(turns) = tenants.get(&tenant).and_then(Weak::upgrade) {
            return turns;
        }
        let turns = Arc::default();
        tenants.insert(tenant, Arc::downgrade(&turns));
        turns
    }
}
