//! `deleteTenant`: everything of the tenant goes, nothing of anybody else does, and the record stays.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::{Value, json};
use tenant_gateway::{
    demo::{self, Shape},
    storage::Storage,
};
use uuid::Uuid;

use crate::support::{Call, Rows, Session, TenantRow, TestApp, Token, id, noon, on_both};

const DELETE: &str = "mutation ($input: DeleteTenantInput!) { deleteTenant(input: $input) {
    deletion { id tenantId status isForced requestedBy reason startedAt finishedAt
      progress { rowsPlanned rowsErased objectsPlanned tables { name rowsPlanned rowsErased } } }
    userErrors { code message field } } }";

/// Every table that a tenant owns, with the column that holds its id.
pub const OWNED: [(&str, &str); 18] = [
    ("tenants", "id"),
    ("agents", "tenant_id"),
    ("calls", "tenant_id"),
    ("call_recordings", "tenant_id"),
    ("call_transcripts", "tenant_id"),
    ("sessions", "tenant_id"),
    ("workflows", "tenant_id"),
    ("integrations", "tenant_id"),
    ("knowledge_files", "tenant_id"),
    ("activity_logs", "tenant_id"),
    ("sip_trunks", "tenant_id"),
    ("phone_numbers", "tenant_id"),
    ("squads", "tenant_id"),
    ("squad_members", "tenant_id"),
    ("usage_quarter_hours", "tenant_id"),
    ("usage_days", "tenant_id"),
    ("usage_deltas", "tenant_id"),
    ("usage_rebuilds", "tenant_id"),
];

/// Asks for a deletion; returns its payload.
pub async fn delete(app: &TestApp, input: Value) -> Value {
    app.erase();
    app.admin(DELETE, json!({ "input": input })).await["deleteTenant"].clone()
}

/// Takes a blocked deletion up again; returns the payload.
pub async fn resume(app: &TestApp, deletion: &Value, extra: Value) -> Value {
    let mut input = json!({ "deletionId": deletion });
    input.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    let document = "mutation ($input: ResumeTenantDeletionInput!) { resumeTenantDeletion(input: $input) {
        deletion { id status isForced block { code } } userErrors { code message field } } }";
    app.admin(document, json!({ "input": input })).await["resumeTenantDeletion"].clone()
}

/// Waits until the newest deletion of a tenant has a status; returns the deletion.
pub async fn until(app: &TestApp, tenant: Uuid, status: &str) -> Value {
    let query =
        "query ($id: ID!) { tenantDeletion(tenantId: $id) { id status scheduledFor startedAt finishedAt
        isCancelable block { code message during since } certificate { document sha256 }
        progress { rowsPlanned rowsErased objectsPlanned objectsErased bytesErased
          tables { name rowsPlanned rowsErased } } } }";
    let mut deletion = Value::Null;
    for _ in 0..300 {
        deletion = app.admin(query, json!({ "id": tenant })).await["tenantDeletion"].clone();
        if deletion["status"] == status {
            return deletion;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("never {status}: {deletion}");
}

async fn rows_of(app: &TestApp, tenant: Uuid) -> BTreeMap<&'static str, i64> {
    let mut rows = BTreeMap::new();
    for (table, column) in OWNED {
        let sql = format!("SELECT count(*) FROM {table} WHERE {column} = $1");
        rows.insert(table, app.number(&sql, [tenant.into()]).await);
    }
    rows
}

/// Every column of every row of everybody but `tenant`, table by table.
async fn fingerprint(app: &TestApp, tenant: Uuid) -> BTreeMap<&'static str, String> {
    let mut tables = BTreeMap::new();
    for (table, column) in OWNED {
        let whole_row = match app.backend() {
            DbBackend::Sqlite => {
                let columns = app
                    .rows("SELECT name FROM pragma_table_info($1)", [table.into()])
                    .await
                    .iter()
                    .map(|row| format!("quote({})", row.try_get_by_index::<String>(0).expect("a name")))
                    .collect::<Vec<_>>();
                format!("concat_ws('|', {})", columns.join(", "))
            }
            _ => "t::text".to_owned(),
        };
        let joined = if app.backend() == DbBackend::Sqlite { "group_concat" } else { "string_agg" };
        let sql = format!(
            "SELECT coalesce({joined}(line, ';'), '') FROM \
             (SELECT {whole_row} AS line FROM {table} t WHERE {column} <> $1 ORDER BY 1) l"
        );
        let text: String = app.rows(&sql, [tenant.into()]).await[0].try_get_by_index(0).expect("text");
        tables.insert(table, text);
    }
    tables
}

