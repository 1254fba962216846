//! Takes connections: how many there may be, how long one may be silent, and how they end.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tower::{Service, ServiceExt};

use super::address::{TrustedProxies, whose};
use crate::metrics::Gauge;

/// A client that has not taken what was sent to it for so long is cut off, by the system.
#[cfg(target_os = "linux")]
const UNTAKEN: Duration = Duration::from_secs(30);
/// Memory for what a connection has sent and nobody has read, in bytes: the head of a request must fit.
const BUFFER: usize = 64 * 1024;
/// Rest after the system could not give a connection, for want of something that others may give back.
const REST: Duration = Duration::from_millis(50);
/// What a client is told for which there is no place.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How many connections there may be, and how long they may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    /// Most at the same time.
    pub most: usize,
    /// Most from one address, or from one /64 of IPv6. Trusted proxies may have as many as there are.
    pub most_per_address: usize,
    /// Longest wait for the first request of a connection.
    pub header_timeout: Duration,
    /// Longest wait for the next, and longest time that its head may take to come.
    pub idle_timeout: Duration,
}

impl Default for Connections {
    /// Balancers keep connections for a minute without a request, and must not be the second to end one.
    fn default() -> Self {
        Self {
            most: 16_384,
            most_per_address: 4_096,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
        }
    }
}

/// Who is at the other end of a connection; goes with each of its requests.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Its address: a proxy's, if there is one.
    pub(super) address: IpAddr,
    /// Held as long as anything of the connection lives.
    _place: Arc<Place>,
}

/// The connections that are open.
#[derive(Debug)]
struct Places {
    limits: Connections,
    proxies: TrustedProxies,
    open: Mutex<Open>,
    count: Gauge,
    /// Knows when the last of them has ended.
    tracker: TaskTracker,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One of them; given back when it is dropped.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    address: IpAddr,
    _tracked: TaskTrackerToken,
}

impl Places {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from `address`, if there is one.
    fn take(self: &Arc<Self>, address: IpAddr) -> Option<Arc<Place>> {
        let key = whose(address);
        let mut open = self.open();
        let own = open.by_address.get(&key).copied().unwrap_or_default();
        let most = if self.proxies.trusts(address) { usize::MAX } else { self.limits.most_per_address };
        if open.all >= self.limits.most || own >= most {
            return None;
        }
        open.all += 1;
        open.by_address.insert(key, own + 1);
        self.count.inc();
        Some(Arc::new(Place { places: self.clone(), address: key, _tracked: self.tracker.token() }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open();
        open.all = open.all.saturating_sub(1);
        self.places.count.dec();
        if let Some(own) = open.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// Answers requests.
pub(super) trait Answers:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> Answers for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

/// When a server ends.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// From here on each connection ends with the answer that it waits for: clients open new ones, elsewhere.
    pub stopping: CancellationToken,
    /// From here on no new connection is taken, and those without a request end.
    pub shutdown: CancellationToken,
}

/// Serves until `ending.shutdown`, and then until the last request in flight is answered.
pub(super) async fn serve(
    listener: TcpListener,
    service: impl Answers,
    limits: Connections,
    proxies: TrustedProxies,
    count: Gauge,
    ending: &Ending,
) {
    let tracker = TaskTracker::new();
    let places =
        Arc::new(Places { limits, proxies, open: Mutex::default(), count, tracker: tracker.clone() });
    loop {
        let accepted = tokio::select! {
            biased;
            () = ending.shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // The connection is gone already, or the system has no more of something.
                tracing::debug!(%error, "a connection could not be taken");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let Some(peer) = admit(&places, &stream, address) else { continue };
        tokio::spawn(welcome(stream, peer, service.clone(), limits, ending.clone()));
    }
    drop(listener);
    tracker.close();
    tracker.wait().await;
}

/// Waits until a connection says something, and then attends to it: one that says nothing takes little memory.
async fn welcome(stream: TcpStream, peer: Peer, answers: impl Answers, limits: Connections, ending: Ending) {
    let first = Instant::now() + limits.header_timeout;
    let mut beginning = [0];
    tokio::select! {
        biased;
        begun = timeout_at(first, stream.peek(&mut beginning)) => if !matches!(begun, Ok(Ok(1..))) {
            return;
        },
        () = ending.shutdown.cancelled() => return,
    }
    Box::pin(attend(stream, peer, answers, limits, first, ending)).await;
}

/// Answers the requests of one connection, the first of which is there in time, until it ends.
async fn attend(
    stream: TcpStream,
    peer: Peer,
    answers: impl Answers,
    limits: Connections,
    first: Instant,
    ending: Ending,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let service = {
        let (asked, stopping) = (asked.clone(), ending.stopping.clone());
        service_fn(move |mut request: hyper::Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(peer.clone());
            let (answer, stopping) = (answers.clone().oneshot(request.map(Body::new)), stopping.clone());
            async move {
                let mut response = answer.await?;
                if stopping.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        })
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut first = pin!(sleep_until(first));
    let mut shutdown = pin!(ending.shutdown.cancelled());
    let (mut is_late, mut is_told) = (false, false);
    loop {
        tokio::select! {
            biased;
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = first.as_mut(), if !is_late => {
                if !asked.load(Ordering::Relaxed) {
                    return;
                }
                is_late = true;
            }
            () = shutdown.as_mut(), if !is_told => {
                connection.as_mut().graceful_shutdown();
                is_told = true;
            }
        }
    }
}

/// Gives a connection a place, or says that there is none.
fn admit(places: &Arc<Places>, stream: &TcpStream, address: SocketAddr) -> Option<Peer> {
    let address = address.ip().to_canonical();
    let Some(place) = places.take(address) else {
        // Whoever does not take it at once goes without.
        let _ = stream.try_write(FULL);
        tracing::debug!(%address, "no place for a connection");
        return None;
    };
    // An answer is one piece, and waits for nothing.
    let _ = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(UNTAKEN));
    Some(Peer { address, _place: place })
}
