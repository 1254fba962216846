//! What keeping sums costs the writers of calls.

use std::process::Command;

use tenant_gateway::database::Database;

use super::{
    fill::{FIRST, PREFIX, TENANTS},
    measure::{Table, median},
    peers::Server,
    pgbench,
};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

const CLIENTS: u32 = 8;
const SECONDS: u32 = 5;
const ROUNDS: usize = 3;

const COLUMNS: &str = "tenant_id, id, agent_id, direction, status, started_at, ended_at, duration_seconds, \
     sentiment_score, cost_cents";

/// A way of writing, with the least share of its speed that must be left.
struct Writing {
    name: &'static str,
    script: String,
    rows: f64,
    least: f64,
}

fn writings() -> [Writing; 5] {
    let last = FIRST + 499;
    let some_tenant = format!("\\set n random({FIRST}, {last})\n");
    let one_tenant = format!("\\set n {FIRST}\n");
    let tenant = format!("('{PREFIX}' || :n)::uuid");
    let values = |id: &str, duration: &str| {
        format!(
            "{tenant}, {id}, {tenant}, 'inbound', 'completed', now() - random() * interval '1 hour', now(), \
             {duration}, 0.5, 7"
        )
    };
    let insert = format!("INSERT INTO calls ({COLUMNS}) VALUES ({});\n", values("gen_random_uuid()", "60"));
    let many = format!(
        "INSERT INTO calls ({COLUMNS}) SELECT {} FROM generate_series(1, 1000);\n",
        values("gen_random_uuid()", "60")
    );
    let number = "\\set i random(1, 9223372036854775807)\n";
    let id = "md5(:i::text)::uuid";
    let life = format!(
        "{number}INSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at) \
         VALUES ({tenant}, {id}, {tenant}, 'inbound', 'ringing', now());\n\
         UPDATE calls SET status = 'completed', ended_at = now(), duration_seconds = 60, sentiment_score = 0.5, \
         cost_cents = 7 WHERE tenant_id = {tenant} AND id = {id};\n"
    );
    // Any call of the tenant, found by where its id lies.
    let touch = format!(
        "UPDATE calls SET direction = 'outbound' WHERE tenant_id = {tenant} AND id = \
         (SELECT id FROM calls WHERE tenant_id = {tenant} AND id >= gen_random_uuid() ORDER BY id LIMIT 1);\n"
    );
    [
        Writing {
            name: "single inserts over 500 tenants",
            script: format!("{some_tenant}{insert}"),
            rows: 1.0,
            least: 0.75,
        },
        Writing {
            name: "single inserts into one tenant",
            script: format!("{one_tenant}{insert}"),
            rows: 1.0,
            least: 0.7,
        },
        Writing {
            name: "1,000 rows per statement",
            script: format!("{some_tenant}{many}"),
            rows: 1_000.0,
            least: 0.7,
        },
        Writing {
            name: "the life of a call: insert, update",
            script: format!("{some_tenant}{life}"),
            rows: 2.0,
            least: 0.7,
        },
        Writing {
            name: "an update that touches no number",
            script: format!("{some_tenant}{touch}"),
            rows: 1.0,
            least: 0.9,
        },
    ]
}

/// Measures each with the triggers and without, in turn.
pub async fn measure(database: &Database, url: &str, table: &mut Table) {
    for writing in writings() {
        let (mut ratios, mut with, mut without) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let mut rates = [0.0; 2];
            // Neither is always the first.
            let mut turns = [(0, true), (1, false)];
            turns.rotate_left(round % 2);
            for (place, enabled) in turns {
                enable(database, enabled).await;
                clean(database).await;
                rates[place] = pgbench::run(url, std::slice::from_ref(&writing.script), CLIENTS, SECONDS)
                    .rate
                    * writing.rows;
            }
            with.push(rates[0]);
            without.push(rates[1]);
            ratios.push(rates[0] / rates[1]);
        }
        enable(database, true).await;
        let detail = format!("{:.0} ÷ {:.0} rows/s", median(&mut with), median(&mut without));
        table.at_least(&format!("writes, {}", writing.name), &detail, median(&mut ratios), writing.least);
    }
}

/// Several writes in each transaction, in any order, by 8 writers of one tenant, while a gateway folds.
pub async fn deadlocks(database: &Database, url: &str, table: &mut Table) {
    let tenant = format!("('{PREFIX}' || {FIRST})::uuid");
    let before = number(database, DEADLOCKS).await;
    let insert = |ago: &str| {
        format!(
            "INSERT INTO calls ({COLUMNS}) VALUES ({tenant}, gen_random_uuid(), {tenant}, 'inbound', 'completed', \
             now() - :{ago} * interval '15 minutes', now(), 60, 0.5, 7);\n"
        )
    };
    // One row that is there already in each transaction: of two, writers would wait for one another without sums too.
    let any = format!(
        "WHERE tenant_id = {tenant} AND id = \
         (SELECT id FROM calls WHERE tenant_id = {tenant} AND id >= gen_random_uuid() ORDER BY id LIMIT 1);\n"
    );
    let update = format!("UPDATE calls SET cost_cents = cost_cents + 1, duration_seconds = 61 {any}");
    let delete = format!("DELETE FROM calls {any}");
    let (a, b, c) = (insert("a"), insert("b"), insert("c"));
    let scripts = [[&a, &b, &c], [&a, &update, &b], [&update, &c, &a], [&b, &delete, &c]].map(|writes| {
        let numbers = "\\set a random(0, 96)\n\\set b random(0, 96)\n\\set c random(0, 96)\n";
        format!("{numbers}BEGIN;\n{}COMMIT;\n", writes.map(String::as_str).concat())
    });
    let _folds = Server::gateway(url, &["--no-migrate"]);
    let run = pgbench::run(url, &scripts, CLIENTS, SECONDS);
    let found = number(database, DEADLOCKS).await - before + i64::try_from(run.failed).unwrap_or(i64::MAX);
    table.none("deadlocks, 8 writers of one tenant", &format!("{:.0} transactions/s", run.rate), found);
}

const DEADLOCKS: &str = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";

/// Switches the triggers that count.
async fn enable(database: &Database, enabled: bool) {
    let how = if enabled { "ENABLE" } else { "DISABLE" };
    for trigger in ["usage_count_inserted", "usage_count_updated", "usage_count_deleted"] {
        execute(database, &format!("ALTER TABLE calls {how} TRIGGER {trigger}")).await;
    }
}

/// Leaves nothing for a later round to stumble over: no differences, no dirty pages.
async fn clean(database: &Database) {
    execute(database, "TRUNCATE usage_deltas").await;
    execute(database, "CHECKPOINT").await;
}

/// Executes one statement.
pub async fn execute(database: &Database, sql: &str) {
    database.connection.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
}

/// One number.
pub async fn number(database: &Database, sql: &str) -> i64 {
    let row = database.connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
    row.expect(sql).expect("a row").try_get_by_index(0).expect("a number")
}

/// The load of the machine over the last minute.
pub fn load() -> String {
    let output = Command::new("cat").arg("/proc/loadavg").output().expect("the load");
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// Every ordinary tenant's number.
pub fn ordinary() -> impl Iterator<Item = u64> {
    FIRST..FIRST + u64::from(TENANTS)
}
