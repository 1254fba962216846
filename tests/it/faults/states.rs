//! Calling off and taking up at every state, and at the very moment when erasing begins.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    process::Gateway,
    standing::standing_at,
    victim::{Bystander, Victim, ask, deletion_of, rows_of, until, until_status},
    worker::start_worker,
};
use crate::{
    deletion::resume,
    support::{Rows, Session, TestApp, noon, on_both},
};

const CANCEL: &str = "mutation ($input: CancelTenantDeletionInput!) { cancelTenantDeletion(input: $input) {
    deletion { id status } userErrors { code } } }";

async fn cancel(app: &TestApp, deletion: &Value) -> Value {
    let input = json!({ "input": { "deletionId": deletion, "reason": "a test" } });
    app.admin(CANCEL, input).await["cancelTenantDeletion"].clone()
}

/// What is answered when a deletion in its present state is called off, or taken up.
async fn is_refused(app: &TestApp, deletion: &Value, what: &str) {
    let status = &deletion["status"];
    let payload = match what {
        "cancel" => cancel(app, &deletion["id"]).await,
        _ => resume(app, &deletion["id"], json!({})).await,
    };
    let code = if what == "cancel" { "DELETION_NOT_CANCELABLE" } else { "DELETION_NOT_BLOCKED" };
    assert_eq!(payload["userErrors"][0]["code"], code, "{what} when {status}: {payload}");
    assert_eq!(payload["deletion"]["status"], *status, "{what} when {status}: {payload}");
}

/// A gateway stands still in each state while it is called off and taken up.
#[tokio::test]
async fn each_state_allows_what_it_should() {
    on_both(async |app| {
        let bystander = Bystander::new(&app).await;
        for (point, status) in
            [("turn.leased", "SCHEDULED"), ("batch.committed", "ERASING"), ("phase.committed", "VERIFYING")]
        {
            let (victim, gateway) = standing_at(&app, 50, point, async |_| {}).await;
            let deletion = deletion_of(&app, victim.id).await;
            assert_eq!(deletion["status"], status);
            is_refused(&app, &deletion, "resume").await;
            if status == "SCHEDULED" {
                // Its worker has a lease already, and finds it called off.
                assert_eq!(cancel(&app, &deletion["id"]).await["deletion"]["status"], "CANCELED");
                gateway.signal("-CONT");
                tokio::time::sleep(Duration::from_millis(300)).await;
                let deletion = deletion_of(&app, victim.id).await;
                assert_eq!(deletion["status"], "CANCELED");
                is_refused(&app, &deletion, "resume").await;
                is_refused(&app, &deletion, "cancel").await;
                let leases = "SELECT count(*) FROM gateway_leases WHERE name LIKE 'deletion %'";
                assert_eq!(app.number(leases, []).await, 0, "what is over needs none");
                assert_eq!(rows_of(&app, victim.id).await, victim.rows, "nothing was erased");
                // Of two that were asked for at one instant none is the newest.
                app.clock.set(app.clock.now() + chrono::TimeDelta::seconds(1));
                victim.is_due(&app).await;
            } else {
                is_refused(&app, &deletion, "cancel").await;
                gateway.signal("-CONT");
            }
            victim.is_gone(&app).await;
            let deletion = deletion_of(&app, victim.id).await;
            is_refused(&app, &deletion, "cancel").await;
            is_refused(&app, &deletion, "resume").await;
        }
        bystander.has_not_noticed(&app).await;
    })
    .await;
}

