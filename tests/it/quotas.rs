//! How much of its limits a tenant has used, at, below and beyond each of them.

use serde_json::{Value, json};

use crate::support::{Call, Rows, TenantRow, TestApp, noon, on_both};

const QUOTA: &str = "query ($id: ID!) { tenant(id: $id) { quota { monthlyCallLimit callsUsed callsRemaining \
    callsUsedRatio maxConcurrentCalls activeCalls concurrentRemaining state concurrencyState resetsAt } } }";

/// The quota of a tenant in Nepal with these limits, of whose `calls` this month `going_on` have not ended.
async fn quota(app: &TestApp, limits: [Option<i32>; 2], calls: i32, going_on: i32) -> Value {
    let row = TenantRow {
        time_zone: "Asia/Kathmandu".to_owned(),
        monthly_call_limit: limits[0],
        max_concurrent_calls: limits[1],
        ..TenantRow::default()
    };
    let tenant = app.tenant(row).await;
    let agent = app.agent(tenant).await;
    for number in 0..calls {
        let mut call = Call::of(&agent, noon());
        if number < going_on {
            call.ended_at = None;
        }
        app.call(&call).await;
    }
    app.admin(QUOTA, json!({ "id": tenant })).await["tenant"]["quota"].take()
}

#[tokio::test]
async fn without_limits_nothing_is_left_to_be_told() {
    on_both(async |app| {
        app.clock.set("2026-02-10T12:00:00Z".parse().expect("an instant"));
        let expected = json!({
            "monthlyCallLimit": null, "callsUsed": 0, "callsRemaining": null, "callsUsedRatio": null,
            "maxConcurrentCalls": null, "activeCalls": 0, "concurrentRemaining": null,
            "state": "UNLIMITED", "concurrencyState": "UNLIMITED",
            // The first of March begins five hours and three quarters before that of UTC.
            "resetsAt": "2026-02-28T18:15:00Z",
        });
        assert_eq!(quota(&app, [None, None], 0, 0).await, expected);
    })
    .await;
}

/// Of ten, eight are a warning and ten too many; a limit of 0 is reached before the first call.
#[tokio::test]
async fn limits_are_told_as_they_are_neared_and_passed() {
    on_both(async |app| {
        for (limit, used, remaining, ratio, state) in [
            (10, 7, 3, 0.7, "OK"),
            (10, 8, 2, 0.8, "WARNING"),
            (10, 10, 0, 1.0, "EXCEEDED"),
            (10, 12, 0, 1.2, "EXCEEDED"),
            (0, 0, 0, 1.0, "EXCEEDED"),
            (0, 3, 0, 1.0, "EXCEEDED"),
        ] {
            let told = quota(&app, [Some(limit), None], used, 0).await;
            assert_eq!(told["callsUsed"], used, "{limit}");
            assert_eq!(told["callsRemaining"], remaining, "{limit} {used}");
            assert_eq!(told["callsUsedRatio"], ratio, "{limit} {used}");
            assert_eq!(told["state"], state, "{limit} {used}");
            assert_eq!(told["concurrencyState"], "UNLIMITED");
        }
    })
    .await;
}

/// Calls that go on count towards the limit of simultaneous ones only.
#[tokio::test]
async fn calls_at_the_same_time_have_a_limit_of_their_own() {
    on_both(async |app| {
        for (limit, going_on, remaining, state) in [
            (5, 3, 2, "OK"),
            (5, 4, 1, "WARNING"),
            (5, 5, 0, "EXCEEDED"),
            (5, 6, 0, "EXCEEDED"),
            (0, 0, 0, "EXCEEDED"),
        ] {
            let told = quota(&app, [None, Some(limit)], 6, going_on).await;
            assert_eq!(told["activeCalls"], going_on);
            assert_eq!(told["concurrentRemaining"], remaining, "{limit} {going_on}");
            assert_eq!(told["concurrencyState"], state, "{limit} {going_on}");
            assert_eq!(told["state"], "UNLIMITED");
        }
    })
    .await;
}
