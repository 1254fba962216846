//! What the edge costs and holds, as ratios of one run: against a bare handler of the same library, with thousands
//! of subscriptions, and under attack. `cargo bench --bench edge` fills a database of its own and prints one table.
//!
//! `BENCH_POSTGRES_URL` names a server on which it may create one.
//! Numbers mean something on an otherwise idle machine only; the load is printed first.

#![allow(clippy::expect_used, reason = "a measurement fails by panicking")]

mod attacks;
mod bare;
mod gateway;
#[expect(dead_code, reason = "another bench uses the rest")]
#[path = "../statistics/load.rs"]
mod load;
#[expect(dead_code, reason = "another bench uses the rest")]
#[path = "../statistics/measure.rs"]
mod measure;
mod paced;
mod streams;

use std::fs;

use sea_orm::ConnectionTrait;

/// As in the gateway: what is compared has the same allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DATABASE: &str = "tenant_gateway_bench_edge";
/// Tenants of the database.
pub const TENANTS: usize = 1_000;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, port] = &arguments[..]
        && flag == bare::FLAG
    {
        return bare::serve(port.parse().expect("a port")).await;
    }
    // `cargo bench -- PART` measures one part only.
    let part = arguments.into_iter().find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    // A second installation is refused, which is as good as the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    rlimit::increase_nofile_limit(u64::MAX).expect("files");
    eprintln!("load of the machine at the start: {}", fs::read_to_string("/proc/loadavg").expect("the load"));
    let url = prepare().await;
    let mut table = measure::Table::default();
    if wanted("bare") {
        bare::measure(&url, &mut table).await;
    }
    if wanted("streams") {
        streams::measure(&url, &mut table).await;
    }
    if wanted("attacks") {
        attacks::measure(&url, &mut table).await;
    }
    table.print();
}

/// A database of its own, filled anew.
async fn prepare() -> String {
    let server = std::env::var("BENCH_POSTGRES_URL")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned());
    let admin = sea_orm::Database::connect(&server).await.expect("a PostgreSQL server");
    let drop = format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)");
    admin.execute_unprepared(&drop).await.expect("a drop");
    admin.execute_unprepared(&format!("CREATE DATABASE {DATABASE}")).await.expect("a database");
    let address = server.rsplit_once('/').expect("an address with a database").0;
    let url = format!("{address}/{DATABASE}?sslmode=disable");
    let objects = tempfile::tempdir().expect("a directory");
    let storage = format!("file://{}", objects.path().display());
    let seed = ["seed", "--tenants", &TENANTS.to_string(), "--calls", "20", "--months", "1"];
    gateway::run(&[&seed[..], &["--database-url", &url, "--storage-url", &storage]].concat());
    url
}
