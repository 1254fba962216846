//! PostgreSQL: one database is filled, and each measurement works on a copy of its files.

use std::time::Instant;

use sea_orm::{ConnectionTrait, DatabaseConnection};
use tenant_gateway::database::Database;

use super::{fill, gateway, rows};

const COPY: &str = "tenant_gateway_erasure_copy";

/// A server with the platform in one of its databases.
pub struct Server {
    admin: DatabaseConnection,
    address: String,
    /// Which database is filled.
    filled: String,
}

impl Server {
    /// Fills a database, unless an earlier run has kept one of that size: `BENCH_FRESH=1` makes it anew.
    pub async fn prepare() -> Self {
        let address = std::env::var("BENCH_POSTGRES_URL")
            .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned());
        let admin = sea_orm::Database::connect(&address).await.expect("a PostgreSQL server");
        let address = address.rsplit_once('/').expect("an address with a database").0.to_owned();
        let filled = format!("tenant_gateway_erasure_{}", rows());
        let server = Self { admin, address, filled };
        let url = server.url(&server.filled);
        if std::env::var("BENCH_FRESH").is_ok() || Database::open(&url).await.is_err() {
            let begun = Instant::now();
            server.drop(&server.filled).await;
            server.execute(&format!("CREATE DATABASE {}", server.filled)).await;
            gateway::command(&["migrate", "up", "--database-url", &url]);
            let database = Database::open(&url).await.expect("a database");
            fill::platform(&database, rows()).await;
            execute(&database, "VACUUM (ANALYZE)").await;
            database.close().await.expect("a pool that closes");
            gateway::command(&["usage", "rebuild", "--database-url", &url]);
            eprintln!("filled PostgreSQL in {:.0} s", begun.elapsed().as_secs_f64());
        }
        server
    }

    /// A copy of the platform, with nothing left to write. Only one is there at a time. Returns its address.
    pub async fn copy(&self) -> String {
        self.drop(COPY).await;
        let filled = &self.filled;
        self.execute(&format!("CREATE DATABASE {COPY} TEMPLATE {filled} STRATEGY file_copy")).await;
        self.execute("CHECKPOINT").await;
        self.url(COPY)
    }

    /// Leaves nothing behind; with `BENCH_KEEP=1` what was filled, for the next run.
    pub async fn clear(self) {
        self.drop(COPY).await;
        if std::env::var("BENCH_KEEP").is_err() {
            self.drop(&self.filled).await;
        }
    }

    async fn drop(&self, name: &str) {
        self.execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
    }

    /// Executes one statement in none of these databases.
    pub async fn execute(&self, sql: &str) {
        self.admin.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
    }

    /// The same for all: encryption costs one side more than the other.
    fn url(&self, name: &str) -> String {
        format!("{}/{name}?sslmode=disable", self.address)
    }
}

/// Executes one statement.
pub async fn execute(database: &Database, sql: &str) {
    database.connection.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
}
