//! A large tenant on SQLite against one cascading `DELETE`, with readers of other tenants meanwhile.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use tenant_gateway::database::Database;

use super::{
    fill::{self, LARGE},
    gateway::{self, Gateway},
    measure::{Table, median},
    paced::{Load, quantile},
    rows,
    server::execute,
    speed::rate,
};

const ROUNDS: usize = 3;

/// Each side works on a copy of the same file.
pub async fn measure(table: &mut Table) {
    let home = tempfile::tempdir().expect("a directory");
    let (filled, copy) = (home.path().join("filled.db"), home.path().join("copy.db"));
    fill(&filled).await;
    let [mut own, mut cascades, mut ratios] = [const { Vec::new() }; 3];
    let mut waits = Vec::new();
    for _ in 0..ROUNDS {
        copy_of(&filled, &copy);
        let erased = {
            let gateway = Gateway::start(&url(&copy));
            let readers = Load::readers(gateway.port).await;
            let erased = gateway.erase(LARGE).await;
            waits.extend(readers.end().await);
            erased
        };
        copy_of(&filled, &copy);
        let cascade = cascade(&copy).await;
        own.push(rate(erased.rows(), erased.time));
        cascades.push(rate(erased.rows(), cascade));
        ratios.push(cascade.as_secs_f64() / erased.time.as_secs_f64());
    }
    waits.sort_unstable();
    let detail = format!("{:.0} ÷ {:.0} rows/s", median(&mut own), median(&mut cascades));
    let what = format!("SQLite, {} rows, with readers: rows/s ÷ one cascading DELETE without", rows());
    table.at_least(&what, &detail, median(&mut ratios), 0.9);
    let detail = format!("median {:.2} ms, longest {:.1} ms", quantile(&waits, 0.5), quantile(&waits, 1.0));
    table.at_most(
        "SQLite, stats of other tenants meanwhile (200/s over 8 connections), 99th percentile, ms",
        &detail,
        quantile(&waits, 0.99),
        5.0,
    );
}

async fn fill(file: &Path) {
    let begun = Instant::now();
    gateway::command(&["migrate", "up", "--database-url", &url(file)]);
    let database = Database::open(&url(file)).await.expect("a database");
    fill::platform(&database, rows()).await;
    execute(&database, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    database.close().await.expect("a pool that closes");
    eprintln!("filled SQLite in {:.0} s", begun.elapsed().as_secs_f64());
}

async fn cascade(file: &Path) -> Duration {
    let database = Database::open(&url(file)).await.expect("a database");
    let delete = format!("DELETE FROM tenants WHERE id = x'{}'", fill::id(LARGE).simple());
    let begun = Instant::now();
    execute(&database, &delete).await;
    let time = begun.elapsed();
    database.close().await.expect("a pool that closes");
    time
}

fn url(file: &Path) -> String {
    format!("sqlite://{}?mode=rwc", file.display())
}

/// Puts a copy of one file where another, with its log, may be.
fn copy_of(filled: &Path, copy: &Path) {
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", copy.display()));
    }
    fs::copy(filled, copy).expect("a copy");
}
