//! What the database keeps from the gateway's own user is named, and nothing is erased around it.

use std::process::{Command, Stdio};

use sea_orm::DbBackend;
use serde_json::{Value, json};

use crate::{
    deletion::delete,
    faults::Gateway,
    support::{Rows, TenantRow, TestApp, id, on_both},
};

const PREVIEW: &str = "query ($id: ID!) { tenant(id: $id) { deletionPreview {
    activeSessions activeCalls totalRows gaps { table reason remedy } } } }";

/// Runs a test with a tenant of the platform and a second gateway, which the database knows as a user
/// that may read and write every row but owns nothing.
async fn with_limited_user(test: impl AsyncFn(&TestApp, &TestApp, &str, uuid::Uuid)) {
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
        test(&app, &limited, &user, tenant).await;
        drop(limited);
        app.sql(&format!("DROP OWNED BY {user}"), []).await;
        app.sql(&format!("DROP ROLE {user}"), []).await;
    })
    .await;
}

/// The preview's gaps, as `TABLE: REASON`.
async fn gaps(app: &TestApp, tenant: uuid::Uuid) -> Vec<String> {
    let preview = app.admin(PREVIEW, json!({ "id": tenant })).await["tenant"]["deletionPreview"].clone();
    let text = |gap: &Value, key: &str| gap[key].as_str().expect("text").to_owned();
    let gaps = preview["gaps"].as_array().expect("gaps");
    gaps.iter().map(|gap| format!("{}: {}", text(gap, "table"), text(gap, "reason"))).collect()
}

/// A deletion is refused for the plan's sake and changes nothing.
async fn refused(app: &TestApp, limited: &TestApp, tenant: uuid::Uuid, about: &str) {
    let payload = delete(limited, json!({ "tenantId": tenant, "confirmName": "Acme", "force": true })).await;
    assert_eq!(payload["userErrors"][0]["code"], "PLAN_INCOMPLETE", "{about}: {payload}");
    assert_eq!(app.number("SELECT count(*) FROM call_recordings", []).await, 1, "nothing was erased");
    assert_eq!(app.number("SELECT count(*) FROM tenants WHERE status = 'active'", []).await, 1);
    assert_eq!(app.number("SELECT count(*) FROM tenant_deletions", []).await, 0);
}

/// Each missing privilege and each policy is one gap, told by the preview as long as it lasts.
#[tokio::test]
async fn what_the_database_keeps_from_the_gateway_is_a_gap() {
    with_limited_user(async |app, limited, user, tenant| {
        app.sql("CREATE SCHEMA billing", []).await;
        app.sql("CREATE TABLE billing.bills (tenant_id uuid PRIMARY KEY REFERENCES tenants)", []).await;
        let grant = format!("GRANT SELECT, DELETE ON billing.bills TO {user}");
        app.sql(&grant, []).await;
        app.sql(&format!("GRANT USAGE ON SCHEMA billing TO {user}"), []).await;
        assert_eq!(gaps(limited, tenant).await, [""; 0]);

        let privileges = [
            ("workflows", "DELETE ON workflows", "DELETE"),
            ("workflows", "SELECT ON workflows", "SELECT"),
            ("tenants", "UPDATE ON tenants", "UPDATE"),
            ("tenant_deletions", "INSERT ON tenant_deletions", "INSERT"),
            ("tenant_deletion_tables", "INSERT ON tenant_deletion_tables", "INSERT"),
            ("billing.bills", "USAGE ON SCHEMA billing", "USAGE"),
        ];
        for (table, privilege, word) in privileges {
            app.sql(&format!("REVOKE {privilege} FROM {user}"), []).await;
            let found = gaps(limited, tenant).await;
            assert!(
                matches!(&found[..], [one] if one.starts_with(table) && one.contains(word)),
                "{privilege}: {found:?}"
            );
            refused(app, limited, tenant, privilege).await;
            app.sql(&format!("GRANT {privilege} TO {user}"), []).await;
        }
        for table in ["call_transcripts", "tenant_deletion_tables"] {
            app.sql(&format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"), []).await;
            let found = gaps(limited, tenant).await;
            assert!(
                matches!(&found[..], [one] if one.starts_with(table) && one.contains("policy")),
                "{found:?}"
            );
            refused(app, limited, tenant, table).await;
            app.sql(&format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"), []).await;
        }
        let payload = delete(limited, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
        assert_eq!(payload["deletion"]["status"], "DELETED", "{payload}");
    })
    .await;
}

/// The gaps of just the tables that tell who is active are told, and that nobody could be counted.
#[tokio::test]
async fn the_preview_says_so_when_activity_cannot_be_counted() {
    with_limited_user(async |app, limited, user, tenant| {
        let changes = [
            (
                "sessions",
                "ALTER TABLE sessions ENABLE ROW LEVEL SECURITY".to_owned(),
                "ALTER TABLE sessions DISABLE ROW LEVEL SECURITY".to_owned(),
            ),
            (
                "calls",
                format!("REVOKE SELECT ON calls FROM {user}"),
                format!("GRANT SELECT ON calls TO {user}"),
            ),
        ];
        for (table, withhold, give_back) in changes {
            app.sql(&withhold, []).await;
            let found = gaps(limited, tenant).await;
            assert!(
                matches!(&found[..], [one] if one.starts_with(table) && one.contains("could not be counted")),
                "{found:?}"
            );
            refused(app, limited, tenant, table).await;
            app.sql(&give_back, []).await;
        }
        assert_eq!(gaps(limited, tenant).await, [""; 0]);
    })
    .await;
}

/// A tenant whose row a policy hides is not one that does not exist.
#[tokio::test]
async fn a_hidden_tenant_is_a_gap_and_not_missing() {
    with_limited_user(async |app, limited, _, tenant| {
        for table in ["tenants", "tenant_deletions"] {
            app.sql(&format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"), []).await;
            refused(app, limited, tenant, table).await;
            app.sql(&format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"), []).await;
        }
    })
    .await;
}

/// How far a replica is behind is for those to see only who may read all statistics.
#[tokio::test]
async fn replicas_that_cannot_be_seen_are_told_once() {
    with_limited_user(async |app, limited, user, _| {
        let gateway = Gateway::start(limited, None);
        // It comes later.
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        assert!(!gateway.log().contains("pg_read_all_stats"), "{}", gateway.log());
        let follow = format!(
            "{} replication=database",
            app.database_url
                .replace("postgres://postgres@", "user=postgres host=")
                .replace(":5432/", " dbname=")
        );
        let mut replica = Command::new("psql")
            .arg(follow)
            .stdin(Stdio::piped())
            .spawn()
            .expect("these tests need the program psql");
        while app.number("SELECT count(*) FROM pg_stat_replication", []).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        gateway.says("pg_read_all_stats").await;
        let unlimited = Gateway::start_with(limited, None, &["--deletion-max-replica-lag", "0s"]);
        app.sql(&format!("GRANT pg_read_all_stats TO {user}"), []).await;
        let seeing = Gateway::start(limited, None);
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        assert_eq!(gateway.log().matches("pg_read_all_stats").count(), 1);
        for quiet in [unlimited, seeing] {
            assert!(!quiet.log().contains("pg_read_all_stats"), "{}", quiet.log());
        }
        replica.kill().expect("an end");
        replica.wait().expect("an end");
    })
    .await;
}
