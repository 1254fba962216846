//! What stands in the way of a change for a moment or for good, and how that is told.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement};
use serde_json::json;
use uuid::Uuid;

use crate::{
    deletion::{delete, resume, until},
    support::{Backend, Rows, TenantRow, TestApp, Token, at, id, on, on_both},
};

const SET_STATUS: &str = "mutation ($input: SetTenantStatusInput!) { setTenantStatus(input: $input) {
    tenant { id status } userErrors { code message field } } }";

/// A transaction that holds the tenant's row.
async fn hold(app: &TestApp, tenant: Uuid) -> DatabaseTransaction {
    let holder = app.database.begin().await.expect("a transaction");
    let sql = "UPDATE tenants SET plan = 'held' WHERE id = $1";
    let hold = Statement::from_sql_and_values(app.backend(), sql, [tenant.into()]);
    holder.execute_raw(hold).await.expect("a held row");
    holder
}

#[tokio::test]
async fn a_status_that_others_hold_is_busy_and_the_gateway_answers_meanwhile() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let holder = hold(&app, tenant).await;
        let variables = json!({ "input": { "tenantId": tenant, "status": "INACTIVE" } });
        // SQLite has one writer whoever waits; on PostgreSQL more wait than there are connections.
        let waiting = if app.backend() == DbBackend::Sqlite { 1 } else { 40 };
        let asked = futures_util::future::join_all(
            (0..waiting).map(|_| app.post(Token::Admin, SET_STATUS, variables.clone())),
        );
        let read = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let read = app.admin("{ tenants { totalCount } }", json!({}));
            let read = tokio::time::timeout(Duration::from_secs(2), read).await.expect("an answer in time");
            assert_eq!(read["tenants"]["totalCount"], 1);
        };
        let limit = Duration::from_secs(20);
        let (answers, ()) =
            tokio::time::timeout(limit, async { tokio::join!(asked, read) }).await.expect("an end");
        for answer in answers {
            let payload = &answer.body["data"]["setTenantStatus"];
            assert_eq!(payload["userErrors"][0]["code"], "BUSY", "{answer:?}");
            assert!(payload["userErrors"][0]["message"].as_str().expect("a sentence").contains("status"));
            assert_eq!(payload["tenant"], json!({ "id": tenant, "status": "ACTIVE" }));
        }
        holder.rollback().await.expect("an end");
        let payload = app.admin(SET_STATUS, variables).await["setTenantStatus"].clone();
        assert_eq!(payload["tenant"]["status"], "INACTIVE", "{payload}");
        assert_eq!(payload["userErrors"], json!([]));
    })
    .await;
}

/// On SQLite such a key is checked row by row: the rows are cut loose first.
#[tokio::test]
async fn rows_that_restrict_one_another_are_erased() {
    on_both(async |app| {
        let kind = if app.backend() == DbBackend::Sqlite { "blob" } else { "uuid" };
        let tenant = app.tenant(TenantRow::default()).await;
        let table = format!(
            "CREATE TABLE tree (tenant_id {kind} NOT NULL REFERENCES tenants (id), id {kind} NOT NULL, \
             parent {kind}, PRIMARY KEY (tenant_id, id), \
             FOREIGN KEY (tenant_id, parent) REFERENCES tree (tenant_id, id) ON DELETE RESTRICT)"
        );
        app.sql(&table, []).await;
        let (top, leaf) = (id(), id());
        app.sql("INSERT INTO tree VALUES ($1, $2, NULL)", [tenant.into(), top.into()]).await;
        app.sql("INSERT INTO tree VALUES ($1, $2, $3)", [tenant.into(), leaf.into(), top.into()]).await;
        let payload = delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
        assert_eq!(payload["deletion"]["status"], "DELETED", "{payload}");
        assert_eq!(app.number("SELECT count(*) FROM tree", []).await, 0);
    })
    .await;
}

/// Keeps every row of a table from being deleted, by a trigger.
async fn keep_rows(app: &TestApp, table: &str) {
    if app.backend() == DbBackend::Sqlite {
        let sql =
            format!("CREATE TRIGGER keep_{table} BEFORE DELETE ON {table} BEGIN SELECT RAISE(IGNORE); END");
        app.sql(&sql, []).await;
        return;
    }
    let function = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'";
    app.sql(function, []).await;
    let trigger =
        format!("CREATE TRIGGER keep_{table} BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION keep()");
    app.sql(&trigger, []).await;
}

/// A deletion that cannot end says which table keeps its rows; taken up again, it goes on.
#[tokio::test]
async fn rows_that_a_trigger_keeps_block_a_deletion_until_they_may_go() {
    on_both(async |app| {
        for table in ["activity_logs", "calls"] {
            let tenant = app.tenant(TenantRow::default()).await;
            app.platform(tenant).await;
            keep_rows(&app, table).await;
            delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
            let blocked = until(&app, tenant, "BLOCKED").await;
            assert_eq!(blocked["block"]["code"], "ROWS_REMAIN", "{blocked}");
            assert_eq!(app.number("SELECT count(*) FROM tenants WHERE status = 'deleting'", []).await, 1);
            let drop = if app.backend() == DbBackend::Sqlite {
                format!("DROP TRIGGER keep_{table}")
            } else {
                "DROP FUNCTION keep CASCADE".to_owned()
            };
            app.sql(&drop, []).await;
            resume(&app, &blocked["id"], json!({})).await;
            until(&app, tenant, "DELETED").await;
        }
    })
    .await;
}

/// The clock tells nanoseconds, the database keeps microseconds: every answer is what is kept.
#[tokio::test]
async fn a_deletion_is_told_the_same_every_time() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        app.clock.set(at("2026-03-18T12:00:00.123456789Z"));
        let document = "mutation ($input: DeleteTenantInput!) { deleteTenant(input: $input) {
            deletion { id requestedAt startedAt finishedAt } } }";
        let ask = || app.admin(document, json!({ "input": { "tenantId": tenant, "confirmName": "Acme" } }));
        let first = ask().await;
        assert_eq!(first, ask().await);
    })
    .await;
}

/// Many ask for tenants that others hold; who asks for another one is answered at once.
#[tokio::test]
async fn tenants_that_are_held_keep_no_place_from_others() {
    on(Backend::Postgres, async |app| {
        let (held, free) = (app.tenant(TenantRow::default()).await, app.tenant(TenantRow::default()).await);
        let holder = hold(&app, held).await;
        let document = "mutation ($input: DeleteTenantInput!) { deleteTenant(input: $input) {
            deletion { status } userErrors { code } } }";
        let ask = async |tenant: Uuid| {
            let input = json!({ "tenantId": tenant, "confirmName": "Acme", "graceSeconds": 60 });
            app.admin(document, json!({ "input": input })).await["deleteTenant"].clone()
        };
        let waiting = futures_util::future::join_all((0..6).map(|_| ask(held)));
        let other = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let begun = Instant::now();
            let payload = ask(free).await;
            assert_eq!(payload["deletion"]["status"], "SCHEDULED", "{payload}");
            assert!(begun.elapsed() < Duration::from_secs(2), "it waited for {:?}", begun.elapsed());
        };
        let both = async { tokio::join!(waiting, other) };
        let (waited, ()) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("an end");
        for payload in waited {
            assert_eq!(payload["userErrors"][0]["code"], "BUSY", "{payload}");
        }
        holder.rollback().await.expect("an end");
        assert_eq!(ask(held).await["deletion"]["status"], "SCHEDULED");
    })
    .await;
}
