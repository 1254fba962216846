//! Tables of every form beside the gateway's own: keys of every type, partitions, other schemas, and what
//! configuration says of tables without a foreign key.

use sea_orm::{DbBackend, Value};
use tenant_gateway::cascade::{self, Range, Settings, SettingsError, Sweep};

use crate::{
    plan::{deletion, erase_by, erase_one_of_two, gaps, make, plan, put, two_tenants},
    support::{Agent, Call, Rows, TestApp, id, noon, on_both},
};

fn settings(own: &[&str], ignore: &[&str]) -> Settings {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    Settings::read(&words(own), &words(ignore)).expect("settings")
}

#[tokio::test]
async fn keys_of_every_type_are_walked() {
    on_both(async |app| {
        make(
            &app,
            &[
                "CREATE TABLE words (tenant_id ID NOT NULL REFERENCES tenants (id), word text NOT NULL, \
                 PRIMARY KEY (tenant_id, word))",
                "CREATE TABLE numbers (tenant_id ID NOT NULL REFERENCES tenants (id), n bigint NOT NULL, \
                 part real NOT NULL, PRIMARY KEY (tenant_id, n, part))",
                "CREATE TABLE counters (n integer PRIMARY KEY, tenant_id ID NOT NULL REFERENCES tenants (id))",
                "CREATE INDEX counters_tenant ON counters (tenant_id)",
                "CREATE TABLE \"Odd \"\"one\"\", twice\" (\"Tenant, \"\"x\"\"\" ID REFERENCES tenants (id), note text)",
                "CREATE TABLE flags (tenant_id ID PRIMARY KEY REFERENCES tenants (id), flag text)",
                "CREATE TABLE late_keys (id ID PRIMARY KEY, tenant_id ID NOT NULL REFERENCES tenants (id), at bigint NOT NULL)",
                "CREATE UNIQUE INDEX late_keys_at ON late_keys (tenant_id, at, id)",
            ],
        )
        .await;
        let tenants = two_tenants(&app).await;
        for (at, tenant) in (0_i32..).zip(tenants) {
            put(&app, "flags", [tenant.into(), "set".into()]).await;
            for number in 0_i32..5 {
                let word = ["a", "", "Ä'", "z\"z", "\\x"][usize::try_from(number).expect("small")];
                put(&app, "words", [tenant.into(), word.into()]).await;
                let part = f64::from(number) / 3.0;
                let values = [tenant.into(), i64::from(number / 2 - 1).into(), part.into()];
                put(&app, "numbers", values).await;
                put(&app, "counters", [(at * 5 + number).into(), tenant.into()]).await;
                put(&app, "\"Odd \"\"one\"\", twice\"", [tenant.into(), "same".into()]).await;
                put(&app, "late_keys", [id().into(), tenant.into(), i64::from(number / 3).into()]).await;
            }
        }
        let walked = erase_one_of_two(&app, tenants[0]).await;
        assert_eq!(walked.rows["Odd \"one\", twice"], 5);
    })
    .await;
}

#[tokio::test]
async fn partitions_and_other_schemas_are_walked() {
    on_both(async |app| {
        if app.backend() == DbBackend::Sqlite {
            return;
        }
        make(
            &app,
            &[
                "CREATE SCHEMA \"Billing\"",
                "CREATE TABLE \"Billing\".bills (tenant_id ID NOT NULL REFERENCES tenants (id), id ID NOT NULL, \
                 month date NOT NULL, PRIMARY KEY (tenant_id, id, month)) PARTITION BY RANGE (month)",
                "CREATE TABLE \"Billing\".b1 PARTITION OF \"Billing\".bills FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
                "CREATE TABLE \"Billing\".b2 PARTITION OF \"Billing\".bills DEFAULT",
                "CREATE TABLE projects (id ID PRIMARY KEY, tenant_id ID NOT NULL REFERENCES tenants (id))",
                "CREATE TABLE logs (project_id ID REFERENCES projects (id), n integer) PARTITION BY LIST (n)",
                "CREATE TABLE logs1 PARTITION OF logs FOR VALUES IN (1)",
                "CREATE TABLE logs2 PARTITION OF logs DEFAULT",
                "CREATE INDEX logs_project ON logs (project_id)",
            ],
        )
        .await;
        let tenants = two_tenants(&app).await;
        for tenant in tenants {
            let project = id();
            put(&app, "projects", [project.into(), tenant.into()]).await;
            for number in 1..=5 {
                let bill = "INSERT INTO \"Billing\".bills VALUES ($1, $2, date '2026-01-30' + $3::integer)";
                app.sql(bill, [tenant.into(), id().into(), number.into()]).await;
                put(&app, "logs", [project.into(), (number % 3).into()]).await;
            }
        }
        let walked = erase_one_of_two(&app, tenants[0]).await;
        assert_eq!((walked.rows["Billing.bills"], walked.rows["logs"]), (5, 5));
    })
    .await;
}

