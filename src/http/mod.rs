//! The router: the GraphQL endpoint, health, and the pages. Only this part and `app` know axum.

mod edge;
mod graphql;
mod health;
mod live;
pub mod playground;
mod socket;

pub use edge::Edge;

use std::sync::Arc;

use async_graphql::{Response as Answer, ServerError, Value};
use axum::{Router, extract::Request, http::HeaderValue, response::Redirect, routing::get};
use serde::Serialize;
use tower_http::{
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    trace::TraceLayer,
};

use tokio_util::sync::CancellationToken;

use crate::{
    auth::Authenticator,
    database::Database,
    deletion::Deletions,
    graphql::{Api, executed},
    metrics::Metrics,
};

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
    /// Shown at `/metrics`.
    pub metrics: Metrics,
    /// The settings of the edge.
    pub edge: Edge,
    /// Ends what would go on for ever.
    pub shutdown: CancellationToken,
}

/// Every path the gateway answers.
pub fn router(endpoints: Endpoints) -> Router {
    let edge = endpoints.edge.clone();
    let mut router = Router::new()
        .route("/graphql", get(graphql::get).post(graphql::post))
        .route("/graphql/ws", get(socket::socket))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .with_state(Arc::new(endpoints));
    if edge.playground {
        let to_playground = get(|| async { Redirect::temporary("/graphiql") });
        router = router.merge(playground::routes()).route("/", to_playground);
    }
    edge.around(router)
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(TraceLayer::new_for_http().make_span_with(|request: &Request| {
            let id = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
            tracing::info_span!("request", id, method = %request.method(), path = request.uri().path())
        }))
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
}

/// The header with the name that a request has in the log.
const REQUEST_ID: &str = "x-request-id";

/// The request's name, for its errors.
fn request_id(headers: &axum::http::HeaderMap) -> String {
    headers.get(REQUEST_ID).map(HeaderValue::to_str).and_then(Result::ok).unwrap_or_default().to_owned()
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
