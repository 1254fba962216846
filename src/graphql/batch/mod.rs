//! Lets requests in flight share statements.
//!
//! While statements run, what is asked for meanwhile gathers, and goes out together as soon as one of
//! them is done. There is no timer: a lone request waits for nobody. A key never joins a statement that
//! has been sent, so that whoever has written reads what was written. Whether the viewer may see a
//! tenant is decided before its key gets here.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    fmt::Debug,
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use super::error::{Code, Fault};
use crate::metrics::{self, BatchMetrics};

/// When a further statement is sent beside those that run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowding {
    /// Statements of one source that run at the same time, at most.
    flights: usize,
    /// Keys that must wait for it. Keys that a running statement reads do not count: all who want what many want
    /// share the next.
    crowd: usize,
}

impl Crowding {
    /// For a database server: a statement of many keys costs it much less than as many statements of one. Measured
    /// with 128 connections and PostgreSQL on the same two cores.
    pub(super) const SERVED: Self = Self { flights: 3, crowd: 48 };
    /// For a database in this process, where a statement costs little beside its keys.
    pub(super) const EMBEDDED: Self = Self { flights: 2, crowd: 8 };
    /// For what takes a statement for each key: nobody waits but who asks for the same. Fewer at a time than there are
    /// connections to read through, which others need too.
    pub(super) const APART: Self = Self { flights: 4, crowd: 1 };
}

/// Keys that may wait for one source; beyond it callers are turned away at once.
const MAX_WAITING: usize = 20_000;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers many keys at once.
pub(super) trait Source: Send + Sync + 'static {
    /// What is asked for.
    type Key: Clone + Debug + Eq + Hash + Send + Sync + 'static;
    /// What is known of it. Cheap to clone.
    type Value: Clone + Send + Sync + 'static;

    /// Names the source in metrics.
    const NAME: &'static str;
    /// Keys that one statement takes.
    const MAX_KEYS: usize;

    /// What is known of each of these keys, no two of them equal. Keys of which nothing is known are
    /// missing.
    fn load(
        &self,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<HashMap<Self::Key, Self::Value>, Fault>> + Send;
}

/// What came of each key: nothing where there is nothing, or the fault of that key.
pub(super) type Answers<S> = HashMap<<S as Source>::Key, Result<Option<<S as Source>::Value>, Fault>>;

/// Gathers keys for one source. Cheap to clone; all clones gather together.
pub(super) struct Batcher<S: Source>(Arc<Inner<S>>);

struct Inner<S: Source> {
    source: S,
    crowding: Crowding,
    metrics: BatchMetrics,
    queue: Mutex<Queue<S>>,
}

struct Queue<S: Source> {
    waiting: VecDeque<Ask<S>>,
    keys: usize,
    /// Of these, those that no statement was reading when they came.
    fresh: usize,
    flights: usize,
    /// What the running statements read, and how many of them.
    sent: HashMap<S::Key, usize>,
}

impl<S: Source> Queue<S> {
    /// Whether those that wait should not wait for the statements that run.
    fn wants_flight(&self, limits: Crowding) -> bool {
        self.keys > 0 && (self.flights == 0 || self.flights < limits.flights && self.fresh >= limits.crowd)
    }

    /// Whether a statement that has ended should be followed by another.
    fn wants_another(&self, limits: Crowding) -> bool {
        self.keys > 0 && (self.flights == 0 || self.keys >= limits.crowd)
    }

    /// These keys are sent now.
    fn send(&mut self, keys: &HashSet<S::Key>) {
        for key in keys {
            *self.sent.entry(key.clone()).or_default() += 1;
        }
    }

    /// These keys have been read.
    fn done(&mut self, keys: &[S::Key]) {
        for key in keys {
            if let Entry::Occupied(mut statements) = self.sent.entry(key.clone()) {
                *statements.get_mut() -= 1;
                if *statements.get() == 0 {
                    statements.remove();
                }
            }
        }
    }
}

/// Keys that belong together, and who waits for them.
struct Ask<S: Source> {
    keys: Vec<S::Key>,
    fresh: usize,
    since: Instant,
    /// What it is a part of.
    span: Span,
    reply: oneshot::Sender<Answers<S>>,
}

impl<S: Source> Clone for Batcher<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Source> Batcher<S> {
    pub(super) fn new(source: S, crowding: Crowding, metrics: BatchMetrics) -> Self {
        let (waiting, sent) = (VecDeque::new(), HashMap::new());
        let queue = Mutex::new(Queue { waiting, keys: 0, fresh: 0, flights: 0, sent });
        Self(Arc::new(Inner { source, crowding, metrics, queue }))
    }

    /// What is known of each of these keys. Dropping the future gives up the wait and disturbs nobody:
    /// statements run in tasks of their own.
    pub(super) async fn ask(&self, keys: &[S::Key]) -> Answers<S> {
        metrics::count();
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = self.0.queue();
            if queue.keys + keys.len() > MAX_WAITING {
                return failed(keys, &Fault::new(Code::Unavailable, TOO_MANY));
            }
            let fresh = keys.iter().filter(|key| !queue.sent.contains_key(key)).count();
            queue.keys += keys.len();
            queue.fresh += fresh;
            let (keys, since, span) = (keys.to_vec(), Instant::now(), Span::current());
            queue.waiting.push_back(Ask { keys, fresh, since, span, reply });
        }
        self.0.start_another();
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answers)) => answers,
            Ok(Err(_)) => failed(keys, &Fault::lost()),
            Err(_) => failed(keys, &Fault::new(Code::Unavailable, TOO_LONG)),
        }
    }
}

const TOO_MANY: &str = "too many reads are waiting for the database; try again in a moment";
const TOO_LONG: &str = "the database took too long to answer; try again in a moment";

