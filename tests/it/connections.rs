//! Connections that are silent, slow or too many, and clients that ask too often.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Backend, Place, Program, TestApp, Token, bearer, client, connect, on, raw};

/// What the edge does is the same on both databases.
async fn alone(test: impl AsyncFn(TestApp)) {
    on(Backend::Sqlite, test).await;
}

/// Until the other side hangs up.
async fn hangs_up(mut stream: TcpStream) -> Duration {
    let begun = Instant::now();
    let mut rest = Vec::new();
    let _ =
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.expect("an end");
    begun.elapsed()
}

const ALIVE: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_connection_that_is_silent_or_slow_is_closed() {
    alone(async |app| {
        let limits = ["--header-timeout", "300ms", "--idle-timeout", "1s"];
        let program = Program::serve(&app.database_url, &limits);
        let silent = connect("127.0.0.1", program.port).await;
        assert!(hangs_up(silent).await < Duration::from_millis(900), "it says nothing");

        let mut slow = connect("127.0.0.1", program.port).await;
        let writing = async {
            for byte in ALIVE.as_bytes() {
                if slow.write_all(&[*byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let begun = Instant::now();
        writing.await;
        assert!(begun.elapsed() < Duration::from_secs(2), "a byte at a time holds no connection");

        let mut kept = connect("127.0.0.1", program.port).await;
        kept.write_all(ALIVE.as_bytes()).await.expect("an open connection");
        let took = hangs_up(kept).await;
        assert!((Duration::from_millis(800)..Duration::from_secs(3)).contains(&took), "kept for {took:?}");
    })
    .await;
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    alone(async |app| {
        let program = Program::serve(&app.database_url, &["--max-connections-per-address", "3"]);
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut stream = connect("127.0.0.2", program.port).await;
            stream.write_all(ALIVE.as_bytes()).await.expect("an open connection");
            stream.read_u8().await.expect("an answer");
            held.push(stream);
        }
        let refused = raw(connect("127.0.0.2", program.port).await, "").await;
        assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after"), "{refused}");
        let closing = ALIVE.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
        let other = raw(connect("127.0.0.3", program.port).await, &closing).await;
        assert!(other.starts_with("HTTP/1.1 200"), "{other}");
        held.pop();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let again = raw(connect("127.0.0.2", program.port).await, &closing).await;
        assert!(again.starts_with("HTTP/1.1 200"), "a place is given back: {again}");
    })
    .await;
}

#[tokio::test]
async fn a_socket_keeps_its_place_and_all_together_are_bounded() {
    alone(async |app| {
        let program = Program::serve(&app.database_url, &["--max-connections", "1"]);
        let mut socket = connect("127.0.0.2", program.port).await;
        let upgrade = "GET /graphql/ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
            sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            sec-websocket-protocol: graphql-transport-ws\r\n\r\n";
        socket.write_all(upgrade.as_bytes()).await.expect("an open connection");
        let mut head = [0; 12];
        socket.read_exact(&mut head).await.expect("an answer");
        assert_eq!(&head, b"HTTP/1.1 101");
        let refused = raw(connect("127.0.0.3", program.port).await, "").await;
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
        drop(socket);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let closing = ALIVE.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
        let again = raw(connect("127.0.0.3", program.port).await, &closing).await;
        assert!(again.starts_with("HTTP/1.1 200"), "{again}");
    })
    .await;
}

/// The status of each of `count` requests, one after the other.
async fn statuses(program: &Program, token: &str, forwarded: Option<&str>, count: u32) -> Vec<u16> {
    let (client, mut statuses) = (client(), Vec::new());
    for _ in 0..count {
        let mut request = client.post(program.url("/graphql")).bearer_auth(token);
        if let Some(address) = forwarded {
            request = request.header("x-forwarded-for", address);
        }
        let answer =
            request.json(&json!({ "query": "{ viewer { role } }" })).send().await.expect("an answer");
        if answer.status() == 429 {
            let wait =
                answer.headers()["retry-after"].to_str().expect("text").parse::<u64>().expect("seconds");
            assert!((1..=2).contains(&wait), "{wait} s");
            let body: serde_json::Value = answer.json().await.expect("JSON");
            assert_eq!(body["errors"][0]["extensions"]["code"], "RATE_LIMITED");
            assert_eq!(body.get("data"), None);
            statuses.push(429);
        } else {
            statuses.push(answer.status().as_u16());
        }
    }
    statuses
}

fn refusals(statuses: &[u16]) -> usize {
    statuses.iter().filter(|status| **status == 429).count()
}

#[tokio::test]
async fn a_viewer_that_asks_too_often_waits_and_others_do_not() {
    alone(async |app| {
        let program = Program::serve(&app.database_url, &["--rate-per-viewer", "5"]);
        let one = statuses(&program, &bearer(Token::Admin), None, 20).await;
        assert!(refusals(&one) >= 10 && one[..5] == [200; 5], "{one:?}");
        let other = statuses(&program, &bearer(Token::Tenant(uuid::Uuid::now_v7())), None, 3).await;
        assert_eq!(other, [200; 3], "another viewer of the same name");
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(statuses(&program, &bearer(Token::Admin), None, 2).await, [200; 2], "later it may again");
    })
    .await;
}

#[tokio::test]
async fn an_address_that_asks_too_often_waits_whatever_it_claims() {
    alone(async |app| {
        let program = Program::serve(&app.database_url, &["--rate-per-address", "5"]);
        // Not even whoever has no token may ask more often.
        assert!(statuses(&program, "", None, 5).await.iter().all(|status| *status == 401));
        let mut claimed = Vec::new();
        for number in 0..15 {
            let address = format!("203.0.113.{number}");
            claimed.extend(statuses(&program, &bearer(Token::Admin), Some(&address), 1).await);
        }
        assert!(refusals(&claimed) >= 8, "an address that is only claimed is not believed: {claimed:?}");

        let trusting = ["--rate-per-address", "5", "--trusted-proxy", "127.0.0.0/8"];
        let program = Program::serve(&app.database_url, &trusting);
        for number in 0..15 {
            let address = format!("198.51.100.9, 203.0.113.{number}");
            let answers = statuses(&program, &bearer(Token::Admin), Some(&address), 2).await;
            assert_eq!(answers, [200, 200], "clients of a trusted proxy are told apart");
        }
        let one = statuses(&program, &bearer(Token::Admin), Some("198.51.100.9, 203.0.113.77"), 20).await;
        assert!(refusals(&one) >= 10, "{one:?}");
    })
    .await;
}

/// Whoever holds thousands of connections without a word takes little memory, and nobody's turn.
#[tokio::test]
async fn ten_thousand_silent_connections_cost_little() {
    const MANY: usize = 10_000;
    rlimit::increase_nofile_limit(u64::MAX).expect("files");
    alone(async |app| {
        let program = Program::serve(&app.database_url, &["--header-timeout", "60s"]);
        program.ask("{ viewer { role } }").await;
        let before = program.memory();
        let mut held = Vec::with_capacity(MANY);
        for number in 0..MANY {
            held.push(connect(&format!("127.0.1.{}", 1 + number % 8), program.port).await);
        }
        let begun = Instant::now();
        assert_eq!(program.ask("{ viewer { role } }").await["data"]["viewer"]["role"], "ADMIN");
        assert!(begun.elapsed() < Duration::from_secs(2), "others are answered");
        let metrics = client().get(program.url("/metrics")).send().await.expect("an answer").text().await;
        let metrics = metrics.expect("text");
        let open = metrics.lines().find_map(|line| line.strip_prefix("tenant_gateway_connections_open "));
        let open: usize = open.expect("a row").parse().expect("a number");
        assert!(open >= MANY, "{open} are open");
        let grown = program.memory() - before;
        // Nothing is kept for what has not come.
        assert!(grown < 60, "{grown} MB for {MANY} connections");
        drop(held);
    })
    .await;
}

/// A statement that takes too long ends in the database, not only for whoever has asked.
#[tokio::test]
async fn a_statement_that_takes_too_long_ends() {
    let Some(place) = Place::new(Backend::Postgres).await else { return };
    let app = TestApp::start(&place).await;
    let program = Program::serve(&app.database_url, &["--statement-timeout", "500ms"]);
    let tenant = uuid::Uuid::now_v7();
    let document = format!("{{ tenant(id: \"{tenant}\") {{ stats {{ totalAgents }} }} }}");
    assert_eq!(program.ask(&document).await["data"]["tenant"], json!(null));
    let lock = app.database.begin().await.expect("a transaction");
    sea_orm::ConnectionTrait::execute_unprepared(&lock, "LOCK TABLE agents IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("a lock");
    let begun = Instant::now();
    let answer = program.ask(&document).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    assert_eq!(app.number(waiting, []).await, 0, "nothing waits in the database any more");
    lock.rollback().await.expect("an end");
    assert_eq!(program.ask(&document).await["data"]["tenant"], json!(null));
    drop(program);
    drop(app);
    place.remove().await;
}
