//! On PostgreSQL the fence looks at a statement's rows once, after it: one look for each tenant, however
//! many rows.

use super::{COLUMNS, FENCED};

/// Each is sent as a message of its own, in this order. `schema` is quoted.
pub(super) fn up(schema: &str) -> Vec<String> {
    let columns = COLUMNS.iter().map(|(name, kind)| {
        let kind = kind.replace("INSTANT", "timestamptz").replace("ID", "uuid");
        format!("ALTER TABLE tenant_deletions ADD COLUMN {name} {kind}")
    });
    let fences = FENCED.iter().map(|table| {
        format!(
            "CREATE TRIGGER tenant_fence AFTER INSERT ON {table} REFERENCING NEW TABLE AS arrived \
             FOR EACH STATEMENT EXECUTE FUNCTION {schema}.tenant_fence()"
        )
    });
    columns.chain(tables()).chain([fence(schema)]).chain(fences).collect()
}

fn tables() -> Vec<String> {
    let key = |table: &str| {
        format!(
            "ALTER TABLE {table} ADD CONSTRAINT {table}_deletion_fkey \
             FOREIGN KEY (deletion_id) REFERENCES tenant_deletions (id) ON DELETE CASCADE"
        )
    };
    vec![
        "CREATE TABLE tenant_deletion_ranges (deletion_id uuid NOT NULL, position integer NOT NULL, \
         lane integer NOT NULL, after_key text, until_key text, PRIMARY KEY (deletion_id, position, lane))"
            .to_owned(),
        key("tenant_deletion_ranges"),
        // Without a foreign key, and compared byte by byte: both would cost more than erasing the rows.
        "CREATE TABLE tenant_deletion_objects (deletion_id uuid NOT NULL, storage_key text COLLATE \"C\" NOT NULL, \
         size_bytes bigint NOT NULL, PRIMARY KEY (deletion_id, storage_key)) WITH (autovacuum_vacuum_scale_factor = 0, \
         autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0)"
            .to_owned(),
        "CREATE INDEX tenant_deletions_unstored_idx ON tenant_deletions (id) \
         WHERE certificate IS NOT NULL AND certificate_stored_at IS NULL"
            .to_owned(),
    ]
}

/// Writers need no right on `tenants`, and see every tenant, whatever policies hide from them. With the
/// owner's rights, nothing may be looked up in a schema that others can write to. A transition table is
/// read by itself, as Citus wants it.
fn fence(schema: &str) -> String {
    format!(
        "CREATE FUNCTION {schema}.tenant_fence() RETURNS trigger LANGUAGE plpgsql \
         SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT DISTINCT a.tenant_id FROM arrived a LOOP
        IF EXISTS (SELECT FROM {schema}.tenants t WHERE t.id = r.tenant_id AND t.status = 'deleting') THEN
            RAISE EXCEPTION 'tenant % is being deleted', r.tenant_id
                USING ERRCODE = 'foreign_key_violation', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA,
                    HINT = 'treat it as a tenant that does not exist';
        END IF;
    END LOOP;
    RETURN NULL;
END
$$"
    )
}

/// Takes back what [`up`] made.
pub(super) fn down(schema: &str) -> Vec<String> {
    let fences = FENCED.iter().map(|table| format!("DROP TRIGGER tenant_fence ON {table}"));
    let function = format!("DROP FUNCTION {schema}.tenant_fence()");
    let tables = super::TABLES.iter().rev().map(|table| format!("DROP TABLE {table}"));
    let index = "DROP INDEX tenant_deletions_unstored_idx".to_owned();
    let columns =
        COLUMNS.iter().rev().map(|(name, _)| format!("ALTER TABLE tenant_deletions DROP COLUMN {name}"));
    fences.chain([function]).chain(tables).chain([index]).chain(columns).collect()
}
