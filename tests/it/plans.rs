//! The hot statements read through indexes only, and as little for a large tenant as for a small one.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Rows, TenantRow, TestApp, on_both};

/// Three weeks of calls, and the minutes between two of them. The small tenant has one in each
/// quarter-hour, so that both have sums for the same ones.
const LARGE: (i32, i32) = (30_000, 1);
const SMALL: (i32, i32) = (2_000, 15);

/// A large tenant and a small one in a zone whose days are not those of UTC, and what the database knows
/// of them up to date.
async fn platform(app: &TestApp) -> [Uuid; 2] {
    let mut tenants = Vec::new();
    for (calls, minutes) in [LARGE, SMALL] {
        let row = TenantRow {
            time_zone: "America/New_York".into(),
            monthly_call_limit: Some(100),
            ..TenantRow::default()
        };
        let tenant = app.tenant(row).await;
        let agent = app.agent(tenant).await;
        let (numbers, new_id, start) = match app.backend() {
            DbBackend::Sqlite => (
                "WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < $3)",
                "randomblob(16)",
                "strftime('%Y-%m-%dT%H:%M:%S', '2026-03-18', '-' || (n * $4) || ' minutes') || '.000000Z'",
            ),
            _ => (
                "WITH g AS (SELECT generate_series(1, $3::integer) AS n)",
                "gen_random_uuid()",
                "timestamptz '2026-03-18Z' - n * $4::integer * interval '1 minute'",
            ),
        };
        let sql = format!(
            "INSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at, ended_at, cost_cents) \
             {numbers} SELECT $1, {new_id}, $2, 'inbound', 'completed', {start}, {start}, 1 FROM g"
        );
        // PostgreSQL wants to know the type of a parameter that is only selected.
        let sql = if app.backend() == DbBackend::Sqlite {
            sql
        } else {
            sql.replace("SELECT $1,", "SELECT $1::uuid,").replace(", $2,", ", $2::uuid,")
        };
        app.sql(&sql, [tenant.into(), agent.id.into(), calls.into(), minutes.into()]).await;
        tenants.push(tenant);
    }
    app.fold().await;
    let learn = if app.backend() == DbBackend::Sqlite { "ANALYZE" } else { "VACUUM ANALYZE" };
    app.sql(learn, []).await;
    [tenants[0], tenants[1]]
}

const TENANT: &str = "query ($id: ID!) { tenant(id: $id) { stats { totalCallsMonth } deletion { id }
    usage(from: \"2026-03-01\", to: \"2026-03-31\", granularity: DAY) { totals { calls } } } }";

/// The statements that a document takes.
async fn statements(app: &TestApp, document: &str, variables: Value) -> Vec<Statement> {
    // Once before, so that the zone has been met.
    app.admin(document, variables.clone()).await;
    app.forget_statements();
    app.admin(document, variables).await;
    let mut statements = app.statements();
    // Those of one level are sent at the same time, in any order.
    statements.sort_by(|a, b| a.sql.cmp(&b.sql));
    statements
}

/// PostgreSQL's account of a statement that it has run.
async fn explained(app: &TestApp, statement: &Statement) -> Value {
    let text = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}", statement.sql);
    let values = statement.values.clone().expect("parameters").0;
    let statement = Statement::from_sql_and_values(app.backend(), text, values);
    let row = app.database.connection.query_one_raw(statement).await.expect("a plan").expect("a row");
    row.try_get_by_index::<Value>(0).expect("JSON")[0]["Plan"].clone()
}

/// Every node of a plan.
fn nodes(plan: &Value) -> Vec<&Value> {
    let below = plan["Plans"].as_array().into_iter().flatten();
    std::iter::once(plan).chain(below.flat_map(nodes)).collect()
}