#[tokio::test]
async fn a_seeded_tenant_is_erased_and_no_other_tenant_notices() {
    on_both(async |app| {
        let objects = tempfile::tempdir().expect("a directory");
        let storage = Storage::open_directory(objects.path()).expect("storage");
        let shape = Shape { tenants: 12, calls: 40, months: 2, seed: 7 };
        let bar = indicatif::ProgressBar::hidden();
        demo::fill(&app.database, &storage, &shape, noon(), &bar).await.expect("a platform");
        app.fold().await;
        let largest = "SELECT tenant_id FROM calls GROUP BY tenant_id ORDER BY count(*) DESC LIMIT 1";
        let tenant: Uuid = app.rows(largest, []).await[0].try_get_by_index(0).expect("an id");
        let tenant_name = app.rows("SELECT name FROM tenants WHERE id = $1", [tenant.into()]).await[0]
            .try_get_by_index::<String>(0)
            .expect("a name");
        let (before, others) = (rows_of(&app, tenant).await, fingerprint(&app, tenant).await);
        // Differences are for PostgreSQL, and no sums are being built.
        let may_be_empty = |table: &str| ["usage_deltas", "usage_rebuilds"].contains(&table);
        assert!(
            before.iter().all(|(table, rows)| *rows > 0 || may_be_empty(table)),
            "the largest tenant has rows everywhere: {before:?}"
        );
        assert!(
            others.iter().all(|(table, rows)| !rows.is_empty() || may_be_empty(table)),
            "and so have others"
        );

        let preview = app
            .admin(
                "query ($id: ID!) { tenant(id: $id) { deletionPreview {
                   totalRows objectCount planDigest gaps { table } tables { name rowCount isExact } } } }",
                json!({ "id": tenant }),
            )
            .await["tenant"]["deletionPreview"]
            .clone();
        for table in preview["tables"].as_array().expect("tables") {
            let name = table["name"].as_str().expect("a name");
            assert_eq!(table["rowCount"], before[name], "{name}");
        }
        let total: i64 = before.values().sum();
        assert_eq!(preview["totalRows"], total);

        let input = json!({ "tenantId": tenant, "confirmName": tenant_name, "force": true,
            "planDigest": preview["planDigest"], "reason": "asked for" });
        let payload = delete(&app, input).await;
        let deletion = &payload["deletion"];
        assert_eq!(payload["userErrors"], json!([]));
        assert_eq!(deletion["status"], "DELETED");
        assert_eq!(deletion["progress"]["rowsErased"], total);
        assert_eq!(deletion["progress"]["objectsPlanned"], preview["objectCount"]);
        for table in deletion["progress"]["tables"].as_array().expect("tables") {
            let name = table["name"].as_str().expect("a name");
            assert_eq!(table["rowsErased"], before[name], "{name}");
        }

        assert!(rows_of(&app, tenant).await.values().all(|rows| *rows == 0));
        assert_eq!(fingerprint(&app, tenant).await, others, "another tenant's rows changed");
        let record = app
            .admin(
                "query ($id: ID!) { tenant(id: $id) { id } tenantDeletion(tenantId: $id) { id reason requestedBy } }",
                json!({ "id": tenant }),
            )
            .await;
        assert_eq!(record["tenant"], Value::Null);
        assert_eq!(record["tenantDeletion"]["id"], deletion["id"]);
        assert_eq!(record["tenantDeletion"]["reason"], "asked for");
        assert_eq!(record["tenantDeletion"]["requestedBy"], "tester");
    })
    .await;
}

#[tokio::test]
async fn asking_again_returns_the_same_deletion() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        let input = json!({ "tenantId": tenant, "confirmName": "Acme", "idempotencyKey": "once" });
        let asked = (0..20).map(|_| delete(&app, input.clone()));
        let payloads = futures_util::future::join_all(asked).await;
        for payload in &payloads {
            assert_eq!(payload["deletion"]["id"], payloads[0]["deletion"]["id"], "{payload}");
            assert_eq!(payload["deletion"]["status"], "DELETED");
        }
        assert_eq!(app.number("SELECT count(*) FROM tenant_deletions", []).await, 1);
        let other = json!({ "tenantId": id(), "confirmName": "Acme", "idempotencyKey": "once" });
        assert_eq!(delete(&app, other).await["userErrors"][0]["code"], "IDEMPOTENCY_KEY_REUSED");
        let without_key = json!({ "tenantId": tenant, "confirmName": "whatever it was" });
        assert_eq!(delete(&app, without_key).await["deletion"]["id"], payloads[0]["deletion"]["id"]);
    })
    .await;
}

