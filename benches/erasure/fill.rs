//! The platform that is measured: tenants of any number of rows, whose ids come in no order.

use sea_orm::{ConnectionTrait, DbBackend};
use tenant_gateway::database::Database;
use uuid::Uuid;

/// Other tenants, who go on working.
pub const NEIGHBOURS: u64 = 200;
/// Rows of each.
pub const NEIGHBOUR_ROWS: u64 = 1_000;
/// Tenants that are small, and are erased one after the other.
pub const SMALL: u64 = 5;
/// Rows of each.
pub const SMALL_ROWS: u64 = 10_000;
/// Numbers of tenants: of the neighbours from 0, of the small ones, and of the one that is large.
pub const FIRST_SMALL: u64 = 1_000;
pub const LARGE: u64 = 2_000;

/// Agents of a tenant.
const AGENTS: u64 = 20;

/// What a tenant consists of: a table, its share of the rows in percent, its columns, and their values for
/// row `n`.
const TABLES: [(&str, u64, &str, &str); 5] = [
    (
        "calls",
        40,
        "id, agent_id, direction, status, started_at, ended_at, duration_seconds, sentiment_score, cost_cents",
        "{id}, {agent}, 'inbound', 'completed', {instant}, {instant}, n % 600, n % 2001 / 1000.0 - 1, n % 100",
    ),
    (
        "call_recordings",
        25,
        "id, call_id, storage_key, size_bytes",
        "{id}, {id}, 'tenants/{tenant}/recordings/' || {hex} || '.ogg', 1000000",
    ),
    (
        "call_transcripts",
        15,
        "id, call_id, content",
        "{id}, {id}, 'Good morning, what can I do for you? A table for two at eight, by the window, please.'",
    ),
    (
        "sessions",
        10,
        "id, agent_id, call_id, channel, started_at, ended_at",
        "{id}, {agent}, {id}, 'phone', {instant}, {instant}",
    ),
    ("activity_logs", 10, "id, actor, action", "{id}, 'agent', 'call.completed'"),
];

/// The id of a tenant by its number.
pub fn id(number: u64) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000 | u128::from(number))
}

/// Its name.
pub fn name(number: u64) -> String {
    format!("Tenant {number}")
}

/// The platform as it is before anything is erased: neighbours, small tenants, and a large one of so many
/// rows. On PostgreSQL, whose triggers are passed by as a restore would, sums have to be built afterwards.
pub async fn platform(database: &Database, rows: u64) {
    let neighbours = (0..NEIGHBOURS).map(|number| (number, NEIGHBOUR_ROWS));
    let small = (FIRST_SMALL..FIRST_SMALL + SMALL).map(|number| (number, SMALL_ROWS));
    for (number, rows) in neighbours.chain(small).chain([(LARGE, rows)]) {
        tenant(database, number, rows).await;
    }
}

/// One tenant, with all that belongs to it.
pub async fn tenant(database: &Database, number: u64, rows: u64) {
    let dialect = Dialect { backend: database.backend(), tenant: id(number) };
    let mut statements = vec![dialect.tenant(number), dialect.agents()];
    for (table, share, columns, values) in TABLES {
        statements.push(dialect.rows(table, columns, values, rows * share / 100));
    }
    let transaction = database.begin().await.expect("a transaction");
    if database.backend() == DbBackend::Postgres {
        statements.insert(0, "SET LOCAL session_replication_role = replica".to_owned());
    }
    for sql in statements {
        transaction.execute_unprepared(&sql).await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
    }
    transaction.commit().await.expect("a commit");
}

/// How either database spells a tenant's rows.
struct Dialect {
    backend: DbBackend,
    tenant: Uuid,
}

impl Dialect {
    fn is_sqlite(&self) -> bool {
        self.backend == DbBackend::Sqlite
    }

    /// 32 digits: the first eight scatter the rows, the others tell them apart.
    fn hex(&self, n: &str) -> String {
        let scattered = format!("({n}) * 2654435761 % 4294967296");
        if self.is_sqlite() {
            format!("printf('%08x%024x', {scattered}, {n})")
        } else {
            format!("(lpad(to_hex({scattered}), 8, '0') || lpad(to_hex({n}), 24, '0'))")
        }
    }

    fn id(&self, n: &str) -> String {
        if self.is_sqlite() { format!("unhex({})", self.hex(n)) } else { format!("{}::uuid", self.hex(n)) }
    }

    /// A literal of the tenant's id.
    fn owner(&self) -> String {
        if self.is_sqlite() {
            format!("x'{}'", self.tenant.simple())
        } else {
            format!("'{}'::uuid", self.tenant)
        }
    }

    /// An instant of the last 90 days.
    fn instant(&self) -> &'static str {
        if self.is_sqlite() {
            "strftime('%Y-%m-%dT%H:%M:%S', 'now', '-' || (n * 7919 % 7776000) || ' seconds') || '.000000Z'"
        } else {
            "now() - n * 7919 % 7776000 * interval '1 second'"
        }
    }

    fn tenant(&self, number: u64) -> String {
        format!("INSERT INTO tenants (id, name) VALUES ({}, '{}')", self.owner(), name(number))
    }

    fn agents(&self) -> String {
        self.rows("agents", "id, name", "{id}, 'Agent ' || n", AGENTS)
    }

    fn rows(&self, table: &str, columns: &str, values: &str, rows: u64) -> String {
        let values = values
            .replace("{tenant}", &self.tenant.to_string())
            .replace("{hex}", &self.hex("n"))
            .replace("{id}", &self.id("n"))
            .replace("{agent}", &self.id(&format!("n % {AGENTS}")))
            .replace("{instant}", self.instant());
        let last = rows.saturating_sub(1);
        let series = if self.is_sqlite() {
            format!("WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < {last})")
        } else {
            format!("WITH s AS (SELECT generate_series(0, {last})::bigint AS n)")
        };
        format!(
            "INSERT INTO {table} (tenant_id, {columns}) {series} SELECT {}, {values} FROM s",
            self.owner()
        )
    }
}
