//! Who holds a lease, and who only believes so.

use chrono::TimeDelta;
use tenant_gateway::database::Lease;

use crate::support::{id, noon, on_both};

/// However a lease changes hands, a token that was somebody's is nobody else's.
#[tokio::test]
async fn a_fencing_token_is_never_used_twice() {
    on_both(async |app| {
        let connection = &app.database.connection;
        let (now, term) = (noon(), TimeDelta::seconds(10));
        let take =
            async |holder, now| Lease::take(connection, "work", holder, now, term).await.expect("an answer");
        let sleeper = take(id(), now).await.expect("a lease");
        assert!(sleeper.holds(connection, now).await.expect("an answer"));
        assert_eq!(take(id(), now + TimeDelta::seconds(9)).await, None, "it is held");
        let later = now + TimeDelta::seconds(11);
        assert!(!sleeper.holds(connection, later).await.expect("an answer"), "it has run out");
        let second = take(id(), later).await.expect("a lease that has run out");
        assert!(second.token > sleeper.token);
        second.give_back(connection).await.expect("an answer");
        let third = take(id(), later).await.expect("a lease that was given back");
        assert!(third.token > second.token, "{third:?} after {second:?}");
        for asleep in [&sleeper, &second] {
            assert!(!asleep.holds(connection, later).await.expect("an answer"), "{asleep:?}");
        }
        assert!(third.holds(connection, later).await.expect("an answer"));
        // A clock that is set back by an hour: what was taken by the other one does not hold for an hour.
        let earlier = now - TimeDelta::hours(1);
        assert!(take(id(), earlier).await.is_some());
        assert!(!third.holds(connection, earlier).await.expect("an answer"));
    })
    .await;
}
