//! How an instant is written, so that text on SQLite sorts and compares as time.

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use sea_orm::{DbBackend, Value};

/// Binds an instant for either database.
///
/// PostgreSQL takes a `timestamptz`. SQLite takes the one text form that the tables' checks accept,
/// `2026-10-02T12:34:56.789012Z`: always UTC, always six digits. Below a microsecond is cut off,
/// as PostgreSQL keeps no more.
#[must_use]
pub fn value(backend: DbBackend, instant: DateTime<Utc>) -> Value {
    match backend {
        DbBackend::Sqlite => text(instant).into(),
        _ => instant.trunc_subsecs(6).into(),
    }
}

/// The canonical text of an instant; see [`value`].
#[must_use]
pub fn text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Micros, true)
}
