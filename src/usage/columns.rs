//! Pieces of SQL that several statements share, and how their results are read.

use sea_orm::{DbBackend, DbErr, QueryResult};

use super::Figures;

/// The sums, in the order of the fields of [`Figures`].
pub(super) const SUMS: [&str; 6] =
    ["calls", "duration_sum", "duration_count", "score_sum", "score_count", "cost_cents"];

/// Open sessions of tenant `t.id` with a sign of life since `$LIVE`.
pub(super) const ACTIVE_SESSIONS: &str = "(SELECT count(*) FROM sessions s WHERE s.tenant_id = t.id \
     AND s.ended_at IS NULL AND coalesce(s.last_seen_at, s.started_at) >= $LIVE)";

/// Open calls of tenant `t.id` that started since `$HORIZON`.
pub(super) const ACTIVE_CALLS: &str = "(SELECT count(*) FROM calls c WHERE c.tenant_id = t.id \
     AND c.ended_at IS NULL AND c.started_at >= $HORIZON)";

/// The sums over rows `c` of `calls`.
pub(super) fn sums_of_calls(backend: DbBackend) -> String {
    // A cast cuts towards zero on SQLite, whose `floor` is optional: a negative cut is mended by one.
    let (millionths, integer) = match backend {
        DbBackend::Sqlite => (
            "cast(c.sentiment_score * 1000000 + 0.5 AS INTEGER) \
             - (c.sentiment_score * 1000000 + 0.5 < cast(c.sentiment_score * 1000000 + 0.5 AS INTEGER))",
            "INTEGER",
        ),
        _ => ("floor(c.sentiment_score * 1000000 + 0.5)::bigint", "bigint"),
    };
    format!(
        "count(*) AS calls, \
         cast(coalesce(sum(c.duration_seconds), 0) AS {integer}) AS duration_sum, \
         count(c.duration_seconds) AS duration_count, \
         cast(coalesce(sum({millionths}), 0) AS {integer}) AS score_sum, \
         count(c.sentiment_score) AS score_count, \
         cast(coalesce(sum(c.cost_cents), 0) AS {integer}) AS cost_cents"
    )
}

/// The start of the UTC quarter-hour and of the UTC day of call `c`.
pub(super) fn buckets_of_calls(backend: DbBackend) -> [&'static str; 2] {
    match backend {
        DbBackend::Sqlite => [
            "substr(c.started_at, 1, 14) \
             || substr('00153045', substr(c.started_at, 15, 2) / 15 * 2 + 1, 2) || ':00.000000Z'",
            "substr(c.started_at, 1, 10) || 'T00:00:00.000000Z'",
        ],
        _ => [
            "date_bin('15 minutes', c.started_at, timestamptz '0001-01-01 00:00:00+00')",
            "date_trunc('day', c.started_at, 'UTC')",
        ],
    }
}

/// Reads [`SUMS`], which begin at this column.
pub(super) fn figures_from(row: &QueryResult, first: usize) -> Result<Figures, DbErr> {
    Ok(Figures {
        calls: row.try_get_by_index(first)?,
        duration_sum: row.try_get_by_index(first + 1)?,
        duration_count: row.try_get_by_index(first + 2)?,
        score_sum: row.try_get_by_index(first + 3)?,
        score_count: row.try_get_by_index(first + 4)?,
        cost_cents: row.try_get_by_index(first + 5)?,
    })
}
