//! Writers who know nothing of a deletion, or do not care.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value as Bound};
use serde_json::json;
use tenant_gateway::{clock::Clock, database::Database};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{
    process::Gateway,
    standing::standing_at,
    victim::{Bystander, Victim, ask, request, rows_of, until, until_status},
    worker::start_worker,
};
use crate::{
    deletion::resume,
    support::{Backend, Rows, Session, TestApp, noon, on, on_both},
};

/// Writes the same statement again and again, whatever comes of it, until it is told to stop.
struct Writer {
    is_over: Arc<AtomicBool>,
    written: Arc<AtomicI64>,
    refused: Arc<AtomicI64>,
    task: JoinHandle<()>,
}

impl Writer {
    async fn start(app: &TestApp, sql: &'static str, tenant: Uuid) -> Self {
        let database = Database::open(&app.database_url).await.expect("the test's database");
        let [is_over] = [Arc::new(AtomicBool::new(false))];
        let [written, refused] = [Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0))];
        let told = (is_over.clone(), written.clone(), refused.clone());
        let task = tokio::spawn(async move {
            while !told.0.load(Ordering::SeqCst) {
                let values: [Bound; 2] = [tenant.into(), Uuid::now_v7().into()];
                let statement = Statement::from_sql_and_values(database.backend(), sql, values);
                let done = database.connection.execute_raw(statement).await;
                let counted = if done.is_ok() { &told.1 } else { &told.2 };
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        });
        Self { is_over, written, refused, task }
    }

    /// How many rows got in, and how many did not.
    async fn stop(self) -> (i64, i64) {
        self.is_over.store(true, Ordering::SeqCst);
        self.task.await.expect("a writer");
        (self.written.load(Ordering::SeqCst), self.refused.load(Ordering::SeqCst))
    }
}

const NOTE: &str = "INSERT INTO notes (tenant_id, id) VALUES ($1, $2)";
const REMARK: &str = "INSERT INTO remarks (tenant_id, id, flow_id) SELECT $1, $2, id FROM workflows WHERE tenant_id = $1 LIMIT 1";
const FLOW: &str = "INSERT INTO workflows (tenant_id, id, name) VALUES ($1, $2, 'late')";

/// Tables that the gateway has never heard of, so without a fence: of the tenant, and below its workflows.
async fn make_unknown_tables(app: &TestApp) {
    let kind = if app.backend() == DbBackend::Sqlite { "blob" } else { "uuid" };
    for sql in [
        format!(
            "CREATE TABLE notes (tenant_id {kind} NOT NULL REFERENCES tenants (id), id {kind} NOT NULL, \
             PRIMARY KEY (tenant_id, id))"
        ),
        format!(
            "CREATE TABLE remarks (tenant_id {kind} NOT NULL, id {kind} NOT NULL, flow_id {kind} NOT NULL, \
             PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, flow_id) REFERENCES workflows (tenant_id, id))"
        ),
        "CREATE INDEX remarks_flow ON remarks (tenant_id, flow_id)".to_owned(),
    ] {
        app.sql(&sql, []).await;
    }
}

#[tokio::test]
async fn a_storm_of_late_inserts_is_swept_up_and_counted() {
    on_both(async |app| {
        make_unknown_tables(&app).await;
        let bystander = Bystander::new(&app).await;
        let victim = Victim::new(&app, 800).await;
        let gateways = [Gateway::start(&app, None), Gateway::start(&app, None)];
        let writers = [
            ("notes", Writer::start(&app, NOTE, victim.id).await),
            ("notes", Writer::start(&app, NOTE, victim.id).await),
            ("remarks", Writer::start(&app, REMARK, victim.id).await),
            ("workflows", Writer::start(&app, FLOW, victim.id).await),
        ];
        tokio::time::sleep(Duration::from_millis(200)).await;
        victim.is_due(&app).await;
        until_status(&app, victim.id, "DELETED").await;
        let mut late = BTreeMap::new();
        for (table, writer) in writers {
            let (written, refused) = writer.stop().await;
            assert!(written > 0 && (refused > 0 || table == "remarks"), "{table}: {written}, {refused}");
            *late.entry(table.to_owned()).or_default() += written;
        }
        // Where there is nothing to remark upon, nothing is written.
        let remarks = app.number("SELECT count(*) FROM remarks", []).await;
        assert_eq!(remarks, 0, "an orphan");
        let told = victim.table_in_certificate(&app, "remarks").await;
        assert!(told > 0 && told <= late["remarks"]);
        late.insert("remarks".to_owned(), told);
        victim.is_gone_with(&app, &late).await;
        assert_eq!(app.number("SELECT count(*) FROM notes", []).await, 0);
        bystander.has_not_noticed(&app).await;
        drop(gateways);
    })
    .await;
}

