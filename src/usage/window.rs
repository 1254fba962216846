//! Calendar windows: local days and months as spans of instants.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::Error;

/// Since 2012 every zone's offset is a multiple of this and changes on one, so that the end of a
/// skipped midnight is found by steps of it. Source: the IANA database; a test goes through it.
const OFFSET_STEP: TimeDelta = TimeDelta::minutes(15);

/// Instants from `start` up to, and without, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first instant inside.
    pub start: DateTime<Utc>,
    /// The first instant after.
    pub end: DateTime<Utc>,
}

/// A tenant's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Zone(Tz);

/// Every zone of the IANA database.
pub fn all_zones() -> impl Iterator<Item = Zone> {
    TZ_VARIANTS.iter().copied().map(Zone)
}

impl Zone {
    /// The zone of an IANA name.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownZone`].
    pub fn named(name: &str) -> Result<Self, Error> {
        name.parse().map(Self).map_err(|_| Error::UnknownZone(name.to_owned()))
    }

    /// Its IANA name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The local date at `instant`.
    #[must_use]
    pub fn date(self, instant: DateTime<Utc>) -> NaiveDate {
        instant.with_timezone(&self.0).date_naive()
    }

    /// Minutes east of UTC at `instant`.
    #[must_use]
    pub fn offset_minutes(self, instant: DateTime<Utc>) -> i32 {
        use chrono::Offset;
        instant.with_timezone(&self.0).offset().fix().local_minus_utc() / 60
    }

    /// The first instant of a local day: midnight, the earlier of two midnights, or the end of the
    /// gap that swallowed it.
    ///
    /// # Errors
    ///
    /// [`Error::Calendar`] at the end of the calendar.
    pub fn day_start(self, date: NaiveDate) -> Result<DateTime<Utc>, Error> {
        let mut local = date.and_time(NaiveTime::MIN);
        // No gap is longer than a day.
        for _ in 0..=96 {
            if let Some(found) = self.0.from_local_datetime(&local).earliest() {
                return Ok(found.with_timezone(&Utc));
            }
            local = local.checked_add_signed(OFFSET_STEP).ok_or(Error::Calendar(date))?;
        }
        Err(Error::Calendar(date))
    }

    /// The local day that holds `instant`.
    ///
    /// # Errors
    ///
    /// [`Error::Calendar`] at the end of the calendar.
    pub fn day(self, instant: DateTime<Utc>) -> Result<Span, Error> {
        let date = self.date(instant);
        let next = date.checked_add_days(Days::new(1)).ok_or(Error::Calendar(date))?;
        Ok(Span { start: self.day_start(date)?, end: self.day_start(next)? })
    }

    /// The local month that holds `instant`.
    ///
    /// # Errors
    ///
    /// [`Error::Calendar`] at the end of the calendar.
    pub fn month(self, instant: DateTime<Utc>) -> Result<Span, Error> {
        let date = self.date(instant);
        let first = date.with_day(1).ok_or(Error::Calendar(date))?;
        let next = first.checked_add_months(Months::new(1)).ok_or(Error::Calendar(date))?;
        Ok(Span { start: self.day_start(first)?, end: self.day_start(next)? })
    }
}
