//! Tables that come, go, restrict and hide while a deletion runs.

use std::collections::BTreeMap;

use sea_orm::DbBackend;
use serde_json::json;

use super::{
    standing::standing_at,
    victim::{Bystander, Victim, ask, rows_of, until_status},
};
use crate::{
    deletion::resume,
    support::{Rows, TenantRow, TestApp, id, on_both},
};

fn kind(app: &TestApp) -> &'static str {
    if app.backend() == DbBackend::Sqlite { "blob" } else { "uuid" }
}

/// A table of somebody else's, whose rows keep the tenant's from being deleted.
#[tokio::test]
async fn a_table_that_appears_and_restricts_is_erased_too() {
    on_both(async |app| {
        let bystander = Bystander::new(&app).await;
        for point in ["plan.adopted", "batch.committed", "step.done", "phase.committed", "closing.begun"] {
            // The catalogue cannot change under an open transaction on SQLite.
            if point == "closing.begun" && app.backend() == DbBackend::Sqlite {
                continue;
            }
            let kind = kind(&app);
            let restricts = !matches!(point, "phase.committed" | "closing.begun");
            let reference = if restricts {
                "FOREIGN KEY (tenant_id, owner) REFERENCES agents (tenant_id, id) ON DELETE RESTRICT"
            } else {
                "FOREIGN KEY (tenant_id) REFERENCES tenants (id)"
            };
            let made = format!(
                "CREATE TABLE holds (tenant_id {kind} NOT NULL, id {kind} NOT NULL, owner {kind}, \
                 PRIMARY KEY (tenant_id, id), {reference})"
            );
            let rows = if restricts {
                "INSERT INTO holds SELECT tenant_id, id, id FROM agents WHERE tenant_id = $1"
            } else {
                "INSERT INTO holds SELECT id, id, id FROM tenants WHERE id = $1"
            };
            let (victim, gateway) = standing_at(&app, 100, point, async |_| {}).await;
            app.sql(&made, []).await;
            app.sql(rows, [victim.id.into()]).await;
            gateway.signal("-CONT");
            victim.is_gone_with(&app, &BTreeMap::from([("holds".to_owned(), 1)])).await;
            assert_eq!(app.number("SELECT count(*) FROM holds", []).await, 0);
            app.sql("DROP TABLE holds", []).await;
        }
        bystander.has_not_noticed(&app).await;
    })
    .await;
}

/// Rows below one that is erased would be nobody's, and would never be found again.
#[tokio::test]
async fn a_table_that_appears_below_one_that_is_being_erased_leaves_nothing_behind() {
    on_both(async |app| {
        let kind = kind(&app);
        app.sql(
            &format!(
                "CREATE TABLE gadgets (id {kind} PRIMARY KEY, tenant_id {kind} NOT NULL REFERENCES tenants (id))"
            ),
            [],
        )
        .await;
        let index = "CREATE INDEX gadgets_tenant_idx ON gadgets (tenant_id)";
        app.sql(index, []).await;
        let (victim, gateway) = standing_at(&app, 100, "plan.adopted", async |victim: &Victim| {
            for _ in 0..30 {
                app.sql("INSERT INTO gadgets VALUES ($1, $2)", [id().into(), victim.id.into()]).await;
            }
        })
        .await;
        app.sql(&format!("CREATE TABLE notes (gadget {kind} NOT NULL REFERENCES gadgets (id))"), []).await;
        app.sql("INSERT INTO notes SELECT id FROM gadgets WHERE tenant_id = $1", [victim.id.into()]).await;
        gateway.signal("-CONT");
        let erased = [("gadgets".to_owned(), 30), ("notes".to_owned(), 30)];
        victim.is_gone_with(&app, &BTreeMap::from(erased)).await;
        assert_eq!(app.number("SELECT count(*) FROM notes", []).await, 0);
    })
    .await;
}

/// Its rows are gone with it, and the certificate does not tell of them.
#[tokio::test]
async fn a_table_that_is_dropped_meanwhile_is_no_obstacle() {
    on_both(async |app| {
        for point in ["plan.adopted", "phase.committed"] {
            let kind = kind(&app);
            let made = format!(
                "CREATE TABLE extras (tenant_id {kind} NOT NULL REFERENCES tenants (id), id {kind} NOT NULL, \
                 PRIMARY KEY (tenant_id, id))"
            );
            let (victim, gateway) = standing_at(&app, 100, point, async |victim: &Victim| {
                app.sql("DROP TABLE IF EXISTS extras", []).await;
                app.sql(&made, []).await;
                for _ in 0..30 {
                    app.sql("INSERT INTO extras VALUES ($1, $2)", [victim.id.into(), id().into()]).await;
                }
            })
            .await;
            app.sql("DROP TABLE extras", []).await;
            gateway.signal("-CONT");
            let erased = if point == "plan.adopted" {
                BTreeMap::new()
            } else {
                BTreeMap::from([("extras".to_owned(), 30)])
            };
            victim.is_gone_with(&app, &erased).await;
        }
    })
    .await;
}

/// A policy that hides rows from the gateway's user is told, and never taken for emptiness.
#[tokio::test]
async fn a_policy_that_hides_rows_blocks_until_it_is_gone() {
    on_both(async |app| {
        if app.backend() == DbBackend::Sqlite {
            return;
        }
        let user = format!("tenant_gateway_eraser_{}", id().simple());
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        let before = rows_of(&app, tenant).await;
        for sql in [
            format!("CREATE ROLE {user} LOGIN"),
            format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}"),
        ] {
            app.sql(&sql, []).await;
        }
        let gateway = app.as_user(&user).await;
        assert_eq!(ask(&gateway, tenant, json!({})).await["deletion"]["status"], "ERASING");
        app.sql("ALTER TABLE workflows ENABLE ROW LEVEL SECURITY", []).await;
        app.sql(&format!("CREATE POLICY hide ON workflows TO {user} USING (false)"), []).await;
        gateway.erase();
        let blocked = until_status(&gateway, tenant, "BLOCKED").await;
        let code = &blocked["block"]["code"];
        assert!(code == "PERMISSION_DENIED" || code == "PLAN_INCOMPLETE", "{blocked}");
        assert_eq!(rows_of(&app, tenant).await, before, "nothing was erased");
        app.sql("ALTER TABLE workflows DISABLE ROW LEVEL SECURITY", []).await;
        resume(&gateway, &blocked["id"], json!({})).await;
        until_status(&gateway, tenant, "DELETED").await;
        assert!(rows_of(&app, tenant).await.values().all(|rows| *rows == 0));
        drop(gateway);
        app.sql(&format!("DROP OWNED BY {user}"), []).await;
        app.sql(&format!("DROP ROLE {user}"), []).await;
    })
    .await;
}
