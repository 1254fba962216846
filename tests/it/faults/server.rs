//! A PostgreSQL server of one test, to be restarted.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// Gone when it is dropped.
pub struct Server {
    directory: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Server {
    /// None where PostgreSQL's programs are not installed here.
    pub fn start() -> Option<Self> {
        let mut versions: Vec<_> =
            std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok).collect();
        versions.sort_by_key(std::fs::DirEntry::file_name);
        let programs = versions.pop()?.path().join("bin");
        let directory = tempfile::tempdir().expect("a directory");
        // Free a moment ago.
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port").port();
        if is_root() {
            let given = Command::new("chown").arg("postgres").arg(directory.path()).status();
            assert!(given.expect("chown").success());
        }
        let server = Self { directory, programs, port };
        server.run("initdb", &["-D", "data", "-U", "postgres", "--auth=trust", "--no-sync"]);
        server.control("start");
        Some(server)
    }

    /// Its address, with the database that every server has.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// As after a crash: what was not on disk is lost, and every connection breaks.
    pub fn crash_and_restart(&self) {
        self.control("stop");
        self.control("start");
    }

    fn control(&self, what: &str) {
        let options = format!("-p {} -h 127.0.0.1 -k {}", self.port, self.directory.path().display());
        self.run("pg_ctl", &["-D", "data", "-w", "-l", "log", "-m", "immediate", "-o", &options, what]);
    }

    /// The server refuses to run as root.
    fn run(&self, program: &str, arguments: &[&str]) {
        let path = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        // Not to pipes: the server would hold them open.
        let status = command
            .args(arguments)
            .current_dir(self.directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.expect(program).success(), "{program} {arguments:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control("stop");
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id");
    output.stdout.starts_with(b"0\n")
}
