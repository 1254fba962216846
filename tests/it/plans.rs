//! The hot statements read through indexes only, for a large tenant as for a small one.

use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};
use serde_json::json;

use crate::support::{Rows, TenantRow, TestApp, on_both};

/// A tenant with 30,000 calls, another with 3, and what the database knows of them up to date.
async fn platform(app: &TestApp) {
    for calls in [30_000, 3] {
        let tenant = app.tenant(TenantRow::default()).await;
        let agent = app.agent(tenant).await;
        let (numbers, new_id, start) = match app.backend() {
            DbBackend::Sqlite => (
                "WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < $3)",
                "randomblob(16)",
                "strftime('%Y-%m-%dT%H:%M:%S', '2026-03-18', '-' || n || ' minutes') || '.000000Z'",
            ),
            _ => (
                "WITH g AS (SELECT generate_series(1, $3::integer) AS n)",
                "gen_random_uuid()",
                "timestamptz '2026-03-18Z' - n * interval '1 minute'",
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
        app.sql(&sql, [tenant.into(), agent.id.into(), calls.into()]).await;
    }
    let learn = if app.backend() == DbBackend::Sqlite { "ANALYZE" } else { "VACUUM ANALYZE" };
    app.sql(learn, []).await;
}

/// How the database would run the statement, with whatever values.
async fn explained(app: &TestApp, text: &str) -> String {
    if app.backend() == DbBackend::Sqlite {
        let rows = app.rows(&format!("EXPLAIN QUERY PLAN {text}"), []).await;
        let lines = rows.iter().map(|row| row.try_get_by::<String, _>("detail").expect("a line"));
        return lines.collect::<Vec<_>>().join("\n");
    }
    let transaction = app.database.connection.begin().await.expect("a transaction");
    let execute = async |sql: &str| transaction.execute_unprepared(sql).await.expect("a statement");
    execute(&format!("PREPARE hot AS {text}")).await;
    execute("SET LOCAL plan_cache_mode = force_generic_plan").await;
    let values = "SELECT coalesce('(' || string_agg('NULL', ', ') || ')', '') AS list FROM pg_prepared_statements p, unnest(p.parameter_types) WHERE p.name = 'hot'";
    let query = |sql: String| Statement::from_string(DbBackend::Postgres, sql);
    let row = transaction.query_one_raw(query(values.to_owned())).await.expect("values").expect("a row");
    let list: String = row.try_get_by("list").expect("a list");
    let rows = transaction.query_all_raw(query(format!("EXPLAIN EXECUTE hot {list}"))).await.expect("a plan");
    let lines = rows.iter().map(|row| row.try_get_by_index::<String>(0).expect("a line"));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn hot_statements_never_read_a_table_of_calls_whole() {
    on_both(async |app| {
        platform(&app).await;
        let document = "{ tenants(first: 2) { nodes { id stats { totalCallsMonth } deletion { id }
            usage(from: \"2026-03-01\", to: \"2026-03-31\", granularity: DAY) { totals { calls } } } } }";
        let data = app.admin(document, json!({})).await;
        assert_eq!(data["tenants"]["nodes"].as_array().expect("nodes").len(), 2);
        let hot: Vec<_> = ["AS calls_today", "AS starts_at, ", "AS k FROM", "FROM tenant_deletions d"]
            .into_iter()
            .map(|part| app.statements_with(part).pop().unwrap_or_else(|| panic!("no statement has {part}")))
            .collect();
        for text in hot {
            let plan = explained(&app, &text).await;
            for line in plan.lines() {
                let whole =
                    line.contains("Seq Scan on calls") || line.contains("SCAN c") || line.contains("SCAN s");
                assert!(!whole || line.contains("SCAN SUBQUERY"), "{line}\nin {plan}\nof {text}");
            }
        }
    })
    .await;
}
