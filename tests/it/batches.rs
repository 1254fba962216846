//! Requests that share statements: each gets its own answer, however many give up meanwhile.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Call, Rows, TenantRow, TestApp, Token, noon, on_both};

const ASK: &str =
    "query ($id: ID!) { tenant(id: $id) { id name stats { totalCallsMonth monthlyUsageCents } } }";

/// Tenants of which each has calls that cost what its place in the list says.
async fn tenants(app: &TestApp, number: i64) -> Vec<Uuid> {
    let mut tenants = Vec::new();
    for place in 0..number {
        let zone = ["UTC", "Asia/Kathmandu", "America/New_York"][usize::try_from(place % 3).expect("small")];
        let row =
            TenantRow { name: format!("Tenant {place}"), time_zone: zone.into(), ..TenantRow::default() };
        let tenant = app.tenant(row).await;
        let agent = app.agent(tenant).await;
        app.call(&Call { cost_cents: place, ..Call::of(&agent, noon()) }).await;
        tenants.push(tenant);
    }
    tenants
}

fn right(answer: &Value, tenants: &[Uuid], place: usize) {
    let expected = json!({ "id": tenants[place], "name": format!("Tenant {place}"),
        "stats": { "totalCallsMonth": 1, "monthlyUsageCents": place } });
    assert_eq!(answer["data"]["tenant"], expected, "{answer}");
}

/// Thousands of requests, half of which hang up at some moment: before they are sent, while they wait
/// for a statement, while it runs, while the answer is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_cancelled_requests_disturbs_no_other() {
    on_both(async |app| {
        let tenants = tenants(&app, 60).await;
        for round in 0..5_u64 {
            let asked = (0..600_u64).map(|number| {
                let (app, tenants) = (&app, &tenants);
                async move {
                    let place = usize::try_from((number * 7 + round) % 60).expect("small");
                    let asked = app.post(Token::Admin, ASK, json!({ "id": tenants[place] }));
                    if number % 2 == 0 {
                        let patience = Duration::from_micros((number * 997 + round * 131) % 60_000);
                        if let Ok(answer) = tokio::time::timeout(patience, asked).await {
                            right(&answer.body, tenants, place);
                        }
                        return false;
                    }
                    right(&asked.await.body, tenants, place);
                    true
                }
            });
            let answered = join_all(asked).await.into_iter().filter(|answered| *answered).count();
            assert_eq!(answered, 300);
        }
    })
    .await;
}

/// Requests at the same time take far fewer statements than requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_share_statements() {
    on_both(async |app| {
        let tenants = tenants(&app, 60).await;
        // Every zone has been met.
        join_all(tenants.iter().map(|id| app.admin(ASK, json!({ "id": id })))).await;
        let (statements, answers) = app
            .counting(join_all(
                (0..300).map(|n| app.post(Token::Admin, ASK, json!({ "id": tenants[n % 60] }))),
            ))
            .await;
        for (number, answer) in answers.iter().enumerate() {
            right(&answer.body, &tenants, number % 60);
        }
        assert!(statements < 150, "{statements} statements for 300 requests");
    })
    .await;
}

/// Who asks for the same page of the list at the same time shares it; whoever asks for another waits for nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_in_flight_are_shared() {
    on_both(async |app| {
        tenants(&app, 12).await;
        let page = async |size: usize| {
            let list = "query ($size: Int) { tenants(first: $size, orderBy: {field: CREATED_AT, direction: ASC}) { nodes { name } } }";
            let answer = app.post(Token::Admin, list, json!({ "size": size })).await.body;
            let nodes: Vec<_> = (0..size).map(|place| json!({ "name": format!("Tenant {place}") })).collect();
            assert_eq!(answer, json!({ "data": { "tenants": { "nodes": nodes } } }));
        };
        let (statements, _) = app.counting(join_all((0..300).map(|n| page(if n % 10 == 0 { 7 } else { 12 })))).await;
        assert!(statements < 150, "{statements} statements for 300 pages");
    })
    .await;
}

