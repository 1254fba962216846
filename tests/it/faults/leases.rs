//! Who holds a lease, and who only believes so.

use chrono::TimeDelta;
use tenant_gateway::database::Lease;

use crate::support::{id, on_both};

/// However a lease changes hands, a token that was somebody's is nobody else's.
#[tokio::test]
async fn a_fencing_token_is_never_used_twice() {
    on_both(async |app| {
        let connection = &app.database.connection;
        let term = TimeDelta::seconds(10);
        let take = async |holder| Lease::take(connection, "work", holder, term).await.expect("an answer");
        let holds = async |lease: &Lease| lease.holds(connection).await.expect("an answer");
        let sleeper = take(id()).await.expect("a lease");
        assert!(holds(&sleeper).await);
        app.leases_age(8).await;
        assert_eq!(take(id()).await, None, "it is held");
        assert!(sleeper.renew(connection, term).await.expect("an answer"));
        app.leases_age(8).await;
        assert_eq!(take(id()).await, None, "it was renewed");
        app.leases_age(3).await;
        assert!(!holds(&sleeper).await, "it has run out");
        let second = take(id()).await.expect("a lease that has run out");
        assert!(second.token > sleeper.token);
        assert!(!sleeper.renew(connection, term).await.expect("an answer"), "it is another's");
        second.give_back(connection).await.expect("an answer");
        let third = take(id()).await.expect("a lease that was given back");
        assert!(third.token > second.token, "{third:?} after {second:?}");
        for asleep in [&sleeper, &second] {
            assert!(!holds(asleep).await, "{asleep:?}");
        }
        assert!(holds(&third).await);
        // A clock that is set back a little is waited for; one that is set back by an hour is not.
        app.leases_age(-15).await;
        assert_eq!(take(id()).await, None, "it may have been renewed since");
        app.leases_age(-3_600).await;
        assert!(take(id()).await.is_some());
        assert!(!holds(&third).await);
    })
    .await;
}

/// A heart that beats once more than its work does brings nothing back.
#[tokio::test]
async fn a_lease_that_has_ended_is_not_renewed() {
    on_both(async |app| {
        let connection = &app.database.connection;
        let term = TimeDelta::seconds(10);
        let lease = Lease::take(connection, "work", id(), term).await.expect("an answer").expect("a lease");
        assert!(lease.end(connection).await.expect("an answer"));
        assert!(!lease.renew(connection, term).await.expect("an answer"));
        assert_eq!(app.number("SELECT count(*) FROM gateway_leases", []).await, 0);
    })
    .await;
}
