//! In which order a tenant's rows go: along with those that they refer to, and as they lie on disk.

use std::collections::VecDeque;

use sea_orm::DbBackend;
use tenant_gateway::cascade::{self, Batch, Plan, Range};
use uuid::Uuid;

use crate::{
    plan::{deletion, plan, two_tenants},
    support::{Call, Rows, TestApp, noon, on_both},
};

fn step_of(plan: &Plan, table: &str) -> usize {
    plan.steps.iter().position(|step| step.table.name == table).expect("a step")
}

async fn count(app: &TestApp, table: &str, tenant: Uuid) -> i64 {
    app.number(&format!("SELECT count(*) AS n FROM {table} WHERE tenant_id = $1"), [tenant.into()]).await
}

/// Sessions of one call, or of none, as many as that.
async fn sessions(app: &TestApp, tenant: Uuid, call: Option<Uuid>, number: u32) {
    let (id, pick, now) = match app.backend() {
        DbBackend::Sqlite => ("randomblob(16)", ["$1", "$2"], "'2026-03-01T12:00:00.000000Z'"),
        _ => (
            "gen_random_uuid()",
            ["CAST($1 AS uuid)", "CAST($2 AS uuid)"],
            "timestamptz '2026-03-01 12:00:00+00'",
        ),
    };
    let [tenants, calls] = pick;
    let fill = format!(
        "INSERT INTO sessions (tenant_id, id, call_id, channel, started_at, ended_at) \
         WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {number}) \
         SELECT {tenants}, {id}, {calls}, 'phone', {now}, {now} FROM g"
    );
    app.sql(&fill, [tenant.into(), call.into()]).await;
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

fn of_others(batches: &[Batch], table: &str) -> i64 {
    batches
        .iter()
        .flat_map(|batch| &batch.others)
        .filter(|(name, _)| name.name == table)
        .map(|(_, n)| n)
        .sum()
}

/// However many rows refer to one, a batch of few takes no more than it should, and each is counted.
#[tokio::test]
async fn rows_go_along_with_those_that_they_refer_to() {
    on_both(async |app| {
        let tenants = two_tenants(&app).await;
        for tenant in tenants {
            let agent = app.agent(tenant).await;
            for number in [2_500, 1, 40] {
                let call = Call::of(&agent, noon());
                app.call(&call).await;
                sessions(&app, tenant, Some(call.id), number).await;
            }
            sessions(&app, tenant, None, 5).await;
        }
        let plan = plan(&app).await;
        let calls = step_of(&plan, "calls");
        let place = |step: usize| plan.order.iter().position(|at| *at == step);
        if app.backend() == DbBackend::Sqlite {
            assert!(place(step_of(&plan, "sessions")) < place(calls), "there all children go first");
            return;
        }
        assert!(place(calls) < place(step_of(&plan, "sessions")), "those that are left come after");
        assert!(
            place(step_of(&plan, "sessions")) < place(step_of(&plan, "agents")),
            "and before other parents"
        );

        let batches = walk(&app, &plan, calls, tenants[0], 20, async |_| {}).await;
        assert_eq!(batches.iter().map(|batch| batch.rows).sum::<i64>(), 3);
        assert_eq!(of_others(&batches, "sessions"), 2_541);
        let largest = batches.iter().flat_map(|batch| &batch.others).map(|(_, rows)| *rows).max();
        assert!(largest <= Some(1_000), "{largest:?}");
        assert_eq!(count(&app, "sessions", tenants[0]).await, 5, "those of no call have their own turn");
        assert_eq!(count(&app, "sessions", tenants[1]).await, 2_546);
        assert_eq!(count(&app, "calls", tenants[1]).await, 3);
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
        for (table, columns, values) in [
            ("calls", "id, agent_id, direction, status, started_at, ended_at", "{id}, {agent}, 'inbound', 'completed', {at}, {at}"),
            ("call_transcripts", "id, call_id, content", "{id}, {id}, 'Good morning.'"),
        ] {
            let pick = |ids: &[Uuid]| format!("(CASE WHEN n % 4 = 0 THEN '{}' ELSE '{}' END)::uuid", ids[1], ids[0]);
            let values = values
                .replace("{id}", "md5(n::text)::uuid")
                .replace("{agent}", &pick(&agents))
                .replace("{at}", "timestamptz '2026-03-01 12:00:00+00'");
            let tenant = pick(&tenants);
            app.sql(
                &format!("INSERT INTO {table} (tenant_id, {columns}) SELECT {tenant}, {values} FROM generate_series(1, 32000) n"),
                [],
            )
            .await;
        }
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
        let left = [count(&app, "calls", tenants[0]).await, count(&app, "call_transcripts", tenants[0]).await];
        assert_eq!(batches.iter().map(|batch| batch.rows).sum::<i64>() + left[0], 24_000);
        assert_eq!(of_others(&batches, "call_transcripts") + left[1], 24_000);
        assert!(left[0] < 200, "{left:?}");
        assert_eq!(count(&app, "calls", tenants[1]).await, 8_000);
        assert_eq!(count(&app, "call_transcripts", tenants[1]).await, 8_000);
        let again = cascade::remaining(&app.database.connection, &plan, tenants[0], 1_000).await.expect("counts");
        let calls_left = again.iter().find(|(name, _)| name.name == "calls").map_or(0, |(_, rows)| *rows);
        assert_eq!(calls_left, left[0], "what was passed by is seen");
    })
    .await;
}
