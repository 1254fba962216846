//! Which roll-ups cover a span: whole UTC days by days, what is left at either end by quarter-hours.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Error, Span, Zone, all_zones};

/// Seconds of the finest roll-up.
pub(super) const QUARTER_HOUR: i64 = 900;
/// Seconds of the coarsest.
pub(super) const DAY: i64 = 86_400;

/// A span as roll-ups cover it. Parts that would be empty are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Covered {
    /// Whole UTC days.
    pub(super) days: Option<Span>,
    /// Quarter-hours before the first whole day, and after the last.
    pub(super) quarter_hours: [Option<Span>; 2],
}

/// Covers a span.
///
/// # Errors
///
/// [`Error::Range`] when an end is not on a quarter-hour, as a zone's midnight could be before 2012.
pub(super) fn cover(span: Span) -> Result<Covered, Error> {
    for end in [span.start, span.end] {
        if end.timestamp().rem_euclid(QUARTER_HOUR) != 0 || end.timestamp_subsec_nanos() != 0 {
            return Err(Error::Range(format!(
                "{end} is not on a quarter-hour of UTC; ask for a later range"
            )));
        }
    }
    let (first, last) = (day_from(span.start), day_until(span.end));
    Ok(if first < last {
        Covered { days: some(first, last), quarter_hours: [some(span.start, first), some(last, span.end)] }
    } else {
        Covered { days: None, quarter_hours: [some(span.start, span.end), None] }
    })
}

/// A zone's local month, and the whole UTC days in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneMonth {
    /// The zone.
    pub zone: Zone,
    /// The month.
    pub span: Span,
    /// Its whole days.
    pub days: Span,
}

/// The local month of every zone at `now`.
///
/// # Errors
///
/// [`Error`] at the ends of the calendar.
pub fn months(now: DateTime<Utc>) -> Result<Vec<ZoneMonth>, Error> {
    all_zones()
        .map(|zone| {
            let span = zone.month(now)?;
            // A month is longer than two days, so it holds a whole one.
            Ok(ZoneMonth { zone, span, days: cover(span)?.days.unwrap_or(span) })
        })
        .collect()
}

fn some(start: DateTime<Utc>, end: DateTime<Utc>) -> Option<Span> {
    (start < end).then_some(Span { start, end })
}

/// The first UTC midnight at `instant` or after it.
fn day_from(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant + TimeDelta::seconds((-instant.timestamp()).rem_euclid(DAY))
}

/// The last UTC midnight at `instant` or before it.
pub(super) fn day_until(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant
        - TimeDelta::seconds(instant.timestamp().rem_euclid(DAY))
        - TimeDelta::nanoseconds(i64::from(instant.timestamp_subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: &str, end: &str) -> Span {
        let at = |text: &str| text.parse().unwrap();
        Span { start: at(start), end: at(end) }
    }

    #[test]
    fn parts_meet_and_nothing_is_covered_twice() {
        let month = span("2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z");
        let covered = cover(month).unwrap();
        assert_eq!(covered.days, Some(span("2026-03-02T00:00:00Z", "2026-04-01T00:00:00Z")));
        assert_eq!(
            covered.quarter_hours,
            [
                Some(span("2026-03-01T05:00:00Z", "2026-03-02T00:00:00Z")),
                Some(span("2026-04-01T00:00:00Z", "2026-04-01T04:00:00Z"))
            ]
        );
    }

    #[test]
    fn a_span_without_a_whole_day_is_quarter_hours_only() {
        let day = span("2026-03-01T05:00:00Z", "2026-03-02T05:00:00Z");
        assert_eq!(cover(day).unwrap(), Covered { days: None, quarter_hours: [Some(day), None] });
        let whole = span("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z");
        assert_eq!(cover(whole).unwrap(), Covered { days: Some(whole), quarter_hours: [None, None] });
        cover(span("2011-01-01T05:07:00Z", "2026-03-02T05:00:00Z")).unwrap_err();
    }
}
