//! Load over HTTP: connections that stay open, each asking again as soon as it is answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// What a load found.
#[derive(Debug)]
pub struct Outcome {
    /// Answers a second.
    pub rate: f64,
    /// How long each answer took, sorted.
    latencies: Vec<Duration>,
}

impl Outcome {
    /// The latency that this share of answers stayed below.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list"
    )]
    pub fn quantile(&self, share: f64) -> Duration {
        self.latencies[((self.latencies.len() - 1) as f64 * share) as usize]
    }
}

/// A POST of this document with these variables.
pub fn post(path: &str, token: &str, query: &str, variables: &serde_json::Value) -> Vec<u8> {
    let body = serde_json::json!({ "query": query, "variables": variables }).to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends `requests`, chosen at random, over so many connections for so long, after a warm-up.
///
/// # Panics
///
/// When an answer is not 200, or has errors.
pub async fn run(port: u16, connections: usize, lasting: Duration, requests: &[Vec<u8>]) -> Outcome {
    let warm_up = (lasting / 4).min(Duration::from_secs(2));
    let start = Instant::now() + warm_up;
    let end = start + lasting;
    let requests: Arc<[Vec<u8>]> = requests.into();
    let mut clients = JoinSet::new();
    for number in 0..connections {
        clients.spawn(client(port, requests.clone(), number as u64, start, end));
    }
    let mut latencies = Vec::new();
    while let Some(client) = clients.join_next().await {
        latencies.extend(client.expect("a client that ran to its end"));
    }
    latencies.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = latencies.len() as f64 / lasting.as_secs_f64();
    Outcome { rate, latencies }
}

async fn client(
    port: u16,
    requests: Arc<[Vec<u8>]>,
    seed: u64,
    start: Instant,
    end: Instant,
) -> Vec<Duration> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket without delay");
    let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut buffer = Vec::with_capacity(64 * 1024);
    let mut latencies = Vec::new();
    loop {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let request = &requests[usize::try_from(dice % requests.len() as u64).expect("a place")];
        let begun = Instant::now();
        if begun >= end {
            return latencies;
        }
        stream.write_all(request).await.expect("a request that is taken");
        answer(&mut stream, &mut buffer).await;
        if begun >= start {
            latencies.push(begun.elapsed());
        }
    }
}

/// Reads one answer whole.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) {
    buffer.clear();
    let mut wanted = None;
    loop {
        let read = stream.read_buf(buffer).await.expect("an answer");
        assert!(read > 0, "the server hung up");
        if wanted.is_none()
            && let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n")
        {
            let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
            assert!(text.starts_with("http/1.1 200"), "{}", String::from_utf8_lossy(buffer));
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.expect("a length").trim().parse().expect("a length");
            wanted = Some(head + 4 + length);
        }
        if wanted.is_some_and(|wanted| buffer.len() >= wanted) {
            let failed = buffer.windows(9).any(|window| window == b"\"errors\":");
            assert!(!failed, "{}", String::from_utf8_lossy(buffer));
            return;
        }
    }
}
