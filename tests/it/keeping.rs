//! Sums are kept, compared with their calls, and built anew; what passes the triggers by is found and mended.

use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;
use tenant_gateway::usage::{Difference, Folded, Keeper, Rebuilt};
use uuid::Uuid;

use crate::support::{Backend, Call, Rows, TenantRow, TestApp, noon, on, on_both};

pub fn keeper(app: &TestApp) -> Keeper {
    Keeper::new(app.database.clone())
}

pub async fn differences(app: &TestApp, tenants: &[Uuid]) -> Vec<Difference> {
    let keeper = keeper(app);
    let mut all = Vec::new();
    for tenant in tenants {
        all.extend(keeper.verify(*tenant).await.expect("a recount"));
    }
    all
}

/// Whether a command of the terminal succeeded, and what it printed.
async fn run(app: &TestApp, command: &[&str]) -> (bool, String) {
    let (url, command) =
        (app.database_url.clone(), command.iter().map(ToString::to_string).collect::<Vec<_>>());
    let run = move || {
        Command::new(env!("CARGO_BIN_EXE_tenant-gateway"))
            .args(command)
            .args(["--database-url", &url])
            .env("RUST_LOG", "off")
            .output()
            .expect("the gateway")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("an output");
    (output.status.success(), String::from_utf8(output.stdout).expect("text"))
}

async fn verify(app: &TestApp) -> (bool, String) {
    run(app, &["usage", "verify", "--all"]).await
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

/// A date that was mistyped by a thousand years neither makes comparing slow nor blind: a difference in the week that
/// matters is found by few looks.
#[tokio::test]
async fn a_mistyped_date_does_not_thin_out_what_is_compared() {
    on_both(async |app| {
        let tenant = app.tenant(TenantRow::default()).await;
        let agent = app.agent(tenant).await;
        app.call(&Call::of(&agent, "0202-11-20T10:00:00Z".parse().expect("an instant"))).await;
        app.call(&Call::of(&agent, noon() - chrono::TimeDelta::days(60))).await;
        app.call(&Call::of(&agent, noon())).await;
        app.fold().await;
        app.forget_statements();
        assert_eq!(differences(&app, &[tenant]).await, []);
        assert!(app.statements().len() < 20, "{} statements for three calls", app.statements().len());
        let late = entity::timestamp::value(app.backend(), noon() - chrono::TimeDelta::days(1));
        app.sql(
            "UPDATE usage_days SET calls = 2 WHERE tenant_id = $1 AND starts_at > $2",
            [tenant.into(), late],
        )
        .await;
        let mut found = 0;
        for dice in 0..12 {
            found += keeper(&app).verify_week(tenant, dice).await.expect("a recount").len();
        }
        assert!(found >= 2, "of twelve looks {found} found the difference");
    })
    .await;
}

/// A sample is as large as was asked for, and tells its differences; one tenant alone can be built.
#[tokio::test]
async fn the_terminal_compares_samples_and_builds_one_tenant() {
    on_both(async |app| {
        let mut tenants = Vec::new();
        for _ in 0..3 {
            let tenant = app.tenant(TenantRow::default()).await;
            let agent = app.agent(tenant).await;
            app.call(&Call::of(&agent, noon())).await;
            tenants.push(tenant);
        }
        app.fold().await;
        for tenant in &tenants[..2] {
            app.sql("UPDATE usage_days SET calls = 5 WHERE tenant_id = $1", [(*tenant).into()]).await;
        }
        let (right, told) = run(&app, &["usage", "verify", "--sample", "3"]).await;
        assert!(!right, "{told}");
        assert!(told.contains(&tenants[0].to_string()) && told.contains(&tenants[1].to_string()), "{told}");
        let (_, told) = run(&app, &["usage", "verify", "--sample", "1"]).await;
        assert!(tenants.iter().filter(|tenant| told.contains(&tenant.to_string())).count() <= 1, "{told}");

        let (built, _) = run(&app, &["usage", "rebuild", "--tenant", &tenants[0].to_string()]).await;
        assert!(built);
        let (right, told) = run(&app, &["usage", "verify", "--all"]).await;
        assert!(
            !right && !told.contains(&tenants[0].to_string()) && told.contains(&tenants[1].to_string()),
            "{told}"
        );
    })
    .await;
}

/// A step of another process may take longer than anybody waits for a lock: the terminal asks again. Nothing is put on
/// the list meanwhile, for the step would take it off.
#[tokio::test]
async fn the_terminal_waits_for_a_long_step() {
    on(Backend::Postgres, async |app| {
        app.tenant(TenantRow::default()).await;
        rebuild(&app).await;
        let step = app.database.begin().await.expect("a transaction");
        step.execute_unprepared("SELECT FROM gateway_leases FOR UPDATE").await.expect("the lease");
        let waiting = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            let listed = app.number("SELECT count(*) FROM usage_rebuilds", []).await;
            step.commit().await.expect("the end of the step");
            listed
        };
        let (output, listed) = tokio::join!(rebuild_output(&app), waiting);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(listed, 0);
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
        holder.execute_unprepared(&lock).await.expect("the row");
        // Whether it was on the list before or is not put there.
        let begun = Instant::now();
        let output = rebuild_output(&app).await;
        assert!(begun.elapsed() < Duration::from_secs(2), "nobody waits for it");
        let said = format!("{output:?}");
        assert!(!output.status.success() && said.contains("1 tenant(s) are held by others"), "{said}");
        holder.rollback().await.expect("an end");
        app.sql("INSERT INTO usage_rebuilds (tenant_id) VALUES ($1)", [held.into()]).await;
        let holder = app.database.begin().await.expect("a transaction");
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
