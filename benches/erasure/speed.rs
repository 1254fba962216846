//! A large tenant, alone on PostgreSQL, against one cascading `DELETE` in psql; and small ones.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use super::{
    fill::{self, FIRST_SMALL, LARGE, SMALL, SMALL_ROWS},
    gateway::{Batch, Erased, Gateway},
    measure::{Table, median, ms},
    paced::quantile,
    rows,
    server::Server,
};

const ROUNDS: usize = 3;

/// Rates, batches, and whether the end is as fast as the beginning.
pub async fn measure(server: &Server, table: &mut Table) {
    let (mut own, mut cascades, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut runs = Vec::new();
    for _ in 0..ROUNDS {
        let url = server.copy().await;
        let erased = Gateway::start(&url).erase(LARGE).await;
        let url = server.copy().await;
        let cascade = cascade(&url);
        own.push(rate(erased.rows(), erased.time));
        cascades.push(rate(erased.rows(), cascade));
        ratios.push(cascade.as_secs_f64() / erased.time.as_secs_f64());
        runs.push(erased);
    }
    table.at_least(
        &format!(
            "{} rows with recordings, whose objects are asked for and not there: rows/s ÷ one cascading DELETE in psql",
            rows()
        ),
        &format!("{:.0} ÷ {:.0} rows/s", median(&mut own), median(&mut cascades)),
        median(&mut ratios),
        0.8,
    );
    batches(&runs, table);
    level(&runs, table);
    small(server, table).await;
}

/// How long transactions were.
pub fn batches(runs: &[Erased], table: &mut Table) {
    let mut times: Vec<_> = runs.iter().flat_map(|run| &run.batches).map(|batch| batch.time).collect();
    times.sort_unstable();
    let detail = format!(
        "{} batches, median {:.0} ms, longest {:.0} ms",
        times.len(),
        quantile(&times, 0.5),
        quantile(&times, 1.0)
    );
    table.at_most("transactions of batches, 99th percentile, ms", &detail, quantile(&times, 0.99), 100.0);
    let closings: Vec<_> = runs.iter().map(|run| run.closing).collect();
    let longest = closings.iter().max().copied().unwrap_or_default();
    table.at_most("the closing transaction, ms", "longest of all runs", ms(longest), 1_000.0);
}

fn level(runs: &[Erased], table: &mut Table) {
    let [mut firsts, mut lasts, mut ratios] = [const { Vec::new() }; 3];
    for run in runs {
        let batches: Vec<_> = run.batches.iter().collect();
        let (first, last) = ends(&batches);
        firsts.push(first);
        lasts.push(last);
        ratios.push(last / first);
    }
    let detail = format!("{:.0} ÷ {:.0} rows/s", median(&mut lasts), median(&mut firsts));
    table.at_least("last tenth of the work ÷ the first", &detail, median(&mut ratios), 0.8);
    let mut worst: Vec<_> = ["calls", "call_recordings", "call_transcripts", "sessions", "activity_logs"]
        .into_iter()
        .map(|name| {
            let of = |run: &Erased| {
                let batches: Vec<_> = run.batches.iter().filter(|batch| batch.table == name).collect();
                let (first, last) = ends(&batches);
                last / first
            };
            (median(&mut runs.iter().map(of).collect::<Vec<_>>()), name)
        })
        .collect();
    worst.sort_by(|a, b| a.0.total_cmp(&b.0));
    table.at_least("the same within each table, the worst", worst[0].1, worst[0].0, 0.8);
}

/// Rows a second in the first and in the last tenth of the rows.
fn ends(batches: &[&Batch]) -> (f64, f64) {
    let all: u64 = batches.iter().map(|batch| batch.rows).sum();
    let begun = batches[0].at - chrono::TimeDelta::from_std(batches[0].time).expect("a short time");
    let (mut done, mut first, mut last) = (0, None, (all, begun));
    for batch in batches {
        done += batch.rows;
        if done * 10 >= all && first.is_none() {
            first = Some((done, batch.at - begun));
        }
        if done * 10 < all * 9 {
            last = (all - done, batch.at);
        }
    }
    let seconds = |time: chrono::TimeDelta| time.to_std().expect("a time");
    let (rows, time) = first.expect("a tenth");
    let end = batches[batches.len() - 1].at;
    (rate(rows, seconds(time)), rate(last.0, seconds(end - last.1)))
}

async fn small(server: &Server, table: &mut Table) {
    let url = server.copy().await;
    let gateway = Gateway::start(&url);
    let mut times = Vec::new();
    for number in FIRST_SMALL..FIRST_SMALL + SMALL {
        times.push(gateway.erase(number).await.time.as_secs_f64());
    }
    let longest = times.iter().copied().fold(0.0, f64::max);
    let detail = format!("{SMALL} of them, longest {longest:.2} s");
    table.at_most(
        &format!("a tenant of {SMALL_ROWS} rows, from the call to DELETED, s"),
        &detail,
        median(&mut times),
        1.0,
    );
}

/// How long psql takes to delete the large tenant with all that hangs below it.
fn cascade(url: &str) -> Duration {
    let begun = Instant::now();
    let output = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c"])
        .arg(format!("DELETE FROM tenants WHERE id = '{}'", fill::id(LARGE)))
        .output()
        .expect("psql");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    begun.elapsed()
}

/// Rows a second.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
pub fn rate(rows: u64, time: Duration) -> f64 {
    rows as f64 / time.as_secs_f64()
}
