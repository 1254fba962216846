//! What others notice while a large tenant is erased on PostgreSQL.

use std::time::Duration;

use super::{
    fill::LARGE,
    gateway::Gateway,
    measure::{Table, median},
    paced::{Load, quantile},
    server::Server,
    speed::{self, rate},
};

const ROUNDS: usize = 3;
/// How long the load goes on before anything is erased.
const BEFORE: Duration = Duration::from_secs(12);

/// Readers and writers work at a fixed rate, without an erasure, then with one.
pub async fn measure(server: &Server, table: &mut Table) {
    let mut figures: [[Vec<f64>; 3]; 2] = Default::default();
    let mut runs = Vec::new();
    for _ in 0..ROUNDS {
        let url = server.copy().await;
        let gateway = Gateway::start(&url);
        let mut found = [[0.0; 2]; 2];
        for (place, erasing) in [(0, false), (1, true)] {
            server.execute("CHECKPOINT").await;
            let (readers, writers) = (Load::readers(gateway.port).await, Load::writers(&url).await);
            if erasing {
                runs.push(gateway.erase(LARGE).await);
            } else {
                tokio::time::sleep(BEFORE).await;
            }
            for (who, load) in [readers, writers].into_iter().enumerate() {
                let latencies = load.end().await;
                found[who][place] = quantile(&latencies, 0.99);
            }
        }
        for (figures, [without, with]) in figures.iter_mut().zip(found) {
            figures[0].push(with);
            figures[1].push(without);
            figures[2].push(with / without);
        }
    }
    let names = [
        "stats of other tenants meanwhile (200/s over 8 connections), 99th percentile ÷ without",
        "inserts into calls of other tenants meanwhile (100/s over 4 connections), 99th percentile ÷ without",
    ];
    for (name, [with, without, ratio]) in names.into_iter().zip(&mut figures) {
        let detail = format!("{:.2} ÷ {:.2} ms", median(with), median(without));
        table.at_most(name, &detail, median(ratio), 1.5);
    }
    let mut rates: Vec<_> = runs.iter().map(|run| rate(run.rows(), run.time)).collect();
    eprintln!("with others at work: {:.0} rows/s", median(&mut rates));
    speed::batches(&runs, table);
}
