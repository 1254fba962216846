//! The figures of a tenant, and how each is made from sums.

use chrono::{DateTime, Utc};

use super::{Error, Span, Zone};

/// Sums over the calls of one span. All are whole numbers, so adding them loses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many calls.
    pub calls: i64,
    /// Seconds, over calls that have a duration.
    pub duration_sum: i64,
    /// Calls that have a duration.
    pub duration_count: i64,
    /// Millionths, over scored calls: `floor(score * 10^6 + 0.5)` of each.
    pub score_sum: i64,
    /// Calls that have a score.
    pub score_count: i64,
    /// Cents, over all calls.
    pub cost_cents: i64,
}

impl Figures {
    /// Average seconds of a call that has a duration: one sum divided once. None if there is none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an average is a float by nature")]
    pub fn average_duration(&self) -> Option<f64> {
        (self.duration_count > 0).then(|| self.duration_sum as f64 / self.duration_count as f64)
    }

    /// Average score of a scored call, from −1 to 1. None if there is none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an average is a float by nature")]
    pub fn average_score(&self) -> Option<f64> {
        (self.score_count > 0).then(|| self.score_sum as f64 / (self.score_count as f64 * 1e6))
    }

    /// Adds the sums of another span.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] when a sum outgrows 64 bits.
    pub fn add(&mut self, other: &Self) -> Result<(), Error> {
        let add = |a: &mut i64, b: i64, name| {
            *a = a.checked_add(b).ok_or(Error::OutOfRange(name))?;
            Ok(())
        };
        add(&mut self.calls, other.calls, "the number of calls")?;
        add(&mut self.duration_sum, other.duration_sum, "the sum of durations")?;
        add(&mut self.duration_count, other.duration_count, "the number of calls")?;
        add(&mut self.score_sum, other.score_sum, "the sum of scores")?;
        add(&mut self.score_count, other.score_count, "the number of calls")?;
        add(&mut self.cost_cents, other.cost_cents, "the sum of costs")
    }
}

/// How a tenant is doing, all from one statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// The instant that decided which day and month it is.
    pub as_of: DateTime<Utc>,
    /// Whose days and months these are.
    pub zone: Zone,
    /// The local day.
    pub today: Span,
    /// The local month.
    pub month: Span,
    /// Agents now.
    pub agents: i64,
    /// Calls of the local day.
    pub calls_today: i64,
    /// Sums of the local month.
    pub figures: Figures,
    /// Sessions with a recent sign of life.
    pub active_sessions: i64,
    /// Calls going on.
    pub active_calls: i64,
    /// The latest start of all time.
    pub last_call_at: Option<DateTime<Utc>>,
}

/// How much of its limits a tenant has used.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// Calls included a month; none: unlimited.
    pub monthly_call_limit: Option<i32>,
    /// Calls of the local month.
    pub calls_used: i64,
    /// Calls allowed at the same time; none: unlimited.
    pub max_concurrent_calls: Option<i32>,
    /// Calls going on.
    pub active_calls: i64,
    /// When the local month ends.
    pub resets_at: DateTime<Utc>,
    /// The instant of the reading.
    pub as_of: DateTime<Utc>,
}

/// How near a limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaState {
    /// There is no limit.
    Unlimited,
    /// Below four fifths of it.
    Ok,
    /// From four fifths of it.
    Warning,
    /// At it or beyond.
    Exceeded,
}

impl QuotaState {
    /// The state at `used` of `limit`. A limit of 0 is always reached.
    #[must_use]
    pub fn of(used: i64, limit: Option<i32>) -> Self {
        let (used, Some(limit)) = (i128::from(used), limit.map(i128::from)) else {
            return Self::Unlimited;
        };
        if used >= limit {
            Self::Exceeded
        } else if used * 5 >= limit * 4 {
            Self::Warning
        } else {
            Self::Ok
        }
    }
}

impl Quota {
    /// The quota part of a reading.
    #[must_use]
    pub fn of(tenant: &entity::tenants::Model, stats: &Stats) -> Self {
        Self {
            monthly_call_limit: tenant.monthly_call_limit,
            calls_used: stats.figures.calls,
            max_concurrent_calls: tenant.max_concurrent_calls,
            active_calls: stats.active_calls,
            resets_at: stats.month.end,
            as_of: stats.as_of,
        }
    }

    /// Used calls as a share of the limit: may exceed 1; 1 when the limit is 0; none without one.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio is a float by nature")]
    pub fn ratio(&self) -> Option<f64> {
        self.monthly_call_limit.map(|limit| match limit {
            0 => 1.0,
            limit => self.calls_used as f64 / f64::from(limit),
        })
    }
}