/// A column without a foreign key, as an id or as text: owned, it is erased; ignored, it stays.
#[tokio::test]
async fn settings_own_and_ignore_what_no_key_binds() {
    on_both(async |app| {
        make(
            &app,
            &[
                "CREATE TABLE audit (id ID PRIMARY KEY, tenant_id ID)",
                "CREATE INDEX audit_tenant ON audit (tenant_id)",
                "CREATE TABLE notes (id ID PRIMARY KEY, customer text)",
                "CREATE TABLE remarks (note_id ID REFERENCES notes (id))",
                "CREATE TABLE bound (tenant_id ID REFERENCES tenants (id))",
            ],
        )
        .await;
        let tenants = two_tenants(&app).await;
        for tenant in tenants {
            for _ in 0..3 {
                let note = id();
                put(&app, "audit", [id().into(), tenant.into()]).await;
                put(&app, "notes", [note.into(), tenant.to_string().into()]).await;
                put(&app, "remarks", [note.into()]).await;
            }
        }
        let found = gaps(&app, &Settings::default(), None).await;
        assert!(matches!(&found[..], [gap] if gap.starts_with("audit: ")), "{found:?}");
        assert_eq!(gaps(&app, &settings(&[], &["audit"]), None).await, Vec::<String>::new());

        let own = settings(&["audit.tenant_id", "notes.\"customer\""], &[]);
        let connection = &app.database.connection;
        own.check(connection).await.expect("settings that can be followed");
        let plan = cascade::plan(connection, &own).await.expect("a plan");
        assert_eq!(plan.gaps, []);
        assert_ne!(
            plan.digest(),
            cascade::plan(connection, &Settings::default()).await.expect("a plan").digest()
        );
        let walked = erase_by(&app, &plan, tenants[0]).await;
        assert_eq!((walked.rows["audit"], walked.rows["notes"], walked.rows["remarks"]), (3, 3, 3));

        let wrong = |own: &[&str], ignore: &[&str]| settings(own, ignore);
        for unknown in
            [wrong(&["audit.customer"], &[]), wrong(&["nothing.tenant_id"], &[]), wrong(&[], &["nothing"])]
        {
            assert!(matches!(unknown.check(connection).await, Err(SettingsError::Unknown(_))), "{unknown}");
        }
        let bound = wrong(&[], &["bound"]);
        assert!(matches!(bound.check(connection).await, Err(SettingsError::Bound(_))));
        assert!(Settings::read(&["tenant_id".to_owned()], &[]).is_err());
    })
    .await;
}

#[tokio::test]
async fn what_only_postgres_has_is_named_or_settled() {
    on_both(async |app| {
        if app.backend() == DbBackend::Sqlite {
            return;
        }
        make(
            &app,
            &[
                "CREATE MATERIALIZED VIEW copies AS SELECT * FROM agents",
                "CREATE TABLE loose (tenant_id ID NOT NULL)",
            ],
        )
        .await;
        app.sql("ALTER TABLE loose ADD FOREIGN KEY (tenant_id) REFERENCES tenants (id) NOT VALID", []).await;
        let found = gaps(&app, &settings(&[], &["public.copies"]), None).await;
        assert!(
            matches!(&found[..], [gap] if gap.starts_with("loose: ") && gap.contains("validated")),
            "{found:?}"
        );
        app.sql("ALTER TABLE loose VALIDATE CONSTRAINT loose_tenant_id_fkey", []).await;
        let found = gaps(&app, &Settings::default(), None).await;
        assert!(matches!(&found[..], [gap] if gap.starts_with("copies: ")), "{found:?}");
    })
    .await;
}

/// A call with a note of a table that nothing keeps writers out of.
async fn noted_call(app: &TestApp, agent: &Agent) -> Call {
    let call = Call::of(agent, noon());
    app.call(&call).await;
    let note = id();
    put(app, "notes", [agent.tenant.into(), note.into(), call.id.into(), "k".into(), 1_i64.into()]).await;
    put(app, "replies", [note.into()]).await;
    call
}

/// Rows that come in behind their step, below rows that are still there: they are counted, and their
/// objects recorded, although the database would take them along.
#[tokio::test]
async fn late_rows_are_counted_before_they_are_taken_along() {
    on_both(async |app| {
        make(
            &app,
            &[
                "CREATE TABLE notes (tenant_id ID NOT NULL REFERENCES tenants (id), id ID NOT NULL UNIQUE, call_id ID, \
                 storage_key text, size_bytes bigint, PRIMARY KEY (tenant_id, id), \
                 FOREIGN KEY (tenant_id, call_id) REFERENCES calls (tenant_id, id) ON DELETE CASCADE)",
                "CREATE TABLE replies (note_id ID REFERENCES notes (id) ON DELETE CASCADE)",
            ],
        )
        .await;
        let tenants = two_tenants(&app).await;
        for tenant in tenants {
            let agent = app.agent(tenant).await;
            noted_call(&app, &agent).await;
            noted_call(&app, &agent).await;
        }
        let (plan, tenant) = (plan(&app).await, tenants[0]);
        let deletion = deletion(&app, tenant).await;
        // As if the steps of notes and replies were done already.
        let calls = plan.steps.iter().position(|step| step.table.name == "calls").expect("a step");
        let transaction = app.database.begin().await.expect("a transaction");
        let batch = cascade::erase_batch(&transaction, &plan, calls, tenant, &Range::default(), 10, deletion)
            .await
            .expect("a batch");
        transaction.commit().await.expect("an end");
        let others: Vec<_> = batch.others.iter().map(|(table, rows)| (table.to_string(), *rows)).collect();
        assert_eq!(others, [("replies".to_owned(), 2), ("notes".to_owned(), 2)]);
        assert_eq!((batch.rows, batch.objects, batch.bytes), (2, 1, 1), "both notes name one object");
        for table in ["calls", "notes", "replies"] {
            assert_eq!(app.number(&format!("SELECT count(*) FROM {table}"), []).await, 2, "{table}");
        }
    })
    .await;
}

