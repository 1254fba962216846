//! Clients that ask at a steady pace, whatever others do.

use std::time::{Duration, Instant};

use tokio::{net::TcpStream, task::JoinSet, time::interval};

use super::load;

/// Connections that ask.
const CLIENTS: u64 = 4;
/// Between two requests of one of them.
const PACE: Duration = Duration::from_millis(10);

/// The 99th percentile of the time until an answer, of requests that are sent at a steady pace for so long.
pub async fn p99(port: u16, request: &[u8], lasting: Duration) -> Duration {
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let request = request.to_vec();
        clients.spawn(async move {
            use tokio::io::AsyncWriteExt;
            tokio::time::sleep(PACE / 4 * u32::try_from(number).expect("a few")).await;
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
            stream.set_nodelay(true).expect("a socket without delay");
            let (mut buffer, mut latencies) = (Vec::new(), Vec::new());
            let (mut pace, begun) = (interval(PACE), Instant::now());
            while begun.elapsed() < lasting {
                // From when it was to be sent: who waits for the one before waits too.
                let due = pace.tick().await.into_std();
                stream.write_all(&request).await.expect("a request that is taken");
                load::answer(&mut stream, &mut buffer).await;
                latencies.push(due.elapsed());
            }
            latencies
        });
    }
    let mut all = Vec::new();
    while let Some(latencies) = clients.join_next().await {
        all.extend(latencies.expect("a client that ran to its end"));
    }
    all.sort_unstable();
    all[(all.len() - 1) * 99 / 100]
}
