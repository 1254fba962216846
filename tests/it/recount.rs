//! An independent check: every statistic, recounted in plain Rust from plain rows by another road,
//! over random platforms.

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Call, Rows, Session, TenantRow, TestApp, on_both};

const ZONES: [&str; 8] = [
    "UTC",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Santiago",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
];
/// Instants around which zones change their offsets, months end, or February leaps.
const NOWS: [&str; 6] = [
    "2026-03-08T07:30:00Z",
    "2026-04-04T15:00:00Z",
    "2026-04-23T22:00:00.000001Z",
    "2026-09-06T04:00:00Z",
    "2026-10-31T23:59:59.999999Z",
    "2028-02-29T11:00:00Z",
];
const CASES: u32 = 12;

/// A tenant as plain Rust sees it.
#[derive(Clone, Debug)]
pub struct Platform {
    pub now: DateTime<Utc>,
    pub zone: &'static str,
    pub limit: Option<i32>,
    pub agents: usize,
    pub calls: Vec<RandomCall>,
    /// Microseconds before now of start and last sign of life, and whether it has ended.
    pub sessions: Vec<(i64, Option<i64>, bool)>,
}

#[derive(Clone, Debug)]
pub struct RandomCall {
    /// Microseconds before now of its start.
    pub before_now: i64,
    pub open: bool,
    pub duration: Option<i32>,
    pub score: Option<f64>,
    pub cost: i64,
}

const HOUR: i64 = 3_600_000_000;

pub fn call() -> impl Strategy<Value = RandomCall> {
    let before_now = prop_oneof![0..40 * 24 * HOUR, 0..30 * HOUR, (0..1000_i64).prop_map(|q| q * HOUR / 4)];
    let duration = proptest::option::of(prop_oneof![0..4000_i32, Just(0), Just(i32::MAX)]);
    let score = proptest::option::of(prop_oneof![-1.0..=1.0_f64, Just(-1.0), Just(-0.000_000_5), Just(0.0)]);
    let cost = prop_oneof![0..500_i64, -500..0_i64, Just(1_000_000_000_000)];
    (before_now, any::<bool>(), duration, score, cost).prop_map(
        |(before_now, open, duration, score, cost)| RandomCall { before_now, open, duration, score, cost },
    )
}

fn platform() -> impl Strategy<Value = Platform> {
    let session = (0..5 * HOUR, proptest::option::of(0..3 * HOUR), any::<bool>());
    (
        proptest::sample::select(&NOWS[..]),
        proptest::sample::select(&ZONES[..]),
        proptest::option::of(0..40_i32),
        proptest::collection::vec(call(), 0..40),
        proptest::collection::vec(session, 0..8),
    )
        .prop_map(|(now, zone, limit, calls, sessions)| Platform {
            now: now.parse().expect("an instant"),
            zone,
            limit,
            agents: 1,
            calls,
            sessions,
        })
}

/// The figures as another program would count them: by the local date of every call.
fn recount(platform: &Platform) -> Value {
    let zone: Tz = platform.zone.parse().expect("a zone");
    let today = platform.now.with_timezone(&zone).date_naive();
    let start = |call: &RandomCall| platform.now - TimeDelta::microseconds(call.before_now);
    let date = |call: &RandomCall| start(call).with_timezone(&zone).date_naive();
    let month: Vec<_> = platform
        .calls
        .iter()
        .filter(|call| (date(call).year(), date(call).month()) == (today.year(), today.month()))
        .collect();
    let durations: Vec<_> = month.iter().filter_map(|call| call.duration.map(i64::from)).collect();
    #[expect(clippy::cast_possible_truncation, reason = "millionths of a score are small")]
    let scores: Vec<_> =
        month.iter().filter_map(|call| call.score.map(|score| (score * 1e6 + 0.5).floor() as i64)).collect();
    #[expect(clippy::cast_precision_loss, reason = "these sums are small")]
    let average = |values: &[i64], unit: f64| {
        (!values.is_empty()).then(|| values.iter().sum::<i64>() as f64 / (values.len() as f64 * unit))
    };
    let alive = platform
        .sessions
        .iter()
        .filter(|(started, seen, ended)| !ended && seen.unwrap_or(*started) <= 2 * HOUR);
    let active = platform.calls.iter().filter(|call| call.open && call.before_now <= 24 * HOUR).count();
    let last = platform.calls.iter().map(start).max();
    json!({
        "stats": {
            "totalAgents": platform.agents,
            "totalCallsToday": month.iter().filter(|call| date(call) == today).count(),
            "totalCallsMonth": month.len(),
            "avgCallDuration": average(&durations, 1.0),
            "avgSentimentScore": average(&scores, 1e6),
            "activeSessions": alive.count(),
            "activeCalls": active,
            "monthlyUsageCents": month.iter().map(|call| call.cost).sum::<i64>(),
            "lastCallAt": last.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        },
        "quota": {
            "callsUsed": month.len(),
            "callsRemaining": platform.limit.map(|limit| (i64::from(limit) - count(month.len())).max(0)),
        },
        "usage": { "totals": {
            "calls": month.len(),
            "totalDurationSeconds": durations.iter().sum::<i64>(),
            "avgSentimentScore": average(&scores, 1e6),
            "usageCents": month.iter().map(|call| call.cost).sum::<i64>(),
        } },
    })
}

