//! What the fence before a tenant that is being erased costs those who write for others.

use tenant_gateway::database::Database;

use super::{
    fill::{self, NEIGHBOURS},
    measure::{Table, median},
    pgbench,
    server::{Server, execute},
};

const CLIENTS: u32 = 8;
const SECONDS: u32 = 5;
const ROUNDS: usize = 3;

/// Inserts with the fence before `calls` and without, in turn.
pub async fn measure(server: &Server, table: &mut Table) {
    let url = server.copy().await;
    let database = Database::open(&url).await.expect("a database");
    let tenant = fill::id(0).to_string();
    let (prefix, last) = (&tenant[..24], NEIGHBOURS - 1);
    let insert = |from: &str| {
        format!(
            "\\set n random(0, {last})\nINSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at, \
             ended_at, duration_seconds, sentiment_score, cost_cents) SELECT ('{prefix}' || lpad(to_hex(:n::int), 12, '0'))::uuid, \
             gen_random_uuid(), '00000000-0000-0000-0000-000000000000', 'inbound', 'completed', now(), now(), 60, 0.5, 7 {from};\n"
        )
    };
    let ways = [("one", 1.0, insert("")), ("1,000", 1_000.0, insert("FROM generate_series(1, 1000)"))];
    for (name, rows, script) in ways {
        let [mut with, mut without, mut ratios] = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            let mut rates = [0.0; 2];
            for (place, how) in [(0, "ENABLE"), (1, "DISABLE")] {
                execute(&database, &format!("ALTER TABLE calls {how} TRIGGER tenant_fence")).await;
                execute(&database, "TRUNCATE usage_deltas").await;
                execute(&database, "CHECKPOINT").await;
                let run = pgbench::run(&url, std::slice::from_ref(&script), CLIENTS, SECONDS);
                rates[place] = run.rate * rows;
            }
            with.push(rates[0]);
            without.push(rates[1]);
            ratios.push(rates[0] / rates[1]);
        }
        let detail = format!("{:.0} ÷ {:.0} rows/s", median(&mut with), median(&mut without));
        table.at_least(
            &format!("inserts into calls, rows a statement: {name}; with the fence ÷ without"),
            &detail,
            median(&mut ratios),
            0.9,
        );
    }
    database.close().await.expect("a pool that closes");
}
