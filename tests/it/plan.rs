//! Plans of tables that the gateway has never heard of, and their erasure in batches: every row of the
//! tenant goes, counted once, and no row of anybody else.

use std::collections::BTreeMap;

use sea_orm::DbBackend;
use tenant_gateway::cascade::{self, Plan, Sweep};
use uuid::Uuid;

use crate::support::{Call, Rows, TenantRow, TestApp, id, noon, on_both};

/// What a walk of batches did.
#[derive(Debug, Default)]
struct Walked {
    rows: BTreeMap<String, i64>,
    objects: i64,
    bytes: i64,
    batches: u32,
}

/// Marks the tenant as a deletion does, and makes a record for the outbox to belong to.
async fn deletion(app: &TestApp, tenant: Uuid) -> Uuid {
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

async fn plan(app: &TestApp) -> Plan {
    let plan = cascade::plan(&app.database.connection).await.expect("a plan");
    assert_eq!(plan.gaps, []);
    plan
}

/// Erases a tenant in batches of `rows`, over `lanes` ranges where they are worth it, each batch in a
/// transaction of its own.
async fn erase(app: &TestApp, plan: &Plan, tenant: Uuid, rows: u64, lanes: usize) -> Walked {
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
            assert!(batch.rest.as_ref() != Some(&range) || batch.rows > 0, "{step:?} stands still");
            *walked.rows.entry(step.table.to_string()).or_default() += batch.rows;
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
    assert_eq!(swept, Sweep::Done(vec![]));
    assert_eq!(cascade::delete_root(&transaction, plan, tenant).await.expect("an end"), 1);
    transaction.commit().await.expect("an end");
    walked
}

/// Rows of every erased table that are there now.
async fn totals(app: &TestApp, plan: &Plan) -> BTreeMap<String, i64> {
    let mut totals = BTreeMap::new();
    for step in &plan.steps[..plan.steps.len() - 1] {
        let name = &step.table;
        let schema = name.schema.as_ref().map(|schema| format!("\"{schema}\".")).unwrap_or_default();
        let sql = format!("SELECT count(*) FROM {schema}\"{}\"", name.name);
        totals.insert(name.to_string(), app.number(&sql, []).await);
    }
    totals
}

/// Erases the first of two tenants whose rows the caller has put in, half of each table each, in batches
/// of two rows; returns the walk.
async fn erase_one_of_two(app: &TestApp, gone: Uuid) -> Walked {
    let plan = plan(app).await;
    let before = totals(app, &plan).await;
    let planned = cascade::count(&app.database.connection, &plan, gone).await.expect("counts");
    let walked = erase(app, &plan, gone, 2, 1).await;
    for (table, rows) in planned.iter().filter(|(table, _)| table.name != "tenants") {
        assert_eq!(walked.rows[&table.to_string()], *rows, "{table}");
        assert_eq!(before[&table.to_string()], 2 * rows, "{table}: the other tenant has as many");
    }
    for (table, rows) in totals(app, &plan).await {
        assert_eq!(rows, before[&table] / 2, "{table}: what is left is the other's");
    }
    walked
}

fn id_type(app: &TestApp) -> &'static str {
    if app.backend() == DbBackend::Sqlite { "blob" } else { "uuid" }
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

async fn two_tenants(app: &TestApp) -> [Uuid; 2] {
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
