//! The hot statements read through indexes only, and as little for a large tenant as for a small one.

use sea_orm::{
    DbBackend, Statement, Value as Bound,
    sqlx::{self, AssertSqlSafe, Postgres, Row, pool::PoolConnection},
};
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
    let tenants = [tenant(app).await, tenant(app).await];
    fill(app, tenants).await;
    let learn = if app.backend() == DbBackend::Sqlite { "ANALYZE" } else { "VACUUM ANALYZE" };
    app.sql(learn, []).await;
    tenants
}

async fn tenant(app: &TestApp) -> Uuid {
    app.tenant(TenantRow {
        time_zone: "America/New_York".into(),
        monthly_call_limit: Some(100),
        ..TenantRow::default()
    })
    .await
}

/// Three weeks of calls, and their sums.
async fn fill(app: &TestApp, tenants: [Uuid; 2]) {
    for (tenant, (calls, minutes)) in tenants.into_iter().zip([LARGE, SMALL]) {
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
    }
    app.fold().await;
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

/// Statements prepared on one connection, as the gateway's own connections keep them: with one plan for
/// whatever values.
struct Prepared(PoolConnection<Postgres>);

impl Prepared {
    async fn new(app: &TestApp, statements: &[Statement]) -> Self {
        let pool = app.database.connection.get_postgres_connection_pool();
        let mut prepared = Self(pool.acquire().await.expect("a connection"));
        for (number, statement) in statements.iter().enumerate() {
            prepared.execute(&format!("PREPARE hot{number} AS {}", statement.sql)).await;
            prepared.explain(number, statement).await;
        }
        prepared
    }

    async fn execute(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *self.0).await.expect(sql);
    }

    /// What the plan of the statement did with these values.
    async fn explain(&mut self, number: usize, statement: &Statement) -> Value {
        let values = statement.values.as_ref().expect("parameters").0.iter().map(literal).collect::<Vec<_>>();
        let list = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
        let sql = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE hot{number} {list}");
        let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut *self.0).await.expect("a plan");
        let text: String = row.try_get_unchecked(0).expect("text");
        serde_json::from_str::<Value>(&text).expect("JSON")[0]["Plan"].clone()
    }
}

/// A value as SQL.
fn literal(value: &Bound) -> String {
    let text = |value: &Bound| match value {
        Bound::Uuid(Some(id)) => id.to_string(),
        Bound::Int(Some(number)) => number.to_string(),
        Bound::BigInt(Some(number)) => number.to_string(),
        Bound::Double(Some(number)) => number.to_string(),
        Bound::String(Some(word)) => word.clone(),
        Bound::ChronoDateTimeUtc(Some(instant)) => instant.to_rfc3339(),
        other => panic!("no such parameter: {other:?}"),
    };
    match value {
        Bound::Array(_, Some(values)) => {
            let values: Vec<_> = values.iter().map(|value| format!("\"{}\"", text(value))).collect();
            format!("'{{{}}}'", values.join(","))
        }
        other => format!("'{}'", text(other)),
    }
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
        let mut prepared = Prepared::new(&app, &of_large).await;
        as_little(&mut prepared, &of_large, &of_small).await;
    })
    .await;
}

/// A connection may have made its plans while there was nothing to read: they must do as well later.
#[tokio::test]
async fn plans_made_while_tables_were_empty_read_as_little() {
    on_both(async |app| {
        if app.backend() == DbBackend::Sqlite {
            return;
        }
        let tenants = [tenant(&app).await, tenant(&app).await];
        app.sql("VACUUM ANALYZE", []).await;
        let of = |id: Uuid| statements(&app, TENANT, json!({ "id": id }));
        let (of_large, of_small) = (of(tenants[0]).await, of(tenants[1]).await);
        let mut prepared = Prepared::new(&app, &of_large).await;
        fill(&app, tenants).await;
        as_little(&mut prepared, &of_large, &of_small).await;
    })
    .await;
}

/// Each statement reads through indexes, no call but the last, and of the large tenant hardly more than
/// of the small one.
async fn as_little(prepared: &mut Prepared, of_large: &[Statement], of_small: &[Statement]) {
    for (number, (of_large, of_small)) in of_large.iter().zip(of_small).enumerate() {
        let (large, small) =
            (prepared.explain(number, of_large).await, prepared.explain(number, of_small).await);
        for node in nodes(&large) {
            assert_ne!(node["Node Type"], "Seq Scan", "{node}");
            let (name, rows) = (node["Relation Name"].as_str().unwrap_or_default(), &node["Actual Rows"]);
            if name == "calls" {
                assert!(rows.as_f64().expect("rows") <= 1.0, "raw calls: {node}");
            }
            if name.starts_with("usage_") && name != "usage_rebuilds" {
                let looked_up = |node: &&Value| {
                    node["Index Cond"].as_str().is_some_and(|condition| condition.contains("tenant_id"))
                };
                assert!(nodes(node).iter().any(looked_up), "other tenants are read: {node}");
            }
        }
        let read = |plan: &Value| plan["Shared Hit Blocks"].as_i64().expect("blocks");
        assert!(read(&large) < read(&small) * 5 / 4 + 20, "{} and {} blocks", read(&large), read(&small));
    }
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
                let mut prepared = Prepared::new(&app, std::slice::from_ref(&statement)).await;
                let plan = prepared.explain(0, &statement).await;
                prepared.execute("DEALLOCATE hot0").await;
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