/// Transactions that change several of the tenant's rows, in the order opposite to the eraser's.
#[tokio::test]
async fn deadlocks_with_writers_are_tried_again() {
    on_both(async |app| {
        let bystander = Bystander::new(&app).await;
        let victim = Victim::new(&app, 400).await;
        let flows = "SELECT id FROM workflows WHERE tenant_id = $1 ORDER BY id";
        let flows: Vec<Uuid> = app
            .rows(flows, [victim.id.into()])
            .await
            .iter()
            .map(|row| row.try_get_by_index(0).expect("an id"))
            .collect();
        victim.is_due(&app).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for _ in 0..4 {
            let database = Database::open(&app.database_url).await.expect("the test's database");
            let (flows, tenant, is_over) = (flows.clone(), victim.id, is_over.clone());
            writers.push(tokio::spawn(async move {
                let mut at = flows.len() - 1;
                while !is_over.load(Ordering::SeqCst) {
                    let Ok(transaction) = database.begin().await else { continue };
                    for step in 0..4 {
                        let id = flows[(at + flows.len() - step * 7) % flows.len()];
                        let sql = "UPDATE workflows SET name = 'renamed' WHERE tenant_id = $1 AND id = $2";
                        let values: [Bound; 2] = [tenant.into(), id.into()];
                        let change = Statement::from_sql_and_values(database.backend(), sql, values);
                        if transaction.execute_raw(change).await.is_err() {
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    let _ = transaction.commit().await;
                    // SQLite lets whoever comes write, not whoever waits.
                    tokio::time::sleep(Duration::from_millis(3)).await;
                    at = (at + flows.len() - 31) % flows.len();
                }
            }));
        }
        let gateway = Gateway::start(&app, None);
        victim.is_gone(&app).await;
        is_over.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.expect("a writer");
        }
        bystander.has_not_noticed(&app).await;
        drop(gateway);
    })
    .await;
}

/// A session that is being written while somebody asks, or while the grace period ends.
#[tokio::test]
async fn a_session_whose_insert_is_in_flight_is_seen() {
    on_both(async |app| {
        let victim = Victim::new(&app, 50).await;
        let in_flight = async || {
            let transaction = app.database.begin().await.expect("a transaction");
            let at = entity::timestamp::value(app.backend(), app.clock.now());
            let sql = "INSERT INTO sessions (tenant_id, id, channel, started_at) VALUES ($1, $2, 'chat', $3)";
            let values = [victim.id.into(), Uuid::now_v7().into(), at];
            let insert = Statement::from_sql_and_values(app.backend(), sql, values);
            transaction.execute_raw(insert).await.expect("an insert");
            transaction
        };
        let transaction = in_flight().await;
        let asked = ask(&app, victim.id, json!({ "graceSeconds": 0 }));
        let lands = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            transaction.commit().await.expect("a commit");
        };
        let (payload, ()) = tokio::join!(asked, lands);
        assert_eq!(payload["userErrors"][0]["code"], "ACTIVE_SESSIONS", "{payload}");
        app.sql("DELETE FROM sessions WHERE ended_at IS NULL", []).await;

        // The same when the grace period ends.
        ask(&app, victim.id, json!({ "graceSeconds": 1 })).await;
        let transaction = in_flight().await;
        start_worker(&app).await;
        app.clock.set(noon() + chrono::TimeDelta::seconds(2));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        transaction.commit().await.expect("a commit");
        let blocked = until_status(&app, victim.id, "BLOCKED").await;
        assert_eq!(blocked["block"]["code"], "ACTIVE_SESSIONS", "{blocked}");
        let mut all = victim.rows.clone();
        *all.get_mut("sessions").expect("a table") += 1;
        assert_eq!(rows_of(&app, victim.id).await, all, "nothing has begun");
    })
    .await;
}

/// Somebody holds the tenant's row for long: that is told, and over when they are.
#[tokio::test]
async fn a_tenant_that_is_held_is_told_and_goes_when_it_is_let_go() {
    on_both(async |app| {
        if app.backend() == DbBackend::Sqlite {
            // There nobody else writes meanwhile, the gateway neither.
            return;
        }
        let victim = Victim::new(&app, 50).await;
        let holder = app.database.begin().await.expect("a transaction");
        let sql = "SELECT 1 FROM tenants WHERE id = $1 FOR KEY SHARE";
        holder
            .query_one_raw(Statement::from_sql_and_values(app.backend(), sql, [victim.id.into()]))
            .await
            .expect("a lock");
        app.session(&Session::of(victim.id, Clock::system().now() - chrono::TimeDelta::days(2))).await;
        let mut late = BTreeMap::new();
        late.insert("sessions".to_owned(), 1);
        ask(&app, victim.id, json!({ "force": true })).await;
        let _gateway = Gateway::start(&app, None);
        let told = until(&app, victim.id, "held", |deletion| deletion["block"] != json!(null)).await;
        assert_eq!(told["block"]["code"], "WRITERS", "{told}");
        assert_eq!(told["block"]["during"], "VERIFYING", "{told}");
        holder.rollback().await.expect("an end");
        victim.is_gone_with(&app, &late).await;
    })
    .await;
}