/// A tenant whose figures cannot be given does not take them from those that share its statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_cannot_be_read_spoils_no_other() {
    on_both(async |app| {
        let tenants = tenants(&app, 20).await;
        let column = if app.backend() == sea_orm::DbBackend::Sqlite { "usage_days" } else { "usage_deltas" };
        app.fold().await;
        // The sum of these two is beyond any integer.
        let big = i64::MAX - 10;
        for (table, start) in [("usage_days", noon()), (column, noon() - chrono::TimeDelta::days(1))] {
            let day = start.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
            let day = entity::timestamp::value(app.backend(), day);
            let key = if table == "usage_deltas" { ", id" } else { "" };
            let id = if table == "usage_deltas" { ", gen_random_uuid()" } else { "" };
            app.sql("DELETE FROM usage_days WHERE tenant_id = $1 AND starts_at = $2", [
                tenants[7].into(),
                day.clone(),
            ])
            .await;
            let sql = format!(
                "INSERT INTO {table} (tenant_id, starts_at{key}, calls, duration_sum, duration_count, score_sum, \
                 score_count, cost_cents) VALUES ($1, $2{id}, 1, 0, 0, 0, 0, $3)"
            );
            app.sql(&sql, [tenants[7].into(), day, big.into()]).await;
        }
        // Tenants in UTC read days; the zone of the seventh is set so.
        app.sql("UPDATE tenants SET time_zone = 'UTC' WHERE id = $1", [tenants[7].into()]).await;
        for _ in 0..3 {
            let answers = join_all(tenants.iter().map(|id| app.post(Token::Admin, ASK, json!({ "id": id })))).await;
            for (place, answer) in answers.iter().enumerate() {
                if place == 7 {
                    assert_eq!(answer.codes(), ["NUMBER_OUT_OF_RANGE"], "{answer:?}");
                    assert_eq!(answer.body["data"]["tenant"]["name"], "Tenant 7", "the fault stays local");
                    assert_eq!(answer.body["data"]["tenant"]["stats"], Value::Null);
                } else {
                    right(&answer.body, &tenants, place);
                }
            }
        }
    })
    .await;
}

/// Counting the calls of a tenant whose sums are not built yet may take long: it is done apart, a statement for each
/// such tenant, so that nobody else waits for it. The figures are the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_that_are_not_built_yet_are_counted_apart() {
    on_both(async |app| {
        let tenants = tenants(&app, 12).await;
        app.fold().await;
        let today = noon().date_naive().to_string();
        let page = "query ($day: Date!) { tenants(first: 12, orderBy: {field: CREATED_AT, direction: ASC}) { nodes { \
            id stats { totalCallsMonth monthlyUsageCents } \
            usage(from: $day, to: $day, granularity: DAY) { buckets { figures { calls usageCents } } } } } }";
        let built = app.admin(page, json!({ "day": today })).await;
        for unbuilt in [3, 8] {
            app.sql("INSERT INTO usage_rebuilds (tenant_id) VALUES ($1)", [tenants[unbuilt].into()]).await;
        }
        app.forget_statements();
        let counted = app.admin(page, json!({ "day": today })).await;
        assert_eq!(counted["tenants"]["nodes"].as_array().map(Vec::len), Some(12));
        assert_eq!(counted, built);
        let statements = app.statements();
        for counting in ["count(CASE WHEN c.started_at", "GROUP BY 1"] {
            let sent = statements.iter().filter(|sent| sent.sql.contains(counting));
            assert_eq!(sent.count(), 2, "{counting}: {statements:#?}");
        }
    })
    .await;
}

/// Whoever has written reads what was written, whatever others ask meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_reads_its_own_writes() {
    on_both(async |app| {
        let tenants = tenants(&app, 3).await;
        let agent = app.agent(tenants[0]).await;
        let noise = async {
            loop {
                join_all((0..20).map(|n| app.post(Token::Admin, ASK, json!({ "id": tenants[n % 3] })))).await;
            }
        };
        let writes = async {
            for number in 2..40 {
                app.call(&Call::of(&agent, noon())).await;
                let data = app.admin(ASK, json!({ "id": tenants[0] })).await;
                assert_eq!(data["tenant"]["stats"]["totalCallsMonth"], number);
            }
        };
        tokio::select! {
            () = writes => {}
            () = noise => {}
        }
    })
    .await;
}

/// What one viewer may see never reaches another that asks at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sharing_statements_shares_no_secrets() {
    on_both(async |app| {
        let tenants = tenants(&app, 30).await;
        let asked = (0..600).map(|number: usize| {
            let (app, tenants) = (&app, &tenants);
            async move {
                let (own, wanted) = (number % 30, (number * 11 + number / 30) % 30);
                let who = Token::Tenant(tenants[own]);
                let answer = app.post(who, ASK, json!({ "id": tenants[wanted] })).await;
                if own == wanted {
                    right(&answer.body, tenants, wanted);
                } else {
                    assert_eq!(answer.body, json!({ "data": { "tenant": null } }));
                }
            }
        });
        join_all(asked).await;
    })
    .await;
}
