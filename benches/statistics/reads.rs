//! What reading costs: many connections, one connection, a page, a large tenant, sums that lag.

use std::time::{Duration, Instant};

use sea_orm::DbBackend;
use serde_json::json;
use tenant_gateway::database::Database;

use super::{
    Bench,
    fill::{self, FIRST, LARGE_NUMBER, PREFIX, SMALL_NUMBER, TENANTS, id},
    load::{self, post},
    measure::{Table, median, ms},
    peers::{self, Server},
    pgbench,
    statement::Statement,
    writes::{execute, number, ordinary},
};

const TENANT: &str = "query ($id: ID!) { tenant(id: $id) { id name stats { totalAgents totalCallsToday \
     totalCallsMonth avgCallDuration avgSentimentScore activeSessions activeCalls monthlyUsageCents lastCallAt } } }";
const PAGE: &str = "query ($after: String) { tenants(first: 50, after: $after) { nodes { id name stats { totalAgents \
     totalCallsToday totalCallsMonth avgCallDuration avgSentimentScore activeSessions activeCalls monthlyUsageCents \
     lastCallAt } } pageInfo { endCursor } } }";

/// Where the database has the other core: threads of the gateway that wake each other are in its way.
const ON_ONE: &str = "the same with TOKIO_WORKER_THREADS=1";
const ROUNDS: usize = 3;
const LASTING: Duration = Duration::from_secs(6);

fn requests(bench: &Bench, numbers: impl Iterator<Item = u64>) -> Vec<Vec<u8>> {
    numbers.map(|number| post("/graphql", &bench.token, TENANT, &json!({ "id": id(number) }))).collect()
}

/// Everything on PostgreSQL.
pub async fn measure(bench: &Bench, table: &mut Table) {
    // What an earlier run's differences have left in the planner's statistics would have the peer compile each
    // statement.
    execute(&bench.database, "VACUUM ANALYZE usage_deltas").await;
    let statement = Statement::capture(&bench.database).await;
    let all = requests(bench, ordinary());
    let gateway = Server::gateway(&bench.url, &["--no-migrate"]);
    many_connections(bench, &gateway, &statement, &all, table).await;
    table.at_most(
        "memory of the gateway under that load, MB",
        "peak resident set",
        gateway.peak_memory(),
        80.0,
    );
    one_connection(bench, &gateway, &statement, &all, table).await;
    large_and_small(bench, &gateway, table).await;
    page(bench, &gateway, &statement, table).await;
}

async fn many_connections(
    bench: &Bench,
    gateway: &Server,
    statement: &Statement,
    all: &[Vec<u8>],
    table: &mut Table,
) {
    let scripts = [statement.script(TENANTS, 1)];
    let peer = Server::mercurius(&bench.url, statement);
    let [mut own, mut database, mut peers] = [const { Vec::new() }; 3];
    let [mut to_database, mut to_peer] = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        let rate = load::run(gateway.port, 128, LASTING, all).await.rate;
        let statements = pgbench::run(&bench.url, &scripts, 8, 6).rate;
        let peer = load::run(peer.port, 128, LASTING, all).await.rate;
        to_database.push(rate / statements);
        to_peer.push(rate / peer);
        own.push(rate);
        database.push(statements);
        peers.push(peer);
    }
    let (own, database, peers) = (median(&mut own), median(&mut database), median(&mut peers));
    table.at_least(
        "tenant { id name stats }, 128 connections ÷ pgbench, 8 clients",
        &format!("{own:.0} ÷ {database:.0} /s"),
        median(&mut to_database),
        1.5,
    );
    table.at_least("the same ÷ mercurius", &format!("{own:.0} ÷ {peers:.0} /s"), median(&mut to_peer), 5.0);
}

async fn one_connection(
    bench: &Bench,
    gateway: &Server,
    statement: &Statement,
    all: &[Vec<u8>],
    table: &mut Table,
) {
    let peer = Server::mercurius(&bench.url, statement);
    let narrow = Server::gateway_on(1, &bench.url, &["--no-migrate", "--no-workers"]);
    let [mut own, mut peers, mut ratios, mut narrows] = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let gateway = ms(load::run(gateway.port, 1, LASTING / 2, all).await.quantile(0.5));
        let peer = ms(load::run(peer.port, 1, LASTING / 2, all).await.quantile(0.5));
        narrows.push(ms(load::run(narrow.port, 1, LASTING / 2, all).await.quantile(0.5)) / peer);
        ratios.push(gateway / peer);
        own.push(gateway);
        peers.push(peer);
    }
    let detail = format!("{:.2} ÷ {:.2} ms", median(&mut own), median(&mut peers));
    table.at_most("one connection, median latency ÷ mercurius", &detail, median(&mut ratios), 0.8);
    table.at_most(ON_ONE, "÷ mercurius", median(&mut narrows), 0.8);
}

async fn large_and_small(bench: &Bench, gateway: &Server, table: &mut Table) {
    let large = requests(bench, std::iter::once(LARGE_NUMBER));
    let small = requests(bench, std::iter::once(SMALL_NUMBER));
    let [mut larges, mut smalls, mut ratios] = [const { Vec::new() }; 3];
    for _ in 0..5 {
        let large = ms(load::run(gateway.port, 1, LASTING / 3, &large).await.quantile(0.5));
        let small = ms(load::run(gateway.port, 1, LASTING / 3, &small).await.quantile(0.5));
        ratios.push(large / small);
        larges.push(large);
        smalls.push(small);
    }
    let detail = format!("{:.2} ÷ {:.2} ms", median(&mut larges), median(&mut smalls));
    table.at_most("a million calls ÷ 350 calls, median latency", &detail, median(&mut ratios), 1.1);
}

