//! What outside writers may do, and what many zones cost.

use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;
use tenant_gateway::usage::{Keeper, all_zones};
use uuid::Uuid;

use crate::support::{Call, Rows, TenantRow, TestApp, noon, on_both};

const CALLS: &str = "query ($id: ID!) { tenant(id: $id) { stats { totalCallsMonth lastCallAt } } }";

async fn calls_of(app: &TestApp, tenant: Uuid) -> serde_json::Value {
    app.admin(CALLS, json!({ "id": tenant })).await["tenant"]["stats"]["totalCallsMonth"].clone()
}

/// A tenant that comes back under its old id, as a restore brings it, starts from nothing.
#[tokio::test]
async fn a_tenant_that_comes_back_under_its_id_is_not_counted_twice() {
    on_both(async |app| {
        let row = TenantRow::default();
        let tenant = app.tenant(row.clone()).await;
        let agent = app.agent(tenant).await;
        app.call(&Call::of(&agent, noon())).await;
        app.sql("DELETE FROM tenants WHERE id = $1", [tenant.into()]).await;
        app.tenant(row).await;
        assert_eq!(calls_of(&app, tenant).await, 0);
        let agent = app.agent(tenant).await;
        app.call(&Call::of(&agent, noon())).await;
        assert_eq!(calls_of(&app, tenant).await, 1);
        let keeper = Keeper::new(app.database.clone());
        assert_eq!(keeper.verify(tenant).await.expect("a recount"), []);
    })
    .await;
}

/// A writer needs rights on the tables it writes to, and no others.
#[tokio::test]
async fn a_writer_with_rights_on_calls_only_is_counted() {
    on_both(async |app| {
        if app.backend() == DbBackend::Sqlite {
            return;
        }
        let tenant = app.tenant(TenantRow::default()).await;
        let agent = app.agent(tenant).await;
        let user = format!("tenant_gateway_writer_{}", Uuid::now_v7().simple());
        app.sql(&format!("CREATE ROLE {user} LOGIN"), []).await;
        app.sql(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON calls TO {user}"), []).await;
        let writer = app.as_user(&user).await;
        let (one, other) = (Call::of(&agent, noon()), Call::of(&agent, noon()));
        writer.call(&one).await;
        writer.call(&other).await;
        writer.sql("UPDATE calls SET cost_cents = 9 WHERE id = $1", [one.id.into()]).await;
        writer.sql("DELETE FROM calls WHERE id = $1", [other.id.into()]).await;
        drop(writer);
        assert_eq!(calls_of(&app, tenant).await, 1);
        let keeper = Keeper::new(app.database.clone());
        assert_eq!(keeper.verify(tenant).await.expect("a recount"), []);
        app.sql(&format!("DROP OWNED BY {user}"), []).await;
        app.sql(&format!("DROP ROLE {user}"), []).await;
    })
    .await;
}

/// However many zones have been met, a statement carries the windows of its own tenants' zones.
#[tokio::test]
async fn many_zones_do_not_make_a_statement_long() {
    on_both(async |app| {
        let mut tenants = Vec::new();
        for zone in all_zones().step_by(6) {
            let row = TenantRow { time_zone: zone.name().to_owned(), ..TenantRow::default() };
            tenants.push(app.tenant(row).await);
        }
        assert!(tenants.len() > 80);
        for tenant in &tenants {
            assert_eq!(calls_of(&app, *tenant).await, 0);
        }
        app.forget_statements();
        calls_of(&app, tenants[40]).await;
        let page = "{ tenants(first: 5, orderBy: { field: MONTHLY_USAGE_CENTS, direction: DESC }) { nodes { id } } }";
        app.admin(page, json!({})).await;
        let statements = app.statements();
        assert_eq!(statements.len(), 2, "one for the figures, one for the page");
        if app.backend() == DbBackend::Postgres {
            for statement in statements {
                // Debug spells every value out at many times its length on the wire.
                let values = format!("{:?}", statement.values);
                let instants = values.matches("ChronoDateTimeUtc(").count();
                assert!(instants < 400, "{instants} instants in {}", statement.sql);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn rows_without_a_tenant_are_found() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let agent = app.agent(tenant).await;
        app.call(&Call::of(&agent, noon())).await;
        app.fold().await;
        let keeper = Keeper::new(app.database.clone());
        assert_eq!(keeper.orphans().await.expect("a look"), []);
        // One connection, which keeps its setting.
        let mut options = sea_orm::ConnectOptions::new(&app.database_url);
        options.max_connections(1);
        let careless = sea_orm::Database::connect(options).await.expect("a connection");
        let without_keys = match app.backend() {
            DbBackend::Sqlite => "PRAGMA foreign_keys = off",
            _ => "SET session_replication_role = replica",
        };
        careless.execute_unprepared(without_keys).await.expect("a setting");
        careless.execute_unprepared("DELETE FROM tenants").await.expect("a careless write");
        let found = keeper.orphans().await.expect("a look");
        assert_eq!(found, [("calls", 1), ("usage_quarter_hours", 1), ("usage_days", 1)]);
    })
    .await;
}
