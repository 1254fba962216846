//! Reads the figures of many tenants in one statement, from the raw calls.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use entity::timestamp;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use serde_json::json;
use uuid::Uuid;

use super::{Error, Figures, Span, Stats, Zone};
use crate::{
    clock::Clock,
    database::{self, Database},
};

/// A call that has not ended counts as going on for this long after its start.
const CALL_HORIZON: TimeDelta = TimeDelta::hours(24);

/// A tenant as its figures need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Which tenant.
    pub tenant: Uuid,
    /// Whose days and months count.
    pub zone: Zone,
}

/// Reads figures. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) database: Database,
    pub(super) clock: Clock,
    session_timeout: TimeDelta,
}

impl Reader {
    /// A session without a sign of life for longer than `session_timeout` is over.
    #[must_use]
    pub fn new(database: Database, clock: Clock, session_timeout: TimeDelta) -> Self {
        Self { database, clock, session_timeout }
    }

    /// The figures of each of `subjects` now, in one statement whatever their number and zones. A
    /// tenant that does not exist is missing from the answer.
    ///
    /// # Errors
    ///
    /// [`Error`]; then nothing is known of any of them.
    pub async fn stats(&self, subjects: &[Subject]) -> Result<HashMap<Subject, Stats>, Error> {
        let as_of = self.clock.now();
        let windows = subjects
            .iter()
            .map(|subject| Ok((*subject, subject.zone.day(as_of)?, subject.zone.month(as_of)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        let statement = self.statement(&windows, as_of);
        let rows = self.database.connection.query_all_raw(statement).await.map_err(database::Error::from)?;
        let rows = rows
            .iter()
            .map(|row| Ok((row.try_get_by::<Uuid, _>("tenant_id").map_err(database::Error::from)?, row)))
            .collect::<Result<HashMap<_, _>, Error>>()?;
        windows
            .into_iter()
            .filter_map(|(subject, today, month)| {
                rows.get(&subject.tenant).map(|row| (subject, today, month, row))
            })
            .map(|(subject, today, month, row)| {
                Ok((
                    subject,
                    stats_from(row, as_of, subject.zone, today, month).map_err(database::Error::from)?,
                ))
            })
            .collect()
    }

    /// Sessions and calls of one tenant that are going on now, through any connection: a deletion
    /// looks through its own transaction.
    ///
    /// # Errors
    ///
    /// [`database::Error`].
    pub async fn activity<C: ConnectionTrait>(
        &self,
        connection: &C,
        tenant: Uuid,
    ) -> Result<(i64, i64), database::Error> {
        let backend = connection.get_database_backend();
        let now = self.clock.now();
        let sql = format!("SELECT {ACTIVE_SESSIONS} AS sessions, {ACTIVE_CALLS} AS calls")
            .replace("w.tenant_id", "$1")
            .replace("$LIVE", "$2")
            .replace("$HORIZON", "$3");
        let values = [
            tenant.into(),
            timestamp::value(backend, now - self.session_timeout),
            timestamp::value(backend, now - CALL_HORIZON),
        ];
        let row = connection.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        let row = row.ok_or_else(|| database::Error::Refused("an aggregate gave no row".to_owned()))?;
        Ok((row.try_get_by("sessions")?, row.try_get_by("calls")?))
    }

    fn statement(&self, windows: &[(Subject, Span, Span)], as_of: DateTime<Utc>) -> Statement {
        let backend = self.database.backend();
        let mut values: Vec<Value> = if backend == DbBackend::Sqlite {
            let rows: Vec<_> = windows
                .iter()
                .map(|(subject, today, month)| {
                    let text = timestamp::text;
                    json!([
                        subject.tenant.simple().to_string(),
                        text(today.start),
                        text(today.end),
                        text(month.start),
                        text(month.end)
                    ])
                })
                .collect();
            vec![json!(rows).to_string().into()]
        } else {
            let column = |pick: fn(&(Subject, Span, Span)) -> DateTime<Utc>| {
                windows.iter().map(pick).collect::<Vec<_>>().into()
            };
            vec![
                windows.iter().map(|(subject, ..)| subject.tenant).collect::<Vec<_>>().into(),
                column(|w| w.1.start),
                column(|w| w.1.end),
                column(|w| w.2.start),
                column(|w| w.2.end),
            ]
        };
        let first_free = values.len() + 1;
        values.push(timestamp::value(backend, as_of - self.session_timeout));
        values.push(timestamp::value(backend, as_of - CALL_HORIZON));
        let sql = statement_text(backend)
            .replace("$LIVE", &format!("${first_free}"))
            .replace("$HORIZON", &format!("${}", first_free + 1));
        Statement::from_sql_and_values(backend, sql, values)
    }
}

/// Open sessions of tenant `w.tenant_id` with a sign of life since `$LIVE`.
const ACTIVE_SESSIONS: &str = "(SELECT count(*) FROM sessions s WHERE s.tenant_id = w.tenant_id \
     AND s.ended_at IS NULL AND coalesce(s.last_seen_at, s.started_at) >= $LIVE)";

/// Open calls of tenant `w.tenant_id` that started since `$HORIZON`.
const ACTIVE_CALLS: &str = "(SELECT count(*) FROM calls c WHERE c.tenant_id = w.tenant_id \
     AND c.ended_at IS NULL AND c.started_at >= $HORIZON)";

/// The columns of [`Figures`] over rows `c` of `calls`.
pub(super) fn figure_columns(backend: DbBackend) -> String {
    // A cast cuts towards zero on SQLite, whose `floor` is optional: a negative cut is mended by one.
    let millionths = match backend {
        DbBackend::Sqlite => {
            "cast(c.sentiment_score * 1000000 + 0.5 AS INTEGER) \
             - (c.sentiment_score * 1000000 + 0.5 < cast(c.sentiment_score * 1000000 + 0.5 AS INTEGER))"
        }
        _ => "floor(c.sentiment_score * 1000000 + 0.5)::bigint",
    };
    let integer = match backend {
        DbBackend::Sqlite => "INTEGER",
        _ => "bigint",
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

fn statement_text(backend: DbBackend) -> String {
    let (windows, join, only_these) = match backend {
        DbBackend::Sqlite => (
            "SELECT unhex(value ->> 0) AS tenant_id, value ->> 1 AS day_start, value ->> 2 AS day_end, \
             value ->> 3 AS month_start, value ->> 4 AS month_end FROM json_each($1)",
            // SQLite keeps this order: each window reads its own range of the index.
            "CROSS JOIN",
            "",
        ),
        _ => (
            "SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], \
             $5::timestamptz[]) AS u (tenant_id, day_start, day_end, month_start, month_end)",
            "JOIN",
            // Without it every shard would be asked on Citus.
            "WHERE c.tenant_id = ANY($1)",
        ),
    };
    let figures = figure_columns(backend);
    format!(
        "WITH w AS ({windows}), m AS ( \
           SELECT c.tenant_id, \
             count(CASE WHEN c.started_at >= w.day_start AND c.started_at < w.day_end THEN 1 END) AS calls_today, \
             {figures} \
           FROM w {join} calls c ON c.tenant_id = w.tenant_id \
             AND c.started_at >= w.month_start AND c.started_at < w.month_end {only_these} \
           GROUP BY c.tenant_id) \
         SELECT t.id AS tenant_id, t.monthly_call_limit, t.max_concurrent_calls, \
           (SELECT count(*) FROM agents a WHERE a.tenant_id = w.tenant_id) AS agents, \
           {ACTIVE_SESSIONS} AS active_sessions, {ACTIVE_CALLS} AS active_calls, \
           (SELECT max(c.started_at) FROM calls c WHERE c.tenant_id = w.tenant_id) AS last_call_at, \
           coalesce(m.calls_today, 0) AS calls_today, coalesce(m.calls, 0) AS calls, \
           coalesce(m.duration_sum, 0) AS duration_sum, coalesce(m.duration_count, 0) AS duration_count, \
           coalesce(m.score_sum, 0) AS score_sum, coalesce(m.score_count, 0) AS score_count, \
           coalesce(m.cost_cents, 0) AS cost_cents \
         FROM w JOIN tenants t ON t.id = w.tenant_id LEFT JOIN m ON m.tenant_id = w.tenant_id"
    )
}

/// Reads [`Figures`] from a row with [`figure_columns`].
pub(super) fn figures_from(row: &QueryResult) -> Result<Figures, sea_orm::DbErr> {
    Ok(Figures {
        calls: row.try_get_by("calls")?,
        duration_sum: row.try_get_by("duration_sum")?,
        duration_count: row.try_get_by("duration_count")?,
        score_sum: row.try_get_by("score_sum")?,
        score_count: row.try_get_by("score_count")?,
        cost_cents: row.try_get_by("cost_cents")?,
    })
}

fn stats_from(
    row: &QueryResult,
    as_of: DateTime<Utc>,
    zone: Zone,
    today: Span,
    month: Span,
) -> Result<Stats, sea_orm::DbErr> {
    Ok(Stats {
        as_of,
        zone,
        today,
        month,
        agents: row.try_get_by("agents")?,
        calls_today: row.try_get_by("calls_today")?,
        figures: figures_from(row)?,
        active_sessions: row.try_get_by("active_sessions")?,
        active_calls: row.try_get_by("active_calls")?,
        last_call_at: row.try_get_by("last_call_at")?,
        monthly_call_limit: row.try_get_by("monthly_call_limit")?,
        max_concurrent_calls: row.try_get_by("max_concurrent_calls")?,
    })
}
