//! Thousands of open subscriptions: what they cost, and how soon a write is told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use tenant_gateway::database::Database;
use tokio::{task::JoinSet, time::interval};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use uuid::Uuid;

use super::{
    TENANTS,
    gateway::{Server, token},
    measure::{Table, ms},
};

const SUBSCRIPTIONS: usize = 2_000;
/// Tenants that are written to while they are followed.
const WRITES: usize = 300;
const PACE: Duration = Duration::from_millis(100);
const QUERY: &str =
    "subscription ($id: ID!) { tenantStats(tenantId: $id) { totalCallsMonth monthlyUsageCents } }";

/// When each tenant was written to, and what its followers were told since.
#[derive(Default)]
struct Heard {
    begun: usize,
    written: HashMap<Uuid, Instant>,
    delays: Vec<Duration>,
}

pub async fn measure(url: &str, table: &mut Table) {
    let database = Database::open(url).await.expect("the database");
    let rows = database.connection.query_all_raw(Statement::from_string(
        database.backend(),
        "SELECT DISTINCT ON (t.id) t.id, a.id AS agent FROM tenants t JOIN agents a ON a.tenant_id = t.id ORDER BY t.id",
    ));
    let tenants: Vec<(Uuid, Uuid)> = rows
        .await
        .expect("tenants")
        .iter()
        .map(|row| (row.try_get_by("id").expect("an id"), row.try_get_by("agent").expect("an id")))
        .collect();
    assert!(tenants.len() > TENANTS / 2, "{} tenants", tenants.len());
    let gateway = Server::gateway(url, &[]);
    let before = gateway.memory();
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut followers = JoinSet::new();
    let token = token();
    for number in 0..SUBSCRIPTIONS {
        let (tenant, _) = tenants[number % tenants.len()];
        followers.spawn(follow(gateway.port, token.clone(), tenant, heard.clone()));
        if number % 100 == 99 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    while heard.lock().expect("what was heard").begun < SUBSCRIPTIONS {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (statements, begun) = (statements(gateway.port).await, Instant::now());
    let mut pace = interval(PACE);
    for (tenant, agent) in tenants.iter().cycle().take(WRITES) {
        pace.tick().await;
        let call = Statement::from_sql_and_values(
            database.backend(),
            "INSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at, ended_at, duration_seconds, cost_cents) \
             VALUES ($1, gen_random_uuid(), $2, 'inbound', 'completed', now(), now(), 60, 7)",
            [(*tenant).into(), (*agent).into()],
        );
        // From before it is committed: what comes in between counts against the gateway.
        heard.lock().expect("what was heard").written.insert(*tenant, Instant::now());
        database.connection.execute_raw(call).await.expect("a call");
    }
    let expected = WRITES * (SUBSCRIPTIONS / tenants.len());
    let patience = Instant::now() + Duration::from_secs(10);
    while heard.lock().expect("what was heard").delays.len() < expected && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let a_second = (self::statements(gateway.port).await - statements) / begun.elapsed().as_secs_f64();
    let mut delays = std::mem::take(&mut heard.lock().expect("what was heard").delays);
    assert!(delays.len() >= expected, "{} of {expected} were told", delays.len());
    delays.sort_unstable();
    let (median, p99) = (delays[delays.len() / 2], delays[(delays.len() - 1) * 99 / 100]);
    let detail = format!("{} deliveries, median {:.0} ms", delays.len(), ms(median));
    table.at_most(
        "2,000 subscriptions: a write to its delivery, 99th percentile, s",
        &detail,
        p99.as_secs_f64(),
        1.5,
    );
    let detail = format!("{} tenants followed", tenants.len());
    table.at_most("the same: statements a second", &detail, a_second, 20.0);
    let grown = gateway.peak() - before;
    table.at_most("the same: memory, MB", &format!("{before:.0} before"), grown, 150.0);
}

async fn follow(port: u16, token: String, tenant: Uuid, heard: Arc<Mutex<Heard>>) {
    let address = format!("ws://127.0.0.1:{port}/graphql/ws");
    let mut request = address.into_client_request().expect("an address");
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a header"));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("a socket");
    let payload = json!({ "query": QUERY, "variables": { "id": tenant } });
    for message in [
        json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {token}") } }),
        json!({ "type": "subscribe", "id": "1", "payload": payload }),
    ] {
        socket.send(Message::text(message.to_string())).await.expect("an open socket");
    }
    let mut has_begun = false;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text).expect("JSON");
        match message["type"].as_str() {
            Some("ping") => {
                let pong = json!({ "type": "pong" }).to_string();
                socket.send(Message::text(pong)).await.expect("a pong");
            }

            Some("next") => {
                let mut heard = heard.lock().expect("what was heard");
                if !has_begun {
                    has_begun = true;
                    heard.begun += 1;
                } else if let Some(written) = heard.written.get(&tenant).copied() {
                    heard.delays.push(written.elapsed());
                }
            }
            Some("connection_ack") => {}
            _ => panic!("{text}"),
        }
    }
}

/// Statements that the gateway has sent so far.
async fn statements(port: u16) -> f64 {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let metrics = client.get(format!("http://127.0.0.1:{port}/metrics")).send().await.expect("an answer");
    let metrics = metrics.text().await.expect("text");
    let line = metrics.lines().find_map(|line| line.strip_prefix("tenant_gateway_statement_seconds_count "));
    line.expect("a row").parse().expect("a number")
}
