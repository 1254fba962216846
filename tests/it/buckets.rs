//! `usage`: every bucket of a range, its edges, its offsets, its limits.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Call, Rows, TenantRow, TestApp, Token, at, on_both};

const USAGE: &str = "query ($id: ID!, $from: Date!, $to: Date!, $by: UsageGranularity!) { tenant(id: $id) { \
    usage(from: $from, to: $to, granularity: $by) { range { start end } timeZone totals { calls } \
      buckets { start end utcOffsetMinutes figures { calls totalDurationSeconds avgCallDuration avgSentimentScore usageCents } } } } }";

async fn in_zone(app: &TestApp, zone: &str) -> Uuid {
    app.tenant(TenantRow { time_zone: zone.to_owned(), ..TenantRow::default() }).await
}

async fn usage(app: &TestApp, tenant: Uuid, range: [&str; 2], by: &str) -> Value {
    let variables = json!({ "id": tenant, "from": range[0], "to": range[1], "by": by });
    app.admin(USAGE, variables).await["tenant"]["usage"].take()
}

/// The code and the sentence of the error that a range gives.
async fn refused(app: &TestApp, tenant: Uuid, range: [&str; 2], by: &str) -> (String, String) {
    let variables = json!({ "id": tenant, "from": range[0], "to": range[1], "by": by });
    let answer = app.post(Token::Admin, USAGE, variables).await;
    assert_eq!(answer.body["data"]["tenant"]["usage"], Value::Null, "{answer:?}");
    let sentence = answer.body["errors"][0]["message"].as_str().expect("a sentence").to_owned();
    (answer.codes().join(" "), sentence)
}

/// A bucket holds its first instant and not the first after it; one without calls has averages of nothing.
#[tokio::test]
async fn calls_at_the_edges_belong_to_the_bucket_that_begins() {
    on_both(async |app| {
        let tenant = in_zone(&app, "Asia/Kathmandu").await;
        let agent = app.agent(tenant).await;
        // Midnight in Nepal is a quarter past six in the evening of the day before, in UTC.
        for (instant, cost) in [
            ("2026-03-09T18:14:59.999999Z", 1),
            ("2026-03-09T18:15:00Z", 10),
            ("2026-03-11T18:14:59.999999Z", 100),
            ("2026-03-11T18:15:00Z", 1_000),
        ] {
            app.call(&Call { cost_cents: cost, duration_seconds: Some(60), ..Call::of(&agent, at(instant)) })
                .await;
        }
        let told = usage(&app, tenant, ["2026-03-10", "2026-03-11"], "DAY").await;
        assert_eq!(told["range"], json!({ "start": "2026-03-09T18:15:00Z", "end": "2026-03-11T18:15:00Z" }));
        assert_eq!(told["totals"]["calls"], 2);
        let buckets = told["buckets"].as_array().expect("buckets");
        let cents: Vec<_> = buckets.iter().map(|bucket| &bucket["figures"]["usageCents"]).collect();
        assert_eq!(cents, [10, 100]);
        assert!(buckets.iter().all(|bucket| bucket["utcOffsetMinutes"] == 345), "{buckets:?}");

        let empty = usage(&app, tenant, ["2026-03-12", "2026-03-13"], "DAY").await;
        let figures = json!({ "calls": 0, "totalDurationSeconds": 0, "avgCallDuration": null,
            "avgSentimentScore": null, "usageCents": 0 });
        assert_eq!(
            empty["buckets"][1]["figures"], figures,
            "the day after the last call is there, and empty"
        );
        assert_eq!(empty["buckets"].as_array().map(Vec::len), Some(2));
    })
    .await;
}

/// On the day when clocks go back an hour comes twice: two buckets, told apart by their offset.
#[tokio::test]
async fn an_hour_that_comes_twice_is_two_buckets() {
    on_both(async |app| {
        let tenant = in_zone(&app, "America/New_York").await;
        let agent = app.agent(tenant).await;
        app.call(&Call::of(&agent, at("2026-11-01T05:30:00Z"))).await;
        let told = usage(&app, tenant, ["2026-11-01", "2026-11-01"], "HOUR").await;
        let buckets = told["buckets"].as_array().expect("buckets");
        assert_eq!(buckets.len(), 25);
        let second = |place: usize| {
            let bucket = &buckets[place];
            (bucket["start"].clone(), bucket["utcOffsetMinutes"].clone(), bucket["figures"]["calls"].clone())
        };
        assert_eq!(second(1), (json!("2026-11-01T05:00:00Z"), json!(-240), json!(1)));
        assert_eq!(second(2), (json!("2026-11-01T06:00:00Z"), json!(-300), json!(0)));
    })
    .await;
}

/// 2,000 buckets are given, one more is refused; so is what lies before 2012 or ends before it begins.
#[tokio::test]
async fn a_range_beyond_the_limits_is_refused_with_a_way_out() {
    on_both(async |app| {
        let tenant = in_zone(&app, "UTC").await;
        // 2020-01-01 and 1,999 days later.
        let most = usage(&app, tenant, ["2020-01-01", "2025-06-22"], "DAY").await;
        assert_eq!(most["buckets"].as_array().map(Vec::len), Some(2_000));
        for (range, by, way) in [
            (["2020-01-01", "2025-06-23"], "DAY", "coarser granularity"),
            (["2026-01-01", "2026-03-25"], "HOUR", "coarser granularity"),
            (["2011-12-31", "2012-01-02"], "DAY", "later range"),
            (["2026-01-02", "2026-01-01"], "DAY", "inclusive"),
        ] {
            let (code, sentence) = refused(&app, tenant, range, by).await;
            assert_eq!(code, "BAD_USER_INPUT", "{range:?}");
            assert!(sentence.contains(way), "{range:?}: {sentence}");
        }
        let first = usage(&app, tenant, ["2012-01-01", "2012-01-01"], "DAY").await;
        assert_eq!(first["buckets"].as_array().map(Vec::len), Some(1));
    })
    .await;
}