/// A request that must be refused, and why.
async fn refused(app: &TestApp, input: Value, code: &str, field: Value) {
    let tables = || async { fingerprint(app, Uuid::nil()).await };
    let before = tables().await;
    let payload = delete(app, input.clone()).await;
    assert_eq!(payload["deletion"], Value::Null, "{input}");
    let error = &payload["userErrors"][0];
    assert_eq!((&error["code"], &error["field"]), (&json!(code), &field), "{input}");
    assert!(error["message"].as_str().expect("a sentence").len() > 20, "{error}");
    assert_eq!(tables().await, before, "a refused deletion changed something");
    assert_eq!(app.number("SELECT count(*) FROM tenant_deletions", []).await, 0);
}

#[tokio::test]
async fn what_is_refused_changes_nothing_and_says_why() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        let with = |extra: Value| {
            let mut input = json!({ "tenantId": tenant, "confirmName": "Acme" });
            input.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
            input
        };
        let field = |name: &str| json!([name]);
        refused(&app, with(json!({ "tenantId": "x" })), "INVALID_INPUT", field("tenantId")).await;
        refused(&app, with(json!({ "tenantId": id() })), "TENANT_NOT_FOUND", field("tenantId")).await;
        for name in ["acme", "Acme ", "", "%"] {
            refused(
                &app,
                with(json!({ "confirmName": name })),
                "CONFIRMATION_MISMATCH",
                field("confirmName"),
            )
            .await;
        }
        refused(&app, with(json!({ "export": true })), "EXPORT_UNAVAILABLE", field("export")).await;
        let ages = json!({ "graceSeconds": i32::MAX });
        refused(&app, with(ages), "INVALID_INPUT", field("graceSeconds")).await;
        refused(&app, with(json!({ "graceSeconds": -1 })), "INVALID_INPUT", field("graceSeconds")).await;
        refused(&app, with(json!({ "idempotencyKey": "" })), "INVALID_INPUT", field("idempotencyKey")).await;
        refused(&app, with(json!({ "reason": "\u{0}" })), "INVALID_INPUT", field("reason")).await;
        refused(&app, with(json!({ "planDigest": "0" })), "PLAN_CHANGED", field("planDigest")).await;

        app.session(&Session::of(tenant, noon())).await;
        refused(&app, with(json!({})), "ACTIVE_SESSIONS", field("force")).await;
        app.sql("DELETE FROM sessions WHERE ended_at IS NULL", []).await;
        let agent = app.agent(tenant).await;
        app.call(&Call { ended_at: None, ..Call::of(&agent, noon()) }).await;
        refused(&app, with(json!({})), "ACTIVE_SESSIONS", field("force")).await;
        let payload = delete(&app, with(json!({ "force": true, "graceSeconds": 0, "export": false }))).await;
        assert_eq!(payload["deletion"]["isForced"], true);
    })
    .await;
}

#[tokio::test]
async fn only_an_admin_erases_or_sets_a_status() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let before = fingerprint(&app, Uuid::nil()).await;
        let status = "mutation ($input: SetTenantStatusInput!) { setTenantStatus(input: $input) { tenant { status } } }";
        for who in [Token::Support, Token::Tenant(tenant), Token::Tenant(id())] {
            let input = json!({ "input": { "tenantId": tenant, "confirmName": "Acme" } });
            assert_eq!(app.post(who, DELETE, input).await.codes(), ["FORBIDDEN"]);
            let input = json!({ "input": { "tenantId": tenant, "status": "INACTIVE" } });
            assert_eq!(app.post(who, status, input).await.codes(), ["FORBIDDEN"]);
        }
        assert_eq!(fingerprint(&app, Uuid::nil()).await, before);
        let input = json!({ "input": { "tenantId": tenant, "status": "INACTIVE" } });
        assert_eq!(app.admin(status, input).await["setTenantStatus"]["tenant"]["status"], "INACTIVE");
    })
    .await;
}

