//! One gateway takes over from another while clients ask: nobody notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use crate::support::{Program, Token, bearer, client, on_both};

/// A balancer that looks at readiness ten times a second, and clients that keep their connections.
#[tokio::test]
async fn a_rolling_restart_loses_no_request() {
    on_both(async |app| {
        let mut old = Program::serve(&app.database_url, &["--shutdown-delay", "1s"]);
        let new = Program::serve(&app.database_url, &[]);
        let uses_new = Arc::new(AtomicBool::new(false));
        let (asked, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut clients = Vec::new();
        for _ in 0..8 {
            let (uses_new, asked, stop) = (uses_new.clone(), asked.clone(), stop.clone());
            let (from_old, from_new, token) =
                (old.url("/graphql"), new.url("/graphql"), bearer(Token::Admin));
            clients.push(tokio::spawn(async move {
                let client = client();
                while !stop.load(Ordering::Relaxed) {
                    let url = if uses_new.load(Ordering::Relaxed) { &from_new } else { &from_old };
                    let document = json!({ "query": "{ tenants { totalCount } }" });
                    let answer = client.post(url).bearer_auth(&token).json(&document).send().await;
                    let answer = answer.expect("no request is lost");
                    assert_eq!(answer.status(), 200);
                    assert_eq!(
                        answer.json::<serde_json::Value>().await.expect("all of it").get("errors"),
                        None
                    );
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        let balancer = client();
        while asked.load(Ordering::Relaxed) < 100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        old.signal("TERM");
        let mut was_not_ready = false;
        for _ in 0..30 {
            match balancer.get(old.url("/readyz")).send().await {
                Ok(answer) if answer.status() == 200 => {}
                Ok(answer) => {
                    was_not_ready = true;
                    assert_eq!(answer.status(), 503);
                    uses_new.store(true, Ordering::Relaxed);
                }
                Err(_) => break,
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(was_not_ready, "it said that it stops before it did");
        let before = asked.load(Ordering::Relaxed);
        while asked.load(Ordering::Relaxed) < before + 100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.expect("a client that lost nothing");
        }
        assert!(old.ended().await.success());
    })
    .await;
}
