//! The router: the GraphQL endpoint, health, and the pages. Only this part and `app` know axum.

mod address;
mod asked;
mod edge;
mod graphql;
mod health;
mod live;
mod messages;
pub mod playground;
mod rates;
mod server;
mod socket;

pub use address::TrustedProxies;
pub use edge::Edge;
pub use health::Lookups;
pub use rates::{RateLimits, Rates};
pub use server::{Connections, Ending};
pub use socket::Sockets;

use std::{net::IpAddr, sync::Arc};

use async_graphql::{Response as Answer, ServerError, Value};
use axum::{
    Router,
    http::{HeaderValue, header, request::Parts},
    response::Redirect,
    routing::get,
};
use serde::Serialize;

use tokio::net::TcpListener;

use crate::{
    auth::Authenticator,
    database::Database,
    deletion::Deletions,
    graphql::{Api, executed},
    metrics::{Gauge, Metrics},
    usage::Keeper,
};
use server::Peer;

/// What the endpoints need.
pub struct Endpoints {
    /// Answers GraphQL requests.
    pub api: Api,
    /// Turns tokens into viewers.
    pub authenticator: Authenticator,
    /// Asked whether the gateway is ready.
    pub database: Database,
    /// Asked what waits to be done.
    pub deletions: Deletions,
    /// Asked what is not folded yet.
    pub keeper: Keeper,
    /// Shown at `/metrics`.
    pub metrics: Metrics,
    /// The settings of the edge.
    pub edge: Edge,
    /// Counts requests by who sends them.
    pub rates: RateLimits,
    /// Lookups for whoever asks without a token: so many at a time, and the others wait.
    pub lookups: Lookups,
    /// Ends what would go on for ever.
    pub ending: Ending,
}

/// Serves until `ending.shutdown`, and then until the last request in flight is answered: the endpoints through
/// `listener`, and what operators see through a listener of its own where there is one.
pub async fn serve(listener: TcpListener, operators: Option<TcpListener>, endpoints: Endpoints) {
    let (edge, ending) = (endpoints.edge.clone(), endpoints.ending.clone());
    let count = endpoints.metrics.requests.connections.clone();
    let endpoints = Arc::new(endpoints);
    let public = edge.around(router(endpoints.clone(), operators.is_none()));
    let limits = edge.connections;
    let public = server::serve(listener, public, limits, edge.proxies, count, &ending);
    let Some(operators) = operators else { return public.await };
    let seen = Router::new()
        .route("/metrics", get(health::metrics))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .with_state(endpoints);
    // Their connections are no clients', and are not counted among those.
    let seen = server::serve(operators, seen, limits, TrustedProxies::default(), Gauge::default(), &ending);
    tokio::join!(public, seen);
}

/// Every path that clients see.
fn router(endpoints: Arc<Endpoints>, shows_metrics: bool) -> Router {
    let edge = endpoints.edge.clone();
    let mut router = Router::new()
        .route("/graphql", get(graphql::get).post(graphql::post))
        .route("/graphql/ws", get(socket::socket))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .with_state(endpoints.clone());
    if shows_metrics {
        router = router.merge(Router::new().route("/metrics", get(health::metrics)).with_state(endpoints));
    }
    if edge.playground {
        let to_playground = get(|| async { Redirect::temporary("/graphiql") });
        router = router.merge(playground::routes()).route("/", to_playground);
    }
    router
}

/// The client's address. A request that came in no other way than through a connection has one.
fn client(endpoints: &Endpoints, head: &Parts) -> Option<IpAddr> {
    let peer = head.extensions.get::<Peer>()?;
    Some(endpoints.edge.proxies.client(peer.address, &head.headers))
}

/// The header with the name that a request has in the log.
const REQUEST_ID: &str = "x-request-id";

/// The request's name, for its errors.
fn request_id(headers: &axum::http::HeaderMap) -> String {
    headers.get(REQUEST_ID).map(HeaderValue::to_str).and_then(Result::ok).unwrap_or_default().to_owned()
}

/// Gives each error of an answer the request's name.
fn stamp(answer: &mut Answer, request_id: &str) {
    for error in &mut answer.errors {
        error.extensions.get_or_insert_default().set("requestId", request_id);
    }
}

/// Whether a caller takes this type: it is named in `accept`, and not with the weight 0.
fn accepts(headers: &axum::http::HeaderMap, media_type: &str) -> bool {
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(media_type));
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        is_it && weight.is_none_or(|weight| weight > 0.0)
    })
}

/// An answer as the specification wants it: one that was not executed has no `data`, one without errors has no
/// `errors`.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
}

impl<'a> Written<'a> {
    fn of(answer: &'a Answer) -> Self {
        Self { data: executed(answer).then_some(&answer.data), errors: &answer.errors }
    }
}
