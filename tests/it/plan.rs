//! Plans of tables that the gateway has never heard of, and their erasure in batches: every row of the
//! tenant goes, counted once, and no row of anybody else.

use std::collections::BTreeMap;

use sea_orm::{DbBackend, Value};
use tenant_gateway::cascade::{self, Plan, Settings, Sweep};
use uuid::Uuid;

use crate::support::{Call, Rows, TenantRow, TestApp, id, noon, on_both};

/// What a walk of batches did.
#[derive(Debug, Default)]
pub struct Walked {
    pub rows: BTreeMap<String, i64>,
    pub objects: i64,
    pub bytes: i64,
    pub batches: u32,
}

/// Marks the tenant as a deletion does, and makes a record for the outbox to belong to.
pub async fn deletion(app: &TestApp, tenant: Uuid) -> Uuid {
    let deletion = id();
    app.sql("UPDATE tenants SET status = 'deleting' WHERE id = $1", [tenant.into()]).await;
    app.sql(
        "INSERT INTO tenant_deletions (id, tenant_id, status, requested_by, requested_at, is_forced, \
         is_export_requested, plan_digest) VALUES ($1, $2, 'erasing', 'tester', $3, false, false, '')",
        [deletion.into(), tenant.into(), entity::timestamp::value(app.backend(), noon())],
    )
    .await;
    deletion
}

pub async fn plan(app: &TestApp) -> Plan {
    let plan = cascade::plan(&app.database.connection, &Settings::default()).await.expect("a plan");
    assert_eq!(plan.gaps, []);
    plan
}

/// Erases a tenant in batches of `rows`, over `lanes` ranges where they are worth it, each batch in a
/// transaction of its own.
pub async fn erase(app: &TestApp, plan: &Plan, tenant: Uuid, rows: u64, lanes: usize) -> Walked {
    let deletion = deletion(app, tenant).await;
    let mut walked = Walked::default();
    for (at, step) in plan.steps[..plan.steps.len() - 1].iter().enumerate() {
        let ranges = cascade::split(&app.database.connection, plan, at, tenant, lanes).await.expect("ranges");
        assert!(ranges.len() <= lanes);
        let mut left = ranges;
        while let Some(range) = left.pop() {
            let transaction = app.database.begin().await.expect("a transaction");
            let batch = cascade::erase_batch(&transaction, plan, at, tenant, &range, rows, deletion)
                .await
                .unwrap_or_else(|error| panic!("{step:?}: {error}"));
            transaction.commit().await.expect("an end");
            // A step that breaks a circle counts nothing, and may have the same range twice.
            assert!(
                batch.rest.as_ref() != Some(&range) || batch.rows > 0 || !step.erases(),
                "{step:?} stands still"
            );
            assert!(walked.batches < 1_000, "{step:?} does not end");
            *walked.rows.entry(step.table.to_string()).or_default() += batch.rows;
            for (table, rows) in &batch.others {
                *walked.rows.entry(table.to_string()).or_default() += rows;
            }
            walked.objects += batch.objects;
            walked.bytes += batch.bytes;
            walked.batches += 1;
            left.extend(batch.rest);
        }
    }
    let rest = cascade::remaining(&app.database.connection, plan, tenant, 10).await.expect("counts");
    assert_eq!(rest, []);
    let transaction = app.database.begin().await.expect("a transaction");
    let swept = cascade::sweep(&transaction, plan, tenant, 0, deletion).await.expect("a sweep");
    assert_eq!(swept, Sweep::Done { tables: vec![], objects: 0, bytes: 0 });
    assert!(cascade::delete_root(&transaction, plan, tenant).await.expect("an end"));
    transaction.commit().await.expect("an end");
    walked
}

/// Rows of every erased table that are there now.
async fn totals(app: &TestApp, plan: &Plan) -> BTreeMap<String, i64> {
    let mut totals = BTreeMap::new();
    for step in &plan.steps[..plan.steps.len() - 1] {
        let name = &step.table;
        let schema = name.schema.as_ref().map(|schema| format!("\"{schema}\".")).unwrap_or_default();
        let sql = format!("SELECT count(*) FROM {schema}\"{}\"", name.name.replace('"', "\"\""));
        totals.insert(name.to_string(), app.number(&sql, []).await);
    }
    totals
}

/// Erases the first of two tenants whose rows the caller has put in, half of each table each, in batches
/// of two rows; returns the walk.
pub async fn erase_one_of_two(app: &TestApp, gone: Uuid) -> Walked {
    erase_by(app, &plan(app).await, gone).await
}

