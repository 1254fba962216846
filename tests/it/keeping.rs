//! Sums under fire: writers, folding, rebuilding and processes that are killed, all at once; and what
//! passes the triggers by.

use std::{
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use serde_json::json;
use tenant_gateway::usage::{Difference, Folded, Keeper, Rebuilt};
use uuid::Uuid;

use crate::support::{Agent, Backend, Call, Rows, TenantRow, TestApp, id, noon, on, on_both};

fn keeper(app: &TestApp) -> Keeper {
    Keeper::new(app.database.clone())
}

async fn differences(app: &TestApp, tenants: &[Uuid]) -> Vec<Difference> {
    let keeper = keeper(app);
    let mut all = Vec::new();
    for tenant in tenants {
        all.extend(keeper.verify(*tenant).await.expect("a recount"));
    }
    all
}

/// The gateway as an operator starts it, with its workers.
fn process(app: &TestApp) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tenant-gateway"))
        .args(["serve", "--listen", "127.0.0.1:0", "--database-url", &app.database_url])
        .env("JWT_SECRET", "a secret of the test")
        .env("RUST_LOG", "off")
        .stdout(Stdio::null())
        .spawn()
        .expect("the gateway")
}

/// One writer: transactions of several statements on several tenants, in any order, some rolled back.
async fn write(app: &TestApp, agents: &[Agent], seed: u64, until: Instant) -> u64 {
    let (mut dice, mut written, mut own) = (seed * 7_919 + 1, 0, Vec::<(Uuid, Uuid)>::new());
    let mut roll = |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };
    while Instant::now() < until {
        let Ok(transaction) = app.database.begin().await else { continue };
        let mut added = Vec::new();
        let mut failed = false;
        for _ in 0..=roll(3) {
            let agent = &agents[usize::try_from(roll(agents.len() as u64)).expect("small")];
            let minutes = i64::try_from(roll(60 * 24 * 40)).expect("small");
            let start = entity::timestamp::value(app.backend(), noon() - chrono::TimeDelta::minutes(minutes));
            let cost = Value::from(i64::try_from(roll(500)).expect("small"));
            let (sql, values): (_, Vec<Value>) = match (roll(4), own.last().copied()) {
                (0, Some((tenant, call))) => (
                    "UPDATE calls SET started_at = $1, cost_cents = $2 WHERE tenant_id = $3 AND id = $4",
                    vec![start, cost, tenant.into(), call.into()],
                ),
                (1, Some((tenant, call))) => {
                    ("DELETE FROM calls WHERE tenant_id = $1 AND id = $2", vec![tenant.into(), call.into()])
                }
                _ => {
                    let call = id();
                    added.push((agent.tenant, call));
                    (
                        "INSERT INTO calls (started_at, cost_cents, tenant_id, id, agent_id, direction, status, \
                         duration_seconds) VALUES ($1, $2, $3, $4, $5, 'inbound', 'completed', 60)",
                        vec![start, cost, agent.tenant.into(), call.into(), agent.id.into()],
                    )
                }
            };
            let statement = Statement::from_sql_and_values(app.backend(), sql, values);
            if let Err(error) = transaction.execute_raw(statement).await {
                // The one writer of SQLite may be busy for too long; nothing else may go wrong.
                assert!(app.backend() == DbBackend::Sqlite, "{error}");
                failed = true;
                break;
            }
        }
        if failed || roll(6) == 0 {
            transaction.rollback().await.expect("an end");
        } else if transaction.commit().await.is_ok() {
            own.extend(added);
            written += 1;
        }
    }
    written
}

