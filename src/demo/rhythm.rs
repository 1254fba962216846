//! When calls happen: busy office hours and quiet nights and weekends, in the tenant's own time zone.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

use super::dice::Dice;

/// Weights of the hours of a day and of the days of a week, Monday first.
struct Week {
    hours: [f64; 24],
    days: [f64; 7],
}

/// Businesses that close for the night.
const OFFICE: Week = Week {
    hours: [
        0.3, 0.2, 0.1, 0.1, 0.2, 0.5, 1.5, 4.0, 9.0, 13.0, 14.0, 12.0, 8.0, 10.0, 12.0, 12.5, 11.0, 8.0, 5.0,
        3.5, 2.5, 1.5, 0.9, 0.5,
    ],
    days: [1.15, 1.05, 1.0, 1.0, 0.95, 0.35, 0.2],
};

/// Businesses that never close, such as hotels and airlines.
const AROUND_THE_CLOCK: Week = Week {
    hours: [
        3.0, 2.4, 2.0, 1.9, 2.1, 2.8, 4.0, 5.5, 6.5, 7.2, 7.5, 7.4, 7.0, 6.8, 6.8, 7.0, 7.3, 7.6, 7.8, 7.4,
        6.6, 5.6, 4.6, 3.7,
    ],
    days: [1.0, 0.95, 0.95, 1.0, 1.1, 1.05, 0.9],
};

/// Every zone's clock is a multiple of this off UTC, so within one the local hour never changes.
const QUARTER_HOUR: TimeDelta = TimeDelta::minutes(15);

/// Draws `count` instants from `from` up to `to`, in order.
pub(super) fn starts(
    dice: &mut Dice,
    zone: Tz,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    count: usize,
) -> Vec<DateTime<Utc>> {
    let week = if dice.chance(0.25) { &AROUND_THE_CLOCK } else { &OFFICE };
    let growth = dice.real(-0.1, 0.6);
    let mut slots = Vec::new();
    let mut sum = 0.0;
    let mut today = (NaiveDate::MIN, 1.0);
    let mut slot = from;
    while slot < to {
        let end = (slot + QUARTER_HOUR - offset_into_quarter(slot)).min(to);
        let local = slot.with_timezone(&zone);
        if today.0 != local.date_naive() {
            today = (local.date_naive(), dice.real(0.75, 1.25) * holiday(local.date_naive()));
        }
        let hour = week.hours[local.hour() as usize % 24];
        let day = week.days[local.weekday().num_days_from_monday() as usize % 7];
        let trend = 1.0 + growth * seconds(slot - from) / seconds(to - from);
        sum += hour * day * today.1 * trend * seconds(end - slot);
        slots.push((sum, slot, end));
        slot = end;
    }
    let mut starts: Vec<_> = (0..if slots.is_empty() { 0 } else { count })
        .map(|_| {
            let point = dice.unit() * sum;
            let place = slots.partition_point(|(reached, ..)| *reached <= point).min(slots.len() - 1);
            let (_, slot, end) = slots[place];
            dice.instant(slot, end - TimeDelta::microseconds(1))
        })
        .collect();
    starts.sort_unstable();
    starts
}

/// Few people call on these days.
fn holiday(date: NaiveDate) -> f64 {
    if matches!((date.month(), date.day()), (1, 1) | (12, 25)) { 0.2 } else { 1.0 }
}

fn offset_into_quarter(instant: DateTime<Utc>) -> TimeDelta {
    TimeDelta::microseconds(
        instant.timestamp_micros().rem_euclid(QUARTER_HOUR.num_microseconds().unwrap_or(i64::MAX)),
    )
}

fn seconds(span: TimeDelta) -> f64 {
    span.as_seconds_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn days_are_busier_than_nights_where_the_tenant_lives() {
        let (from, to) = (instant("2026-03-01T00:00:00Z"), instant("2026-06-01T00:00:00Z"));
        for seed in 0..20 {
            for zone in [Tz::Asia__Kathmandu, Tz::America__Santiago] {
                let starts = starts(&mut Dice::new(seed, 0), zone, from, to, 4_000);
                let hours: Vec<_> = starts.iter().map(|start| start.with_timezone(&zone).hour()).collect();
                let day = hours.iter().filter(|hour| (9..17).contains(*hour)).count();
                let night = hours.iter().filter(|hour| (0..6).contains(*hour)).count();
                assert!(day > 2 * night, "seed {seed}, {zone}: {day} by day, {night} by night");
            }
        }
    }

    #[test]
    fn every_instant_is_in_order_and_within_the_span() {
        let (from, to) = (instant("2026-03-29T00:07:12.000123Z"), instant("2026-03-29T03:01:00.000456Z"));
        let starts = starts(&mut Dice::new(1, 0), Tz::Europe__Berlin, from, to, 5_000);
        assert_eq!(starts.len(), 5_000);
        assert!(starts.is_sorted());
        assert!(starts[0] >= from && starts[4_999] < to, "{} to {}", starts[0], starts[4_999]);
        assert!(super::starts(&mut Dice::new(1, 0), Tz::UTC, to, from, 10).is_empty());
    }
}
