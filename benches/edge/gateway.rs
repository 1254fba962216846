//! The gateway in a process of its own.

use std::{
    fs::{self, File},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use tempfile::TempDir;
use tenant_gateway::auth::{Claims, RoleClaim, mint};

const SECRET: &str = "the secret of a measurement";

/// A program that listens, until it is dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub port: u16,
    _home: Option<TempDir>,
}

impl Server {
    /// The gateway as it is by default: it tells of every operation in its log, which is a file.
    pub fn gateway(database_url: &str, options: &[&str]) -> Self {
        let (port, home) = (free_port(), tempfile::tempdir().expect("a directory"));
        let log = File::create(home.path().join("log")).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenant-gateway"));
        command
            .args(["serve", "--no-migrate", "--no-workers", "--database-url", database_url])
            .args(["--listen", &format!("127.0.0.1:{port}"), "--storage-url"])
            .arg(format!("file://{}", home.path().display()))
            .args(options)
            .env("JWT_SECRET", SECRET)
            .env_remove("RUST_LOG")
            .stderr(log);
        Self::start(command, port, Some(home))
    }

    /// Any program that listens on the port which is its last argument.
    pub fn other(mut command: Command) -> Self {
        let port = free_port();
        command.arg(port.to_string());
        Self::start(command, port, None)
    }

    fn start(mut command: Command, port: u16, home: Option<TempDir>) -> Self {
        let child = command.stdout(Stdio::null()).spawn().expect("a program that starts");
        let patience = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "nobody listens on {port}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port, _home: home }
    }

    /// Its memory now, in megabytes.
    pub fn memory(&self) -> f64 {
        self.of_status("VmRSS:")
    }

    /// The most that it has had.
    pub fn peak(&self) -> f64 {
        self.of_status("VmHWM:")
    }

    fn of_status(&self, row: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix(row)).expect("a row");
        line.trim().trim_end_matches(" kB").trim().parse::<f64>().expect("kilobytes") * 1.024e-3
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// A command that must succeed.
pub fn run(arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenant-gateway"));
    let status = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.expect("the gateway").success(), "{arguments:?}");
}

/// An admin's token.
#[expect(clippy::disallowed_methods, reason = "a token must be valid in real time")]
pub fn token() -> String {
    let exp = (Utc::now() + TimeDelta::days(1)).timestamp();
    let role = RoleClaim::Admin;
    let claims = Claims { sub: "bench".to_owned(), exp, role, tenant_id: None, iss: None, aud: None };
    mint(SECRET.as_bytes(), &claims).expect("a token")
}
