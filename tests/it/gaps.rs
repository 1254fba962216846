//! Every kind of hole in a plan, and the session whose insert is in flight while a deletion looks.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;
use tenant_gateway::cascade;

use crate::{
    deletion::delete,
    support::{Rows, TenantRow, TestApp, id, noon, on_both},
};

async fn gaps(app: &TestApp) -> Vec<(String, String)> {
    let plan = cascade::plan(&app.database.connection).await.expect("a plan");
    plan.gaps.into_iter().map(|gap| (gap.table.clone(), gap.reason())).collect()
}

#[tokio::test]
async fn a_circle_of_foreign_keys_is_a_gap() {
    on_both(async |app| {
        let kind = if app.backend() == DbBackend::Sqlite { "blob" } else { "uuid" };
        let table = |name: &str, other: &str| {
            let key = if app.backend() == DbBackend::Sqlite {
                format!(", FOREIGN KEY (t, other) REFERENCES {other} (t, id)")
            } else {
                String::new()
            };
            format!(
                "CREATE TABLE {name} (t {kind} REFERENCES tenants (id), id {kind}, other {kind}, PRIMARY KEY (t, id){key})"
            )
        };
        app.sql(&table("left_hand", "right_hand"), []).await;
        app.sql(&table("right_hand", "left_hand"), []).await;
        if app.backend() == DbBackend::Postgres {
            for (one, other) in [("left_hand", "right_hand"), ("right_hand", "left_hand")] {
                let key = format!("ALTER TABLE {one} ADD FOREIGN KEY (t, other) REFERENCES {other} (t, id)");
                app.sql(&key, []).await;
            }
        }
        let gaps = gaps(&app).await;
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert!(gaps[0].1.contains("left_hand, right_hand"), "{gaps:?}");
    })
    .await;
}

#[tokio::test]
async fn a_large_table_without_an_index_is_a_gap_and_a_small_one_is_not() {
    on_both(async |app| {
        let kind = if app.backend() == DbBackend::Sqlite { "blob" } else { "uuid" };
        let tenant = app.tenant(TenantRow::default()).await;
        app.sql(&format!("CREATE TABLE pings (tenant_id {kind} REFERENCES tenants (id), n integer)"), [])
            .await;
        let numbers = "WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < 10001)";
        assert_eq!(gaps(&app).await, []);
        let fill = format!("INSERT INTO pings {numbers} SELECT t.id, g.n FROM tenants t, g WHERE t.id = $1");
        app.sql(&fill, [tenant.into()]).await;
        let gaps_now = gaps(&app).await;
        assert!(
            matches!(&gaps_now[..], [(table, reason)] if table == "pings" && reason.contains("index")),
            "{gaps_now:?}"
        );
        app.sql("CREATE INDEX pings_tenant ON pings (tenant_id)", []).await;
        assert_eq!(gaps(&app).await, []);
    })
    .await;
}

/// What only PostgreSQL has: copies of rows, rows that a policy hides, other schemas, partitions.
#[tokio::test]
async fn postgres_tables_of_every_form_are_covered_or_named() {
    on_both(async |app| {
        if app.backend() == DbBackend::Sqlite {
            return;
        }
        app.sql("CREATE VIEW busy AS SELECT tenant_id, count(*) FROM calls GROUP BY 1", []).await;
        app.sql("CREATE MATERIALIZED VIEW busiest AS SELECT * FROM busy", []).await;
        let found = gaps(&app).await;
        assert!(found.iter().any(|(view, reason)| view == "busiest" && reason.contains("calls")), "{found:?}");
        app.sql("DROP MATERIALIZED VIEW busiest", []).await;

        app.sql("CREATE SCHEMA billing", []).await;
        app.sql(
            "CREATE TABLE billing.\"Invoice\" (tenant_id uuid NOT NULL REFERENCES tenants (id), month date NOT NULL, \
             PRIMARY KEY (tenant_id, month)) PARTITION BY RANGE (month)",
            [],
        )
        .await;
        app.sql("CREATE TABLE billing.old PARTITION OF billing.\"Invoice\" DEFAULT", []).await;
        assert_eq!(gaps(&app).await, []);
        let (gone, stays) = (app.tenant(TenantRow::default()).await, app.tenant(TenantRow::default()).await);
        for tenant in [gone, stays] {
            app.sql("INSERT INTO billing.\"Invoice\" VALUES ($1, '2026-03-01')", [tenant.into()]).await;
        }
        let payload = delete(&app, json!({ "tenantId": gone, "confirmName": "Acme" })).await;
        assert_eq!(payload["deletion"]["progress"]["rowsErased"], 2, "{payload}");
        assert_eq!(app.number("SELECT count(*) FROM billing.\"Invoice\"", []).await, 1);
    })
    .await;
}

