//! The real program, `serve`, that dies or stands still where it is told to.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use sea_orm::DbBackend;
use serde_json::{Value, json};

use crate::{
    cli,
    support::{SECRET, TestApp, Token, at, client, token},
};

/// Nothing that is waited for takes longer, even on a machine that does much else.
pub const DEADLINE: Duration = Duration::from_mins(2);

/// A `serve` on the database and the objects of a test; killed when it is dropped.
pub struct Gateway {
    child: Child,
    url: String,
    log: Arc<Mutex<String>>,
}

impl Gateway {
    /// Starts it, with a fault such as `batch.erased=kill@3`.
    pub fn start(app: &TestApp, fault: Option<&str>) -> Self {
        Self::start_with(app, fault, &[])
    }

    /// The same, with further options.
    pub fn start_with(app: &TestApp, fault: Option<&str>, options: &[&str]) -> Self {
        let objects = format!("file://{}", app.objects.path().display());
        let mut command = cli::gateway(&["serve", "--no-migrate", "--listen", "127.0.0.1:0"]);
        if !options.contains(&"--deletion-batch-time") {
            command.args(["--deletion-batch-time", "1ms"]);
        }
        if !options.contains(&"--storage-url") {
            command.args(["--storage-url", &objects]);
        }
        command
            .args(["--database-url", &app.database_url])
            .args(options)
            .env("JWT_SECRET", std::str::from_utf8(SECRET).expect("text"))
            .env("RUST_LOG", "info,sqlx=warn")
            .stderr(Stdio::piped())
            .stdout(Stdio::null());
        if let Some(fault) = fault {
            command.env("TENANT_GATEWAY_FAULT", fault);
        }
        let mut child = command.spawn().expect("the program");
        let lines = BufReader::new(child.stderr.take().expect("its log")).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let (address, told) = mpsc::channel();
        let kept = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, found)) = line.split_once("listening address=") {
                    let _ = address.send(found.to_owned());
                }
                *kept.lock().expect("the log") += &(line + "\n");
            }
        });
        let address = told.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("{}", log.lock().expect("it")));
        Self { child, url: format!("http://{address}/graphql"), log }
    }

    /// What it has written to standard error.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Waits until it has written something to standard error.
    pub async fn says(&self, what: &str) {
        let end = Instant::now() + DEADLINE;
        while !self.log().contains(what) {
            assert!(Instant::now() < end, "it does not say {what:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until its fault has killed it. One that lives on has not come to its point.
    pub async fn dies(&mut self, fault: &str) {
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("a state") {
                assert_eq!(status.signal(), Some(9), "{fault}: {status}\n{}", self.log());
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{fault} was not reached\n{}", self.log());
    }

    /// Waits until its fault has stopped it.
    pub async fn stands_still(&self) {
        let stat = format!("/proc/{}/stat", self.child.id());
        let end = Instant::now() + DEADLINE;
        while Instant::now() < end {
            let text = std::fs::read_to_string(&stat).expect("a process");
            if text.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it goes on\n{}", self.log());
    }

    /// Sends it a signal, such as `-KILL`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// Posts a document to it as an admin; none where it dies before it answers.
    pub async fn post(&self, document: &str, variables: Value) -> Option<Value> {
        let request = client()
            .post(&self.url)
            .timeout(DEADLINE)
            .bearer_auth(token(Token::Admin, at("2100-01-01T00:00:00Z")).expect("a token"))
            .json(&json!({ "query": document, "variables": variables }));
        request.send().await.ok()?.json().await.ok()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As if so much time had passed that every lease has run out.
pub async fn leases_run_out(app: &TestApp) {
    let past = match app.backend() {
        DbBackend::Sqlite => "'1970-01-01T00:00:00.000000Z'",
        _ => "'epoch'",
    };
    app.sql(&format!("UPDATE gateway_leases SET expires_at = {past}"), []).await;
}