/// Pages of 50: the first one, which connections that ask at the same time share, and twenty at random,
/// which they hardly do.
async fn page(bench: &Bench, gateway: &Server, statement: &Statement, table: &mut Table) {
    let mut pages = Vec::new();
    // A second installation is refused, which is as good as the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut after = json!(null);
    for _ in 0..TENANTS / 50 {
        let variables = json!({ "after": after });
        pages.push(post("/graphql", &bench.token, PAGE, &variables));
        let answer: serde_json::Value = client
            .post(format!("http://127.0.0.1:{}/graphql", gateway.port))
            .bearer_auth(&bench.token)
            .json(&json!({ "query": PAGE, "variables": variables }))
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        after = answer["data"]["tenants"]["pageInfo"]["endCursor"].clone();
    }
    let scripts = [statement.script(TENANTS, 50)];
    let [mut one, mut many, mut database, mut of_one, mut of_many] = [const { Vec::new() }; 5];
    for _ in 0..ROUNDS {
        let same = load::run(gateway.port, 8, LASTING, &pages[..1]).await.rate;
        let different = load::run(gateway.port, 8, LASTING, &pages).await.rate;
        let statements = pgbench::run(&bench.url, &scripts, 8, 6).rate;
        of_one.push(same / statements);
        of_many.push(different / statements);
        one.push(same);
        many.push(different);
        database.push(statements);
    }
    let database = median(&mut database);
    let detail = format!("{:.0} ÷ {database:.0} /s", median(&mut one));
    table.at_least("the first page of 50 tenants with stats ÷ pgbench", &detail, median(&mut of_one), 0.9);
    let detail = format!("{:.0} ÷ {database:.0} /s", median(&mut many));
    table.at_least("the same, one of twenty pages at random", &detail, median(&mut of_many), 0.9);
}

/// The same platform on SQLite, against PostgreSQL, 32 connections.
pub async fn sqlite(bench: &Bench, table: &mut Table) {
    let file = std::env::temp_dir().join("tenant-gateway-bench.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    if std::env::var("BENCH_FRESH").is_ok() || !file.exists() {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
        }
        peers::gateway(&["migrate", "up", "--database-url", &url]);
        let begun = Instant::now();
        let database = Database::open(&url).await.expect("a database");
        fill::sqlite(&database).await;
        eprintln!("filled SQLite in {:.0} s", begun.elapsed().as_secs_f64());
    }
    let all = requests(bench, ordinary());
    let (embedded, served) =
        (Server::gateway(&url, &["--no-migrate"]), Server::gateway(&bench.url, &["--no-migrate"]));
    let [mut sqlites, mut postgres, mut ratios] = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let sqlite = load::run(embedded.port, 32, LASTING, &all).await.rate;
        let other = load::run(served.port, 32, LASTING, &all).await.rate;
        ratios.push(sqlite / other);
        sqlites.push(sqlite);
        postgres.push(other);
    }
    let detail = format!("{:.0} ÷ {:.0} /s", median(&mut sqlites), median(&mut postgres));
    table.at_least("SQLite ÷ PostgreSQL, 32 connections", &detail, median(&mut ratios), 1.0);
}

/// A tenant with 100,000 differences that nobody has folded, all of this month by UTC whatever the day, and how soon they
/// are folded.
pub async fn deltas(bench: &Bench, table: &mut Table) {
    let tenant = format!("('{PREFIX}' || {FIRST})::uuid");
    execute(&bench.database, "DELETE FROM usage_deltas").await;
    let insert = format!(
        "DO $$ BEGIN FOR n IN 1..100000 LOOP \
         INSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at, ended_at, duration_seconds, \
           sentiment_score, cost_cents) \
         VALUES ({tenant}, gen_random_uuid(), {tenant}, 'inbound', 'completed', \
           date_trunc('month', now()) + n % 2000 * interval '15 minutes', now(), 60, 0.5, 7); END LOOP; END $$"
    );
    execute(&bench.database, &insert).await;
    let waiting = number(&bench.database, "SELECT count(*) FROM usage_deltas").await;
    assert!(waiting >= 100_000, "{waiting} differences");
    let request = requests(bench, std::iter::once(FIRST));
    let reader = Server::gateway(&bench.url, &["--no-migrate", "--no-workers"]);
    let latency = load::run(reader.port, 1, Duration::from_secs(3), &request).await.quantile(0.5);
    let mut reading = Vec::new();
    let read = format!("SELECT count(score_count) FROM usage_deltas WHERE tenant_id = {tenant}");
    for _ in 0..21 {
        let begun = Instant::now();
        assert_eq!(number(&bench.database, &read).await, 100_000);
        reading.push(ms(begun.elapsed()));
    }
    table.at_most(
        "100,000 differences not folded, median latency, ms",
        &format!(
            "{waiting} differences; to read them, without adding up, takes {:.2} ms",
            median(&mut reading)
        ),
        ms(latency),
        20.0,
    );
    let begun = Instant::now();
    let _worker = Server::gateway(&bench.url, &["--no-migrate"]);
    while number(&bench.database, "SELECT count(*) FROM usage_deltas").await > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(begun.elapsed() < Duration::from_mins(1), "they are not folded");
    }
    assert_eq!(bench.database.backend(), DbBackend::Postgres);
    table.at_most(
        "until all are folded, s, with the start of a gateway",
        "",
        begun.elapsed().as_secs_f64(),
        5.0,
    );
}
