//! The programs that are measured: the gateway, and mercurius.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{pgbench, statement::Statement};

/// Signs every token of a run.
pub const SECRET: &str = "the secret of a measurement";

/// A program that listens, until it is dropped.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(mut command: Command, port: u16) -> Self {
        let child = command.stdout(Stdio::null()).spawn().expect("a program that starts");
        let server = Self { child, port };
        let patience = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "nobody listens on {port}");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// The gateway in a process of its own.
    pub fn gateway(database_url: &str, extra: &[&str]) -> Self {
        Self::start_gateway(database_url, extra, None)
    }

    /// The same with so many threads, instead of as many as there are cores.
    pub fn gateway_on(threads: usize, database_url: &str, extra: &[&str]) -> Self {
        Self::start_gateway(database_url, extra, Some(threads))
    }

    fn start_gateway(database_url: &str, extra: &[&str], threads: Option<usize>) -> Self {
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenant-gateway"));
        command
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--database-url", database_url])
            .args(extra)
            .env("JWT_SECRET", SECRET)
            .env("RUST_LOG", "warn")
            .envs(threads.map(|threads| ("TOKIO_WORKER_THREADS", threads.to_string())));
        Self::start(command, port)
    }

    /// The peer, installed from its lock file if it is not yet.
    pub fn mercurius(database_url: &str, statement: &Statement) -> Self {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/mercurius");
        if !home.join("node_modules").exists() {
            let installed =
                Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&home).status();
            assert!(installed.expect("npm").success(), "the peer could not be installed");
        }
        let port = free_port();
        let peer = std::env::temp_dir().join(format!("tenant-gateway-peer-{port}.json"));
        fs::write(&peer, statement.for_peer(database_url, port).to_string()).expect("a file");
        let mut command = Command::new("node");
        command.arg("server.js").current_dir(home).env("PEER", &peer).env("NODE_ENV", "production");
        // Without them the database would plan the peer's statement each time anew.
        command.env("PGOPTIONS", pgbench::planner_options());
        Self::start(command, port)
    }

    /// The most memory it has had, in megabytes.
    pub fn peak_memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches(" kB").trim().parse::<f64>().expect("kilobytes") * 1.024e-3
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// The same as a command that must succeed.
pub fn gateway(arguments: &[&str]) {
    let status =
        Command::new(env!("CARGO_BIN_EXE_tenant-gateway")).args(arguments).stdout(Stdio::null()).status();
    assert!(status.expect("the gateway").success(), "{arguments:?}");
}
