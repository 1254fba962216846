//! Operations over a socket, by the protocol `graphql-transport-ws`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_graphql::{Request as Question, Response as Answer, ServerError};
use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::request::Parts,
    response::Response,
};
use futures_util::StreamExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::AbortHandle,
    time::{Instant, interval, timeout},
};
use tracing::{Instrument, Span};

use super::{
    Endpoints, Written,
    asked::has_at_most,
    client,
    graphql::{Asker, in_time, rate_limited},
    messages::{Close, FromClient, Payload, ToClient},
    request_id,
    server::Peer,
    stamp,
};
use crate::{
    auth::Viewer,
    graphql::{Allowed, Code, executed, refusal},
};

/// The name of the protocol.
const PROTOCOL: &str = "graphql-transport-ws";
/// A client that does not begin within this time is cut off.
const BEGINNING: Duration = Duration::from_secs(10);
/// How often it is looked at what time has brought: often enough for the shortest of the limits.
const WATCH: Duration = Duration::from_millis(500);
/// A client that does not take a message for so long is too slow, and is dropped.
const SLOWNESS: Duration = Duration::from_secs(10);
/// How long a client may take to hang up after a farewell.
const LINGER: Duration = Duration::from_secs(1);
/// Memory for what has come through a socket and is not a whole message yet, at first, in bytes. The library's own
/// measure is for a few sockets.
const READ_BUFFER: usize = 4 * 1024;
/// Longest message that is taken, in bytes: whoever has no token yet may send one too.
const MAX_MESSAGE: usize = 128 * 1024;
/// Answers of a socket that are being made or wait to be sent; then its other operations wait.
const MAX_UNSENT: usize = 16;

/// What one socket may do.
#[derive(Clone, Copy, Debug)]
pub struct Sockets {
    /// A client from which nothing comes for so long, not even the answer to a ping, is gone. Pinged twice meanwhile.
    pub silence: Duration,
    /// A socket without an operation is closed after this time.
    pub idle: Duration,
    /// A socket is closed after this time, and the client connects again: connections spread over new replicas.
    pub lifetime: Duration,
    /// Operations that may be going on at the same time.
    pub operations: usize,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(50),
            idle: Duration::from_mins(10),
            lifetime: Duration::from_hours(12),
            operations: 100,
        }
    }
}

/// Something that an operation has to tell.
struct News {
    id: String,
    /// Tells an operation from a later one of the same id.
    number: u64,
    /// Nothing: it is complete.
    answer: Option<Answer>,
    /// Given back when it has been told.
    _room: Option<OwnedSemaphorePermit>,
}

/// Opens a socket. The token comes as `Authorization` in `connection_init`: a browser can set no header here.
pub(super) async fn socket(
    State(endpoints): State<Arc<Endpoints>>,
    head: Parts,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Some(wait) = client(&endpoints, &head).and_then(|client| endpoints.rates.address(client).err()) {
        return Asker { endpoints: &endpoints, headers: &head.headers, viewer: None }.too_often(wait);
    }
    // Its place among the connections is taken as long as the socket is open.
    let peer = head.extensions.get::<Peer>().cloned();
    let (request_id, span) = (request_id(&head.headers), Span::current());
    upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .on_upgrade(move |socket| session(endpoints, socket, request_id, peer).instrument(span))
}

/// One socket, until it ends. Its place among the connections is given back then.
async fn session(endpoints: Arc<Endpoints>, socket: WebSocket, request_id: String, _place: Option<Peer>) {
    let speaks = socket.protocol().is_some();
    let mut session = Session::new(endpoints, socket, request_id);
    let end = if speaks { session.run().await } else { Some(Close::NoProtocol) };
    if let Some(close) = end {
        tracing::debug!(?close, "a socket is closed");
        // Whoever is gone needs no farewell.
        let farewell = session.socket.send(Message::Close(Some(close.frame())));
        let _ = timeout(SLOWNESS, farewell).await;
        // What has come meanwhile is read, or the system would take the farewell back.
        let rest = async { while let Some(Ok(_)) = session.socket.recv().await {} };
        let _ = timeout(LINGER, rest).await;
    }
}

/// An operation that is going on.
struct Running {
    number: u64,
    task: AbortHandle,
    is_subscription: bool,
}

