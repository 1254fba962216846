//! Reads `pg_catalog`. Every query joins `pg_class`: on Citus the constraints of shards are listed
//! too, and their tables are not visible there.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};

use super::{
    Catalogue, Column, ForeignKey, Heir, Holds, Index, Materialised, PartialKey, RowName, Table, TableName,
};
use crate::database;

/// Tables, partitioned ones as a whole, outside the system's schemas. Of updates only that of a status
/// matters.
const TABLES: &str = "
SELECT CASE WHEN n.nspname <> current_schema() THEN n.nspname::text END AS schema, c.relname::text AS name,
    c.relkind = 'p' AS is_partitioned,
    EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname = 'tenant_fence' AND g.tgenabled IN ('O', 'A'))
        AS is_fenced,
    has_schema_privilege(n.oid, 'USAGE') AS reachable,
    ARRAY(SELECT word FROM unnest(ARRAY['SELECT', 'INSERT', 'DELETE']) word WHERE has_table_privilege(c.oid, word))
    || ARRAY(SELECT 'UPDATE' WHERE has_table_privilege(c.oid, 'UPDATE') OR EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'status'
        AND NOT a.attisdropped AND has_column_privilege(c.oid, a.attnum, 'UPDATE'))) AS granted,
    row_security_active(c.oid) AS filtered
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
    AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'";

const COLUMNS: &str = "
SELECT CASE WHEN n.nspname <> current_schema() THEN n.nspname::text END AS schema, c.relname::text AS name,
    a.attname::text AS column, format_type(a.atttypid, a.atttypmod) AS kind,
    NOT a.attnotnull AND a.attgenerated = '' AS is_nullable, t.typcategory = 'S' AS is_text,
    has_column_privilege(c.oid, a.attnum, 'UPDATE') AS is_updatable,
    a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) AS is_whole
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition
    AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
ORDER BY c.oid, a.attnum";

/// Whole, valid indexes and the columns they lead with; expressions end the list.
const INDEXES: &str = "
SELECT CASE WHEN n.nspname <> current_schema() THEN n.nspname::text END AS schema, c.relname::text AS name,
    (SELECT array_agg(coalesce(a.attname::text, '') ORDER BY k.ord)
     FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, ord)
     LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
     WHERE k.ord <= i.indnkeyatts) AS columns,
    i.indisunique AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, ord)
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND a.attnotnull
        WHERE k.ord <= i.indnkeyatts AND a.attnum IS NULL) AS is_unique,
    m.amname = 'btree' AND 0 = ALL (i.indoption::int2[]) AS is_sorted
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indisvalid AND i.indpred IS NULL";

/// Foreign keys, each once. One that a whole table has is not repeated for its partitions; one that a
/// partition has, or is referred to by, alone comes with that partition.
const KEYS: &str = "
SELECT CASE WHEN cn.nspname <> current_schema() THEN cn.nspname::text END AS child_schema,
    child.relname::text AS child_name,
    (SELECT array_agg(a.attname::text ORDER BY k.ord) FROM unnest(con.conkey) WITH ORDINALITY k (attnum, ord)
     JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = k.attnum) AS child_columns,
    CASE WHEN pn.nspname <> current_schema() THEN pn.nspname::text END AS parent_schema,
    parent.relname::text AS parent_name,
    (SELECT array_agg(a.attname::text ORDER BY k.ord) FROM unnest(con.confkey) WITH ORDINALITY k (attnum, ord)
     JOIN pg_attribute a ON a.attrelid = con.confrelid AND a.attnum = k.attnum) AS parent_columns,
    con.condeferrable AND con.confdeltype <> 'r' AS is_deferrable, con.convalidated AS is_validated, con.confmatchtype = 'f' AS matches_fully,
    CASE WHEN ln.nspname <> current_schema() THEN ln.nspname::text END AS partition_schema,
    partition.relname::text AS partition_name
FROM pg_constraint con
JOIN pg_class child ON child.oid = con.conrelid JOIN pg_namespace cn ON cn.oid = child.relnamespace
JOIN pg_class referred ON referred.oid = con.confrelid
JOIN pg_class parent ON parent.oid = coalesce(pg_partition_root(con.confrelid), con.confrelid)
JOIN pg_namespace pn ON pn.oid = parent.relnamespace
LEFT JOIN pg_class partition
    ON partition.oid = CASE WHEN child.relispartition THEN child.oid WHEN referred.relispartition THEN referred.oid END
LEFT JOIN pg_namespace ln ON ln.oid = partition.relnamespace
WHERE con.contype = 'f' AND con.conparentid = 0
ORDER BY child_schema, child_name, con.conname";

/// Materialised views with the tables below them, through any number of plain views. What is made from a
/// partition is made from the whole table.
const MATERIALISED: &str = "
WITH RECURSIVE uses (view, relation) AS (
    SELECT r.ev_class, d.refobjid FROM pg_rewrite r JOIN pg_depend d
        ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    WHERE d.refobjid <> r.ev_class
), below (view, relation) AS (
    SELECT u.view, u.relation FROM uses u JOIN pg_class m ON m.oid = u.view AND m.relkind = 'm'
    UNION SELECT b.view, u.relation FROM below b JOIN uses u ON u.view = b.relation
)
SELECT DISTINCT CASE WHEN vn.nspname <> current_schema() THEN vn.nspname::text END AS view_schema,
    v.relname::text AS view_name,
    CASE WHEN tn.nspname <> current_schema() THEN tn.nspname::text END AS table_schema,
    t.relname::text AS table_name
