//! In which order a tenant's rows go: children first, and as they lie on disk.

use std::collections::VecDeque;

use sea_orm::DbBackend;
use tenant_gateway::cascade::{self, Batch, Plan, Range};
use uuid::Uuid;

use crate::{
    plan::{deletion, plan, two_tenants},
    support::{Rows, TestApp, on_both},
};

fn step_of(plan: &Plan, table: &str) -> usize {
    plan.steps.iter().position(|step| step.table.name == table).expect("a step")
}

async fn count(app: &TestApp, table: &str, tenant: Uuid) -> i64 {
    app.number(&format!("SELECT count(*) AS n FROM {table} WHERE tenant_id = $1"), [tenant.into()]).await
}

/// Erases ranges batch by batch, in turn, and lets `between` happen after each.
async fn walk(
    app: &TestApp,
    plan: &Plan,
    step: usize,
    tenant: Uuid,
    rows: u64,
    between: impl AsyncFn(usize),
) -> Vec<Batch> {
    let deletion = deletion(app, tenant).await;
    let ranges = cascade::split(&app.database.connection, plan, step, tenant, 2).await.expect("ranges");
    let mut ranges = VecDeque::from(ranges);
    let mut batches = Vec::new();
    while let Some(range) = ranges.pop_front() {
        let transaction = app.database.begin().await.expect("a transaction");
        let batch = cascade::erase_batch(&transaction, plan, step, tenant, &range, rows, deletion);
        let batch = batch.await.expect("a batch");
        transaction.commit().await.expect("an end");
        ranges.extend(batch.rest.clone());
        batches.push(batch);
        assert!(batches.len() < 1_000, "it comes to an end");
        between(batches.len()).await;
    }
    batches
}

/// Their objects are removed while the others go.
#[tokio::test]
async fn children_go_before_their_parents_and_what_names_objects_as_early_as_it_can() {
    on_both(async |app| {
        let plan = plan(&app).await;
        let place =
            |table: &str| plan.order.iter().position(|at| *at == step_of(&plan, table)).expect("a place");
        for (child, parent) in [
            ("call_recordings", "calls"),
            ("call_transcripts", "calls"),
            ("sessions", "calls"),
            ("calls", "agents"),
            ("squad_members", "squads"),
            ("phone_numbers", "sip_trunks"),
        ] {
            assert!(place(child) < place(parent), "{child} before {parent}");
        }
        let mut objects = [place("call_recordings"), place("knowledge_files")];
        objects.sort_unstable();
        assert_eq!(objects, [0, 1]);
        assert_eq!(plan.order.len(), plan.steps.len() - 1, "each has its place, but the tenant's own");
    })
    .await;
}

/// A tenant with much of a table goes block by block, and nobody else with it; rows that are moved meanwhile are
/// erased or seen to remain.
#[tokio::test]
async fn a_large_part_of_a_table_goes_as_it_lies() {
    on_both(async |app| {
        if app.backend() == DbBackend::Sqlite {
            return;
        }
        let tenants = two_tenants(&app).await;
        let mut agents = Vec::new();
        for tenant in tenants {
            agents.push(app.agent(tenant).await.id);
        }
        // Each fourth call is the other's.
        let pick = |ids: &[Uuid]| format!("(CASE WHEN n % 4 = 0 THEN '{}' ELSE '{}' END)::uuid", ids[1], ids[0]);
        let fill = format!(
            "INSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at, ended_at) \
             SELECT {}, md5(n::text)::uuid, {}, 'inbound', 'completed', t, t FROM generate_series(1, 32000) n, \
               (SELECT timestamptz '2026-03-01 12:00:00+00' AS t) t",
            pick(&tenants),
            pick(&agents)
        );
        app.sql(&fill, []).await;
        app.sql("ANALYZE", []).await;
        let plan = plan(&app).await;
        let calls = step_of(&plan, "calls");
        let ranges = cascade::split(&app.database.connection, &plan, calls, tenants[0], 2).await.expect("ranges");
        assert!(ranges.iter().all(|Range { after, .. }| after.as_ref().is_some_and(|at| at.contains("\"b\""))), "{ranges:?}");

        let moved = async |batches: usize| {
            // An update writes the row anew, wherever there is room.
            let some = "UPDATE calls SET cost_cents = cost_cents + 1 WHERE tenant_id = $1 AND id IN \
                        (SELECT id FROM calls WHERE tenant_id = $1 LIMIT 3)";
            if batches.is_multiple_of(5) {
                app.sql(some, [tenants[0].into()]).await;
            }
        };
        let batches = walk(&app, &plan, calls, tenants[0], 700, moved).await;
        assert!(batches.len() > 20, "{} batches", batches.len());
        let left = count(&app, "calls", tenants[0]).await;
        assert_eq!(batches.iter().map(|batch| batch.rows).sum::<i64>() + left, 24_000);
        assert!(left < 200, "{left}");
        assert_eq!(count(&app, "calls", tenants[1]).await, 8_000);
        let again = cascade::remaining(&app.database.connection, &plan, tenants[0], 1_000).await.expect("counts");
        let calls_left = again.iter().find(|(name, _)| name.name == "calls").map_or(0, |(_, rows)| *rows);
        assert_eq!(calls_left, left, "what was passed by is seen");
    })
    .await;
}
