//! The program as operators run it: a process of its own, with options, variables and a log.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::TimeDelta;
use serde_json::{Value, json};
use tenant_gateway::clock::Clock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{Token, client, token};

/// A gateway that serves until it is dropped.
pub struct Program {
    pub child: Child,
    pub port: u16,
    log: Arc<Mutex<Vec<String>>>,
}

impl Program {
    /// Serves a database, without workers.
    pub fn serve(database_url: &str, options: &[&str]) -> Self {
        Self::with(database_url, options, &[])
    }

    /// The same with variables.
    pub fn with(database_url: &str, options: &[&str], variables: &[(&str, &str)]) -> Self {
        let secret = std::str::from_utf8(super::SECRET).expect("text");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tenant-gateway"))
            .args(["serve", "--no-workers", "--listen", "127.0.0.1:0", "--database-url", database_url])
            .args(options)
            .env("JWT_SECRET", secret)
            .env_remove("RUST_LOG")
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().expect("its log")), log.clone());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                kept.lock().expect("the log").push(line);
            }
        });
        let mut program = Self { child, port: 0, log };
        program.port = program.address("listening");
        program
    }

    /// The port in the line of the log that has this word.
    pub fn address(&self, word: &str) -> u16 {
        for _ in 0..200 {
            let found = self.log().iter().find_map(|line| {
                let (_, rest) = line.contains(word).then(|| line.split_once("127.0.0.1:"))??;
                rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
            });
            if let Some(port) = found {
                return port;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("no address after {word:?}: {:#?}", self.log());
    }

    /// The lines of its log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("the log").clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Posts a body as somebody, and returns the answer.
    pub async fn post(&self, who: Token, body: &Value) -> reqwest::Response {
        let request = client().post(self.url("/graphql")).bearer_auth(bearer(who)).json(body);
        request.send().await.expect("an answer")
    }

    /// Posts a document that takes no variables as an admin; returns the body of the answer.
    pub async fn ask(&self, document: &str) -> Value {
        let answer = self.post(Token::Admin, &json!({ "query": document })).await;
        answer.json().await.expect("JSON")
    }

    /// Signals the process, as operators do.
    pub fn signal(&self, name: &str) {
        let told = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(told.expect("kill").success());
    }

    /// Waits for its end, and lets others go on meanwhile.
    pub async fn ended(&mut self) -> ExitStatus {
        loop {
            match self.child.try_wait().expect("a state") {
                Some(status) => return status,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// Its memory in megabytes now, as the system counts it.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1_024
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A token that the program's own clock accepts for an hour.
pub fn bearer(who: Token) -> String {
    token(who, Clock::system().now() + TimeDelta::hours(1)).unwrap_or_default()
}

/// A connection from an address of this machine, such as `127.0.0.2`.
pub async fn connect(from: &str, port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{from}:0").parse().expect("an address")).expect("an address of this machine");
    socket.connect(([127, 0, 0, 1], port).into()).await.expect("a connection")
}

/// Sends bytes as they are, and returns what comes back until the other side hangs up, or for four seconds.
pub async fn raw(mut stream: TcpStream, sent: &str) -> String {
    // The other side may have hung up already.
    let _ = stream.write_all(sent.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(4), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}
