//! pgbench, the database's own measure of what its statements can do.

use std::{fs, process::Command};

use tenant_gateway::database::PLANNER_OPTIONS;

/// What a run of pgbench found.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Transactions a second.
    pub rate: f64,
    /// Transactions that failed.
    pub failed: u64,
}

/// The planner options of the gateway's own connections, as libpq and its likes take them.
pub fn planner_options() -> String {
    let options: Vec<_> = PLANNER_OPTIONS.iter().map(|(name, value)| format!("-c {name}={value}")).collect();
    options.join(" ")
}

/// Runs scripts, chosen at random, prepared, with the planner options of the gateway's own connections.
pub fn run(url: &str, scripts: &[String], clients: u32, seconds: u32) -> Run {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("pgbench");
    command.args(["-n", "-M", "prepared", "-j", "2", "-c", &clients.to_string(), "-T", &seconds.to_string()]);
    for (number, script) in scripts.iter().enumerate() {
        let path = directory.path().join(format!("{number}.sql"));
        fs::write(&path, script).expect("a script");
        command.arg("-f").arg(path);
    }
    let output = command.arg(url).env("PGOPTIONS", planner_options()).output().expect("pgbench");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let number = |before: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(before));
        line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse::<f64>().ok())
    };
    let rate = number("tps = ")
        .unwrap_or_else(|| panic!("pgbench: {}", errors.chars().take(2_000).collect::<String>()));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let failed = number("number of failed transactions: ").unwrap_or_default() as u64;
    Run { rate, failed: failed + u64::from(!output.status.success()) }
}