/// A row that names an object comes in at the very end, while a trigger keeps another: neither is counted before it
/// is gone.
#[tokio::test]
async fn what_comes_in_at_the_end_is_counted_when_it_is_gone() {
    on_both(async |app| {
        let (mut victim, gateway) = standing_at(&app, 50, "phase.committed", async |_| {}).await;
        let is_sqlite = app.backend() == DbBackend::Sqlite;
        let (open, keep, let_go) = if is_sqlite {
            (
                "DROP TRIGGER tenant_fence_knowledge_files",
                vec!["CREATE TRIGGER keep BEFORE DELETE ON notes BEGIN SELECT RAISE(IGNORE); END"],
                "DROP TRIGGER keep",
            )
        } else {
            (
                "DROP TRIGGER tenant_fence ON knowledge_files",
                vec![
                    "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
                    "CREATE TRIGGER keep BEFORE DELETE ON notes FOR EACH ROW EXECUTE FUNCTION keep()",
                ],
                "DROP TRIGGER keep ON notes",
            )
        };
        make_unknown_tables(&app).await;
        for sql in std::iter::once(open).chain(keep) {
            app.sql(sql, []).await;
        }
        app.sql(NOTE, [victim.id.into(), Uuid::now_v7().into()]).await;
        let file = "INSERT INTO knowledge_files (tenant_id, id, name, storage_key, size_bytes) VALUES ($1, $2, 'late', $3, 9)";
        let key = format!("tenants/{}/files/late.txt", victim.id);
        app.storage.put(&key, vec![b'x'; 9]).await.expect("an object");
        app.sql(file, [victim.id.into(), Uuid::now_v7().into(), key.into()]).await;
        (victim.objects, victim.bytes) = (victim.objects + 1, victim.bytes + 9);
        gateway.signal("-CONT");
        let blocked = until_status(&app, victim.id, "BLOCKED").await;
        assert_eq!(blocked["block"]["code"], "ROWS_REMAIN", "{blocked}");
        app.sql(let_go, []).await;
        resume(&app, &blocked["id"], json!({})).await;
        let late = [("notes", 1), ("remarks", 0), ("knowledge_files", 1)];
        victim.is_gone_with(&app, &late.map(|(table, rows)| (table.to_owned(), rows)).into()).await;
    })
    .await;
}

/// Where no foreign key makes a writer wait for the tenant's row, the end of its transaction is waited for.
#[tokio::test]
async fn a_row_in_flight_of_a_table_without_a_key_is_waited_for() {
    on(Backend::Postgres, async |app| {
        app.sql("CREATE TABLE memos (tenant_id uuid NOT NULL, id uuid PRIMARY KEY)", []).await;
        let victim = Victim::new(&app, 50).await;
        let writer = app.database.begin().await.expect("a transaction");
        let sql = "INSERT INTO memos (tenant_id, id) VALUES ($1, $2)";
        let insert = |tenant: Uuid| {
            Statement::from_sql_and_values(app.backend(), sql, [tenant.into(), Uuid::now_v7().into()])
        };
        writer.execute_raw(insert(victim.id)).await.expect("a row");
        let gateway = Gateway::start_with(&app, None, &["--cascade-own", "memos.tenant_id"]);
        let (document, variables) = request(victim.id, &json!({}));
        gateway.post(document, variables).await.expect("an answer");
        let told = until(&app, victim.id, "waited for", |deletion| {
            assert_ne!(deletion["status"], "DELETED", "a row is on its way");
            deletion["block"]["code"] == "WRITERS"
        })
        .await;
        assert_eq!(told["block"]["during"], "VERIFYING", "{told}");
        assert!(told["block"]["message"].as_str().expect("a sentence").contains("memos"), "{told}");
        app.database.connection.execute_raw(insert(Uuid::now_v7())).await.expect("others write on meanwhile");
        writer.commit().await.expect("a commit");
        victim.is_gone_with(&app, &[("memos".to_owned(), 1)].into()).await;
        assert_eq!(app.number("SELECT count(*) FROM memos", []).await, 1, "that of the other tenant");
    })
    .await;
}
