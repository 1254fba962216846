//! Roll-ups on PostgreSQL: triggers append differences, which a worker folds into the sums later, so
//! that writers never wait for one another.

/// The sums that every roll-up keeps, all whole numbers.
const SUMS: &str = "
    calls bigint NOT NULL,
    duration_sum bigint NOT NULL,
    duration_count bigint NOT NULL,
    score_sum bigint NOT NULL,
    score_count bigint NOT NULL,
    cost_cents bigint NOT NULL";

/// The same for one statement's difference. Narrow counts are added up several times as fast, and stand
/// together so that none is padded.
const DELTAS: &str = "
    duration_sum bigint NOT NULL,
    score_sum bigint NOT NULL,
    cost_cents bigint NOT NULL,
    calls integer NOT NULL,
    duration_count integer NOT NULL,
    score_count integer NOT NULL";

/// A version 7 UUID of this moment, to a four-thousandth of a millisecond. Differences lie in their table in
/// the order of their writing, and with such ids in their index too: by random ids, reading many takes three
/// times as long.
const NEW_ID: &str = "encode(overlay(uuid_send(gen_random_uuid()) PLACING int8send( \
     (floor(date_part('epoch', clock_timestamp()) * 1000)::bigint << 16) | 28672 \
     | ((date_part('epoch', clock_timestamp()) * 4096000)::bigint & 4095)) FROM 1 FOR 8), 'hex')::uuid";

/// Writers need no right on the sums, and see every tenant here, whatever policies hide from them. With the
/// owner's rights, nothing may be looked up in a schema that others can write to.
const AS_OWNER: &str = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp";

const COLUMNS: &str = "calls, duration_sum, duration_count, score_sum, score_count, cost_cents";

/// Sums are updated again and again: room on each page lets an update stay on it, without touching
/// the index. The threshold keeps dead rows few where the table is large.
const SUMS_STORAGE: &str =
    "(fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05)";

/// Differences come and go: what was folded is cleared away soon.
const DELTAS_STORAGE: &str = "(autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0)";

/// Start of the UTC quarter-hour of a call.
fn quarter_hour(call: &str) -> String {
    format!("date_bin('15 minutes', {call}.started_at, timestamptz '0001-01-01 00:00:00+00')")
}

fn millionths(call: &str) -> String {
    format!("floor({call}.sentiment_score * 1000000 + 0.5)::bigint")
}

/// What one call adds to each of [`COLUMNS`].
fn worth(call: &str) -> [String; 6] {
    [
        "1".to_owned(),
        format!("coalesce({call}.duration_seconds, 0)"),
        format!("({call}.duration_seconds IS NOT NULL)::int"),
        format!("coalesce({}, 0)", millionths(call)),
        format!("({call}.sentiment_score IS NOT NULL)::int"),
        format!("{call}.cost_cents"),
    ]
}

/// Each is sent as a message of its own, in this order. `schema` is quoted.
pub(super) fn up(schema: &str) -> Vec<String> {
    let mut statements = tables();
    statements.extend([
        changed_in_bulk(schema, "usage_count_inserted", ""),
        changed_in_bulk(schema, "usage_count_deleted", "-"),
        updated(schema),
        refuse_truncation(schema),
        forgotten(schema),
    ]);
    statements.extend(triggers(schema));
    // After the triggers: every call is either seen by them or belongs to a tenant listed here.
    statements.push("INSERT INTO usage_rebuilds (tenant_id) SELECT id FROM tenants".to_owned());
    statements
}