/// Blocked before anything was erased it can be called off; later it cannot, and only goes on.
#[tokio::test]
async fn what_is_blocked_can_be_called_off_only_while_nothing_is_erased() {
    on_both(async |app| {
        start_worker(&app).await;
        let victim = Victim::new(&app, 50).await;
        app.session(&Session::of(victim.id, noon())).await;
        ask(&app, victim.id, json!({ "graceSeconds": 1 })).await;
        app.clock.set(noon() + TimeDelta::seconds(2));
        let blocked = until_status(&app, victim.id, "BLOCKED").await;
        assert_eq!(blocked["block"]["during"], "SCHEDULED");
        assert_eq!(cancel(&app, &blocked["id"]).await["deletion"]["status"], "CANCELED");
        assert_eq!(deletion_of(&app, victim.id).await["block"], Value::Null);

        // A row that a trigger keeps.
        for sql in match app.backend() {
            sea_orm::DbBackend::Sqlite => {
                vec!["CREATE TRIGGER keep BEFORE DELETE ON squads BEGIN SELECT RAISE(IGNORE); END"]
            }
            _ => vec![
                "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
                "CREATE TRIGGER keep BEFORE DELETE ON squads FOR EACH ROW EXECUTE FUNCTION keep()",
            ],
        } {
            app.sql(sql, []).await;
        }
        ask(&app, victim.id, json!({ "force": true })).await;
        let blocked = until_status(&app, victim.id, "BLOCKED").await;
        assert_eq!(blocked["block"]["code"], "ROWS_REMAIN");
        is_refused(&app, &blocked, "cancel").await;
        let payload = resume(&app, &blocked["id"], json!({})).await;
        assert_ne!(payload["deletion"]["status"], "BLOCKED", "{payload}");
        until_status(&app, victim.id, "BLOCKED").await;
        let drop = if app.backend() == sea_orm::DbBackend::Sqlite {
            "DROP TRIGGER keep"
        } else {
            "DROP TRIGGER keep ON squads"
        };
        app.sql(drop, []).await;
        resume(&app, &blocked["id"], json!({})).await;
        victim.is_gone_with(&app, &[("sessions".to_owned(), 1)].into()).await;
    })
    .await;
}

/// Called off at the very moment when the grace period ends: one of the two happens, wholly.
#[tokio::test]
async fn calling_off_races_with_the_end_of_the_grace_period() {
    on_both(async |app| {
        start_worker(&app).await;
        start_worker(&app).await;
        let mut seen = [0, 0];
        for round in 0..10_u64 {
            let victim = Victim::new(&app, 50).await;
            ask(&app, victim.id, json!({ "graceSeconds": 1 })).await;
            let deletion = deletion_of(&app, victim.id).await;
            app.clock.set(app.clock.now() + TimeDelta::seconds(2));
            // Workers look once a second.
            tokio::time::sleep(Duration::from_millis(round * 110)).await;
            let payload = cancel(&app, &deletion["id"]).await;
            let ended = until(&app, victim.id, "an end", |deletion| {
                deletion["status"] == "CANCELED" || deletion["status"] == "DELETED"
            })
            .await;
            if payload["userErrors"] == json!([]) {
                assert_eq!(ended["status"], "CANCELED", "it was said to be called off");
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert_eq!(rows_of(&app, victim.id).await, victim.rows);
                seen[0] += 1;
            } else {
                assert_eq!(ended["status"], "DELETED", "{payload}");
                victim.is_gone(&app).await;
                seen[1] += 1;
            }
        }
        assert!(seen[0] > 0, "never called off in time: {seen:?}");
    })
    .await;
}

/// Between the mark on the tenant and its commit, calling off waits, and is then too late.
#[tokio::test]
async fn calling_off_is_too_late_once_the_step_into_erasing_is_taken() {
    on_both(async |app| {
        let victim = Victim::new(&app, 50).await;
        victim.is_due(&app).await;
        let gateway = Gateway::start(&app, Some("entry.recorded=stop"));
        gateway.stands_still().await;
        let deletion = deletion_of(&app, victim.id).await;
        assert_eq!(deletion["status"], "SCHEDULED");
        let goes_on = async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            gateway.signal("-CONT");
        };
        let (payload, ()) = tokio::join!(cancel(&app, &deletion["id"]), goes_on);
        assert_eq!(payload["userErrors"][0]["code"], "DELETION_NOT_CANCELABLE", "{payload}");
        victim.is_gone(&app).await;
    })
    .await;
}
