//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};

use super::Endpoints;
use crate::database::NotServable;

/// The process runs.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// The database can be reached and has the schema that this program needs.
pub(super) async fn ready(State(endpoints): State<Arc<Endpoints>>) -> (StatusCode, &'static str) {
    match endpoints.database.check_servable().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            let reason = match error {
                NotServable::Database(_) => "the database cannot be reached\n",
                NotServable::Pending(_) => "the database is not migrated\n",
                NotServable::Newer(_) | NotServable::ForeignTables(_) | NotServable::NoSchema => {
                    "the database has another schema\n"
                }
            };
            (StatusCode::SERVICE_UNAVAILABLE, reason)
        }
    }
}

/// What is measured, in the text format of Prometheus.
pub(super) async fn metrics(State(endpoints): State<Arc<Endpoints>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], endpoints.metrics.text())
}
