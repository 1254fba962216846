//! What others notice of an attack, and how much memory it takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{interval, timeout},
};

use super::{
    gateway::{Server, token},
    load,
    measure::{Table, median, ms},
    paced,
};

const LASTING: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;
/// Connections that attack at the same time.
const ATTACKERS: usize = 8;
/// Between two requests of one of them: eighty a second in all, as many as a fifth of the others'.
const PACE: Duration = Duration::from_millis(100);
/// Connections that say nothing.
const SILENT: usize = 10_000;
/// Bodies that come a byte at a time.
const SLOW: usize = 500;

/// Attacks that are one request, sent again and again; most are as large as a body may be.
fn requests(token: &str) -> Vec<(&'static str, Vec<u8>)> {
    let post = |query: &str| load::post("/graphql", token, query, &json!({}));
    let many = |text: &str, times: usize| text.repeat(times);
    let (mut aliases, mut fragments) = (String::new(), String::new());
    for number in 0..10_000 {
        aliases.extend([format!("a{number}: viewer {{ role }} ")]);
    }
    for number in 0..1_000 {
        let next = number + 1;
        fragments.extend([format!("fragment f{number} on Query {{ ...f{next} ...f{next} }} ")]);
    }
    let circle = "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }".to_owned();
    let nested = many("[", 125_000) + &many("]", 125_000);
    let nested = format!("{{\"query\": \"{{ viewer {{ role }} }}\", \"variables\": {{\"x\": {nested}}}}}");
    let nested = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{nested}",
        nested.len()
    );
    let list = json!({ "x": vec![1; 120_000] });
    let large = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: 20000000\r\n\r\n{}",
        "x".repeat(20_000_000)
    );
    let forged =
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJ4IiwiZXhwIjo0MTAyNDQ0ODAwLCJyb2xlIjoiYWRtaW4ifQ.";
    vec![
        ("aliases, 10,000", post(&format!("{{ {aliases} }}"))),
        (
            "directives, 15,000",
            post(&format!("{{ viewer {} {{ role }} }}", many("@skip(if: false) ", 15_000))),
        ),
        ("fragments that double, 1,000", post(&format!("{{ ...f0 }} {fragments}"))),
        ("fragments in a circle", post(&circle)),
        ("depth, 20,000", post(&format!("{{ {} role {} }}", many("viewer { ", 20_000), many("} ", 20_000)))),
        ("words, 125,000", post(&format!("{{ {} }}", many("a ", 125_000)))),
        ("variables, nested", nested.into_bytes()),
        ("variables, 120,000", load::post("/graphql", token, "{ viewer { role } }", &list)),
        ("bodies of 20 MB", large.into_bytes()),
        ("forged tokens", load::post("/graphql", forged, "{ viewer { role } }", &json!({}))),
    ]
}

pub async fn measure(url: &str, table: &mut Table) {
    let token = token();
    let ask = load::post(
        "/graphql",
        &token,
        "{ tenants(first: 5) { nodes { name stats { totalCallsMonth } } } }",
        &json!({}),
    );
    for (name, attack) in requests(&token) {
        let gateway = Server::gateway(url, &[]);
        let mut ratios = Vec::new();
        let (mut before, mut during) = (Vec::new(), Vec::new());
        let sent = Arc::new(AtomicU64::new(0));
        for _ in 0..ROUNDS {
            let calm = paced::p99(gateway.port, &ask, LASTING).await;
            let mut attackers = JoinSet::new();
            for _ in 0..ATTACKERS {
                attackers.spawn(again_and_again(gateway.port, attack.clone(), sent.clone()));
            }
            let attacked = paced::p99(gateway.port, &ask, LASTING).await;
            attackers.shutdown().await;
            before.push(ms(calm));
            during.push(ms(attacked));
            ratios.push(ms(attacked) / ms(calm));
        }
        report(table, name, (&mut during, &mut before, &mut ratios), &gateway, sent.load(Ordering::Relaxed));
    }
    silent(url, &ask, table).await;
    slow(url, &ask, &token, table).await;
}

fn report(
    table: &mut Table,
    name: &str,
    (during, before, ratios): (&mut [f64], &mut [f64], &mut [f64]),
    gateway: &Server,
    sent: u64,
) {
    let detail = format!(
        "{:.1} ÷ {:.1} ms, {sent} times, memory at most {:.0} MB",
        median(during),
        median(before),
        gateway.peak()
    );
    table.at_most(&format!("others' 99th percentile under attack: {name}"), &detail, median(ratios), 2.0);
    assert!(gateway.peak() < 512.0, "memory is not bounded");
}

/// One connection after another, if the gateway hangs up.
async fn again_and_again(port: u16, attack: Vec<u8>, sent: Arc<AtomicU64>) {
    let mut pace = interval(PACE);
    loop {
        pace.tick().await;
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
        // Refused before all of it was sent, as often as not.
        let _ = timeout(Duration::from_secs(5), stream.write_all(&attack)).await;
        let mut answer = [0; 4_096];
        let _ = timeout(Duration::from_secs(5), stream.read(&mut answer)).await;
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// Connections that say nothing, from eight addresses of this machine.
async fn silent(url: &str, ask: &[u8], table: &mut Table) {
    let gateway = Server::gateway(url, &["--header-timeout", "10m"]);
    let (mut before, mut during, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let calm = paced::p99(gateway.port, ask, LASTING).await;
        let mut held = Vec::with_capacity(SILENT);
        for number in 0..SILENT {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket
                .bind(([127, 0, 1, u8::try_from(1 + number % 8).expect("small")], 0).into())
                .expect("an address");
            held.push(socket.connect(([127, 0, 0, 1], gateway.port).into()).await.expect("a connection"));
        }
        let attacked = paced::p99(gateway.port, ask, LASTING).await;
        before.push(ms(calm));
        during.push(ms(attacked));
        ratios.push(ms(attacked) / ms(calm));
        drop(held);
    }
    let times = (SILENT * ROUNDS) as u64;
    report(table, "10,000 silent connections", (&mut during, &mut before, &mut ratios), &gateway, times);
}

/// Bodies that come a byte a second.
async fn slow(url: &str, ask: &[u8], token: &str, table: &mut Table) {
    let gateway = Server::gateway(url, &[]);
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: 1000\r\n\r\n"
    );
    let (mut before, mut during, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let calm = paced::p99(gateway.port, ask, LASTING).await;
        let mut attackers = JoinSet::new();
        for _ in 0..SLOW {
            let (port, head) = (gateway.port, head.clone());
            attackers.spawn(async move {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
                stream.write_all(head.as_bytes()).await.expect("a head that is taken");
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
        }
        let attacked = paced::p99(gateway.port, ask, LASTING).await;
        attackers.shutdown().await;
        before.push(ms(calm));
        during.push(ms(attacked));
        ratios.push(ms(attacked) / ms(calm));
    }
    let times = (SLOW * ROUNDS) as u64;
    report(table, "500 bodies of a byte a second", (&mut during, &mut before, &mut ratios), &gateway, times);
}
