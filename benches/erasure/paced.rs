//! Load at a fixed rate, whatever is measured meanwhile: requests over HTTP, and inserts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::sqlx::{self, Connection, PgConnection};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinHandle};
use uuid::Uuid;

use super::{
    fill::{self, NEIGHBOURS},
    gateway, load,
};

const STATS: &str = "query ($id: ID!) { tenant(id: $id) { id name stats { totalAgents totalCallsToday totalCallsMonth \
     avgCallDuration avgSentimentScore activeSessions activeCalls monthlyUsageCents lastCallAt } } }";
/// Every tenant's first agent has the id of zeros.
const INSERT: &str = "INSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at, ended_at, \
     duration_seconds, sentiment_score, cost_cents) VALUES ($1, gen_random_uuid(), \
     '00000000-0000-0000-0000-000000000000', 'inbound', 'completed', now(), now(), 60, 0.5, 7)";

/// Readers of statistics: so many connections, with so many requests a second in all.
const READERS: (usize, f64) = (8, 200.0);
/// Writers of calls, likewise.
const WRITERS: (usize, f64) = (4, 100.0);

/// One connection that does something again and again for the neighbours in turn.
enum Client {
    Reader { stream: TcpStream, token: String, buffer: Vec<u8> },
    Writer(PgConnection),
}

/// Clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Duration>>>,
}

impl Load {
    /// Readers of the statistics of neighbours, through a gateway.
    pub async fn readers(port: u16) -> Self {
        let mut clients = Vec::new();
        for _ in 0..READERS.0 {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
            stream.set_nodelay(true).expect("a socket without delay");
            clients.push(Client::Reader { stream, token: gateway::token(), buffer: Vec::new() });
        }
        Self::start(clients, READERS.1)
    }

    /// Writers of calls of neighbours, straight into PostgreSQL.
    pub async fn writers(url: &str) -> Self {
        let mut clients = Vec::new();
        for _ in 0..WRITERS.0 {
            clients.push(Client::Writer(PgConnection::connect(url).await.expect("a connection")));
        }
        Self::start(clients, WRITERS.1)
    }

    fn start(clients: Vec<Client>, rate: f64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        let pause = Duration::from_secs_f64(clients.len() as f64 / rate);
        let number = u32::try_from(clients.len()).expect("a few");
        let offsets = (0..number).map(|place| pause * place / number);
        let clients = clients.into_iter().zip(offsets);
        let clients =
            clients.map(|(client, offset)| tokio::spawn(work(client, offset, pause, stop.clone()))).collect();
        Self { stop, clients }
    }

    /// Ends it. Returns how long each answer took, sorted.
    pub async fn end(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let mut latencies = Vec::new();
        for client in self.clients {
            latencies.extend(client.await.expect("a client that ran to its end"));
        }
        latencies.sort_unstable();
        latencies
    }
}

/// One request every `pause`. One that is late because the one before took long counts from when it was due.
async fn work(mut client: Client, offset: Duration, pause: Duration, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let mut due = Instant::now() + offset;
    for turn in 0.. {
        let begun = if Instant::now() > due {
            due
        } else {
            tokio::time::sleep_until(due.into()).await;
            Instant::now()
        };
        if stop.load(Ordering::Relaxed) {
            break;
        }
        client.once(fill::id((turn * 7 + u64::from(offset.subsec_micros())) % NEIGHBOURS)).await;
        latencies.push(begun.elapsed());
        due += pause;
    }
    latencies
}

impl Client {
    async fn once(&mut self, tenant: Uuid) {
        match self {
            Self::Reader { stream, token, buffer } => {
                let request = load::post("/graphql", token, STATS, &json!({ "id": tenant }));
                stream.write_all(&request).await.expect("a request that is taken");
                load::answer(stream, buffer).await;
            }
            Self::Writer(connection) => {
                let done = sqlx::query(INSERT).bind(tenant).execute(connection).await.expect("an insert");
                assert_eq!(done.rows_affected(), 1);
            }
        }
    }
}

/// What this share of latencies stayed below, in milliseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place in a list"
)]
pub fn quantile(sorted: &[Duration], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0
}