/// What the gateway's own user may not see or erase is named, and nothing is erased around it.
#[tokio::test]
async fn what_the_database_keeps_from_the_gateway_is_a_gap() {
    on_both(async |app| {
        if app.backend() == DbBackend::Sqlite {
            return;
        }
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        let user = format!("tenant_gateway_test_{}", id().simple());
        app.sql(&format!("CREATE ROLE {user} LOGIN"), []).await;
        let all = "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public";
        app.sql(&format!("GRANT {all} TO {user}"), []).await;
        let limited = app.as_user(&user).await;
        assert_eq!(gaps(&limited).await, []);

        app.sql(&format!("REVOKE DELETE ON workflows FROM {user}"), []).await;
        app.sql("ALTER TABLE call_transcripts ENABLE ROW LEVEL SECURITY", []).await;
        let found = gaps(&limited).await;
        let named =
            |table: &str, part: &str| found.iter().any(|(t, reason)| t == table && reason.contains(part));
        assert!(named("workflows", "may not") && named("call_transcripts", "policy"), "{found:?}");
        let payload = delete(&limited, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
        assert_eq!(payload["userErrors"][0]["code"], "PLAN_INCOMPLETE", "{payload}");
        assert_eq!(app.number("SELECT count(*) FROM call_recordings", []).await, 1, "nothing was erased");

        app.sql("ALTER TABLE call_transcripts DISABLE ROW LEVEL SECURITY", []).await;
        app.sql(&format!("GRANT DELETE ON workflows TO {user}"), []).await;
        let payload = delete(&limited, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
        assert_eq!(payload["deletion"]["status"], "DELETED", "{payload}");
        drop(limited);
        app.sql(&format!("DROP OWNED BY {user}"), []).await;
        app.sql(&format!("DROP ROLE {user}"), []).await;
    })
    .await;
}

/// A transaction that holds the tenant's row longer than anybody waits: `BUSY`, and nothing changed.
#[tokio::test]
async fn a_tenant_that_others_hold_is_busy() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let holder = app.database.begin().await.expect("a transaction");
        let hold = Statement::from_sql_and_values(
            app.backend(),
            "UPDATE tenants SET plan = 'held' WHERE id = $1",
            [tenant.into()],
        );
        holder.execute_raw(hold).await.expect("a held row");
        let payload = delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
        assert_eq!(payload["userErrors"][0]["code"], "BUSY", "{payload}");
        holder.rollback().await.expect("an end");
        assert_eq!(app.number("SELECT count(*) FROM tenants", []).await, 1);
        let payload = delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
        assert_eq!(payload["deletion"]["status"], "DELETED", "{payload}");
    })
    .await;
}

/// The deletion locks the tenant before it looks: a session that is being inserted meanwhile is seen.
#[tokio::test]
async fn a_session_in_flight_is_seen_before_anything_is_erased() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let writer = app.database.begin().await.expect("a transaction");
        let insert = Statement::from_sql_and_values(
            app.backend(),
            "INSERT INTO sessions (tenant_id, id, channel, started_at) VALUES ($1, $2, 'chat', $3)",
            [tenant.into(), id().into(), entity::timestamp::value(app.backend(), noon())],
        );
        writer.execute_raw(insert).await.expect("a session");
        let asked = delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme" }));
        let commit = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            writer.commit().await.expect("an end");
        };
        let (payload, ()) = tokio::join!(asked, commit);
        assert_eq!(payload["userErrors"][0]["code"], "ACTIVE_SESSIONS", "{payload}");
        assert_eq!(app.number("SELECT count(*) FROM sessions", []).await, 1);
    })
    .await;
}