/// The same by a plan of the caller's.
pub async fn erase_by(app: &TestApp, plan: &Plan, gone: Uuid) -> Walked {
    let crossings = cascade::crossings(&app.database.connection, plan, gone).await.expect("an answer");
    assert_eq!(crossings, []);
    let before = totals(app, plan).await;
    let planned = cascade::count(&app.database.connection, plan, gone).await.expect("counts");
    let walked = erase(app, plan, gone, 2, 1).await;
    for (table, rows) in planned.iter().filter(|(table, _)| table.name != "tenants") {
        assert_eq!(walked.rows[&table.to_string()], *rows, "{table}");
        assert_eq!(before[&table.to_string()], 2 * rows, "{table}: the other tenant has as many");
    }
    for (table, rows) in totals(app, plan).await {
        assert_eq!(rows, before[&table] / 2, "{table}: what is left is the other's");
    }
    walked
}

/// Makes tables; `ID` stands for the type of ids.
pub async fn make(app: &TestApp, statements: &[&str]) {
    let kind = if app.backend() == DbBackend::Sqlite { "blob" } else { "uuid" };
    for statement in statements {
        app.sql(&statement.replace("ID", kind), []).await;
    }
}

/// Inserts a row with these values.
pub async fn put(app: &TestApp, table: &str, values: impl IntoIterator<Item = Value>) {
    let values: Vec<Value> = values.into_iter().collect();
    let list: Vec<_> = (1..=values.len()).map(|number| format!("${number}")).collect();
    app.sql(&format!("INSERT INTO {table} VALUES ({})", list.join(", ")), values).await;
}

/// The gaps of the plan and of a tenant's rows, as `TABLE: REASON`.
pub async fn gaps(app: &TestApp, settings: &Settings, tenant: Option<Uuid>) -> Vec<String> {
    let connection = &app.database.connection;
    let mut plan = cascade::plan(connection, settings).await.expect("a plan");
    if let Some(tenant) = tenant {
        plan.gaps.extend(cascade::crossings(connection, &plan, tenant).await.expect("an answer"));
    }
    plan.gaps.iter().map(|gap| format!("{}: {}", gap.table, gap.reason())).collect()
}

impl TestApp {
    /// More calls, each with a recording of 3 bytes.
    async fn platform_more(&self, tenant: Uuid, calls: u32) {
        let agent = self.agent(tenant).await;
        for number in 0..calls {
            let call = Call::of(&agent, noon());
            self.call(&call).await;
            let key = format!("tenants/{tenant}/recordings/{number}.wav");
            self.sql(
                "INSERT INTO call_recordings (tenant_id, id, call_id, storage_key, size_bytes) VALUES ($1, $2, $3, $4, 3)",
                [tenant.into(), id().into(), call.id.into(), key.into()],
            )
            .await;
        }
    }
}

pub async fn two_tenants(app: &TestApp) -> [Uuid; 2] {
    [app.tenant(TenantRow::default()).await, app.tenant(TenantRow::default()).await]
}

#[tokio::test]
async fn the_platform_is_erased_in_batches_with_its_objects() {
    on_both(async |app| {
        let tenants = two_tenants(&app).await;
        for tenant in tenants {
            app.platform(tenant).await;
            app.platform_more(tenant, 7).await;
        }
        let walked = erase_one_of_two(&app, tenants[0]).await;
        assert_eq!((walked.objects, walked.bytes), (2 + 7, 12 + 7 * 3));
        assert!(walked.batches > 20, "{walked:?}");
    })
    .await;
}

/// Rows far below the last table that has a tenant's column; the deepest name objects.
#[tokio::test]
async fn tables_without_a_tenant_column_are_erased_level_by_level() {
    on_both(async |app| {
        make(
            &app,
            &[
                "CREATE TABLE projects (id ID PRIMARY KEY, tenant_id ID NOT NULL REFERENCES tenants (id))",
                "CREATE INDEX ON_projects ON projects (tenant_id)",
                "CREATE TABLE tasks (id ID PRIMARY KEY, project_id ID NOT NULL REFERENCES projects (id))",
                "CREATE INDEX ON_tasks ON tasks (project_id)",
                "CREATE TABLE remarks (number integer, task_id ID NOT NULL REFERENCES tasks (id) ON DELETE CASCADE, \
                 word text, PRIMARY KEY (task_id, number))",
                "CREATE TABLE scans (task_id ID, number integer, storage_key text, size_bytes bigint, \
                 FOREIGN KEY (task_id, number) REFERENCES remarks (task_id, number) ON DELETE SET NULL)",
            ],
        )
        .await;
        let tenants = two_tenants(&app).await;
        for tenant in tenants {
            for project in [id(), id(), id()] {
                put(&app, "projects", [project.into(), tenant.into()]).await;
                for task in [id(), id(), id()] {
                    put(&app, "tasks", [task.into(), project.into()]).await;
                    for number in 1..=3 {
                        put(&app, "remarks", [number.into(), task.into(), "well".into()]).await;
                        let key = format!("tenants/{tenant}/{task}/{number}");
                        put(&app, "scans", [task.into(), number.into(), key.into(), 10_i64.into()]).await;
                    }
                }
            }
        }
        let walked = erase_one_of_two(&app, tenants[0]).await;
        assert_eq!((walked.objects, walked.bytes), (27, 270));
        assert_eq!((walked.rows["tasks"], walked.rows["remarks"], walked.rows["scans"]), (9, 27, 27));
    })
    .await;
}