impl<S: Source> Inner<S> {
    fn queue(&self) -> MutexGuard<'_, Queue<S>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what fits into one statement, with its keys: the oldest of those that no statement is reading, else the
    /// oldest, and all that fits beside it. What nobody waits for any more is dropped.
    fn take(&self) -> (Vec<Ask<S>>, Vec<S::Key>) {
        let mut queue = self.queue();
        let (mut taken, mut keys, mut left) = (Vec::new(), HashSet::new(), VecDeque::new());
        let mut waiting = std::mem::take(&mut queue.waiting);
        let is_unread = |ask: &Ask<S>| ask.keys.iter().any(|key| !queue.sent.contains_key(key));
        let first = waiting.iter().position(is_unread).and_then(|place| waiting.remove(place));
        for ask in first.into_iter().chain(waiting) {
            let more = ask.keys.iter().filter(|key| !keys.contains(*key)).count();
            if !ask.reply.is_closed() && !taken.is_empty() && keys.len() + more > S::MAX_KEYS {
                left.push_back(ask);
                continue;
            }
            queue.keys -= ask.keys.len();
            queue.fresh -= ask.fresh;
            if !ask.reply.is_closed() {
                keys.extend(ask.keys.iter().cloned());
                taken.push(ask);
            }
        }
        queue.waiting = left;
        queue.send(&keys);
        (taken, keys.into_iter().collect())
    }

    /// Sends a further statement where there should be one.
    fn start_another(self: &Arc<Self>) {
        let mut queue = self.queue();
        if queue.wants_flight(self.crowding) {
            queue.flights += 1;
            Flight::start(self.clone());
        }
    }

    fn note(&self, asks: &[Ask<S>], keys: &[S::Key]) {
        let longest = asks.iter().map(|ask| ask.since.elapsed()).max().unwrap_or_default();
        self.metrics.sent(keys.len(), longest);
    }

    /// A statement that hangs must not hold up those that wait behind it.
    async fn within_patience(&self, keys: &[S::Key]) -> Result<HashMap<S::Key, S::Value>, Fault> {
        let late = |_| Fault::new(Code::Unavailable, TOO_LONG);
        tokio::time::timeout(PATIENCE, self.source.load(keys)).await.map_err(late)?
    }

    /// Loads keys together. If that fails by the fault of one of them, each is loaded by itself, so that
    /// the others have their answers.
    async fn load(&self, keys: &[S::Key]) -> Answers<S> {
        match self.within_patience(keys).await {
            Ok(found) => answers::<S>(keys, found),
            Err(fault) if keys.len() == 1 || fault.is_passing() => failed(keys, &fault),
            Err(_) => {
                let mut all = HashMap::with_capacity(keys.len());
                for key in keys {
                    let key = std::slice::from_ref(key);
                    all.extend(match self.within_patience(key).await {
                        Ok(found) => answers::<S>(key, found),
                        Err(fault) => failed(key, &fault),
                    });
                }
                all
            }
        }
    }
}

/// In traces a batch is a part of the request that has waited longest, and is linked to the others.
fn span<S: Source>(asks: &[Ask<S>], keys: usize) -> Span {
    let Some((first, others)) = asks.split_first() else { return Span::none() };
    let span = tracing::debug_span!(parent: &first.span, "batch", source = S::NAME, keys);
    if !span.is_disabled() {
        for other in others {
            span.follows_from(&other.span);
        }
    }
    span
}

fn reply<S: Source>(asks: Vec<Ask<S>>, answers: &Answers<S>) {
    for ask in asks {
        let own = ask.keys.iter().filter_map(|key| Some((key.clone(), answers.get(key)?.clone()))).collect();
        // Whoever has stopped waiting needs no answer.
        let _ = ask.reply.send(own);
    }
}

fn answers<S: Source>(keys: &[S::Key], mut found: HashMap<S::Key, S::Value>) -> Answers<S> {
    keys.iter().map(|key| (key.clone(), Ok(found.remove(key)))).collect()
}

fn failed<K: Clone + Eq + Hash, V>(keys: &[K], fault: &Fault) -> HashMap<K, Result<Option<V>, Fault>> {
    keys.iter().map(|key| (key.clone(), Err(fault.clone()))).collect()
}

/// One statement after another, as long as keys wait.
struct Flight<S: Source> {
    inner: Arc<Inner<S>>,
    landed: bool,
}

impl<S: Source> Flight<S> {
    fn start(inner: Arc<Inner<S>>) {
        tokio::spawn(Self { inner, landed: false }.fly());
    }

    async fn fly(mut self) {
        loop {
            {
                // Under the lock: an ask that comes after it starts a flight of its own.
                let mut queue = self.inner.queue();
                queue.flights -= 1;
                if !queue.wants_another(self.inner.crowding) {
                    self.landed = true;
                    return;
                }
                queue.flights += 1;
            }
            let (asks, keys) = self.inner.take();
            // What found no room here.
            self.inner.start_another();
            if asks.is_empty() {
                continue;
            }
            self.inner.note(&asks, &keys);
            let load = self.inner.load(&keys).instrument(span(&asks, keys.len()));
            let answers = AssertUnwindSafe(load).catch_unwind().await;
            self.inner.queue().done(&keys);
            // A panic takes the answers of its own batch with it, not the flight: others wait for that.
            if let Ok(answers) = answers {
                reply(asks, &answers);
            } else {
                tracing::error!(source = S::NAME, "a batch panicked");
            }
        }
    }
}

/// A flight that ends before it has landed went down with its runtime.
impl<S: Source> Drop for Flight<S> {
    fn drop(&mut self) {
        if !self.landed {
            self.inner.queue().flights -= 1;
        }
    }
}
