//! A clock that jumps, and clocks that differ.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::json;
use tenant_gateway::clock::Clock;

use super::{
    victim::{Bystander, Victim, ask, deletion_of, until, until_status},
    worker::{start_worker, start_worker_at},
};
use crate::support::{noon, on_both};

#[tokio::test]
async fn a_clock_that_jumps_forth_and_back_holds_up_nothing() {
    on_both(async |app| {
        let bystander = Bystander::new(&app).await;
        let victim = Victim::new(&app, 900).await;
        ask(&app, victim.id, json!({ "graceSeconds": 60 })).await;
        start_worker(&app).await;
        start_worker(&app).await;
        app.clock.set(noon() - TimeDelta::days(30));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(deletion_of(&app, victim.id).await["status"], "SCHEDULED", "its time has not come");
        app.clock.set(noon() + TimeDelta::minutes(2));
        until(&app, victim.id, "begun", |deletion| deletion["progress"]["rowsErased"] != 0).await;
        // A day, an hour, and about the length of a lease: leases run out, and are held into the far future.
        for seconds in [86_400, -3_600, 9, 11, -31, 12, -86_400, 3_600, -12, 0].repeat(4) {
            app.clock.set(noon() + TimeDelta::seconds(seconds));
            let shown = deletion_of(&app, victim.id).await;
            assert!(shown["progress"]["rowsPlanned"].is_number(), "{shown}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        victim.is_gone(&app).await;
        bystander.has_not_noticed(&app).await;
    })
    .await;
}

/// What is to be tried again in a minute by a clock that is then set back by a year is tried again.
#[tokio::test]
async fn a_pause_ends_though_the_clock_was_set_back() {
    on_both(async |app| {
        let victim = Victim::new(&app, 50).await;
        app.clock.set(noon() + TimeDelta::days(365));
        ask(&app, victim.id, json!({})).await;
        let pause = "UPDATE tenant_deletions SET attempts = 9, status = 'blocked', block_code = 'internal', \
                     block_message = 'busy', block_during = 'erasing', blocked_at = $2, next_attempt_at = $2 WHERE tenant_id = $1";
        let later = app.clock.now() + TimeDelta::minutes(1);
        app.sql(pause, [victim.id.into(), entity::timestamp::value(app.backend(), later)]).await;
        start_worker(&app).await;
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert_eq!(deletion_of(&app, victim.id).await["status"], "BLOCKED", "it waits");
        app.clock.set(noon());
        until_status(&app, victim.id, "DELETED").await;
        victim.is_gone(&app).await;
    })
    .await;
}

/// Two machines whose clocks are a minute apart: neither takes from the other what it works on.
#[tokio::test]
async fn workers_whose_clocks_differ_leave_each_other_their_work() {
    on_both(async |app| {
        let victim = Victim::new(&app, 20_000).await;
        ask(&app, victim.id, json!({ "graceSeconds": 1 })).await;
        let now = noon() + TimeDelta::seconds(2);
        app.clock.set(now);
        start_worker(&app).await;
        until(&app, victim.id, "begun", |deletion| deletion["progress"]["rowsErased"] != 0).await;
        // It looks for work at once.
        start_worker_at(&app, Clock::fixed(now + TimeDelta::minutes(1))).await;
        let begun = Instant::now();
        let token = "SELECT coalesce(max(token), 0) FROM gateway_leases WHERE name LIKE 'deletion %'";
        while deletion_of(&app, victim.id).await["status"] != "DELETED" {
            assert!(app.number(token, []).await <= 1, "it was taken over from who was at work");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(begun.elapsed() > Duration::from_millis(400), "the other has hardly looked");
        victim.is_gone(&app).await;
    })
    .await;
}