fn tables() -> Vec<String> {
    let sums = |table: &str| {
        format!(
            "CREATE TABLE {table} (tenant_id uuid NOT NULL, starts_at timestamptz NOT NULL, {SUMS}, \
             PRIMARY KEY (tenant_id, starts_at)) WITH {SUMS_STORAGE}"
        )
    };
    let key = |table: &str| {
        format!(
            "ALTER TABLE {table} ADD CONSTRAINT {table}_tenant_fkey \
             FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE"
        )
    };
    vec![
        sums("usage_quarter_hours"),
        key("usage_quarter_hours"),
        sums("usage_days"),
        key("usage_days"),
        format!(
            "CREATE TABLE usage_deltas (tenant_id uuid NOT NULL, id uuid NOT NULL DEFAULT {NEW_ID}, \
             starts_at timestamptz NOT NULL, {DELTAS}, PRIMARY KEY (tenant_id, id)) WITH {DELTAS_STORAGE}"
        ),
        "CREATE TABLE usage_rebuilds (tenant_id uuid NOT NULL, next_at timestamptz, PRIMARY KEY (tenant_id))"
            .to_owned(),
        key("usage_rebuilds"),
        "CREATE TABLE gateway_leases (name text NOT NULL, holder uuid NOT NULL, token bigint NOT NULL, \
         expires_at timestamptz NOT NULL, PRIMARY KEY (name))"
            .to_owned(),
    ]
}

/// Appends one difference for each tenant and quarter-hour of the statement's rows. A transition table
/// is read by itself, and each row inserted by itself, as Citus wants it. Calls that go with their
/// tenant are not counted: its sums go too.
fn changed_in_bulk(schema: &str, name: &str, sign: &str) -> String {
    let quarter_hour = quarter_hour("c");
    let millionths = millionths("c");
    let deleted = sign == "-";
    let stays = format!(
        "EXISTS (SELECT FROM {schema}.tenants t WHERE t.id = r.tenant_id AND t.status <> 'deleting')"
    );
    let (leave_early, guard) = if deleted {
        let leave_early = format!(
            "FOR r IN SELECT DISTINCT c.tenant_id FROM changed c LOOP
        any_stays := any_stays OR {stays};
    END LOOP;
    IF NOT any_stays THEN
        RETURN NULL;
    END IF;"
        );
        (leave_early, format!("CONTINUE WHEN NOT {stays};"))
    } else {
        Default::default()
    };
    format!(
        "CREATE FUNCTION {schema}.{name}() RETURNS trigger LANGUAGE plpgsql {AS_OWNER} AS $$
DECLARE
    r record;
    any_stays boolean := false;
BEGIN
    {leave_early}
    FOR r IN
        SELECT c.tenant_id, {quarter_hour} AS starts_at, count(*) AS calls,
            coalesce(sum(c.duration_seconds), 0) AS duration_sum, count(c.duration_seconds) AS duration_count,
            coalesce(sum({millionths}), 0) AS score_sum, count(c.sentiment_score) AS score_count,
            sum(c.cost_cents) AS cost_cents
        FROM changed c GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
        {guard}
        INSERT INTO {schema}.usage_deltas (tenant_id, starts_at, {COLUMNS})
        VALUES (r.tenant_id, r.starts_at, {sign}r.calls, {sign}r.duration_sum, {sign}r.duration_count,
            {sign}r.score_sum, {sign}r.score_count, {sign}r.cost_cents);
    END LOOP;
    RETURN NULL;
END
$$"
    )
}

/// Appends the difference between a call before and after: one row, or two where it moved to another
/// quarter-hour.
fn updated(schema: &str) -> String {
    let (old, new) = (worth("old"), worth("new"));
    let difference: Vec<_> = new.iter().zip(&old).map(|(new, old)| format!("{new} - {old}")).collect();
    let negative: Vec<_> = old.iter().map(|value| format!("-({value})")).collect();
    let insert = |tenant: &str, starts_at: &str, values: String| {
        format!(
            "INSERT INTO {schema}.usage_deltas (tenant_id, starts_at, {COLUMNS})
        VALUES ({tenant}, {starts_at}, {values});"
        )
    };
    format!(
        "CREATE FUNCTION {schema}.usage_count_updated() RETURNS trigger LANGUAGE plpgsql {AS_OWNER} AS $$
DECLARE
    before timestamptz := {};
    after timestamptz := {};
BEGIN
    IF before = after AND old.tenant_id = new.tenant_id THEN
        {}
    ELSE
        {}
        {}
    END IF;
    RETURN NULL;
END
$$",
        quarter_hour("old"),
        quarter_hour("new"),
        insert("new.tenant_id", "after", difference.join(", ")),
        insert("old.tenant_id", "before", negative.join(", ")),
        insert("new.tenant_id", "after", new.join(", ")),
    )
}

