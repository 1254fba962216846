//! The fence: nothing is added to a tenant that is being erased.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, RuntimeErr, SqlErr, Statement, sqlx};
use uuid::Uuid;

use crate::{
    deletion::OWNED,
    support::{Rows, TenantRow, TestApp, on_both},
};

/// A row like each that the tenants have, under a new id.
async fn copies(app: &TestApp, table: &str, tenants: &[Uuid]) -> Result<u64, DbErr> {
    let (columns, id) = match app.backend() {
        DbBackend::Sqlite => ("SELECT name FROM pragma_table_info($1)", "randomblob(16)"),
        _ => (
            "SELECT column_name::text FROM information_schema.columns WHERE table_name = $1 AND table_schema = current_schema()",
            "gen_random_uuid()",
        ),
    };
    let columns: Vec<String> = app
        .rows(columns, [table.into()])
        .await
        .iter()
        .map(|row| row.try_get_by_index(0).expect("a name"))
        .collect();
    let values: Vec<_> = columns
        .iter()
        .map(|column| match (table, column.as_str()) {
            (_, "id") => id.to_owned(),
            // Unique for each tenant.
            ("phone_numbers", "number") => "'+49' || substr(number, 5)".to_owned(),
            (_, column) => column.to_owned(),
        })
        .collect();
    let tenants: Vec<_> = tenants.iter().map(|tenant| tenant.simple().to_string()).collect();
    let is_theirs = match app.backend() {
        DbBackend::Sqlite => format!("lower(hex(tenant_id)) IN ('{}')", tenants.join("', '")),
        _ => format!("tenant_id IN ('{}')", tenants.join("', '")),
    };
    let sql = format!(
        "INSERT INTO {table} ({}) SELECT {} FROM {table} WHERE {is_theirs}",
        columns.join(", "),
        values.join(", ")
    );
    let done = app.database.connection.execute_raw(Statement::from_string(app.backend(), sql)).await?;
    Ok(done.rows_affected())
}

fn is_refused(outcome: Result<u64, DbErr>, what: &str) {
    let error = outcome.expect_err(what);
    assert!(
        matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))) || is_sqlite(&error),
        "{what}: {error}"
    );
    if let DbErr::Exec(RuntimeErr::SqlxError(cause)) = &error
        && let sqlx::Error::Database(fault) = &**cause
        && !is_sqlite(&error)
    {
        assert_eq!(fault.code().as_deref(), Some("23503"), "{what}");
    }
}

fn is_sqlite(error: &DbErr) -> bool {
    error.to_string().contains("FOREIGN KEY constraint failed")
}

#[tokio::test]
async fn no_row_gets_in_while_its_tenant_is_being_erased() {
    on_both(async |app| {
        let (gone, stays) = (app.tenant(TenantRow::default()).await, app.tenant(TenantRow::default()).await);
        app.platform(gone).await;
        app.platform(stays).await;
        // Members of a squad are unique in it.
        app.sql("DELETE FROM squad_members", []).await;
        let status = async |word: &str| {
            app.sql("UPDATE tenants SET status = $2 WHERE id = $1", [gone.into(), word.into()]).await
        };
        let fenced: Vec<_> = OWNED
            .iter()
            .map(|(table, _)| *table)
            .filter(|table| *table != "tenants" && *table != "squad_members" && !table.starts_with("usage_"))
            .collect();
        assert_eq!(fenced.len(), 12);
        for table in fenced {
            let rows = async || app.number(&format!("SELECT count(*) FROM {table}"), []).await;
            status("deleting").await;
            let before = rows().await;
            is_refused(copies(&app, table, &[gone]).await, table);
            is_refused(copies(&app, table, &[stays, gone]).await, table);
            assert_eq!(rows().await, before, "{table}: a statement is refused whole");
            assert_eq!(copies(&app, table, &[stays]).await.expect(table), 1, "{table}: others write on");
            let touch = format!("UPDATE {table} SET id = id WHERE tenant_id = $1");
            assert_eq!(app.sql(&touch, [gone.into()]).await, 1, "{table}: what is there can be changed");
            status("suspended").await;
            assert_eq!(copies(&app, table, &[gone]).await.expect(table), 1, "{table}: any other status lets it in");
            app.sql("DELETE FROM tenants WHERE id = $1", [gone.into()]).await;
            app.tenant(TenantRow { id: gone, ..TenantRow::default() }).await;
            app.platform(gone).await;
            app.sql("DELETE FROM squad_members", []).await;
        }
        // Nothing refers to a member.
        status("deleting").await;
        for (tenant, is_let_in) in [(gone, false), (stays, true)] {
            let sql = "INSERT INTO squad_members (tenant_id, id, squad_id, agent_id) \
                       SELECT s.tenant_id, s.id, s.id, a.id FROM squads s JOIN agents a ON a.tenant_id = s.tenant_id \
                       WHERE s.tenant_id = $1 LIMIT 1";
            let insert = Statement::from_sql_and_values(app.backend(), sql, [tenant.into()]);
            let outcome = app.database.connection.execute_raw(insert).await.map(|done| done.rows_affected());
            if is_let_in {
                assert_eq!(outcome.expect("others write on"), 1);
            } else {
                is_refused(outcome, "squad_members");
            }
        }
    })
    .await;
}