fn count(length: usize) -> i64 {
    i64::try_from(length).expect("a small number")
}

const ASK: &str = "query ($id: ID!, $from: Date!, $to: Date!, $by: UsageGranularity!) { tenant(id: $id) {
    stats { totalAgents totalCallsToday totalCallsMonth avgCallDuration avgSentimentScore activeSessions activeCalls
      monthlyUsageCents lastCallAt }
    quota { callsUsed callsRemaining }
    usage(from: $from, to: $to, granularity: $by) {
      totals { calls totalDurationSeconds avgSentimentScore usageCents } buckets { start end figures { calls usageCents } } } } }";

/// Puts the platform into the database. Returns its tenant.
async fn fill(app: &TestApp, platform: &Platform) -> Uuid {
    app.clock.set(platform.now);
    let tenant = app
        .tenant(TenantRow {
            time_zone: platform.zone.into(),
            monthly_call_limit: platform.limit,
            ..TenantRow::default()
        })
        .await;
    let agent = app.agent(tenant).await;
    for call in &platform.calls {
        let started_at = platform.now - TimeDelta::microseconds(call.before_now);
        app.call(&Call {
            ended_at: (!call.open).then_some(platform.now),
            duration_seconds: call.duration,
            sentiment_score: call.score,
            cost_cents: call.cost,
            ..Call::of(&agent, started_at)
        })
        .await;
    }
    for (started, seen, ended) in &platform.sessions {
        let ago = |micros: i64| platform.now - TimeDelta::microseconds(micros);
        app.session(&Session {
            last_seen_at: seen.map(ago),
            ended_at: ended.then_some(platform.now),
            ..Session::of(tenant, ago(*started))
        })
        .await;
    }
    tenant
}

/// Holds everything that the API says of the tenant against the platform.
pub async fn check(app: &TestApp, platform: &Platform, tenant: Uuid) {
    let zone: Tz = platform.zone.parse().expect("a zone");
    let today = platform.now.with_timezone(&zone).date_naive();
    let from = today.with_day(1).expect("the first");
    let to = from + chrono::Months::new(1) - chrono::Days::new(1);
    for granularity in ["HOUR", "DAY", "MONTH"] {
        let variables = json!({ "id": tenant, "from": from, "to": to, "by": granularity });
        let mut found = app.admin(ASK, variables).await["tenant"].clone();
        let buckets = found["usage"]["buckets"].take();
        found["usage"].as_object_mut().expect("usage").remove("buckets");
        assert_eq!(found, recount(platform), "by {granularity}: {platform:?}");
        let buckets = buckets.as_array().expect("buckets");
        for bucket in buckets {
            let end =
                |name: &str| bucket[name].as_str().expect("an end").parse::<DateTime<Utc>>().expect("an end");
            let within = |call: &&RandomCall| {
                let start = platform.now - TimeDelta::microseconds(call.before_now);
                start >= end("start") && start < end("end")
            };
            let calls: Vec<_> = platform.calls.iter().filter(within).collect();
            let cents: i64 = calls.iter().map(|call| call.cost).sum();
            assert_eq!(bucket["figures"], json!({ "calls": calls.len(), "usageCents": cents }), "{bucket}");
        }
        assert!(buckets.windows(2).all(|pair| pair[0]["end"] == pair[1]["start"]), "a bucket is missing");
    }
}

#[tokio::test]
async fn every_statistic_equals_a_recount_of_the_rows() {
    on_both(async |app| {
        // The same platforms on every run, so that a failure is found again.
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        for _ in 0..CASES {
            let case = platform().new_tree(&mut runner).expect("a platform").current();
            let tenant = fill(&app, &case).await;
            check(&app, &case, tenant).await;
        }
    })
    .await;
}