/// A row that two keys lead to a tenant is counted and erased once; one that they lead to two tenants is
/// a gap of both.
#[tokio::test]
async fn a_row_with_two_parents_goes_once_and_one_of_two_tenants_is_a_gap() {
    on_both(async |app| {
        make(
            &app,
            &[
                "CREATE TABLE projects (id ID PRIMARY KEY, tenant_id ID NOT NULL REFERENCES tenants (id))",
                "CREATE TABLE tasks (id ID PRIMARY KEY, tenant_id ID NOT NULL REFERENCES tenants (id))",
                "CREATE TABLE remarks (id ID PRIMARY KEY, task_id ID REFERENCES tasks (id), \
                 project_id ID REFERENCES projects (id) ON DELETE CASCADE)",
                "CREATE TABLE marks (remark_id ID REFERENCES remarks (id), word text)",
            ],
        )
        .await;
        let tenants = two_tenants(&app).await;
        let mut made = Vec::new();
        for tenant in tenants {
            let (task, project) = (id(), id());
            put(&app, "tasks", [task.into(), tenant.into()]).await;
            put(&app, "projects", [project.into(), tenant.into()]).await;
            let none = Value::Uuid(None);
            for (task, project) in
                [(task.into(), project.into()), (none.clone(), project.into()), (task.into(), none.clone())]
            {
                let remark = id();
                put(&app, "remarks", [remark.into(), task, project]).await;
                put(&app, "marks", [remark.into(), "!".into()]).await;
            }
            made.push((task, project));
        }
        let shared = id();
        put(&app, "remarks", [shared.into(), made[0].0.into(), made[1].1.into()]).await;
        for tenant in tenants {
            let found = gaps(&app, &Settings::default(), Some(tenant)).await;
            assert!(
                matches!(&found[..], [gap] if gap.starts_with("remarks: ") && gap.contains("task_id")),
                "{found:?}"
            );
        }
        app.sql("DELETE FROM remarks WHERE id = $1", [shared.into()]).await;
        let walked = erase_one_of_two(&app, tenants[0]).await;
        assert_eq!((walked.rows["remarks"], walked.rows["marks"]), (3, 3));
    })
    .await;
}

/// A column that names the tenant and a key into a table of tenants may disagree, in a row.
#[tokio::test]
async fn a_column_and_a_parent_that_disagree_are_a_gap() {
    on_both(async |app| {
        make(
            &app,
            &[
                "CREATE TABLE projects (id ID PRIMARY KEY, tenant_id ID NOT NULL REFERENCES tenants (id))",
                "CREATE TABLE tasks (id ID PRIMARY KEY, tenant_id ID NOT NULL REFERENCES tenants (id), \
                 project_id ID REFERENCES projects (id) ON DELETE CASCADE)",
                "CREATE TABLE hints (id ID PRIMARY KEY, tenant_id ID REFERENCES tenants (id), \
                 project_id ID REFERENCES projects (id) ON DELETE CASCADE)",
            ],
        )
        .await;
        let tenants = two_tenants(&app).await;
        let projects = [id(), id()];
        for (tenant, project) in tenants.into_iter().zip(projects) {
            put(&app, "projects", [project.into(), tenant.into()]).await;
            put(&app, "tasks", [id().into(), tenant.into(), project.into()]).await;
            put(&app, "hints", [id().into(), Value::Uuid(None), project.into()]).await;
            put(&app, "hints", [id().into(), tenant.into(), Value::Uuid(None)]).await;
        }
        let crossing = id();
        put(&app, "tasks", [crossing.into(), tenants[0].into(), projects[1].into()]).await;
        for tenant in tenants {
            let found = gaps(&app, &Settings::default(), Some(tenant)).await;
            assert!(matches!(&found[..], [gap] if gap.starts_with("tasks: ")), "{found:?}");
        }
        app.sql("DELETE FROM tasks WHERE id = $1", [crossing.into()]).await;
        let walked = erase_one_of_two(&app, tenants[0]).await;
        assert_eq!((walked.rows["tasks"], walked.rows["hints"]), (1, 2));
    })
    .await;
}
