//! The router: the GraphQL endpoint, health, and the pages. Only this part and `app` know axum.

mod graphql;
mod health;
mod live;
pub mod playground;

use std::sync::Arc;

use axum::{Router, extract::Request, http::HeaderValue, response::Redirect, routing::get};
use tower_http::{
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    trace::TraceLayer,
};

use crate::{auth::Authenticator, database::Database, deletion::Deletions, graphql::Api, metrics::Metrics};

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
}

/// Every path the gateway answers.
pub fn router(endpoints: Endpoints) -> Router {
    Router::new()
        .route("/graphql", get(graphql::get).post(graphql::post))
        .route("/graphql/ws", get(live::socket))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/", get(|| async { Redirect::temporary("/graphiql") }))
        .with_state(Arc::new(endpoints))
        .merge(playground::routes())
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
