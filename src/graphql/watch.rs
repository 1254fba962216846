//! One watcher in each process looks at everything of one kind that somebody subscribes to, all of it in the same few
//! statements, however many listen.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::{
    error::{Code, Fault},
    loaders::{Batchers, Loaders},
};
use crate::{
    deletion::Deletion,
    usage::{self, Reading, Stats},
};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Time for which looks must fail before listeners are told, where it is not the fault of what they look at.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something that can be looked at again and again.
pub(super) trait Sight: Clone + Send + Sync + 'static {
    /// Names the kind in the log.
    const KIND: &'static str;

    /// What is there now under this id, through loaders that share statements.
    fn look(loaders: &Loaders, id: Uuid) -> impl Future<Output = Result<Option<Self>, Fault>> + Send;

    /// Whether a listener should be told of the other after this.
    fn differs(&self, other: &Self) -> bool;
}

impl Sight for Stats {
    const KIND: &'static str = "tenant";

    async fn look(loaders: &Loaders, tenant: Uuid) -> Result<Option<Self>, Fault> {
        figures(loaders.reading(tenant).await?.as_deref())
    }

    /// In anything but the instant.
    fn differs(&self, other: &Self) -> bool {
        Self { as_of: other.as_of, ..self.clone() } != *other
    }
}

impl Sight for Deletion {
    const KIND: &'static str = "deletion";

    async fn look(loaders: &Loaders, id: Uuid) -> Result<Option<Self>, Fault> {
        loaders.deletion(id).await
    }

    fn differs(&self, other: &Self) -> bool {
        self != other
    }
}

fn figures(reading: Option<&Reading>) -> Result<Option<Stats>, Fault> {
    let Some(reading) = reading else { return Ok(None) };
    match &reading.stats {
        Some(stats) => Ok(Some(stats.clone())),
        None => Err(usage::Error::UnknownZone(reading.tenant.time_zone.clone()).into()),
    }
}

/// What was seen: nothing, where it is gone, or why nothing can be seen.
#[derive(Clone, Debug)]
pub(super) struct Seen<T> {
    /// When the look began.
    at: Instant,
    pub(super) what: Result<Option<T>, Fault>,
}

impl<T: Sight> Seen<T> {
    /// Whether this is no older than another, and tells something else.
    pub(super) fn is_news_after(&self, other: &Self) -> bool {
        let is_other = match (&self.what, &other.what) {
            (Ok(Some(one)), Ok(Some(other))) => other.differs(one),
            (Ok(None), Ok(None)) => false,
            (Err(one), Err(other)) => one.code() != other.code(),
            _ => true,
        };
        is_other && other.at <= self.at
    }
}

/// Looks as long as somebody listens. Cheap to clone; all clones look together.
pub(super) struct Watcher<T: Sight>(Arc<Inner<T>>);

impl<T: Sight> Clone for Watcher<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<T> {
    batchers: Batchers,
    watched: Mutex<Watched<T>>,
}

struct Watched<T> {
    senders: HashMap<Uuid, watch::Sender<Seen<T>>>,
    is_looking: bool,
}

impl<T: Sight> Watcher<T> {
    pub(super) fn new(batchers: &Batchers) -> Self {
        let watched = Mutex::new(Watched { senders: HashMap::new(), is_looking: false });
        Self(Arc::new(Inner { batchers: batchers.clone(), watched }))
    }

    /// What is there now.
    pub(super) async fn look(&self, id: Uuid) -> Seen<T> {
        let at = Instant::now();
        Seen { at, what: T::look(&Loaders::new(&self.0.batchers), id).await }
    }

    /// What is there from now on: `now`, and whatever differs from it.
    pub(super) fn follow(&self, id: Uuid, now: Seen<T>) -> watch::Receiver<Seen<T>> {
        let mut watched = self.0.watched();
        let receiver = if let Some(sender) = watched.senders.get(&id) {
            // The next look is compared with what this listener has seen, or a change that is taken back before it
            // would never be told to it.
            sender.send_if_modified(|known| {
                let is_new = now.is_news_after(known);
                if is_new {
                    *known = now;
                }
                is_new
            });
            let mut receiver = sender.subscribe();
            // The last look may be younger than what this listener has seen.
            receiver.mark_changed();
            receiver
        } else {
            let (sender, receiver) = watch::channel(now);
            watched.senders.insert(id, sender);
            receiver
        };
        if !watched.is_looking {
            watched.is_looking = true;
            let (inner, failures) = (self.0.clone(), Mutex::default());
            tokio::spawn(Looking { inner, failures, has_ended: false }.run());
        }
        receiver
    }
}

impl<T> Inner<T> {
    fn watched(&self) -> MutexGuard<'_, Watched<T>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One look after another while anybody listens.
struct Looking<T: Sight> {
    inner: Arc<Inner<T>>,
    /// Since when the looks at something have failed.
    failures: Mutex<HashMap<Uuid, Instant>>,
    has_ended: bool,
}

impl<T: Sight> Looking<T> {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(PAUSE).await;
            let ids: Vec<Uuid> = {
                let mut watched = self.inner.watched();
                watched.senders.retain(|_, sender| sender.receiver_count() > 0);
                if watched.senders.is_empty() {
                    // Under the lock: whoever follows after it begins anew.
                    watched.is_looking = false;
                    self.has_ended = true;
                    return;
                }
                self.failures().retain(|id, _| watched.senders.contains_key(id));
                watched.senders.keys().copied().collect()
            };
            self.look(&ids).await;
        }
    }

    /// Through one set of loaders, which ask in as few statements as may be. Each is told as soon as it is known.
    async fn look(&self, ids: &[Uuid]) {
        let loaders = &Loaders::new(&self.inner.batchers);
        let at = Instant::now();
        stream::iter(ids)
            .for_each_concurrent(None, async |id| {
                let what = T::look(loaders, *id).await;
                if self.is_worth_telling(*id, what.as_ref().err()) {
                    self.tell(*id, Seen { at, what });
                }
            })
            .await;
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<Uuid, Instant>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether listeners are told of a look that had this fault, or none. A fault of what they look at is told at once;
    /// any other, such as a database that does not answer, when it has lasted for a while.
    fn is_worth_telling(&self, id: Uuid, fault: Option<&Fault>) -> bool {
        let mut failures = self.failures();
        let Some(fault) = fault else {
            if failures.remove(&id).is_some() {
                tracing::info!(kind = T::KIND, %id, "what is subscribed to can be read again");
            }
            return true;
        };
        let code = fault.code();
        let since = failures.entry(id).or_insert_with(|| {
            tracing::warn!(kind = T::KIND, %id, code = code.word(), "what is subscribed to could not be read");
            Instant::now()
        });
        !matches!(code, Code::Unavailable | Code::Internal) || since.elapsed() >= PATIENCE
    }

    fn tell(&self, id: Uuid, seen: Seen<T>) {
        let mut watched = self.inner.watched();
        let Some(sender) = watched.senders.get(&id) else { return };
        let is_gone = matches!(seen.what, Ok(None));
        sender.send_if_modified(|known| {
            let is_new = seen.is_news_after(known);
            if is_new {
                *known = seen;
            }
            is_new
        });
        if is_gone {
            // Whoever follows one of the same id later begins anew.
            watched.senders.remove(&id);
        }
    }
}

/// Looking that ends by a panic, or with its runtime, is begun anew by whoever follows next.
impl<T: Sight> Drop for Looking<T> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.inner.watched().is_looking = false;
        }
    }
}