fn refuse_truncation(schema: &str) -> String {
    format!(
        "CREATE FUNCTION {schema}.usage_refuse_truncation() RETURNS trigger LANGUAGE plpgsql {AS_OWNER} AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE would leave the statistics of calls as they are'
        USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'use DELETE; or disable the trigger usage_refuse_truncation, and run tenant-gateway usage rebuild afterwards';
END
$$"
    )
}

/// Differences have no foreign key, and yet go with their tenant: one of the same id starts anew.
fn forgotten(schema: &str) -> String {
    format!(
        "CREATE FUNCTION {schema}.usage_forget_tenant() RETURNS trigger LANGUAGE plpgsql {AS_OWNER} AS $$
BEGIN
    DELETE FROM {schema}.usage_deltas WHERE tenant_id = old.id;
    RETURN NULL;
END
$$"
    )
}

fn triggers(schema: &str) -> Vec<String> {
    vec![
        format!(
            "CREATE TRIGGER usage_count_inserted AFTER INSERT ON calls REFERENCING NEW TABLE AS changed \
             FOR EACH STATEMENT EXECUTE FUNCTION {schema}.usage_count_inserted()"
        ),
        format!(
            "CREATE TRIGGER usage_count_deleted AFTER DELETE ON calls REFERENCING OLD TABLE AS changed \
             FOR EACH STATEMENT EXECUTE FUNCTION {schema}.usage_count_deleted()"
        ),
        // A transition table does not go with a list of columns; a row's own condition costs nothing
        // where no number changes.
        format!(
            "CREATE TRIGGER usage_count_updated AFTER UPDATE ON calls FOR EACH ROW \
             WHEN (old.started_at IS DISTINCT FROM new.started_at \
                OR old.duration_seconds IS DISTINCT FROM new.duration_seconds \
                OR old.sentiment_score IS DISTINCT FROM new.sentiment_score \
                OR old.cost_cents IS DISTINCT FROM new.cost_cents \
                OR old.tenant_id IS DISTINCT FROM new.tenant_id) \
             EXECUTE FUNCTION {schema}.usage_count_updated()"
        ),
        format!(
            "CREATE TRIGGER usage_forget_tenant AFTER DELETE ON tenants FOR EACH ROW \
             EXECUTE FUNCTION {schema}.usage_forget_tenant()"
        ),
        format!(
            "CREATE TRIGGER usage_refuse_truncation BEFORE TRUNCATE ON calls \
             FOR EACH STATEMENT EXECUTE FUNCTION {schema}.usage_refuse_truncation()"
        ),
    ]
}

/// Takes back what [`up`] made.
pub(super) fn down(schema: &str) -> Vec<String> {
    let made = [
        ("usage_count_inserted", "calls"),
        ("usage_count_deleted", "calls"),
        ("usage_count_updated", "calls"),
        ("usage_refuse_truncation", "calls"),
        ("usage_forget_tenant", "tenants"),
    ];
    let triggers = made.iter().map(|(name, table)| format!("DROP TRIGGER {name} ON {table}"));
    let functions = made.iter().map(|(name, _)| format!("DROP FUNCTION {schema}.{name}()"));
    let tables = super::TABLES.iter().rev().map(|table| format!("DROP TABLE {table}"));
    triggers.chain(functions).chain(tables).collect()
}
