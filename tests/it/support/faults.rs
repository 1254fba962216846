//! A proxy that lets the way to a server fail on demand.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response, StatusCode, Uri, header},
};
use futures_util::stream;
use tokio::{net::TcpListener, task::JoinHandle};

/// What goes wrong, until [`FaultProxy::heal`].
#[derive(Debug, Default)]
struct Faults {
    fail: usize,
    pause: Duration,
    is_cut: bool,
    is_not_found: bool,
    ignores_prefixes: bool,
    page: Option<usize>,
    kept: Vec<String>,
    unknown: Vec<String>,
    requests: Vec<String>,
}

/// A proxy in front of a server that speaks S3, gone when it is dropped.
pub struct FaultProxy {
    /// Where it listens: `http://…`.
    pub url: String,
    faults: Arc<Mutex<Faults>>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Way {
    server: SocketAddr,
    client: reqwest::Client,
    faults: Arc<Mutex<Faults>>,
}

impl FaultProxy {
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let faults = Arc::new(Mutex::new(Faults::default()));
        let way = Way { server, client: super::client(), faults: faults.clone() };
        let router = Router::new().fallback(pass).with_state(way);
        let task = tokio::spawn(async { axum::serve(listener, router).await.expect("a proxy") });
        Self { url, faults, task }
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().expect("the faults")
    }

    /// The next `n` requests do not reach the server: the answer is 503, to come back later.
    pub fn fail_next(&self, n: usize) {
        self.faults().fail = n;
    }

    /// Each request waits for so many milliseconds before it is passed on.
    pub fn slow(&self, milliseconds: u64) {
        self.faults().pause = Duration::from_millis(milliseconds);
    }

    /// The server does what it is asked, and the connection breaks in the middle of its answer.
    pub fn cut(&self) {
        self.faults().is_cut = true;
    }

    /// The server does what it is asked, and says of each object to delete that it is not there.
    pub fn not_found(&self) {
        self.faults().is_not_found = true;
    }

    /// This object, by its whole key, is not deleted: the answer says that of it among others.
    pub fn keep(&self, key: &str) {
        self.faults().kept.push(key.to_owned());
    }

    /// The server does not know requests with this name in their query.
    pub fn unknown(&self, name: &str) {
        self.faults().unknown.push(name.to_owned());
    }

    /// The server lists everything, whatever prefix it is asked for.
    pub fn ignore_prefixes(&self) {
        self.faults().ignores_prefixes = true;
    }

    /// The server lists at most `n` objects or versions a page, however many it is asked for.
    pub fn small_pages(&self, n: usize) {
        self.faults().page = Some(n);
    }

    /// All is well again.
    pub fn heal(&self) {
        let requests = std::mem::take(&mut self.faults().requests);
        *self.faults() = Faults { requests, ..Faults::default() };
    }

    /// The requests since the last call, each as `METHOD PATH?QUERY`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.faults().requests)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the faults of this moment say about one request.
struct Fate {
    refusal: Option<(StatusCode, &'static str)>,
    pause: Duration,
    is_cut: bool,
    is_not_found: bool,
    ignores_prefixes: bool,
    page: Option<usize>,
    kept: Vec<String>,
}

impl Way {
    fn fate(&self, method: &Method, uri: &Uri) -> Fate {
        let mut faults = self.faults.lock().expect("the faults");
        faults.requests.push(format!("{method} {uri}"));
        let mut names = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split('=').next());
        let refusal = if faults.fail > 0 {
            faults.fail -= 1;
            Some((StatusCode::SERVICE_UNAVAILABLE, "SlowDown"))
        } else {
            names
                .any(|name| faults.unknown.iter().any(|unknown| unknown == name))
                .then_some((StatusCode::NOT_IMPLEMENTED, "NotImplemented"))
        };
        Fate {
            refusal,
            pause: faults.pause,
            is_cut: faults.is_cut,
            is_not_found: faults.is_not_found,
            ignores_prefixes: faults.ignores_prefixes,
            page: faults.page,
            kept: faults.kept.clone(),
        }
    }
}

async fn pass(
    State(way): State<Way>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let fate = way.fate(&method, &uri);
    if let Some((status, code)) = fate.refusal {
        return answer(status, format!("<Error><Code>{code}</Code><Message>as told</Message></Error>"));
    }
    tokio::time::sleep(fate.pause).await;
    let is_bulk = method == Method::POST && uri.query().is_some_and(|query| query.starts_with("delete"));
    let (body, errors) = if is_bulk { held_back(&body, &fate) } else { (body, String::new()) };
    if is_bulk && !body.windows(8).any(|window| window == b"<Object>") {
        return answer(StatusCode::OK, format!("<DeleteResult>{errors}</DeleteResult>"));
    }
    let query = changed_query(uri.query().unwrap_or_default(), &fate);
    // The body may be another one now.
    for name in ["content-length", "content-md5"] {
        headers.remove(name);
    }
    let url = format!("http://{}{}?{query}", way.server, uri.path());
    let is_delete = method == Method::DELETE;
    let told = way.client.request(method, url).headers(headers).body(body).send().await.expect("an answer");
    let (status, bytes) = (told.status(), told.bytes().await.expect("a body"));
    if fate.is_cut {
        return cut(status, bytes);
    }
    if fate.is_not_found && is_delete {
        return answer(StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>".to_owned());
    }
    if errors.is_empty() {
        return answer(status, bytes);
    }
    answer(status, format!("<DeleteResult>{errors}</DeleteResult>"))
}

fn changed_query(query: &str, fate: &Fate) -> String {
    let mut pairs = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("prefix", _)) if fate.ignores_prefixes => {}
            Some(("max-keys", asked)) => {
                let asked = asked.parse().expect("a number");
                pairs.push(format!("max-keys={}", fate.page.map_or(asked, |page| page.min(asked))));
            }
            _ => pairs.push(pair.to_owned()),
        }
    }
    pairs.join("&")
}

/// The order to delete without the objects that are kept, and what the answer says of those; of all,
/// when they are not found.
fn held_back(body: &[u8], fate: &Fate) -> (Bytes, String) {
    let order = std::str::from_utf8(body).expect("an order in UTF-8");
    let mut passed = order.to_owned();
    let mut errors = String::new();
    for object in order.split("<Object>").skip(1).filter_map(|rest| rest.split("</Object>").next()) {
        let key = object.split("<Key>").nth(1).and_then(|rest| rest.split("</Key>").next()).expect("a key");
        let code = if fate.kept.iter().any(|kept| kept == key) {
            passed = passed.replace(&format!("<Object>{object}</Object>"), "");
            "InternalError"
        } else if fate.is_not_found {
            "NoSuchKey"
        } else {
            continue;
        };
        for part in ["<Error><Key>", key, "</Key><Code>", code, "</Code><Message>as told</Message></Error>"] {
            errors.push_str(part);
        }
    }
    (passed.into(), errors)
}

fn answer(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer
}

/// An answer that promises more bytes than come.
fn cut(status: StatusCode, bytes: Bytes) -> Response<Body> {
    let promised = bytes.len() + 1;
    let parts = stream::iter([Ok(bytes), Err(io::Error::other("cut"))]);
    // Without an answer that has a body there is nothing to cut.
    let status = if status == StatusCode::NO_CONTENT { StatusCode::OK } else { status };
    let mut answer = answer(status, Body::from_stream(parts));
    answer.headers_mut().insert(header::CONTENT_LENGTH, promised.into());
    answer
}
