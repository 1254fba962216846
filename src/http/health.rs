//! `/healthz` and `/readyz`.

use axum::{extract::State, http::StatusCode};

use super::Endpoints;
use crate::database::NotServable;

/// The process runs.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// The database can be reached and has the schema that this program needs.
pub(super) async fn ready(State(endpoints): State<Endpoints>) -> (StatusCode, &'static str) {
    match endpoints.database.check_servable().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            let reason = match error {
                NotServable::Database(_) => "the database cannot be reached\n",
                NotServable::Pending(_) => "the database is not migrated\n",
                NotServable::Newer(_) | NotServable::ForeignTables(_) => "the database has another schema\n",
            };
            (StatusCode::SERVICE_UNAVAILABLE, reason)
        }
    }
}
