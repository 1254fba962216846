//! A gateway in this process, asked over real HTTP: what is found is what a stranger could send.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::LazyLock,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tenant_gateway::{
    app::{App, Edge, Ending, Erasing, Exposure, Rates},
    auth::{Authenticator, Claims, Keys, RoleClaim, mint},
    clock::Clock,
    database::Database,
    metrics::Metrics,
    storage::Storage,
};
use tokio::{net::TcpListener, runtime::Runtime};

const SECRET: &[u8] = b"the secret of a fuzzed gateway";

struct Gateway {
    port: u16,
    token: String,
    /// Serves as long as it lives.
    _runtime: Runtime,
}

static GATEWAY: LazyLock<Gateway> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let now: DateTime<Utc> = "2026-03-18T12:00:00Z".parse().expect("an instant");
    let clock = Clock::fixed(now);
    let claims = Claims {
        sub: "fuzz".to_owned(),
        exp: (now + TimeDelta::hours(1)).timestamp(),
        role: RoleClaim::Admin,
        tenant_id: None,
        iss: None,
        aud: None,
    };
    let token = mint(SECRET, &claims).expect("a token");
    let port = runtime.block_on(async {
        let directory = tempfile::tempdir().expect("a directory").keep();
        let url = format!("sqlite://{}/fuzz.db?mode=rwc", directory.display());
        let database = Database::open(&url).await.expect("a database");
        database.migrate_up().await.expect("migrations");
        let keys = Keys::Secrets(vec![SECRET.to_vec()]);
        let storage = Storage::open_directory(&directory).expect("storage");
        let app = App {
            served: database.clone(),
            database,
            authenticator: Authenticator::new(keys, None, None, clock.clone()).await.expect("a secret"),
            clock,
            session_timeout: TimeDelta::hours(2),
            metrics: Metrics::default(),
            erasing: Erasing::with(storage),
            exposure: Exposure::default(),
            edge: Edge { rates: Rates { per_address: 0, per_viewer: 0 }, ..Edge::default() },
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(app.serve(listener, None, Ending::default()));
        port
    });
    Gateway { port, token, _runtime: runtime }
});

/// Posts a body with a token, or with the gateway's own, and returns the answer's head and body.
///
/// # Panics
///
/// When there is no answer, or one of a server that has failed.
pub fn post(token: Option<&[u8]>, body: &[u8]) -> String {
    let gateway = &*GATEWAY;
    let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).expect("a gateway that still listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let mut request = b"POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ".to_vec();
    request.extend_from_slice(token.unwrap_or(gateway.token.as_bytes()));
    let rest = format!("\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    request.extend_from_slice(rest.as_bytes());
    request.extend_from_slice(body);
    // Refused before all of it was sent, perhaps.
    let _ = stream.write_all(&request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 "), "no answer: {answer:?}");
    assert!(!answer.starts_with("HTTP/1.1 5"), "{answer}");
    assert!(!answer.contains("\"INTERNAL\""), "{answer}");
    answer
}
