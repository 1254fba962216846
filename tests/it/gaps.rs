//! The kinds of hole that tables and keys make in a plan, and the session whose insert is in flight while a deletion looks.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::json;
use tenant_gateway::cascade;

use crate::{
    deletion::{delete, until},
    support::{Backend, Rows, TenantRow, TestApp, id, noon, on, on_both},
};

async fn gaps(app: &TestApp) -> Vec<(String, String)> {
    let plan = cascade::plan(&app.database.connection, &cascade::Settings::default()).await.expect("a plan");
    plan.gaps.into_iter().map(|gap| (gap.table.clone(), gap.reason())).collect()
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

/// What touches one partition only concerns the whole table, or is named.
#[tokio::test]
async fn what_is_of_one_partition_alone_is_a_gap() {
    on_both(async |app| {
        if app.backend() == DbBackend::Sqlite {
            return;
        }
        let tenant = app.tenant(TenantRow::default()).await;
        for sql in [
            "CREATE TABLE ev (tenant_id uuid REFERENCES tenants, n integer, PRIMARY KEY (tenant_id, n)) \
             PARTITION BY RANGE (n)",
            "CREATE TABLE ev1 PARTITION OF ev DEFAULT",
            "CREATE MATERIALIZED VIEW copies AS SELECT * FROM ev1",
        ] {
            app.sql(sql, []).await;
        }
        let found = gaps(&app).await;
        assert!(
            matches!(&found[..], [(view, reason)] if view == "copies" && reason.contains("rows of ev,")),
            "{found:?}"
        );
        app.sql("DROP MATERIALIZED VIEW copies", []).await;
        assert_eq!(gaps(&app).await, []);

        app.sql("ALTER TABLE ev1 ADD UNIQUE (n)", []).await;
        app.sql("CREATE TABLE remarks (about integer REFERENCES ev1 (n))", []).await;
        let found = gaps(&app).await;
        assert!(matches!(&found[..], [(table, _)] if table == "remarks"), "{found:?}");
        app.sql("DROP TABLE remarks", []).await;

        for sql in [
            "CREATE TABLE parts (n integer, owner uuid) PARTITION BY RANGE (n)",
            "CREATE TABLE parts1 PARTITION OF parts DEFAULT",
            "ALTER TABLE parts1 ADD FOREIGN KEY (owner) REFERENCES tenants",
        ] {
            app.sql(sql, []).await;
        }
        app.sql("INSERT INTO parts VALUES (1, $1)", [tenant.into()]).await;
        let found = gaps(&app).await;
        assert!(
            matches!(&found[..], [(table, reason)] if table == "parts1" && reason.contains("owner")),
            "{found:?}"
        );
        let payload = delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
        assert_eq!(payload["userErrors"][0]["code"], "PLAN_INCOMPLETE", "{payload}");
    })
    .await;
}

/// A foreign key of a table that the catalogue does not list: one of the records, which stay.
#[tokio::test]
async fn a_table_that_only_its_key_tells_of_is_a_gap() {
    on_both(async |app| {
        if app.backend() == DbBackend::Sqlite {
            return;
        }
        app.sql("ALTER TABLE tenant_deletions ADD FOREIGN KEY (tenant_id) REFERENCES tenants", []).await;
        let found = gaps(&app).await;
        assert!(found.iter().any(|(table, _)| table == "tenant_deletions"), "{found:?}");
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

/// Foreign keys are not inherited: each table's rows are counted and erased by its own.
#[tokio::test]
async fn tables_that_inherit_are_tables_of_their_own() {
    on(Backend::Postgres, async |app| {
        let (gone, stays) = (app.tenant(TenantRow::default()).await, app.tenant(TenantRow::default()).await);
        for sql in [
            "CREATE TABLE notes (id uuid PRIMARY KEY, owner uuid NOT NULL REFERENCES tenants)",
            "CREATE INDEX notes_owner ON notes (owner)",
            "CREATE TABLE old_notes (PRIMARY KEY (id), FOREIGN KEY (owner) REFERENCES tenants) INHERITS (notes)",
            "CREATE TABLE marks (note uuid NOT NULL REFERENCES notes, n integer NOT NULL, PRIMARY KEY (note, n))",
            "CREATE TABLE old_marks (PRIMARY KEY (note, n), FOREIGN KEY (note) REFERENCES old_notes) INHERITS (marks)",
        ] {
            app.sql(sql, []).await;
        }
        // Rows of two tables in the same places, of different tenants.
        for (table, tenants) in [("notes", [gone, stays]), ("old_notes", [stays, gone])] {
            for tenant in tenants {
                let note = id();
                app.sql(&format!("INSERT INTO {table} VALUES ($1, $2)"), [note.into(), tenant.into()]).await;
                let marks = table.replace("notes", "marks");
                app.sql(&format!("INSERT INTO {marks} VALUES ($1, 1)"), [note.into()]).await;
            }
        }
        assert_eq!(gaps(&app).await, []);
        let query = "query ($id: ID!) { tenant(id: $id) { deletionPreview { totalRows } } }";
        let preview = app.admin(query, json!({ "id": gone })).await;
        assert_eq!(preview["tenant"]["deletionPreview"]["totalRows"], 5, "each row is counted once: {preview}");

        app.sql("CREATE TABLE lost_notes () INHERITS (notes)", []).await;
        let found = gaps(&app).await;
        assert!(matches!(&found[..], [(table, reason)] if table == "lost_notes" && reason.contains("notes")), "{found:?}");
        let payload = delete(&app, json!({ "tenantId": gone, "confirmName": "Acme" })).await;
        assert_eq!(payload["userErrors"][0]["code"], "PLAN_INCOMPLETE", "{payload}");
        app.sql("ALTER TABLE lost_notes ADD FOREIGN KEY (owner) REFERENCES tenants", []).await;
        assert_eq!(gaps(&app).await, []);
        let payload = delete(&app, json!({ "tenantId": gone, "confirmName": "Acme" })).await;
        assert_eq!(payload["deletion"]["progress"]["rowsErased"], 5, "{payload}");
        for table in ["notes", "old_notes", "marks", "old_marks"] {
            let left = app.number(&format!("SELECT count(*) FROM ONLY {table}"), []).await;
            assert_eq!(left, 1, "{table}: that of the other tenant");
        }
    })
    .await;
}

/// A table that is large enough to be split is measured by itself, without those that inherit from it.
#[tokio::test]
async fn a_large_table_with_heirs_is_erased() {
    on(Backend::Postgres, async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        for sql in [
            "CREATE TABLE notes (owner uuid NOT NULL REFERENCES tenants, n integer, PRIMARY KEY (owner, n))",
            "CREATE TABLE old_notes (PRIMARY KEY (owner, n), FOREIGN KEY (owner) REFERENCES tenants) INHERITS (notes)",
        ] {
            app.sql(sql, []).await;
        }
        for table in ["notes", "old_notes"] {
            let fill = format!("INSERT INTO {table} SELECT $1, n FROM generate_series(1, 25000) n");
            app.sql(&fill, [tenant.into()]).await;
            app.sql(&format!("ANALYZE {table}"), []).await;
        }
        delete(&app, json!({ "tenantId": tenant, "confirmName": "Acme" })).await;
        let gone = until(&app, tenant, "DELETED").await;
        assert_eq!(gone["progress"]["rowsErased"], 50_001, "{gone}");
    })
    .await;
}
