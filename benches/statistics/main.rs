//! What statistics cost, as ratios of one run: against pgbench, against a peer, against writers without
//! sums. `cargo bench --bench statistics` fills a database of its own and prints one table.
//!
//! `BENCH_POSTGRES_URL` names a server on which it may create one; pgbench, node and npm must be there.
//! Numbers mean something on an otherwise idle machine only; the load is printed first.

#![allow(clippy::expect_used, reason = "a measurement fails by panicking")]

mod fill;
mod load;
mod measure;
mod peers;
mod pgbench;
mod reads;
mod statement;
mod writes;

use std::time::Instant;

use chrono::{TimeDelta, Utc};
use sea_orm::ConnectionTrait;
use tenant_gateway::{
    auth::{Claims, RoleClaim, mint},
    database::Database,
};

/// What every measurement needs.
pub struct Bench {
    /// The database with the platform in it.
    pub database: Database,
    /// Its address.
    pub url: String,
    /// An admin's token.
    pub token: String,
}

const DATABASE: &str = "tenant_gateway_bench";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // `cargo bench -- PART` measures one part only.
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    eprintln!("load of the machine at the start: {}", writes::load());
    let server = std::env::var("BENCH_POSTGRES_URL")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned());
    let bench = prepare(&server).await;
    let mut table = measure::Table::default();
    if wanted("reads") {
        reads::measure(&bench, &mut table).await;
    }
    if wanted("sqlite") {
        reads::sqlite(&bench, &mut table).await;
    }
    if wanted("deltas") {
        reads::deltas(&bench, &mut table).await;
    }
    if wanted("writes") {
        writes::measure(&bench.database, &bench.url, &mut table).await;
        writes::deadlocks(&bench.database, &bench.url, &mut table).await;
        // Half of the rows were written without the triggers.
        peers::gateway(&["usage", "rebuild", "--database-url", &bench.url]);
    }
    table.print();
}

/// Fills a database of its own, unless an earlier run has left one: `BENCH_FRESH=1` makes it anew.
async fn prepare(server: &str) -> Bench {
    let admin = sea_orm::Database::connect(server).await.expect("a PostgreSQL server");
    // The same for all: encryption costs one side more than the other.
    let url = format!(
        "{}/{DATABASE}?sslmode=disable",
        server.rsplit_once('/').expect("an address with a database").0
    );
    let fresh = std::env::var("BENCH_FRESH").is_ok() || Database::open(&url).await.is_err();
    if fresh {
        let begun = Instant::now();
        admin
            .execute_unprepared(&format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"))
            .await
            .expect("a drop");
        admin.execute_unprepared(&format!("CREATE DATABASE {DATABASE}")).await.expect("a database");
        peers::gateway(&["migrate", "up", "--database-url", &url]);
        let database = Database::open(&url).await.expect("a database");
        fill::postgres(&database).await;
        eprintln!("filled in {:.0} s", begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        peers::gateway(&["usage", "rebuild", "--database-url", &url]);
        eprintln!("built the sums in {:.0} s", begun.elapsed().as_secs_f64());
        writes::execute(&database, "VACUUM (ANALYZE)").await;
        writes::execute(&database, "CHECKPOINT").await;
    }
    let database = Database::open(&url).await.expect("a database");
    let claims = Claims {
        sub: "bench".to_owned(),
        exp: (now() + TimeDelta::days(1)).timestamp(),
        role: RoleClaim::Admin,
        tenant_id: None,
        iss: None,
        aud: None,
    };
    let token = mint(peers::SECRET.as_bytes(), &claims).expect("a token");
    Bench { database, url, token }
}

#[expect(clippy::disallowed_methods, reason = "a token must be valid in real time")]
fn now() -> chrono::DateTime<Utc> {
    Utc::now()
}