/// What is left at the end is swept up, unless it is more than agreed.
#[tokio::test]
async fn a_sweep_takes_what_is_left_and_no_more_than_agreed() {
    on_both(async |app| {
        let tenants = two_tenants(&app).await;
        for tenant in tenants {
            app.platform(tenant).await;
        }
        let (plan, tenant) = (plan(&app).await, tenants[0]);
        let deletion = deletion(&app, tenant).await;
        let before = cascade::remaining(&app.database.connection, &plan, tenant, 10).await.expect("counts");
        let rows: i64 = before.iter().map(|(_, rows)| rows).sum();
        let transaction = app.database.begin().await.expect("a transaction");
        let swept = cascade::sweep(&transaction, &plan, tenant, rows - 1, deletion).await.expect("a sweep");
        assert_eq!(swept, Sweep::TooMany);
        let swept = cascade::sweep(&transaction, &plan, tenant, rows, deletion).await.expect("a sweep");
        assert_eq!(swept, Sweep::Done { tables: before.clone(), objects: 2, bytes: 12 });
        transaction.commit().await.expect("an end");
        let left = cascade::remaining(&app.database.connection, &plan, tenant, 10).await.expect("counts");
        assert_eq!(left, []);
        let others =
            cascade::remaining(&app.database.connection, &plan, tenants[1], 10).await.expect("counts");
        assert_eq!(others, before, "the other tenant has as many as before");
    })
    .await;
}

/// Two ranges of a large table hold all of its rows, about half each; estimates are marked as such.
#[tokio::test]
async fn a_large_table_is_split_and_estimated() {
    on_both(async |app| {
        make(
            &app,
            &["CREATE TABLE pings (tenant_id ID NOT NULL REFERENCES tenants (id), id bigint NOT NULL, PRIMARY KEY (tenant_id, id))"],
        )
        .await;
        let tenants = two_tenants(&app).await;
        let pick = if app.backend() == DbBackend::Sqlite { "$1" } else { "CAST($1 AS uuid)" };
        for (tenant, rows) in tenants.into_iter().zip([150_000, 1_000]) {
            let fill = format!(
                "INSERT INTO pings WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {rows}) \
                 SELECT {pick}, n FROM g"
            );
            app.sql(&fill, [Value::from(tenant)]).await;
        }
        app.sql("ANALYZE", []).await;
        let (plan, connection) = (plan(&app).await, &app.database.connection);
        let step = plan.steps.iter().position(|step| step.table.name == "pings").expect("a step");
        let counted = cascade::estimate(connection, &plan, tenants[0]).await.expect("counts");
        let pings = counted.iter().find(|counted| counted.table.name == "pings").expect("pings");
        assert!(!pings.is_exact && (110_000..=190_000).contains(&pings.rows), "{pings:?}");
        assert!(counted.iter().all(|counted| counted.is_exact || counted.table.name == "pings"));
        let counted = cascade::estimate(connection, &plan, tenants[1]).await.expect("counts");
        assert!(counted.iter().all(|counted| counted.is_exact), "{counted:?}");

        let small = cascade::split(connection, &plan, step, tenants[1], 2).await.expect("ranges");
        assert_eq!(small, [Range::default()]);
        let ranges = cascade::split(connection, &plan, step, tenants[0], 2).await.expect("ranges");
        let deletion = deletion(&app, tenants[0]).await;
        let mut erased = Vec::new();
        for range in ranges {
            let transaction = app.database.begin().await.expect("a transaction");
            let batch = cascade::erase_batch(&transaction, &plan, step, tenants[0], &range, 1_000_000, deletion);
            let batch = batch.await.expect("a batch");
            transaction.commit().await.expect("an end");
            assert_eq!(batch.rest, None);
            erased.push(batch.rows);
        }
        assert_eq!(erased.iter().sum::<i64>(), 150_000, "{erased:?}");
        assert!(erased.len() == 2 && erased.iter().all(|rows| *rows > 70_000), "{erased:?}");
    })
    .await;
}