/// Folds and rebuilds in this process too, whether or not it holds the lease.
async fn disturb(app: &TestApp, tenants: &[Uuid], until: Instant) {
    let keeper = keeper(app);
    let mut number = 0;
    while Instant::now() < until {
        if let Ok(Some(lease)) = keeper.lease().await {
            let mut from = Uuid::nil();
            while let Ok(Folded::Tenant { tenant, .. }) = keeper.fold(lease, from).await {
                from = Uuid::from_u128(tenant.as_u128() + 1);
            }
        }
        number += 1;
        let _ = keeper.ask_rebuild(Some(tenants[number % tenants.len()])).await;
        if let Ok(Some(mut building)) = keeper.next_unbuilt(Uuid::nil()).await {
            for _ in 0..number % 4 {
                let _ = keeper.rebuild(None, &mut building).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_folding_rebuilds_and_killed_processes_leave_no_difference() {
    on_both(async |app| {
        let (mut tenants, mut agents) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let tenant = app.tenant(TenantRow::default()).await;
            tenants.push(tenant);
            agents.push(app.agent(tenant).await);
        }
        let until = Instant::now() + Duration::from_secs(6);
        let writers = if app.backend() == DbBackend::Sqlite { 2 } else { 8 };
        let writing = futures_util::future::join_all((0..writers).map(|n| write(&app, &agents, n, until)));
        let killing = async {
            while Instant::now() < until {
                let mut child = process(&app);
                tokio::time::sleep(Duration::from_millis(700)).await;
                child.kill().expect("SIGKILL");
                child.wait().expect("an end");
            }
        };
        let (written, (), ()) = tokio::join!(writing, killing, disturb(&app, &tenants, until));
        assert!(written.iter().sum::<u64>() > 20, "{written:?}");
        assert_eq!(differences(&app, &tenants).await, []);
        // Whatever was left half built or unfolded is finished, and still equals the calls.
        let keeper = keeper(&app);
        while let Some(mut building) = keeper.next_unbuilt(Uuid::nil()).await.expect("a list") {
            while keeper.rebuild(None, &mut building).await.expect("a step") != Rebuilt::Done {}
        }
        app.sql("DELETE FROM gateway_leases", []).await;
        app.fold().await;
        assert_eq!(app.number("SELECT count(*) FROM usage_deltas", []).await, 0);
        assert_eq!(differences(&app, &tenants).await, []);
    })
    .await;
}

async fn verify(app: &TestApp) -> (bool, String) {
    let url = app.database_url.clone();
    let run = move || {
        Command::new(env!("CARGO_BIN_EXE_tenant-gateway"))
            .args(["usage", "verify", "--all", "--database-url", &url])
            .env("RUST_LOG", "off")
            .output()
            .expect("the gateway")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("an output");
    (output.status.success(), String::from_utf8(output.stdout).expect("text"))
}

async fn rebuild(app: &TestApp) {
    assert!(rebuild_output(app).await.status.success());
}

async fn rebuild_output(app: &TestApp) -> Output {
    let url = app.database_url.clone();
    let run = move || {
        Command::new(env!("CARGO_BIN_EXE_tenant-gateway"))
            .args(["usage", "rebuild", "--database-url", &url])
            .env("RUST_LOG", "off")
            .output()
            .expect("the gateway")
    };
    tokio::task::spawn_blocking(run).await.expect("an output")
}

const CALLS: &str = "query ($id: ID!) { tenant(id: $id) { stats { totalCallsMonth } } }";

async fn calls_of(app: &TestApp, tenant: Uuid) -> i64 {
    let data = app.admin(CALLS, json!({ "id": tenant })).await;
    data["tenant"]["stats"]["totalCallsMonth"].as_i64().expect("a count")
}

/// A restore that counts twice, a writer that switches triggers off: `verify` finds it, `rebuild`
/// mends it.
#[tokio::test]
async fn what_passes_the_triggers_by_is_found_and_mended() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let agent = app.agent(tenant).await;
        let call = Call { cost_cents: 5, ..Call::of(&agent, noon()) };
        app.call(&call).await;
        app.fold().await;
        assert!(verify(&app).await.0);
        if app.backend() == DbBackend::Sqlite {
            app.sql("PRAGMA recursive_triggers = off", []).await;
            let replace = "INSERT OR REPLACE INTO calls SELECT tenant_id, id, agent_id, direction, status, started_at, \
                           ended_at, 60, sentiment_score, 9 FROM calls WHERE id = $1";
            app.sql(replace, [call.id.into()]).await;
        } else {
            let transaction = app.database.begin().await.expect("a transaction");
            for sql in ["SET LOCAL session_replication_role = replica", "DELETE FROM calls"] {
                transaction.execute_unprepared(sql).await.expect(sql);
            }
            transaction.commit().await.expect("an end");
            app.sql("UPDATE usage_days SET calls = calls + 1", []).await;
        }
        let (equal, told) = verify(&app).await;
        assert!(!equal, "{told}");
        for part in [&tenant.to_string(), "quarter-hour", "day", "2026-03-18T12:00:00Z", "sums say", "calls say"] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        rebuild(&app).await;
        let (equal, told) = verify(&app).await;
        assert!(equal, "{told}");
        let calls = app.number("SELECT count(*) FROM calls", []).await;
        assert_eq!(calls_of(&app, tenant).await, calls);
    })
    .await;
}

#[tokio::test]
async fn truncation_is_refused_with_a_way_out() {
    on_both(async |app| {
        if app.backend() == DbBackend::Sqlite {
            return;
        }
        let tenant = app.tenant(TenantRow::default()).await;
        app.platform(tenant).await;
        for sql in ["TRUNCATE calls CASCADE", "TRUNCATE tenants CASCADE"] {
            let refused = app.database.connection.execute_unprepared(sql).await.expect_err("a refusal");
            assert!(refused.to_string().contains("statistics"), "{refused}");
        }
        assert_eq!(app.number("SELECT count(*) FROM calls", []).await, 1);
    })
    .await;
}

/// Calls that were there before the sums: the figures are right at once, and read from sums later.
#[tokio::test]
async fn calls_from_before_the_migration_are_counted_at_once_and_built_later() {
    on_both(async |app| {
        let (tenant, other) =
            (app.tenant(TenantRow::default()).await, app.tenant(TenantRow::default()).await);
        for tenant in [tenant, other] {
            let agent = app.agent(tenant).await;
            for days in 0..40 {
                app.call(&Call::of(&agent, noon() - chrono::TimeDelta::days(days))).await;
            }
        }
        app.database.migrate_down(3).await.expect("the sums go");
        app.database.migrate_up().await.expect("the sums come");
        assert_eq!(app.number("SELECT count(*) FROM usage_rebuilds", []).await, 2);
        assert_eq!(calls_of(&app, tenant).await, 18);
        let agent = app.agent(tenant).await;
        app.call(&Call::of(&agent, noon())).await;
        assert_eq!(calls_of(&app, tenant).await, 19);
        let keeper = keeper(&app);
        let mut building = keeper.next_unbuilt(Uuid::nil()).await.expect("a list").expect("a tenant");
        assert!(matches!(keeper.rebuild(None, &mut building).await.expect("a step"), Rebuilt::Until(_)));
        app.call(&Call::of(&agent, noon() - chrono::TimeDelta::days(3))).await;
        assert_eq!(calls_of(&app, tenant).await, 20, "half built");
        rebuild(&app).await;
        assert_eq!(app.number("SELECT count(*) FROM usage_rebuilds", []).await, 0);
        assert_eq!((calls_of(&app, tenant).await, calls_of(&app, other).await), (20, 18));
        assert_eq!(differences(&app, &[tenant, other]).await, []);
    })
    .await;
}

/// A tenant that somebody holds stays on the list, and the terminal says so.
#[tokio::test]
async fn a_tenant_that_is_held_is_not_said_to_be_built() {
    on(Backend::Postgres, async |app| {
        let (free, held) = (app.tenant(TenantRow::default()).await, app.tenant(TenantRow::default()).await);
        let holder = app.database.begin().await.expect("a transaction");
        let lock = format!("SELECT FROM tenants WHERE id = '{held}' FOR UPDATE");
        app.sql("INSERT INTO usage_rebuilds (tenant_id) VALUES ($1)", [held.into()]).await;
        holder.execute_unprepared(&lock).await.expect("the row");
        let output = rebuild_output(&app).await;
        let said = format!("{output:?}");
        assert!(!output.status.success() && said.contains("1 tenant(s) built"), "{said}");
        assert!(said.contains("1 tenant(s) are held by others"), "{said}");
        holder.rollback().await.expect("the row is free");
        rebuild(&app).await;
        assert_eq!(differences(&app, &[free, held]).await, []);
    })
    .await;
}

/// A date that stands for "never" is a call like any other.
#[tokio::test]
async fn a_call_on_the_last_day_of_the_calendar_is_compared_and_built() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let agent = app.agent(tenant).await;
        app.call(&Call::of(&agent, "9999-12-31T12:00:00Z".parse().expect("an instant"))).await;
        app.fold().await;
        assert_eq!(differences(&app, &[tenant]).await, []);
        app.sql("UPDATE usage_days SET calls = calls + 7", []).await;
        assert_eq!(differences(&app, &[tenant]).await.len(), 1);
        rebuild(&app).await;
        assert_eq!(differences(&app, &[tenant]).await, []);
    })
    .await;
}