FROM below b
JOIN pg_class v ON v.oid = b.view JOIN pg_namespace vn ON vn.oid = v.relnamespace
JOIN pg_class t ON t.oid = coalesce(pg_partition_root(b.relation), b.relation) AND t.relkind IN ('r', 'p', 'f')
JOIN pg_namespace tn ON tn.oid = t.relnamespace
ORDER BY 1, 2, 3, 4";

/// Tables that inherit from others, which partitions do in another way.
const HEIRS: &str = "
WITH RECURSIVE heirs (heir, parent) AS (
    SELECT i.inhrelid, i.inhparent FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE c.relkind IN ('r', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
    UNION SELECT h.heir, i.inhparent FROM heirs h JOIN pg_inherits i ON i.inhrelid = h.parent
)
SELECT CASE WHEN n.nspname <> current_schema() THEN n.nspname::text END AS schema, c.relname::text AS name,
    CASE WHEN pn.nspname <> current_schema() THEN pn.nspname::text END AS parent_schema,
    p.relname::text AS parent_name
FROM heirs h
JOIN pg_class c ON c.oid = h.heir JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = h.parent JOIN pg_namespace pn ON pn.oid = p.relnamespace
ORDER BY 1, 2, 3, 4";

pub(super) async fn read<C: ConnectionTrait>(connection: &C) -> Result<Catalogue, database::Error> {
    let mut catalogue = Catalogue::default();
    for row in query(connection, "SELECT current_schema()::text AS schema").await? {
        catalogue.schema = row.try_get_by("schema")?;
    }
    for row in query(connection, TABLES).await? {
        let name = name(&row, "schema", "name")?;
        let (reachable, granted): (bool, Vec<String>) =
            (row.try_get_by("reachable")?, row.try_get_by("granted")?);
        let missing = missing(&name, reachable, &granted);
        catalogue.tables.push(Table {
            name,
            columns: Vec::new(),
            indexes: Vec::new(),
            rows: if row.try_get_by("is_partitioned")? { RowName::PlaceInPartition } else { RowName::Place },
            is_fenced: row.try_get_by("is_fenced")?,
            runs_others: false,
            missing,
            readable: reachable && granted.iter().any(|word| word == "SELECT"),
            filtered: row.try_get_by("filtered")?,
        });
    }
    read_columns(connection, &mut catalogue).await?;
    for row in query(connection, KEYS).await? {
        let key = ForeignKey {
            child: name(&row, "child_schema", "child_name")?,
            child_columns: row.try_get_by("child_columns")?,
            parent: name(&row, "parent_schema", "parent_name")?,
            parent_columns: row.try_get_by("parent_columns")?,
            is_deferrable: row.try_get_by("is_deferrable")?,
            is_validated: row.try_get_by("is_validated")?,
            matches_fully: row.try_get_by("matches_fully")?,
            is_implied: false,
        };
        if row.try_get_by::<Option<String>, _>("partition_name")?.is_some() {
            let partition = name(&row, "partition_schema", "partition_name")?;
            catalogue.partial_keys.push(PartialKey { key, partition });
        } else {
            catalogue.keys.push(key);
        }
    }
    for row in query(connection, MATERIALISED).await? {
        catalogue.materialised.push(Materialised {
            view: name(&row, "view_schema", "view_name")?,
            table: name(&row, "table_schema", "table_name")?,
        });
    }
    for row in query(connection, HEIRS).await? {
        let (table, parent) = (name(&row, "schema", "name")?, name(&row, "parent_schema", "parent_name")?);
        catalogue.heirs.push(Heir { table, parent });
    }
    Ok(catalogue)
}

/// Fills in the columns and indexes of tables.
async fn read_columns<C: ConnectionTrait>(
    connection: &C,
    catalogue: &mut Catalogue,
) -> Result<(), database::Error> {
    let mut tables: HashMap<TableName, &mut Table> =
        catalogue.tables.iter_mut().map(|table| (table.name.clone(), table)).collect();
    for row in query(connection, COLUMNS).await? {
        let Some(table) = tables.get_mut(&name(&row, "schema", "name")?) else { continue };
        let holds = match (row.try_get_by("is_text")?, row.try_get_by("is_whole")?) {
            (true, _) => Holds::Text,
            (_, true) => Holds::WholeNumbers,
            _ => Holds::Other,
        };
        table.columns.push(Column {
            name: row.try_get_by("column")?,
            kind: row.try_get_by("kind")?,
            is_nullable: row.try_get_by("is_nullable")?,
            is_updatable: row.try_get_by("is_updatable")?,
            holds,
        });
    }
    for row in query(connection, INDEXES).await? {
        let Some(table) = tables.get_mut(&name(&row, "schema", "name")?) else { continue };
        let columns: Vec<String> = row.try_get_by("columns")?;
        table.indexes.push(Index {
            columns: columns.into_iter().take_while(|column| !column.is_empty()).collect(),
            is_unique: row.try_get_by("is_unique")?,
            is_sorted: row.try_get_by("is_sorted")?,
        });
    }
    Ok(())
}

/// What a deletion needs of the table and is not granted.
fn missing(table: &TableName, reachable: bool, granted: &[String]) -> Vec<String> {
    let lacking: Vec<_> =
        table.needs().iter().filter(|word| !granted.iter().any(|known| known == *word)).copied().collect();
    let on_schema = (!reachable).then(|| "USAGE on its schema".to_owned());
    let on_table = (!lacking.is_empty()).then(|| format!("{} on it", lacking.join(", ")));
    on_schema.into_iter().chain(on_table).collect()
}

async fn query<C: ConnectionTrait>(connection: &C, sql: &str) -> Result<Vec<QueryResult>, database::Error> {
    Ok(connection.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?)
}

fn name(row: &QueryResult, schema: &str, name: &str) -> Result<TableName, database::Error> {
    Ok(TableName::new(row.try_get_by(schema)?, row.try_get_by(name)?))
}
