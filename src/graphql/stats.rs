//! `TenantStats`.

use async_graphql::{ID, SimpleObject};

use super::{
    error::Fault,
    scalar::{DateTime, Int64},
};
use crate::usage::{Span, Stats};

/// How a tenant is doing. All fields come from one snapshot of the database, at `asOf`. Days and
/// months are calendar days and months in the tenant's own time zone; a call belongs to the one that
/// its start falls into.
#[derive(Clone, Debug, SimpleObject)]
pub struct TenantStats {
    /// The tenant these figures are of.
    tenant_id: ID,
    /// Agents now, whatever their status.
    total_agents: i32,
    /// Calls that started in the tenant's present day, whatever their status. Never null.
    total_calls_today: i32,
    /// Calls that started in the tenant's present month, whatever their status. Never null.
    total_calls_month: i32,
    /// Average seconds of the month's calls that have a duration. Null if none has.
    avg_call_duration: Option<f64>,
    /// Average sentiment of the month's scored calls, from -1 (bad) to 1 (good). Null if none is
    /// scored.
    avg_sentiment_score: Option<f64>,
    /// Sessions without an end whose last sign of life is recent (two hours, unless the server is
    /// told otherwise).
    active_sessions: i32,
    /// What the month's calls cost, in cents.
    monthly_usage_cents: Int64,
    /// Start of the latest call of all time. Null if there never was one.
    last_call_at: Option<DateTime>,
    /// The instant of the reading.
    as_of: DateTime,
    /// Calls without an end that started within the last 24 hours.
    active_calls: i32,
    /// The IANA time zone whose days and months these are.
    time_zone: String,
    /// The tenant's present day.
    today: DateTimeRange,
    /// The tenant's present month.
    month: DateTimeRange,
}

/// Instants from `start`, inclusive, to `end`, exclusive.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct DateTimeRange {
    /// The first instant inside.
    start: DateTime,
    /// The first instant after.
    end: DateTime,
}

impl From<Span> for DateTimeRange {
    fn from(span: Span) -> Self {
        Self { start: DateTime(span.start), end: DateTime(span.end) }
    }
}

/// A count as the API gives it.
pub(super) fn int(number: i64, what: &str) -> Result<i32, Fault> {
    i32::try_from(number).map_err(|_| Fault::out_of_range(what))
}

/// A sum as the API gives it.
pub(super) fn int64(number: i64, what: &str) -> Result<Int64, Fault> {
    Int64::exact(number).ok_or_else(|| Fault::out_of_range(what))
}

impl TenantStats {
    pub(super) fn new(tenant_id: ID, stats: &Stats) -> Result<Self, Fault> {
        Ok(Self {
            tenant_id,
            total_agents: int(stats.agents, "totalAgents")?,
            total_calls_today: int(stats.calls_today, "totalCallsToday")?,
            total_calls_month: int(stats.figures.calls, "totalCallsMonth")?,
            avg_call_duration: stats.figures.average_duration(),
            avg_sentiment_score: stats.figures.average_score(),
            active_sessions: int(stats.active_sessions, "activeSessions")?,
            monthly_usage_cents: int64(stats.figures.cost_cents, "monthlyUsageCents")?,
            last_call_at: stats.last_call_at.map(DateTime),
            as_of: DateTime(stats.as_of),
            active_calls: int(stats.active_calls, "activeCalls")?,
            time_zone: stats.zone.name().to_owned(),
            today: stats.today.into(),
            month: stats.month.into(),
        })
    }
}