/// Sums of a tenant go with it, also when somebody deletes its row by hand; differences that are left
/// behind go with the next fold.
#[tokio::test]
async fn a_tenant_that_is_deleted_by_hand_leaves_nothing() {
    on_both(async |app| {
        let (gone, stays) = (app.tenant(TenantRow::default()).await, app.tenant(TenantRow::default()).await);
        for tenant in [gone, stays] {
            let agent = app.agent(tenant).await;
            app.call(&Call::of(&agent, noon())).await;
        }
        app.fold().await;
        let agent = app.agent(gone).await;
        app.call(&Call::of(&agent, noon())).await;
        app.sql("DELETE FROM tenants WHERE id = $1", [gone.into()]).await;
        app.fold().await;
        for table in ["usage_quarter_hours", "usage_days", "usage_deltas", "usage_rebuilds"] {
            let sql = format!("SELECT count(*) FROM {table} WHERE tenant_id = $1");
            assert_eq!(app.number(&sql, [gone.into()]).await, 0, "{table}");
        }
        assert_eq!(calls_of(&app, stays).await, 1);
    })
    .await;
}

/// One process keeps sums; another takes over when it has been silent for long, and the first finds out.
#[tokio::test]
async fn a_lease_is_taken_over_and_the_former_holder_is_refused() {
    on_both(async |app| {
        let (one, other) = (Keeper::new(app.database.clone()), Keeper::new(app.database.clone()));
        let first = one.lease().await.expect("an answer").expect("the lease");
        let end = "SELECT cast(expires_at AS text) AS ending FROM gateway_leases";
        let end = async || app.rows(end, []).await[0].try_get_by::<String, _>("ending").expect("an instant");
        let taken_until = end().await;
        assert_eq!(one.lease().await.expect("an answer"), Some(first));
        assert_eq!(end().await, taken_until, "while much of it is left, asking writes nothing");
        app.leases_age(4).await;
        let aged = end().await;
        assert_eq!(one.lease().await.expect("an answer"), Some(first));
        assert!(end().await > aged, "renewed");
        assert_eq!(other.lease().await.expect("an answer"), None);
        app.leases_age(60).await;
        let second = other.lease().await.expect("an answer").expect("the lease");
        assert_ne!(first, second);
        if app.backend() == DbBackend::Postgres {
            let tenant = app.tenant(TenantRow::default()).await;
            let agent = app.agent(tenant).await;
            app.call(&Call::of(&agent, noon())).await;
            assert_eq!(one.fold(first, Uuid::nil()).await.expect("an answer"), Folded::LeaseLost);
            assert!(matches!(other.fold(second, Uuid::nil()).await, Ok(Folded::Tenant { rows: 1, .. })));
        }
    })
    .await;
}

