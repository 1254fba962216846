//! A gateway that stands still, as a machine does that swaps or migrates, and wakes up when others have gone on.

use std::time::Duration;

use sea_orm::DbBackend;

use super::{
    process::{Gateway, leases_run_out},
    standing::{are_records_free, can_write, standing_at},
    victim::{Bystander, Victim, deletion_of, rows_of},
};
use crate::support::{Backend, TestApp, on, on_both};

/// Between two batches: when it wakes up, another holds the lease, and it erases nothing more.
#[tokio::test]
async fn a_gateway_that_was_overtaken_between_batches_erases_nothing_more() {
    on_both(async |app| {
        let bystander = Bystander::new(&app).await;
        let (victim, sleeper) = standing_at(&app, 600, "batch.committed", async |_| {}).await;
        leases_run_out(&app).await;
        let other = loop {
            let other = Gateway::start(&app, Some("batch.committed=stop"));
            other.stands_still().await;
            if can_write(&app).await && are_records_free(&app).await {
                break other;
            }
            drop(other);
            leases_run_out(&app).await;
        };
        let state = async |app: &TestApp| {
            let progress = deletion_of(app, victim.id).await["progress"].clone();
            let ranges = "SELECT position * 1000000 + coalesce(sum(length(after_key)), 0) FROM tenant_deletion_ranges \
                          GROUP BY position ORDER BY position";
            let ranges: Vec<i64> =
                app.rows(ranges, []).await.iter().map(|row| row.try_get_by_index(0).expect("a sum")).collect();
            (rows_of(app, victim.id).await, progress, ranges)
        };
        let before = state(&app).await;
        sleeper.signal("-CONT");
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(state(&app).await, before, "it has erased with a lease that another holds\n{}", sleeper.log());
        sleeper.says("another process has taken over").await;
        other.signal("-CONT");
        victim.is_gone(&app).await;
        bystander.has_not_noticed(&app).await;
    })
    .await;
}

/// In the middle of a batch, for longer than its lease lasts: another takes over by itself and finishes, and what
/// the sleeper has in hand does not commit.
#[tokio::test]
async fn a_batch_that_slept_too_long_does_not_commit_on_postgres() {
    on(Backend::Postgres, async |app| {
        let bystander = Bystander::new(&app).await;
        let victim = Victim::new(&app, 300).await;
        victim.is_due(&app).await;
        let sleeper = Gateway::start(&app, Some("batch.recorded=stop@3"));
        sleeper.stands_still().await;
        let _other = Gateway::start(&app, None);
        victim.is_gone(&app).await;
        let certificate = deletion_of(&app, victim.id).await["certificate"].clone();
        sleeper.signal("-CONT");
        tokio::time::sleep(Duration::from_secs(2)).await;
        victim.is_gone(&app).await;
        assert_eq!(deletion_of(&app, victim.id).await["certificate"], certificate);
        bystander.has_not_noticed(&app).await;
        assert_eq!(
            app.number("SELECT count(*) FROM tenant_deletion_ranges", []).await,
            0,
            "it has written on"
        );
    })
    .await;
}

/// The only gateway: the server has ended its transaction meanwhile, which is no reason to give up.
#[tokio::test]
async fn a_gateway_alone_that_slept_too_long_goes_on() {
    on_both(async |app| {
        let victim = Victim::new(&app, 100).await;
        victim.is_due(&app).await;
        let sleeper = Gateway::start(&app, Some("batch.recorded=stop@3"));
        sleeper.stands_still().await;
        if app.backend() == DbBackend::Postgres {
            // As if its heart had gone on: the transaction alone stands still.
            app.sql("UPDATE gateway_leases SET expires_at = expires_at + interval '20 seconds'", []).await;
        }
        tokio::time::sleep(Duration::from_secs(11)).await;
        // Who only reads is not held up, on SQLite neither.
        assert_eq!(deletion_of(&app, victim.id).await["status"], "ERASING");
        sleeper.signal("-CONT");
        victim.is_gone(&app).await;
    })
    .await;
}

/// On SQLite who stands still in a transaction is the one writer until it wakes up. Its lease has run out then.
#[tokio::test]
async fn a_batch_that_slept_too_long_does_not_commit_on_sqlite() {
    on(Backend::Sqlite, async |app| {
        let victim = Victim::new(&app, 300).await;
        victim.is_due(&app).await;
        let sleeper = Gateway::start(&app, Some("batch.recorded=stop@3"));
        sleeper.stands_still().await;
        let _other = Gateway::start(&app, None);
        tokio::time::sleep(Duration::from_secs(11)).await;
        sleeper.signal("-CONT");
        victim.is_gone(&app).await;
        sleeper.says("another process has taken over").await;
    })
    .await;
}
