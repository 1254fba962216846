//! The gateway in a process of its own, asked over HTTP; its log says when each batch was committed.

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;
use tenant_gateway::auth::{Claims, RoleClaim, mint};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{fill, load};

const SECRET: &str = "the secret of a measurement";
const DELETE: &str = "mutation ($id: ID!, $name: String!) { deleteTenant(input: {tenantId: $id, confirmName: $name, \
     force: true}) { deletion { status } userErrors { code message } } }";
/// What the log says at the end.
const ENDED: &[u8] = b"a deletion has ended";
/// A deletion that takes longer has failed.
const PATIENCE: Duration = Duration::from_mins(15);

/// A gateway that serves and erases, until it is dropped.
pub struct Gateway {
    child: Child,
    /// Where it listens.
    pub port: u16,
    home: TempDir,
}

/// One batch, as the log tells.
#[derive(Clone, Debug)]
pub struct Batch {
    /// When it was committed.
    pub at: DateTime<Utc>,
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// How long its transaction took.
    pub time: Duration,
}

/// One deletion, from the call to `DELETED`.
#[derive(Clone, Debug)]
pub struct Erased {
    /// How long it took.
    pub time: Duration,
    /// Its batches, in the order in which they were committed.
    pub batches: Vec<Batch>,
    /// How long the closing transaction took.
    pub closing: Duration,
}

impl Erased {
    /// Rows erased in batches.
    pub fn rows(&self) -> u64 {
        self.batches.iter().map(|batch| batch.rows).sum()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    /// Serves this database, whose schema is there, beside a directory for objects that is empty.
    pub fn start(database_url: &str) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.expect("a port").port();
        let log = fs::File::create(log_in(home.path())).expect("a log");
        let objects = format!("file://{}", home.path().join("objects").display());
        let child = Command::new(env!("CARGO_BIN_EXE_tenant-gateway"))
            .args(["serve", "--no-migrate", "--listen", &format!("127.0.0.1:{port}")])
            .args(["--database-url", database_url, "--storage-url", &objects])
            .env("JWT_SECRET", SECRET)
            .env("RUST_LOG", "warn,tenant_gateway::deletion=debug")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("a gateway that starts");
        let gateway = Self { child, port, home };
        let patience = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "nobody listens on {port}: {}", gateway.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        gateway
    }

    /// Erases a tenant, and waits until it is gone.
    pub async fn erase(&self, number: u64) -> Erased {
        let before = self.log().len();
        let begun = Instant::now();
        let answer = self.ask(DELETE, &json!({ "id": fill::id(number), "name": fill::name(number) })).await;
        assert_eq!(answer["data"]["deleteTenant"]["userErrors"], json!([]), "{answer}");
        if answer["data"]["deleteTenant"]["deletion"]["status"] == "DELETED" {
            return read(&self.log()[before..], begun.elapsed());
        }
        // Only what is new in it: whoever reads all of it again and again is somebody else at work.
        let mut file = fs::File::open(log_in(self.home.path())).expect("a log");
        file.seek(SeekFrom::Start(before as u64)).expect("its end");
        let mut log = Vec::new();
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let time = begun.elapsed();
            let seen = log.len().saturating_sub(ENDED.len());
            file.read_to_end(&mut log).expect("its end");
            if log[seen..].windows(ENDED.len()).any(|window| window == ENDED) {
                return read(&String::from_utf8_lossy(&log), time);
            }
            assert!(time < PATIENCE, "{}", String::from_utf8_lossy(&log));
        }
    }

    async fn ask(&self, query: &str, variables: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("a connection");
        stream.write_all(&load::post("/graphql", &token(), query, variables)).await.expect("a request");
        let mut buffer = Vec::new();
        load::answer(&mut stream, &mut buffer).await;
        let body = buffer.windows(4).position(|window| window == b"\r\n\r\n").expect("a body") + 4;
        serde_json::from_slice(&buffer[body..]).expect("JSON")
    }

    fn log(&self) -> String {
        fs::read_to_string(log_in(self.home.path())).expect("a log")
    }

    /// The most memory it has had, in megabytes.
    pub fn peak_memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches(" kB").trim().parse::<f64>().expect("kilobytes") * 1.024e-3
    }
}

/// An admin's token.
pub fn token() -> String {
    #[expect(clippy::disallowed_methods, reason = "a token must be valid in real time")]
    let exp = (Utc::now() + TimeDelta::days(1)).timestamp();
    let (role, tenant_id, iss, aud) = (RoleClaim::Admin, None, None, None);
    let claims = Claims { sub: "bench".to_owned(), exp, role, tenant_id, iss, aud };
    mint(SECRET.as_bytes(), &claims).expect("a token")
}

/// Runs a command of the gateway that must succeed.
pub fn command(arguments: &[&str]) {
    let status = Command::new(env!("CARGO_BIN_EXE_tenant-gateway"))
        .args(arguments)
        .env("RUST_LOG", "warn")
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("the gateway").success(), "{arguments:?}");
}

fn log_in(home: &Path) -> PathBuf {
    home.join("log")
}

/// What the log tells of the one deletion in it.
fn read(log: &str, time: Duration) -> Erased {
    let mut erased = Erased { time, batches: Vec::new(), closing: Duration::ZERO };
    for line in log.lines() {
        let micros = || Duration::from_micros(field(line, "micros").parse().expect("microseconds"));
        if line.contains("a batch was committed") {
            erased.batches.push(Batch {
                at: line.split_whitespace().next().and_then(|at| at.parse().ok()).expect("an instant"),
                table: field(line, "table").to_owned(),
                rows: field(line, "rows").parse().expect("rows"),
                time: micros(),
            });
        } else if line.contains("the closing transaction was committed") {
            erased.closing = micros();
        } else if !line.contains(" INFO ") {
            eprintln!("{line}");
        }
    }
    assert!(erased.closing > Duration::ZERO, "it was not closed: {log}");
    erased
}

/// The value that a line of the log has under this name.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let value = line.split(&format!(" {name}=")).nth(1).unwrap_or_else(|| panic!("{name}: {line}"));
    value.split_whitespace().next().unwrap_or_default()
}
