//! The program is killed after every step and between any two writes, and another goes on.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenant_gateway::{clock::Clock, faults::POINTS};

use super::{
    process::{Gateway, leases_run_out},
    victim::{Bystander, Victim, ask, deletion_of, request, rows_of, until_status},
};
use crate::{
    deletion::resume,
    support::{Backend, Rows, Session, TestApp, on, on_both},
};

/// Points that need something more than a deletion of a small tenant: tests of their own visit them.
const ELSEWHERE: [&str; 4] =
    ["ranges.recorded", "ranges.committed", "obstacle.recorded", "obstacle.committed"];

/// A tenant's deletion passes some points often: killed there later, too.
const LATER: [&str; 7] = [
    "batch.erased@2",
    "batch.erased@5",
    "batch.recorded@5",
    "batch.committed@2",
    "batch.committed@9",
    "step.done@4",
    "objects.removed@2",
];

/// Kills a gateway that erases `victim` at `point`, lets another go on, and returns what the certificate has in
/// common with that of any other such tenant.
async fn killed_at(app: &TestApp, victim: &Victim, point: &str, options: &[&str]) -> Value {
    let (name, visit) = point.split_once('@').unwrap_or((point, "1"));
    let fault = format!("{name}=kill@{visit}");
    let mut doomed = Gateway::start_with(app, Some(&fault), options);
    let is_asked = name.starts_with("request.");
    if is_asked {
        let (document, variables) = request(victim.id, &json!({ "graceSeconds": 0 }));
        assert_eq!(doomed.post(document, variables).await, None, "{fault}: it answered");
    } else {
        victim.is_due(app).await;
    }
    doomed.dies(&fault).await;
    leases_run_out(app).await;
    let _finisher = Gateway::start_with(app, None, options);
    if is_asked {
        // Whether the request was taken or not, asking again is asking once.
        ask(app, victim.id, json!({ "graceSeconds": 1 })).await;
    }
    let common = victim.is_gone(app).await;
    let records = "SELECT count(*) FROM tenant_deletions WHERE tenant_id = $1";
    assert_eq!(app.number(records, [victim.id.into()]).await, 1, "{fault}");
    common
}

async fn every_point(app: TestApp) {
    let bystander = Bystander::new(&app).await;
    let victim = Victim::new(&app, 300).await;
    victim.is_due(&app).await;
    let calm = Gateway::start(&app, None);
    let uninterrupted = victim.is_gone(&app).await;
    drop(calm);
    let visited: BTreeSet<_> = POINTS.into_iter().filter(|point| !ELSEWHERE.contains(point)).collect();
    for point in visited.into_iter().chain(LATER) {
        let victim = Victim::new(&app, 300).await;
        assert_eq!(killed_at(&app, &victim, point, &[]).await, uninterrupted, "{point}");
    }
    bystander.has_not_noticed(&app).await;
    assert_eq!(app.number("SELECT count(*) FROM tenant_deletion_objects", []).await, 0);
    assert_eq!(app.number("SELECT count(*) FROM tenant_deletion_ranges", []).await, 0);
    assert_eq!(app.number("SELECT count(*) FROM gateway_leases WHERE name LIKE 'deletion %'", []).await, 0);
}

#[tokio::test]
async fn a_gateway_killed_at_any_point_is_followed_by_one_that_finishes_on_sqlite() {
    on(Backend::Sqlite, every_point).await;
}

#[tokio::test]
async fn a_gateway_killed_at_any_point_is_followed_by_one_that_finishes_on_postgres() {
    on(Backend::Postgres, every_point).await;
}

/// A tenant that is erased in two ranges side by side.
#[tokio::test]
async fn ranges_that_are_erased_side_by_side_go_on_where_they_were() {
    on(Backend::Postgres, async |app| {
        let bystander = Bystander::new(&app).await;
        for point in ["ranges.recorded@2", "ranges.committed@1", "batch.committed@6"] {
            let victim = Victim::new(&app, 20_500).await;
            killed_at(&app, &victim, point, &["--deletion-batch-time", "10ms"]).await;
        }
        bystander.has_not_noticed(&app).await;
    })
    .await;
}

/// Killed while it writes down what is in the way.
#[tokio::test]
async fn an_obstacle_is_written_down_whole_or_not_at_all() {
    on_both(async |app| {
        for point in ["obstacle.recorded=kill", "obstacle.committed=kill"] {
            let mut victim = Victim::new(&app, 50).await;
            app.session(&Session::of(victim.id, Clock::system().now())).await;
            *victim.rows.get_mut("sessions").expect("a table") += 1;
            victim.is_due(&app).await;
            Gateway::start(&app, Some(point)).dies(point).await;
            leases_run_out(&app).await;
            let is_told = deletion_of(&app, victim.id).await["status"] == "BLOCKED";
            assert_eq!(is_told, point.starts_with("obstacle.committed"));
            let _finisher = Gateway::start(&app, None);
            let blocked = until_status(&app, victim.id, "BLOCKED").await;
            assert_eq!(blocked["block"]["code"], "ACTIVE_SESSIONS");
            assert_eq!(rows_of(&app, victim.id).await, victim.rows, "nothing has begun");
            resume(&app, &blocked["id"], json!({ "force": true })).await;
            victim.is_gone(&app).await;
        }
    })
    .await;
}
