//! `TenantUsage`: figures over a range of days, bucket by bucket.

use async_graphql::{Enum, SimpleObject};

use super::{
    error::Fault,
    scalar::{DateTime, Int64},
    stats::{DateTimeRange, int, int64},
};
use crate::usage::{self, Bucket, Figures, Series, SeriesRequest};

/// How wide a bucket of usage is, in the tenant's local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "usage::Granularity")]
pub enum UsageGranularity {
    /// From one full hour to the next; shorter where the clock jumps.
    Hour,
    /// A calendar day of 23, 24 or 25 hours.
    Day,
    /// A calendar month, clipped to the range at its edges.
    Month,
}

/// Usage over a range of days, all from one snapshot of the database.
#[derive(Clone, Debug, SimpleObject)]
pub struct TenantUsage {
    /// The range as instants.
    range: DateTimeRange,
    /// How wide a bucket is.
    granularity: UsageGranularity,
    /// The IANA time zone whose days these are.
    time_zone: String,
    /// Figures of the whole range.
    totals: UsageFigures,
    /// Every bucket of the range in order, empty ones included.
    buckets: Vec<UsageBucket>,
    /// The instant of the reading.
    as_of: DateTime,
}

/// Usage in one bucket.
#[derive(Clone, Debug, SimpleObject)]
pub struct UsageBucket {
    /// The first instant inside.
    start: DateTime,
    /// The first instant after.
    end: DateTime,
    /// Minutes that the local clock is ahead of UTC at `start`.
    utc_offset_minutes: i32,
    /// What was used.
    figures: UsageFigures,
}

/// Calls and what they came to.
#[derive(Clone, Debug, SimpleObject)]
pub struct UsageFigures {
    /// Calls that started in the span, whatever their status.
    calls: i32,
    /// Seconds of all calls that have a duration.
    total_duration_seconds: Int64,
    /// Average seconds of a call that has a duration. Null if none has.
    avg_call_duration: Option<f64>,
    /// Average sentiment of a scored call, from -1 to 1. Null if none is scored.
    avg_sentiment_score: Option<f64>,
    /// What the calls cost, in cents.
    usage_cents: Int64,
}

impl TenantUsage {
    pub(super) fn new(request: &SeriesRequest, series: &Series) -> Result<Self, Fault> {
        let mut totals = Figures::default();
        for bucket in &series.buckets {
            totals.add(&bucket.figures)?;
        }
        Ok(Self {
            range: request.span()?.into(),
            granularity: request.granularity.into(),
            time_zone: request.zone.name().to_owned(),
            totals: UsageFigures::new(&totals)?,
            buckets: series.buckets.iter().map(UsageBucket::new).collect::<Result<_, _>>()?,
            as_of: DateTime(series.as_of),
        })
    }
}

impl UsageBucket {
    fn new(bucket: &Bucket) -> Result<Self, Fault> {
        Ok(Self {
            start: DateTime(bucket.span.start),
            end: DateTime(bucket.span.end),
            utc_offset_minutes: bucket.utc_offset_minutes,
            figures: UsageFigures::new(&bucket.figures)?,
        })
    }
}

impl UsageFigures {
    fn new(figures: &Figures) -> Result<Self, Fault> {
        Ok(Self {
            calls: int(figures.calls, "calls")?,
            total_duration_seconds: int64(figures.duration_sum, "totalDurationSeconds")?,
            avg_call_duration: figures.average_duration(),
            avg_sentiment_score: figures.average_score(),
            usage_cents: int64(figures.cost_cents, "usageCents")?,
        })
    }
}