/// Many differences of one tenant, in a table that the planner last saw empty: bounded steps, soon done.
#[tokio::test]
async fn a_long_absence_of_workers_is_caught_up_in_bounded_steps() {
    on_both(async |app| {
        if app.backend() == DbBackend::Sqlite {
            return;
        }
        let tenant = app.tenant(TenantRow::default()).await;
        app.sql("VACUUM ANALYZE usage_deltas", []).await;
        let keeper = Keeper::new(app.database.clone());
        let lease = keeper.lease().await.expect("an answer").expect("the lease");
        // Every connection plans its statements while the table is empty.
        assert_eq!(keeper.fold(lease, Uuid::nil()).await.expect("a step"), Folded::Nothing);
        app.sql(
            "INSERT INTO usage_deltas (tenant_id, starts_at, calls, duration_sum, duration_count, score_sum, \
             score_count, cost_cents) SELECT $1::uuid, timestamptz '2026-03-01Z' + n % 1000 * interval '15 minutes', \
             1, 60, 1, 0, 0, 1 FROM generate_series(1, 45000) n",
            [tenant.into()],
        )
        .await;
        let begun = Instant::now();
        let mut steps = Vec::new();
        while let Folded::Tenant { rows, more, .. } = keeper.fold(lease, Uuid::nil()).await.expect("a step") {
            assert_eq!(more, steps.len() < 2);
            steps.push(rows);
        }
        assert_eq!(steps, [20_000, 20_000, 5_000]);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!(app.number("SELECT sum(calls)::bigint FROM usage_days", []).await, 45_000);
    })
    .await;
}
