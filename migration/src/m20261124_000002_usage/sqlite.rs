//! Roll-ups on SQLite: with its one writer, triggers add to the sums themselves. Differences are never
//! appended there; their table exists so that both databases have the same.

use crate::dialect;

const SUMS: &str = "
    calls INTEGER NOT NULL,
    duration_sum INTEGER NOT NULL,
    duration_count INTEGER NOT NULL,
    score_sum INTEGER NOT NULL,
    score_count INTEGER NOT NULL,
    cost_cents INTEGER NOT NULL,";

const COLUMNS: [&str; 6] =
    ["calls", "duration_sum", "duration_count", "score_sum", "score_count", "cost_cents"];

/// What one call adds to each of [`COLUMNS`]. A cast cuts towards zero; a negative cut is mended by one.
fn worth(call: &str) -> [String; 6] {
    let millionths = format!("({call}.sentiment_score * 1000000 + 0.5)");
    [
        "1".to_owned(),
        format!("coalesce({call}.duration_seconds, 0)"),
        format!("({call}.duration_seconds IS NOT NULL)"),
        format!(
            "coalesce(cast({millionths} AS INTEGER) - ({millionths} < cast({millionths} AS INTEGER)), 0)"
        ),
        format!("({call}.sentiment_score IS NOT NULL)"),
        format!("{call}.cost_cents"),
    ]
}

/// The roll-ups, each with the start of a call's bucket. All of it is done on the text of the instant:
/// `strftime` would round 59.9995 seconds up into the next bucket.
fn buckets(call: &str) -> [(&'static str, String); 2] {
    [
        (
            "usage_quarter_hours",
            format!(
                "substr({call}.started_at, 1, 14) \
                 || substr('00153045', substr({call}.started_at, 15, 2) / 15 * 2 + 1, 2) || ':00.000000Z'"
            ),
        ),
        ("usage_days", format!("substr({call}.started_at, 1, 10) || 'T00:00:00.000000Z'")),
    ]
}

/// Statements that add a new call to both roll-ups.
fn add(call: &str) -> String {
    let worth = worth(call).join(", ");
    let sums: Vec<_> = COLUMNS.iter().map(|c| format!("{c} = {c} + excluded.{c}")).collect();
    buckets(call)
        .iter()
        .map(|(table, starts_at)| {
            format!(
                "INSERT INTO {table} (tenant_id, starts_at, {}) VALUES ({call}.tenant_id, {starts_at}, {worth})
    ON CONFLICT (tenant_id, starts_at) DO UPDATE SET {};\n",
                COLUMNS.join(", "),
                sums.join(", ")
            )
        })
        .collect::<Vec<_>>()
        .concat()
}

/// Statements that take an old call out of both roll-ups. Where they are gone with their tenant there is
/// nothing to do; an insert would point at a tenant that is gone.
fn subtract(call: &str) -> String {
    let sums: Vec<_> = COLUMNS
        .iter()
        .zip(worth(call))
        .map(|(column, worth)| format!("{column} = {column} - {worth}"))
        .collect();
    buckets(call)
        .iter()
        .map(|(table, starts_at)| {
            format!(
                "UPDATE {table} SET {} WHERE tenant_id = {call}.tenant_id AND starts_at = {starts_at};\n",
                sums.join(", ")
            )
        })
        .collect::<Vec<_>>()
        .concat()
}

/// The trigger that takes deleted calls out of the sums, those for which `condition` holds.
pub(crate) fn count_deleted(condition: Option<&str>) -> String {
    let when = condition.map(|condition| format!("WHEN {condition} ")).unwrap_or_default();
    format!("CREATE TRIGGER usage_count_deleted AFTER DELETE ON calls {when}BEGIN\n{}END", subtract("old"))
}

/// The statements, each a message of its own, in this order.
pub(super) fn up() -> Vec<String> {
    let sums = |table: &str| {
        dialect::sqlite(&format!(
            "CREATE TABLE {table} (
    tenant_id ID NOT NULL,
    starts_at INSTANT NOT NULL,{SUMS}
    PRIMARY KEY (tenant_id, starts_at),
    CONSTRAINT {table}_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID"
        ))
    };
    let changes: Vec<_> = ["started_at", "duration_seconds", "sentiment_score", "cost_cents", "tenant_id"]
        .iter()
        .map(|column| format!("old.{column} IS NOT new.{column}"))
        .collect();
    vec![
        sums("usage_quarter_hours"),
        sums("usage_days"),
        dialect::sqlite(&format!(
            "CREATE TABLE usage_deltas (
    tenant_id ID NOT NULL,
    id ID NOT NULL,
    starts_at INSTANT NOT NULL,{SUMS}
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID"
        )),
        dialect::sqlite(
            "CREATE TABLE usage_rebuilds (
    tenant_id ID NOT NULL,
    next_at INSTANT,
    PRIMARY KEY (tenant_id),
    CONSTRAINT usage_rebuilds_tenant_fkey
        FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID",
        ),
        dialect::sqlite(
            "CREATE TABLE gateway_leases (
    name TEXT NOT NULL,
    holder ID NOT NULL,
    token INTEGER NOT NULL,
    expires_at INSTANT NOT NULL,
    PRIMARY KEY (name)
) STRICT, WITHOUT ROWID",
        ),
        format!("CREATE TRIGGER usage_count_inserted AFTER INSERT ON calls BEGIN\n{}END", add("new")),
        count_deleted(None),
        format!(
            "CREATE TRIGGER usage_count_updated AFTER UPDATE ON calls WHEN {} BEGIN\n{}{}END",
            changes.join(" OR "),
            subtract("old"),
            add("new")
        ),
        "INSERT INTO usage_rebuilds (tenant_id) SELECT id FROM tenants".to_owned(),
    ]
}

/// Takes back what [`up`] made.
pub(super) fn down() -> Vec<String> {
    let triggers = ["usage_count_inserted", "usage_count_deleted", "usage_count_updated"];
    let triggers = triggers.iter().map(|name| format!("DROP TRIGGER {name}"));
    triggers.chain(super::TABLES.iter().rev().map(|table| format!("DROP TABLE {table}"))).collect()
}