/// SQLite's plan: no table is gone through, but for the list of tenants where that is what is asked for.
async fn searches_only(app: &TestApp, statement: &Statement, listing: bool) {
    let rows = app.rows(&format!("EXPLAIN QUERY PLAN {}", statement.sql), []).await;
    for row in rows {
        let line: String = row.try_get_by("detail").expect("a line");
        let Some(scanned) = line.strip_prefix("SCAN ") else { continue };
        let name = scanned.split_whitespace().next().expect("a name");
        let values = ["r", "z", "g", "j", "w", "m", "d", "b", "parts", "json_each", "CONSTANT", "(subquery"];
        let allowed = values.contains(&name) || name.starts_with('(') || name == "l";
        assert!(allowed || listing && name == "t", "{line}\nof {}", statement.sql);
    }
}

#[tokio::test]
async fn hot_statements_read_through_indexes_and_as_little_of_a_large_tenant() {
    on_both(async |app| {
        let [large, small] = platform(&app).await;
        let one = |id: Uuid| statements(&app, TENANT, json!({ "id": id }));
        let (of_large, of_small) = (one(large).await, one(small).await);
        assert_eq!(of_large.len(), 3, "figures, usage, deletion");
        if app.backend() == DbBackend::Sqlite {
            for statement in &of_large {
                searches_only(&app, statement, false).await;
            }
            return;
        }
        for (of_large, of_small) in of_large.iter().zip(&of_small) {
            let (large, small) = (explained(&app, of_large).await, explained(&app, of_small).await);
            let kinds = |plan: &Value| nodes(plan).iter().map(|n| n["Node Type"].clone()).collect::<Vec<_>>();
            assert_eq!(kinds(&large), kinds(&small), "the same plan");
            for node in nodes(&large) {
                assert_ne!(node["Node Type"], "Seq Scan", "{node}");
                if node["Relation Name"] == "usage_deltas" {
                    // Also a plan that was made while the table was empty must look tenants up.
                    let below = nodes(node);
                    let looked_up = |node: &&Value| {
                        node["Index Cond"].as_str().is_some_and(|condition| condition.contains("tenant_id"))
                    };
                    assert!(below.iter().any(looked_up), "all differences are read: {node}");
                }
                if node["Relation Name"] == "calls" {
                    assert!(node["Actual Rows"].as_f64().expect("rows") <= 1.0, "raw calls: {node}");
                }
            }
            let read = |plan: &Value| plan["Shared Hit Blocks"].as_i64().expect("blocks");
            assert!(read(&large) < read(&small) * 5 / 4 + 20, "{} and {} blocks", read(&large), read(&small));
        }
    })
    .await;
}

#[tokio::test]
async fn lists_by_figures_read_no_raw_calls() {
    on_both(async |app| {
        platform(&app).await;
        for (field, filter) in [
            ("CALLS_USED_RATIO", json!({ "quotaState": ["EXCEEDED"] })),
            ("MONTHLY_USAGE_CENTS", json!({})),
            ("LAST_CALL_AT", json!({})),
            ("NAME", json!({ "quotaState": ["OK", "WARNING"] })),
        ] {
            let document = "query ($order: TenantOrder!, $filter: TenantFilter!) {
                tenants(first: 10, orderBy: $order, filter: $filter) { totalCount nodes { id stats { totalCallsMonth } } } }";
            let order = json!({ "field": field, "direction": "DESC" });
            let variables = json!({ "order": order, "filter": filter });
            for statement in statements(&app, document, variables).await {
                if app.backend() == DbBackend::Sqlite {
                    searches_only(&app, &statement, true).await;
                    continue;
                }
                let plan = explained(&app, &statement).await;
                for node in nodes(&plan) {
                    let name = node["Relation Name"].as_str().unwrap_or_default();
                    assert!(node["Node Type"] != "Seq Scan" || name == "tenants", "{node}");
                    if name == "calls" {
                        assert!(node["Actual Rows"].as_f64().expect("rows") <= 1.0, "{field}: {node}");
                    }
                }
            }
        }
    })
    .await;
}
