//! Sums under fire: writers, folding, rebuilding and processes that are killed, all at once.

use std::{
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use tenant_gateway::usage::{Folded, Rebuilt};
use uuid::Uuid;

use crate::{
    keeping::{differences, keeper},
    support::{Agent, Rows, TenantRow, TestApp, id, noon, on_both},
};

/// The real time, which leases go by.
fn now(app: &TestApp) -> Value {
    entity::timestamp::value(app.backend(), std::time::SystemTime::now().into())
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

/// Rebuilds in this process too, and folds unless the turn is `theirs`, of the processes that are killed.
async fn disturb(app: &TestApp, tenants: &[Uuid], theirs: &AtomicBool, until: Instant) {
    let keeper = keeper(app);
    let mut number = 0;
    while Instant::now() < until {
        if theirs.load(Ordering::SeqCst) {
            let _ = keeper.release().await;
        } else if let Ok(Some(lease)) = keeper.lease().await {
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
        let theirs = AtomicBool::new(true);
        // How many processes were killed while they were those that fold.
        let killing = async {
            let mut folding = 0;
            while Instant::now() < until {
                let mut child = process(&app);
                tokio::time::sleep(Duration::from_millis(900)).await;
                child.kill().expect("SIGKILL");
                child.wait().expect("an end");
                let held = app
                    .number("SELECT count(*) FROM gateway_leases WHERE expires_at > $1", [now(&app)])
                    .await;
                folding += i64::from(theirs.load(Ordering::SeqCst)) * held;
                theirs.fetch_xor(true, Ordering::SeqCst);
                app.leases_age(3_600).await;
            }
            folding
        };
        let (written, folding, ()) = tokio::join!(writing, killing, disturb(&app, &tenants, &theirs, until));
        assert!(written.iter().sum::<u64>() > 20, "{written:?}");
        assert!(folding > 1, "{folding} of the processes that were killed held the lease");
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