/// Tables that the gateway has never heard of are counted and erased like its own.
#[tokio::test]
async fn unknown_tables_below_a_tenant_are_erased() {
    on_both(async |app| {
        let id_type = if app.backend() == DbBackend::Sqlite { "blob" } else { "uuid" };
        for sql in [
            format!(
                "CREATE TABLE \"call \"\"notes\"\"\" (tenant_id {id_type}, id {id_type}, call_id {id_type} NOT NULL, \
                 PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, call_id) REFERENCES calls (tenant_id, id))"
            ),
            format!(
                "CREATE TABLE invoices (id {id_type} PRIMARY KEY, customer {id_type} NOT NULL REFERENCES tenants (id))"
            ),
            "CREATE INDEX invoices_customer ON invoices (customer)".to_owned(),
            format!(
                "CREATE TABLE invoice_lines (n integer PRIMARY KEY, invoice {id_type} REFERENCES invoices (id))"
            ),
        ] {
            app.sql(&sql, []).await;
        }
        let (gone, stays) = (app.tenant(TenantRow::default()).await, app.tenant(TenantRow::default()).await);
        for (n, tenant) in [(1, gone), (2, stays)] {
            app.platform(tenant).await;
            let note = "INSERT INTO \"call \"\"notes\"\"\" SELECT tenant_id, id, id FROM calls WHERE tenant_id = $1";
            app.sql(note, [tenant.into()]).await;
            let invoice = id();
            app.sql("INSERT INTO invoices VALUES ($1, $2)", [invoice.into(), tenant.into()]).await;
            app.sql("INSERT INTO invoice_lines VALUES ($1, $2)", [n.into(), invoice.into()]).await;
        }
        let payload = delete(&app, json!({ "tenantId": gone, "confirmName": "Acme" })).await;
        let erased: BTreeMap<_, _> = payload["deletion"]["progress"]["tables"]
            .as_array()
            .expect("tables")
            .iter()
            .map(|table| (table["name"].as_str().expect("a name"), table["rowsErased"].clone()))
            .collect();
        for table in ["call \"notes\"", "invoices", "invoice_lines"] {
            assert_eq!(erased[table], 1, "{table}");
            let sql = format!("SELECT count(*) FROM \"{}\"", table.replace('"', "\"\""));
            assert_eq!(app.number(&sql, []).await, 1, "{table} of the other tenant");
        }
    })
    .await;
}

/// While a gap is open the preview names it with a remedy, and nothing is erased.
#[tokio::test]
async fn a_gap_is_named_and_nothing_is_erased() {
    on_both(async |app| {
        let id_type = if app.backend() == DbBackend::Sqlite { "blob" } else { "uuid" };
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        let cases = [
            ("audit", format!("CREATE TABLE audit (id integer PRIMARY KEY, tenant_id {id_type})")),
            (
                "referrals",
                format!(
                    "CREATE TABLE referrals (a {id_type} REFERENCES tenants (id), b {id_type} REFERENCES tenants (id))"
                ),
            ),
        ];
        for (table, sql) in cases {
            app.sql(&sql, []).await;
            let preview = app
                .admin(
                    "query ($id: ID!) { tenant(id: $id) { deletionPreview { gaps { table reason remedy } } } }",
                    json!({ "id": tenant }),
                )
                .await;
            let gap = &preview["tenant"]["deletionPreview"]["gaps"][0];
            assert_eq!(gap["table"], table);
            assert!(gap["remedy"].as_str().expect("a remedy").len() > 20);
            refused(&app, json!({ "tenantId": tenant, "confirmName": "Acme" }), "PLAN_INCOMPLETE", Value::Null).await;
            app.sql(&format!("DROP TABLE {table}"), []).await;
        }
        let payload = delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
        assert_eq!(payload["deletion"]["status"], "DELETED");
    })
    .await;
}

#[tokio::test]
async fn a_late_writer_gets_an_error_and_leaves_no_orphan() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
        let late = sea_orm::Statement::from_sql_and_values(
            app.backend(),
            "INSERT INTO integrations (tenant_id, id, provider) VALUES ($1, $2, 'late')",
            [tenant.into(), id().into()],
        );
        app.database.connection.execute_raw(late).await.expect_err("a foreign key refuses it");
        assert_eq!(app.number("SELECT count(*) FROM integrations", []).await, 0);
    })
    .await;
}
