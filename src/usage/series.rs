//! Usage over a range of days, bucket by bucket.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use super::{Error, Figures, Span, Zone, ranges::QUARTER_HOUR};

/// Most buckets in one answer.
pub const MAX_BUCKETS: usize = 2_000;

/// Before this year some zones' offsets were no multiple of a quarter-hour.
const FIRST_YEAR: i32 = 2012;

/// How wide a bucket is, in local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Granularity {
    /// From one full local hour to the next.
    Hour,
    /// A local day.
    Day,
    /// A local month.
    Month,
}

/// Local days of one tenant, cut into buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeriesRequest {
    /// Which tenant.
    pub tenant: Uuid,
    /// Whose days these are.
    pub zone: Zone,
    /// First day, inclusive.
    pub from: NaiveDate,
    /// Last day, inclusive.
    pub to: NaiveDate,
    /// Width of a bucket.
    pub granularity: Granularity,
}

/// Usage in one bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// Its instants.
    pub span: Span,
    /// Minutes east of UTC at its start.
    pub utc_offset_minutes: i32,
    /// What was used; zeros where nothing was.
    pub figures: Figures,
}

/// Usage of a range, all from one statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Every bucket of the range, in order.
    pub buckets: Vec<Bucket>,
    /// The instant of the reading.
    pub as_of: DateTime<Utc>,
}

impl SeriesRequest {
    /// The spine with nothing counted yet.
    pub(super) fn empty_buckets(&self) -> Result<Vec<Bucket>, Error> {
        let bucket = |span: Span| Bucket {
            span,
            utc_offset_minutes: self.zone.offset_minutes(span.start),
            figures: Figures::default(),
        };
        Ok(self.spine()?.into_iter().map(bucket).collect())
    }

    /// The range as instants.
    ///
    /// # Errors
    ///
    /// [`Error::Range`] when it is empty or begins before 2012.
    pub fn span(&self) -> Result<Span, Error> {
        if self.from > self.to {
            return Err(Error::Range("`from` is after `to`; both are inclusive".to_owned()));
        }
        if self.from.year() < FIRST_YEAR {
            return Err(Error::Range(format!("`from` is before {FIRST_YEAR}; ask for a later range")));
        }
        let after = self.to.checked_add_days(Days::new(1)).ok_or(Error::Calendar(self.to))?;
        Ok(Span { start: self.zone.day_start(self.from)?, end: self.zone.day_start(after)? })
    }

    /// Every bucket of the range, in order, without a gap between them.
    ///
    /// # Errors
    ///
    /// [`Error::Range`] when there are more than [`MAX_BUCKETS`].
    pub fn spine(&self) -> Result<Vec<Span>, Error> {
        let whole = self.span()?;
        let mut spans = Vec::new();
        let mut start = whole.start;
        while start < whole.end {
            if spans.len() == MAX_BUCKETS {
                return Err(Error::Range(format!(
                    "the range has more than {MAX_BUCKETS} buckets; ask for fewer days or a coarser granularity"
                )));
            }
            let end = self.next_boundary(start)?.min(whole.end);
            spans.push(Span { start, end });
            start = end;
        }
        Ok(spans)
    }

    /// The first boundary after `start`, which is one itself.
    fn next_boundary(&self, start: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
        let date = self.zone.date(start);
        match self.granularity {
            Granularity::Hour => {
                // An hour ends where the local clock shows a full hour, or jumps, whichever is first:
                // a bucket has one UTC offset.
                let offset = self.zone.offset_minutes(start);
                let mut end = start;
                loop {
                    end += TimeDelta::seconds(QUARTER_HOUR);
                    let now = self.zone.offset_minutes(end);
                    let local = end.timestamp() + i64::from(now) * 60;
                    if now != offset || local.rem_euclid(3600) == 0 {
                        return Ok(end);
                    }
                }
            }
            Granularity::Day => {
                self.zone.day_start(date.checked_add_days(Days::new(1)).ok_or(Error::Calendar(date))?)
            }
            Granularity::Month => {
                let first = date.with_day(1).and_then(|day| day.checked_add_months(Months::new(1)));
                self.zone.day_start(first.ok_or(Error::Calendar(date))?)
            }
        }
    }
}