struct Session {
    endpoints: Arc<Endpoints>,
    socket: WebSocket,
    viewer: Option<Viewer>,
    operations: HashMap<String, Running>,
    /// The name of the request that opened the socket.
    request_id: String,
    is_stopping: bool,
    /// Operations so far.
    count: u64,
    told: mpsc::Sender<News>,
    news: mpsc::Receiver<News>,
    /// For answers, which may be large.
    room: Arc<Semaphore>,
    limits: Sockets,
    opened: Instant,
    heard: Instant,
    busy: Instant,
}

impl Session {
    fn new(endpoints: Arc<Endpoints>, socket: WebSocket, request_id: String) -> Self {
        let (told, news) = mpsc::channel(MAX_UNSENT);
        let now = Instant::now();
        let operations = HashMap::new();
        endpoints.metrics.requests.sockets.inc();
        Self {
            limits: endpoints.edge.sockets,
            endpoints,
            socket,
            viewer: None,
            operations,
            request_id,
            is_stopping: false,
            count: 0,
            told,
            news,
            room: Arc::new(Semaphore::new(MAX_UNSENT)),
            opened: now,
            heard: now,
            busy: now,
        }
    }

    /// Until the end. Returns why the socket is to be closed; nothing where the client has gone.
    async fn run(&mut self) -> Option<Close> {
        let mut ping = interval(self.limits.silence * 2 / 5);
        ping.reset();
        let mut watch = interval(WATCH);
        let shutdown = self.endpoints.ending.shutdown.clone();
        loop {
            let outcome = tokio::select! {
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.receive(message).await,
                    Some(Err(_)) | None => return None,
                },
                Some(news) = self.news.recv() => self.tell(news).await,
                _ = ping.tick() => match self.viewer {
                    Some(_) => self.send(&ToClient::Ping).await,
                    None => Ok(()),
                },
                _ = watch.tick() => self.check(),
                () = shutdown.cancelled(), if !self.is_stopping => {
                    self.stop();
                    Ok(())
                }
            };
            let is_over = self.is_stopping && self.operations.is_empty();
            let outcome = if is_over { outcome.and(Err(Some(Close::Stopping))) } else { outcome };
            if let Err(end) = outcome {
                return end;
            }
        }
    }

    /// What would go on for ever ends, and what will end by itself may.
    fn stop(&mut self) {
        self.is_stopping = true;
        self.operations.retain(|_, operation| {
            if operation.is_subscription {
                operation.task.abort();
            }
            !operation.is_subscription
        });
    }

    /// What time has brought.
    fn check(&mut self) -> Result<(), Option<Close>> {
        if !self.operations.is_empty() {
            self.busy = Instant::now();
        }
        let close = match &self.viewer {
            None if self.opened.elapsed() > BEGINNING => Close::NotBegun,
            Some(viewer) if self.endpoints.authenticator.has_ended(viewer) => Close::TokenEnded,
            _ if self.heard.elapsed() > self.limits.silence => Close::Silent,
            _ if self.busy.elapsed() > self.limits.idle => Close::Idle,
            _ if self.opened.elapsed() > self.limits.lifetime => Close::TooOld,
            _ => return Ok(()),
        };
        Err(Some(close))
    }

    async fn receive(&mut self, message: Message) -> Result<(), Option<Close>> {
        self.heard = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return Err(None),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Binary(_) => return Err(Some(Close::NotProtocol)),
        };
        if !has_at_most(text.as_bytes(), self.endpoints.edge.max_values) {
            return Err(Some(Close::TooMuch));
        }
        match serde_json::from_str(&text) {
            Ok(FromClient::ConnectionInit { payload }) => self.begin(payload).await,
            Ok(FromClient::Subscribe { id, payload }) if payload.is_something() => {
                self.start(id.0, (*payload).into()).await
            }
            Ok(FromClient::Complete { id }) => {
                if let Some(operation) = self.operations.remove(&id.0) {
                    operation.task.abort();
                }
                Ok(())
            }
            Ok(FromClient::Ping { payload }) => {
                self.send(&ToClient::Pong { payload: payload.as_ref() }).await
            }
            Ok(FromClient::Pong { .. }) => Ok(()),
            Ok(FromClient::Subscribe { .. }) | Err(_) => Err(Some(Close::NotProtocol)),
        }
    }

    async fn begin(&mut self, payload: Option<Payload>) -> Result<(), Option<Close>> {
        if self.viewer.is_some() {
            return Err(Some(Close::BegunTwice));
        }
        let payload = payload.unwrap_or_default();
        let given = ["Authorization", "authorization"].iter().find_map(|name| payload.get(*name)?.as_str());
        match self.endpoints.authenticator.viewer(given).await {
            Ok(viewer) => self.viewer = Some(viewer),
            Err(_) => return Err(Some(Close::Forbidden)),
        }
        self.send(&ToClient::ConnectionAck).await
    }

    async fn start(&mut self, id: String, question: Question) -> Result<(), Option<Close>> {
        let Some(viewer) = self.viewer.clone() else { return Err(Some(Close::Unauthorized)) };
        if self.operations.contains_key(&id) {
            return Err(Some(Close::Duplicate));
        }
        let refused = if self.is_stopping {
            let sentence = "the gateway stops; connect again";
            Some(refusal(Code::Unavailable, ServerError::new(sentence, None)))
        } else if self.operations.len() == self.limits.operations {
            let most = self.limits.operations;
            let sentence = format!("this socket has {most} operations going on; end one first");
            Some(refusal(Code::BadRequest, ServerError::new(sentence, None)))
        } else {
            self.endpoints.rates.viewer(&viewer).err().map(rate_limited)
        };
        if let Some(refusal) = &refused {
            self.endpoints.api.note_refusal(refusal, Some(&viewer));
        }
        let opened = match refused {
            Some(refusal) => Err(refusal),
            None => self.endpoints.api.open(question, viewer).map_err(|refusal| *refusal),
        };
        let operation = match opened {
            Ok(operation) => operation,
            Err(mut refusal) => {
                stamp(&mut refusal, &self.request_id);
                return self.send(&ToClient::Error { id: &id, payload: &refusal.errors }).await;
            }
        };
        self.count += 1;
        let (number, told, name) = (self.count, self.told.clone(), id.clone());
        let is_subscription = operation.is_subscription();
        let mut answers = if is_subscription {
            operation.stream()
        } else {
            let time = self.endpoints.edge.request_timeout;
            let answer = async move {
                in_time(time, operation, Allowed::Everything).await.unwrap_or_else(|late| late)
            };
            futures_util::stream::once(answer).boxed()
        };
        let room = self.room.clone();
        let work = async move {
            // A subscription's answers are small, and may be long in coming.
            let mut room = if is_subscription { None } else { room.acquire_owned().await.ok() };
            while let Some(answer) = answers.next().await {
                let news = News { id: name.clone(), number, answer: Some(answer), _room: room.take() };
                if told.send(news).await.is_err() {
                    return;
                }
            }
            // The socket is gone, or waits for this.
            let _ = told.send(News { id: name, number, answer: None, _room: None }).await;
        };
        let task = tokio::spawn(work.instrument(Span::current())).abort_handle();
        self.operations.insert(id, Running { number, task, is_subscription });
        Ok(())
    }

    async fn tell(&mut self, news: News) -> Result<(), Option<Close>> {
        let News { id, number, mut answer, _room } = news;
        if let Some(answer) = &mut answer {
            stamp(answer, &self.request_id);
        }
        if self.operations.get(&id).is_none_or(|operation| operation.number != number) {
            return Ok(());
        }
        match answer {
            // What was not executed ends with its errors.
            Some(answer) if !executed(&answer) => {
                self.operations.remove(&id);
                self.send(&ToClient::Error { id: &id, payload: &answer.errors }).await
            }
            Some(answer) => self.send(&ToClient::Next { id: &id, payload: Written::of(&answer) }).await,
            None => {
                self.operations.remove(&id);
                self.send(&ToClient::Complete { id: &id }).await
            }
        }
    }

    async fn send(&mut self, message: &ToClient<'_>) -> Result<(), Option<Close>> {
        let text = serde_json::to_string(message).map_err(|error| {
            tracing::error!(%error, "an answer could not be written");
            None
        })?;
        match timeout(SLOWNESS, self.socket.send(Message::Text(text.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(Close::TooSlow)),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.endpoints.metrics.requests.sockets.dec();
        for operation in self.operations.values() {
            operation.task.abort();
        }
    }
}
