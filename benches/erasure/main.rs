//! What erasing a tenant costs, as ratios of one run: against one cascading `DELETE`, and for others who work
//! meanwhile. `cargo bench --bench erasure` fills databases of its own and prints one table.
//!
//! `BENCH_POSTGRES_URL` names a server on which it may create some; psql and pgbench must be there.
//! `BENCH_ROWS` is the size of the large tenant, `BENCH_MEMORY_ROWS` of the one by which memory is measured.
//! What was filled is dropped at the end, unless `BENCH_KEEP` is set.
//! Numbers mean something on an otherwise idle machine only; the load is printed first.

#![allow(clippy::expect_used, reason = "a measurement fails by panicking")]

mod fence;
mod fill;
mod gateway;
#[expect(dead_code, reason = "the other bench uses the rest")]
#[path = "../statistics/load.rs"]
mod load;
#[expect(dead_code, reason = "the other bench uses the rest")]
#[path = "../statistics/measure.rs"]
mod measure;
mod memory;
mod neighbours;
mod paced;
#[expect(dead_code, reason = "the other bench uses the rest")]
#[path = "../statistics/pgbench.rs"]
mod pgbench;
mod server;
mod speed;
mod sqlite;

use std::fs;

use server::Server;

/// How many rows the large tenant has.
fn rows() -> u64 {
    from_environment("BENCH_ROWS", 2_000_000)
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |number| number.parse().expect("a number"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // `cargo bench -- PART` measures one part only.
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    eprintln!("load of the machine at the start: {}", fs::read_to_string("/proc/loadavg").expect("the load"));
    let mut table = measure::Table::default();
    if ["postgres", "neighbours", "memory", "fence"].into_iter().any(wanted) {
        let server = Server::prepare().await;
        if wanted("postgres") {
            speed::measure(&server, &mut table).await;
        }
        if wanted("neighbours") {
            neighbours::measure(&server, &mut table).await;
        }
        if wanted("memory") {
            memory::measure(&server, &mut table).await;
        }
        if wanted("fence") {
            fence::measure(&server, &mut table).await;
        }
        server.clear().await;
    }
    if wanted("sqlite") {
        sqlite::measure(&mut table).await;
    }
    table.print();
}
