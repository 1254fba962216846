//! Local days and months: daylight saving, missing and repeated midnights, month ends, leap days.

use chrono::{Days, NaiveDate, TimeDelta};
use serde_json::json;
use tenant_gateway::usage::{Zone, all_zones};

use crate::support::{Call, Rows, TenantRow, at, on_both};

/// A zone, an instant in it, and the day and month that hold the instant. The bounds are worked out
/// by hand from the IANA rules of the zone.
const WINDOWS: [(&str, &str, [&str; 2], [&str; 2]); 14] = [
    // Spring forward on 8 March 2026 at 02:00: a day of 23 hours, in a month of two offsets.
    (
        "America/New_York",
        "2026-03-08T12:00:00Z",
        ["2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"],
        ["2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"],
    ),
    // Fall back on 1 November 2026 at 02:00: a day of 25 hours, the first of its month.
    (
        "America/New_York",
        "2026-11-01T12:00:00Z",
        ["2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"],
        ["2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"],
    ),
    // Always five and three quarter hours ahead.
    (
        "Asia/Kathmandu",
        "2026-02-28T18:20:00Z",
        ["2026-02-28T18:15:00Z", "2026-03-01T18:15:00Z"],
        ["2026-02-28T18:15:00Z", "2026-03-31T18:15:00Z"],
    ),
    (
        "Asia/Kathmandu",
        "2026-02-28T18:10:00Z",
        ["2026-02-27T18:15:00Z", "2026-02-28T18:15:00Z"],
        ["2026-01-31T18:15:00Z", "2026-02-28T18:15:00Z"],
    ),
    // Half an hour of daylight saving: back on 5 April 2026 from +11 to +10:30, on on 4 October.
    (
        "Australia/Lord_Howe",
        "2026-04-05T00:00:00Z",
        ["2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z"],
        ["2026-03-31T13:00:00Z", "2026-04-30T13:30:00Z"],
    ),
    (
        "Australia/Lord_Howe",
        "2026-10-04T00:00:00Z",
        ["2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z"],
        ["2026-09-30T13:30:00Z", "2026-10-31T13:00:00Z"],
    ),
    // Midnight of Friday 24 April 2026 is skipped: the day begins at 01:00, which is 22:00 UTC.
    (
        "Africa/Cairo",
        "2026-04-24T10:00:00Z",
        ["2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"],
        ["2026-03-31T22:00:00Z", "2026-04-30T21:00:00Z"],
    ),
    // At midnight after Thursday 29 October 2026 clocks go back to 23:00: that day has 25 hours.
    (
        "Africa/Cairo",
        "2026-10-29T10:00:00Z",
        ["2026-10-28T21:00:00Z", "2026-10-29T22:00:00Z"],
        ["2026-09-30T21:00:00Z", "2026-10-31T22:00:00Z"],
    ),
    // Midnight of Sunday 6 September 2026 is skipped: from -04 to -03 at 04:00 UTC.
    (
        "America/Santiago",
        "2026-09-06T12:00:00Z",
        ["2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"],
        ["2026-09-01T04:00:00Z", "2026-10-01T03:00:00Z"],
    ),
    // At midnight after Saturday 4 April 2026 clocks go back to 23:00: 25 hours.
    (
        "America/Santiago",
        "2026-04-04T12:00:00Z",
        ["2026-04-04T03:00:00Z", "2026-04-05T04:00:00Z"],
        ["2026-04-01T03:00:00Z", "2026-05-01T04:00:00Z"],
    ),
    // At 01:00 on 1 November 2026 clocks go back to midnight, which comes twice: the first counts.
    (
        "America/Havana",
        "2026-11-01T12:00:00Z",
        ["2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"],
        ["2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"],
    ),
    // A leap day, and a February without one.
    (
        "UTC",
        "2028-02-29T23:59:59.999999Z",
        ["2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"],
        ["2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"],
    ),
    (
        "UTC",
        "2026-02-28T23:59:59.999999Z",
        ["2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"],
        ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"],
    ),
    // A year's end, where it comes first.
    (
        "Pacific/Kiritimati",
        "2026-12-31T10:00:00Z",
        ["2026-12-31T10:00:00Z", "2027-01-01T10:00:00Z"],
        ["2026-12-31T10:00:00Z", "2027-01-31T10:00:00Z"],
    ),
];

const STATS: &str = "query ($id: ID!) { tenant(id: $id) { stats {
    totalCallsToday totalCallsMonth today { start end } month { start end } } } }";

/// One call at each edge of each window: the first and the last microsecond are inside, their
/// neighbours are not.
#[tokio::test]
async fn calls_at_the_edges_fall_into_their_day_and_month() {
    on_both(async |app| {
        for (zone, now, day, month) in WINDOWS {
            app.clock.set(at(now));
            let tenant = app.tenant(TenantRow { time_zone: zone.into(), ..TenantRow::default() }).await;
            let agent = app.agent(tenant).await;
            let [day, month] = [day, month].map(|bounds| bounds.map(at));
            let instant = TimeDelta::microseconds(1);
            let edges = [day, month].map(|[start, end]| [start - instant, start, end - instant, end]);
            let calls: Vec<_> = edges.into_iter().flatten().collect();
            for started_at in &calls {
                app.call(&Call::of(&agent, *started_at)).await;
            }
            let inside = |[start, end]: [chrono::DateTime<chrono::Utc>; 2]| {
                calls.iter().filter(|call| start <= **call && **call < end).count()
            };
            let stats = app.admin(STATS, json!({ "id": tenant })).await["tenant"]["stats"].clone();
            let at_case = format!("{zone} at {now}: {stats}");
            let shown = |bounds: [chrono::DateTime<chrono::Utc>; 2]| {
                let [start, end] = bounds.map(|bound| bound.format("%Y-%m-%dT%H:%M:%SZ").to_string());
                json!({ "start": start, "end": end })
            };
            assert_eq!(stats["today"], shown(day), "{at_case}");
            assert_eq!(stats["month"], shown(month), "{at_case}");
            assert_eq!(stats["totalCallsToday"], inside(day), "{at_case}");
            assert_eq!(stats["totalCallsMonth"], inside(month), "{at_case}");
        }
    })
    .await;
}

/// Every zone, every day from 2012 to 2037: a day ends where the next begins, on a quarter-hour.
#[test]
fn days_follow_one_another_in_every_zone() {
    let last = NaiveDate::from_ymd_opt(2037, 12, 31).expect("a day");
    for zone in all_zones() {
        let mut date = NaiveDate::from_ymd_opt(2012, 1, 1).expect("a day");
        let mut start = zone.day_start(date).expect("a start");
        while date < last {
            let next = date + Days::new(1);
            let end = zone.day_start(next).expect("a start");
            assert_eq!(end.timestamp() % 900, 0, "{} {next}", zone.name());
            let length = end - start;
            assert!((20..=28).contains(&length.num_hours()), "{} {date}: {length}", zone.name());
            assert_eq!(zone.date(start), date, "{}", zone.name());
            assert!(zone.date(start - TimeDelta::microseconds(1)) < date, "{} {date}", zone.name());
            (date, start) = (next, end);
        }
    }
}

#[test]
fn a_zone_that_is_not_there_is_an_error() {
    for name in ["", "Europe/Atlantis", "utc+1", "europe/berlin "] {
        Zone::named(name).expect_err(name);
    }
}
