//! A gateway that stands still at a point of a deletion, so that something can be done meanwhile.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend};

use super::{
    process::{Gateway, leases_run_out},
    victim::Victim,
};
use crate::support::TestApp;

/// A victim of so many calls, prepared, and the gateway that stands still in the midst of erasing it. Others can
/// write: on SQLite another task of it may have been the one writer at that moment; then this begins anew.
pub async fn standing_at(
    app: &TestApp,
    calls: u32,
    point: &str,
    prepare: impl AsyncFn(&Victim),
) -> (Victim, Gateway) {
    loop {
        let victim = Victim::new(app, calls).await;
        prepare(&victim).await;
        victim.is_due(app).await;
        let gateway = Gateway::start(app, Some(&format!("{point}=stop")));
        gateway.stands_still().await;
        if can_write(app).await {
            return (victim, gateway);
        }
        eprintln!("it stood still with the writer's lock in hand: once more");
        drop(gateway);
        leases_run_out(app).await;
        let _finisher = Gateway::start(app, None);
        super::victim::until_status(app, victim.id, "DELETED").await;
    }
}

/// Whether nobody stands still with SQLite's one lock.
pub async fn can_write(app: &TestApp) -> bool {
    let begun = tokio::time::timeout(Duration::from_secs(1), app.database.begin()).await;
    match begun {
        Ok(Ok(transaction)) => transaction.rollback().await.is_ok(),
        _ => false,
    }
}

/// Whether nobody stands still with a deletion's record locked: another task of a gateway may have been at it.
pub async fn are_records_free(app: &TestApp) -> bool {
    if app.backend() == DbBackend::Sqlite {
        return true;
    }
    let transaction = app.database.begin().await.expect("a transaction");
    let locked = transaction.execute_unprepared("SELECT 1 FROM tenant_deletions FOR UPDATE NOWAIT").await;
    transaction.rollback().await.expect("a rollback");
    locked.is_ok()
}
