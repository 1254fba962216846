//! One watcher in each process looks at every tenant that somebody subscribes to, all of them in the same few
//! statements, however many listen.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    error::Fault,
    loaders::{Batchers, Loaders},
};
use crate::usage::{self, Reading, Stats};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Tenants that are looked at together.
const TOGETHER: usize = 256;

/// What is known of a tenant: nothing, when it is gone.
pub(super) type Seen = Option<Stats>;

/// Looks at tenants as long as somebody listens. Cheap to clone; all clones look together.
#[derive(Clone)]
pub(super) struct Watcher(Arc<Inner>);

struct Inner {
    batchers: Batchers,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    tenants: HashMap<Uuid, watch::Sender<Seen>>,
    is_looking: bool,
}

impl Watcher {
    pub(super) fn new(batchers: &Batchers) -> Self {
        Self(Arc::new(Inner { batchers: batchers.clone(), watched: Mutex::default() }))
    }

    /// A tenant now.
    ///
    /// # Errors
    ///
    /// Those of reading it.
    pub(super) async fn look(&self, tenant: Uuid) -> Result<Seen, Fault> {
        figures(Loaders::new(&self.0.batchers).reading(tenant).await?.as_deref())
    }

    /// A tenant from now on: `now` and whatever differs from it in anything but its instant.
    pub(super) fn follow(&self, tenant: Uuid, now: Seen) -> watch::Receiver<Seen> {
        let mut watched = self.0.watched();
        let receiver = if let Some(sender) = watched.tenants.get(&tenant) {
            // The next look is compared with what this listener has seen, or a change that is taken back before it
            // would never be told to it.
            sender.send_if_modified(|known| {
                let is_new = as_of(known) <= as_of(&now) && differ(known, &now);
                if is_new {
                    known.clone_from(&now);
                }
                is_new
            });
            let mut receiver = sender.subscribe();
            // The last look may be younger than what this listener has seen.
            receiver.mark_changed();
            receiver
        } else {
            let (sender, receiver) = watch::channel(now);
            watched.tenants.insert(tenant, sender);
            receiver
        };
        if !watched.is_looking {
            watched.is_looking = true;
            tokio::spawn(Looking { inner: self.0.clone(), has_ended: false }.run());
        }
        receiver
    }
}

impl Inner {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One look after another while anybody listens.
struct Looking {
    inner: Arc<Inner>,
    has_ended: bool,
}

impl Looking {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            let tenants: Vec<Uuid> = {
                let mut watched = self.inner.watched();
                watched.tenants.retain(|_, sender| sender.receiver_count() > 0);
                if watched.tenants.is_empty() {
                    // Under the lock: whoever follows after it begins anew.
                    watched.is_looking = false;
                    self.has_ended = true;
                    return;
                }
                watched.tenants.keys().copied().collect()
            };
            for some in tenants.chunks(TOGETHER) {
                self.look(some).await;
            }
        }
    }

    /// One failed look is no change; the next may succeed.
    async fn look(&self, tenants: &[Uuid]) {
        let loaders = Loaders::new(&self.inner.batchers);
        let looks = tenants.iter().map(async |tenant| (*tenant, loaders.reading(*tenant).await));
        for (tenant, found) in futures_util::future::join_all(looks).await {
            if let Ok(seen) = found.and_then(|reading| figures(reading.as_deref())) {
                self.tell(tenant, seen);
            } else {
                tracing::warn!(%tenant, "a look at a subscribed tenant failed");
            }
        }
    }

    fn tell(&self, tenant: Uuid, seen: Seen) {
        let mut watched = self.inner.watched();
        let Some(sender) = watched.tenants.get(&tenant) else { return };
        let is_gone = seen.is_none();
        sender.send_if_modified(|known| {
            let is_new = differ(known, &seen);
            if is_new {
                *known = seen;
            }
            is_new
        });
        if is_gone {
            // Whoever follows one of the same id later begins anew.
            watched.tenants.remove(&tenant);
        }
    }
}

/// Looking that ends by a panic, or with its runtime, is begun anew by whoever follows next.
impl Drop for Looking {
    fn drop(&mut self) {
        if !self.has_ended {
            self.inner.watched().is_looking = false;
        }
    }
}

/// The instant of a sight; before any other where there is none.
pub(super) fn as_of(seen: &Seen) -> Option<DateTime<Utc>> {
    seen.as_ref().map(|stats| stats.as_of)
}

/// Whether two sights of a tenant differ in anything but their instant.
pub(super) fn differ(one: &Seen, other: &Seen) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Stats { as_of: other.as_of, ..one.clone() } != *other,
        (None, None) => false,
        _ => true,
    }
}

fn figures(reading: Option<&Reading>) -> Result<Seen, Fault> {
    let Some(reading) = reading else { return Ok(None) };
    match &reading.stats {
        Some(stats) => Ok(Some(stats.clone())),
        None => Err(usage::Error::UnknownZone(reading.tenant.time_zone.clone()).into()),
    }
}
