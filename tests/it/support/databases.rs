//! A database of its own for every test, on SQLite and on PostgreSQL.

use std::{
    fmt,
    io::Write,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Once,
};

use futures_util::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::TestApp;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// Runs a test on SQLite, then on PostgreSQL where there is one.
///
/// PostgreSQL is taken from `TEST_POSTGRES_URL`, else from `127.0.0.1:5432` if it answers there.
/// Where it does not, one line says so; with `REQUIRE_POSTGRES=1` the test fails instead.
pub async fn on_both(test: impl AsyncFn(TestApp)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        on(backend, &test).await;
    }
}

/// The same on one of them.
pub async fn on(backend: Backend, test: impl AsyncFn(TestApp)) {
    eprintln!("on {backend:?}");
    let Some(place) = Place::new(backend).await else { return };
    let app = TestApp::start(&place).await;
    let outcome = AssertUnwindSafe(test(app)).catch_unwind().await;
    place.remove().await;
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// Where a test's database is.
pub enum Place {
    Sqlite(TempDir),
    Postgres { server: String, name: String },
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}

impl Place {
    /// A new, empty database; none where PostgreSQL does not answer.
    pub async fn new(backend: Backend) -> Option<Self> {
        match backend {
            Backend::Sqlite => Some(Self::Sqlite(tempfile::tempdir().expect("a directory"))),
            Backend::Postgres => {
                let server = postgres_server().await?;
                Some(Self::on_server(&server).await)
            }
        }
    }

    /// A new, empty database on this PostgreSQL server.
    pub async fn on_server(server: &str) -> Self {
        let name = format!("tenant_gateway_test_{}", Uuid::now_v7().simple());
        administer(server, &format!("CREATE DATABASE {name}")).await;
        Self::Postgres { server: server.to_owned(), name }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(directory) => format!("sqlite://{}/test.db?mode=rwc", directory.path().display()),
            Self::Postgres { server, name } => {
                let (address, _) = server.rsplit_once('/').expect("an address with a database");
                format!("{address}/{name}")
            }
        }
    }

    /// A database with the same content, as a backup that is restored elsewhere. Nobody may be connected to
    /// this one.
    pub async fn copy(&self) -> Self {
        match self {
            Self::Sqlite(directory) => {
                let copy = tempfile::tempdir().expect("a directory");
                for file in std::fs::read_dir(directory.path()).expect("a directory") {
                    let file = file.expect("a file");
                    std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("a copy");
                }
                Self::Sqlite(copy)
            }
            Self::Postgres { server, name } => {
                let copy = format!("tenant_gateway_test_{}", Uuid::now_v7().simple());
                administer(server, &format!("CREATE DATABASE {copy} TEMPLATE {name}")).await;
                Self::Postgres { server: server.clone(), name: copy }
            }
        }
    }

    pub async fn remove(self) {
        if let Self::Postgres { server, name } = self {
            administer(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }
}

async fn administer(server: &str, sql: &str) {
    let connection = sea_orm::Database::connect(server).await.expect("the PostgreSQL server");
    connection.execute_unprepared(sql).await.expect(sql);
    connection.close().await.expect("a connection to close");
}

/// The server's address, asked for once.
async fn postgres_server() -> Option<String> {
    static SERVER: OnceCell<Option<String>> = OnceCell::const_new();
    static TOLD: Once = Once::new();
    let server = SERVER
        .get_or_init(|| async {
            let url = std::env::var("TEST_POSTGRES_URL")
                .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned());
            let answers: Result<DatabaseConnection, _> = sea_orm::Database::connect(&url).await;
            answers.ok().map(|_| url)
        })
        .await
        .clone();
    if server.is_none() {
        assert!(
            std::env::var("REQUIRE_POSTGRES").as_deref() != Ok("1"),
            "REQUIRE_POSTGRES=1 but no PostgreSQL answers; set TEST_POSTGRES_URL"
        );
        TOLD.call_once(|| {
            // Written past the test runner, which keeps what passing tests print to itself.
            let line = "NOT RUN ON POSTGRESQL: no server answers at TEST_POSTGRES_URL or 127.0.0.1:5432\n";
            let _ = std::io::stderr().write_all(line.as_bytes());
        });
    }
    server
}

/// An empty database on SQLite, and one on PostgreSQL where there is one; see [`on_both`].
pub async fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for backend in [Backend::Sqlite, Backend::Postgres] {
        places.extend(Place::new(backend).await);
    }
    places
}
