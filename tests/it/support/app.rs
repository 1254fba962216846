//! A running gateway and a client that talks to it over HTTP.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, StatusCode};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value as Bound};
use serde_json::{Value, json};
use tempfile::TempDir;
use tenant_gateway::{
    app::{App, Edge, Ending, Erasing, Exposure},
    auth::{Authenticator, Claims, Keys, RoleClaim, mint},
    clock::Clock,
    database::Database,
    deletion::Worker,
    metrics::Metrics,
    storage::Storage,
    usage::{Folded, Keeper},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{databases::Place, noon};

/// The secret that every test's gateway trusts.
pub const SECRET: &[u8] = b"the secret of every test's gateway";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Admin,
    Support,
    Tenant(Uuid),
    None,
}

/// A gateway that listens on a port of its own until it is dropped.
pub struct TestApp {
    pub database: Database,
    pub database_url: String,
    pub clock: Clock,
    pub url: String,
    pub client: Client,
    pub shutdown: CancellationToken,
    pub storage: Storage,
    pub objects: TempDir,
    worker: Mutex<Option<Worker>>,
    statements: Arc<AtomicUsize>,
    log: Arc<Mutex<Vec<Statement>>>,
}

/// What came back over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl TestApp {
    /// Serves a fresh, migrated database, with the clock standing at [`noon`].
    pub async fn start(place: &Place) -> Self {
        let url = place.url();
        let database = Database::open(&url).await.expect("the test's database");
        database.migrate_up().await.expect("migrations");
        Self::serve(database, url).await
    }

    /// Serves the same database to a gateway that is known there as another user.
    pub async fn as_user(&self, user: &str) -> Self {
        let url = self.database_url.replacen("postgres@", &format!("{user}@"), 1);
        let database = Database::open(&url).await.expect("the other user's connection");
        Self::serve(database, url).await
    }

    async fn serve(mut database: Database, url: String) -> Self {
        let (statements, heard) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counter, log) = (statements.clone(), heard.clone());
        let metrics = Metrics::default();
        let told = metrics.statements.clone();
        database.observe(move |info| {
            told.ended(info.elapsed, info.failed);
            counter.fetch_add(1, Ordering::SeqCst);
            log.lock().expect("the log").push(info.statement.clone());
        });
        let clock = Clock::fixed(noon());
        let keys = Keys::Secrets(vec![SECRET.to_vec()]);
        let authenticator = Authenticator::new(keys, None, None, clock.clone()).await.expect("a secret");
        let objects = tempfile::tempdir().expect("a directory");
        let storage = Storage::open_directory(objects.path()).expect("storage");
        let app = App {
            database: database.clone(),
            served: database.clone(),
            authenticator,
            clock: clock.clone(),
            session_timeout: TimeDelta::hours(2),
            metrics,
            erasing: Erasing::with(storage.clone()),
            exposure: Exposure::default(),
            edge: Edge::default(),
        };
        let worker = Mutex::new(Some(app.eraser()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let ending = Ending { stopping: shutdown.clone(), shutdown: shutdown.clone() };
        tokio::spawn(app.serve(listener, None, ending));
        let client = client();
        Self {
            database,
            database_url: url,
            clock,
            url: format!("http://{address}"),
            client,
            shutdown,
            storage,
            objects,
            worker,
            statements,
            log: heard,
        }
    }

    /// From here on deletions are carried out. Before, nothing but requests touches the database.
    pub fn erase(&self) {
        if let Some(worker) = self.worker.lock().expect("the worker").take() {
            tokio::spawn(worker.run(self.shutdown.clone()));
        }
    }

    pub fn backend(&self) -> DbBackend {
        self.database.backend()
    }

    /// A token that is valid for an hour of the test's clock.
    pub fn token(&self, who: Token) -> Option<String> {
        token(who, self.clock.now() + TimeDelta::hours(1))
    }

    /// Posts a document and returns status and body, whatever they are.
    pub async fn post(&self, who: Token, document: &str, variables: Value) -> Answer {
        let mut request = self
            .client
            .post(format!("{}/graphql", self.url))
            .json(&json!({ "query": document, "variables": variables }));
        if let Some(token) = self.token(who) {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let body = response.json().await.expect("a JSON answer");
        Answer { status, body }
    }

    /// Posts a document that must succeed; returns its data.
    pub async fn data(&self, who: Token, document: &str, variables: Value) -> Value {
        let answer = self.post(who, document, variables).await;
        assert_eq!(answer.body.get("errors"), None, "{document}\n{answer:#?}");
        answer.body["data"].clone()
    }

    /// Posts a document as an admin that must succeed; returns its data.
    pub async fn admin(&self, document: &str, variables: Value) -> Value {
        self.data(Token::Admin, document, variables).await
    }

    /// Statements sent to the database by `work`, with its result.
    pub async fn counting<T>(&self, work: impl Future<Output = T>) -> (usize, T) {
        let before = self.statements.load(Ordering::SeqCst);
        let result = work.await;
        (self.statements.load(Ordering::SeqCst) - before, result)
    }

    /// Every statement since the last call of [`Self::forget_statements`].
    pub fn statements(&self) -> Vec<Statement> {
        self.log.lock().expect("the log").clone()
    }

    pub fn forget_statements(&self) {
        self.log.lock().expect("the log").clear();
    }

    /// Folds every difference into the sums, as a worker does.
    pub async fn fold(&self) {
        let keeper = Keeper::new(self.database.clone());
        let lease = loop {
            match keeper.lease().await.expect("an answer") {
                Some(lease) => break lease,
                // A gateway that was killed need not be waited for.
                None => self.leases_age(3_600).await,
            }
        };
        let mut from = Uuid::nil();
        loop {
            match keeper.fold(lease, from).await.expect("a step") {
                Folded::Tenant { tenant, more: true, .. } => from = tenant,
                Folded::Tenant { tenant, .. } => from = Uuid::from_u128(tenant.as_u128() + 1),
                Folded::Nothing => break,
                Folded::LeaseLost => panic!("the lease was lost"),
            }
        }
        // The next to fold need not wait for this lease to run out.
        self.sql("DELETE FROM gateway_leases", []).await;
    }

    /// As if so many seconds had passed for every lease; below 0, as if the clock had been set back.
    pub async fn leases_age(&self, seconds: i64) {
        let sql = match self.backend() {
            DbBackend::Sqlite => format!(
                "UPDATE gateway_leases SET expires_at = strftime('%Y-%m-%dT%H:%M:%f000Z', expires_at, '{} seconds')",
                -seconds
            ),
            _ => {
                format!("UPDATE gateway_leases SET expires_at = expires_at - interval '{seconds} seconds'")
            }
        };
        self.sql(&sql, []).await;
    }

    /// Executes SQL with `$1`, `$2`, … on the test's database, as an outside writer would.
    pub async fn sql(&self, sql: &str, values: impl IntoIterator<Item = Bound>) -> u64 {
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        self.database.connection.execute_raw(statement).await.expect(sql).rows_affected()
    }

    /// Rows of a query on the test's database.
    pub async fn rows(&self, sql: &str, values: impl IntoIterator<Item = Bound>) -> Vec<QueryResult> {
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        self.database.connection.query_all_raw(statement).await.expect(sql)
    }

    /// One number of a query on the test's database.
    pub async fn number(&self, sql: &str, values: impl IntoIterator<Item = Bound>) -> i64 {
        self.rows(sql, values).await[0].try_get_by_index(0).expect("a number")
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Answer {
    /// The codes of all errors.
    pub fn codes(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors
            .iter()
            .map(|error| error["extensions"]["code"].as_str().expect("every error has a code"))
            .collect()
    }
}

/// A client without a connection to anybody yet.
pub fn client() -> Client {
    // A second installation is refused, which is as good as the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().expect("a client")
}

/// A token that ends at `ends`.
pub fn token(who: Token, ends: DateTime<Utc>) -> Option<String> {
    let (role, tenant_id) = match who {
        Token::Admin => (RoleClaim::Admin, None),
        Token::Support => (RoleClaim::Support, None),
        Token::Tenant(tenant) => (RoleClaim::Tenant, Some(tenant)),
        Token::None => return None,
    };
    let claims =
        Claims { sub: "tester".to_owned(), exp: ends.timestamp(), role, tenant_id, iss: None, aud: None };
    Some(mint(SECRET, &claims).expect("a token"))
}
