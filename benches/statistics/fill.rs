//! The platform that is measured: small tenants in several zones, and one that is large.

use sea_orm::ConnectionTrait;
use tenant_gateway::database::Database;
use uuid::Uuid;

/// Tenants with an ordinary number of calls.
pub const TENANTS: u32 = 1_000;
/// Calls of each, over three months.
pub const CALLS: u32 = 1_400;
/// Calls of the large tenant, over three months.
pub const LARGE: u32 = 1_000_000;
/// Calls of the tenant that the large one is compared with.
pub const SMALL: u32 = 350;

/// Their zones, in turn.
pub const ZONES: [&str; 5] =
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"];

/// The number in the id of the first tenant: twelve digits, so that a number written behind a prefix
/// makes an id.
pub const FIRST: u64 = 100_000_000_000;
/// What the ids of tenants begin with.
pub const PREFIX: &str = "00000000-0000-7000-8000-";
/// Numbers of the large tenant and of the one it is compared with.
pub const LARGE_NUMBER: u64 = FIRST + 900_000;
pub const SMALL_NUMBER: u64 = FIRST + 900_001;

/// The id of a tenant by its number.
pub fn id(number: u64) -> Uuid {
    format!("{PREFIX}{number}").parse().expect("an id")
}

/// Fills PostgreSQL. The triggers of sums are passed by, as a restore would; a rebuild follows.
pub async fn postgres(database: &Database) {
    let zones = format!("(ARRAY['{}'])", ZONES.join("','"));
    let tenant = format!("('{PREFIX}' || n)::uuid");
    let last = FIRST + u64::from(TENANTS) - 1;
    let all = format!(
        "(SELECT generate_series({FIRST}, {last}) AS n UNION ALL SELECT {LARGE_NUMBER} UNION ALL SELECT {SMALL_NUMBER}) t"
    );
    let calls = |tenants: &str, number: u32| {
        format!(
            "INSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at, ended_at, \
             duration_seconds, sentiment_score, cost_cents) \
             SELECT {tenant}, gen_random_uuid(), {tenant}, 'inbound', 'completed', s, s + interval '3 minutes', \
             (random() * 600)::int, random() * 2 - 1, (random() * 100)::int \
             FROM {tenants}, generate_series(1, {number}) k, \
             LATERAL (SELECT now() - random() * interval '90 days' + 0 * k * interval '1 second' AS s) x"
        )
    };
    let statements = [
        "SET session_replication_role = replica".to_owned(),
        format!(
            "INSERT INTO tenants (id, name, time_zone, monthly_call_limit) \
             SELECT {tenant}, 'Tenant ' || n, {zones}[1 + (n - {FIRST}) % {}], 100000 FROM {all}",
            ZONES.len()
        ),
        format!("INSERT INTO agents (tenant_id, id, name) SELECT {tenant}, {tenant}, 'Agent' FROM {all}"),
        format!(
            "INSERT INTO sessions (tenant_id, id, channel, started_at, ended_at) \
             SELECT {tenant}, gen_random_uuid(), 'chat', now() - k * interval '3 hours', \
             CASE WHEN k > 1 THEN now() END FROM {all}, generate_series(0, 20) k"
        ),
        calls(&format!("generate_series({FIRST}, {last}) n"), CALLS),
        calls(&format!("(SELECT {LARGE_NUMBER} AS n) t"), LARGE),
        calls(&format!("(SELECT {SMALL_NUMBER} AS n) t"), SMALL),
    ];
    let mut connection =
        database.connection.get_postgres_connection_pool().acquire().await.expect("a connection");
    for sql in statements {
        sea_orm::sqlx::raw_sql(sea_orm::sqlx::AssertSqlSafe(sql.clone()))
            .execute(&mut *connection)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{sql}"));
    }
    connection.close_on_drop();
}

/// Fills SQLite with the same numbers of rows; its triggers keep the sums meanwhile.
pub async fn sqlite(database: &Database) {
    let instant = |expression: &str| format!("strftime('%Y-%m-%dT%H:%M:%S', {expression}) || '.000000Z'");
    let tenant = |n: &str| format!("unhex('00000000000070008000' || {n})");
    let last = FIRST + u64::from(TENANTS) - 1;
    let series = |from: u64, to: u64, name: &str| {
        format!("{name} (n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM {name} WHERE n < {to})")
    };
    let all = format!(
        "WITH RECURSIVE {}, t (n) AS (SELECT n FROM g UNION ALL SELECT {LARGE_NUMBER} UNION ALL SELECT {SMALL_NUMBER})",
        series(FIRST, last, "g")
    );
    let zones: Vec<_> = ZONES.iter().enumerate().map(|(n, zone)| format!("WHEN {n} THEN '{zone}'")).collect();
    let calls = |from: u64, to: u64, number: u32| {
        let ago = "'-' || (abs(random()) % 7776000) || ' seconds'";
        let at = instant(&format!("'now', {ago}"));
        format!(
            "INSERT INTO calls (tenant_id, id, agent_id, direction, status, started_at, ended_at, \
             duration_seconds, sentiment_score, cost_cents) \
             WITH RECURSIVE {}, {} \
             SELECT {t}, randomblob(16), {t}, 'inbound', 'completed', {at}, {}, abs(random()) % 600, \
             (abs(random()) % 2000001) / 1000000.0 - 1, abs(random()) % 100 FROM g CROSS JOIN k",
            series(from, to, "g"),
            series(1, u64::from(number), "k"),
            instant("'now'"),
            t = tenant("g.n"),
        )
    };
    let statements = [
        format!(
            "INSERT INTO tenants (id, name, time_zone, monthly_call_limit) {all} SELECT {}, 'Tenant ' || n, \
             CASE (n - {FIRST}) % {} {} END, 100000 FROM t",
            tenant("n"),
            ZONES.len(),
            zones.join(" ")
        ),
        format!(
            "INSERT INTO agents (tenant_id, id, name) {all} SELECT {t}, {t}, 'Agent' FROM t",
            t = tenant("n")
        ),
        format!(
            "INSERT INTO sessions (tenant_id, id, channel, started_at, ended_at) {all}, {} \
             SELECT {}, randomblob(16), 'chat', {}, CASE WHEN k.n > 1 THEN {} END FROM t CROSS JOIN k",
            series(0, 20, "k"),
            tenant("t.n"),
            instant("'now', '-' || (k.n * 3) || ' hours'"),
            instant("'now'"),
        ),
        calls(FIRST, last, CALLS),
        calls(LARGE_NUMBER, LARGE_NUMBER, LARGE),
        calls(SMALL_NUMBER, SMALL_NUMBER, SMALL),
    ];
    for sql in statements {
        database.connection.execute_unprepared(&sql).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
    }
}
