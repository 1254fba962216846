//! Reads `sqlite_schema` and its pragmas. Names there ignore case: all are spelt as their table is.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};

use super::{Catalogue, Column, ForeignKey, Holds, Index, RowName, Table, TableName};
use crate::database;

const COLUMNS: &str = "
SELECT m.name AS name, x.name AS \"column\", x.type AS kind, x.\"notnull\" = 0 AS is_nullable, x.hidden = 0 AS is_stored,
    x.pk AS pk, l.wr AS is_without_rowid,
    EXISTS (SELECT 1 FROM sqlite_schema g WHERE g.type = 'trigger' AND g.tbl_name = m.name COLLATE NOCASE
        AND g.name = 'tenant_fence_' || m.name) AS is_fenced,
    EXISTS (SELECT 1 FROM sqlite_schema g WHERE g.type = 'trigger' AND g.tbl_name = m.name COLLATE NOCASE
        AND g.name <> 'tenant_fence_' || m.name
        AND g.name NOT IN ('usage_count_inserted', 'usage_count_updated', 'usage_count_deleted')) AS runs_others
FROM sqlite_schema m JOIN pragma_table_list(m.name) l ON l.schema = 'main' JOIN pragma_table_xinfo(m.name) x
WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.name, x.cid";

/// Whole indexes; an expression has no name and ends the list.
const INDEXES: &str = "
SELECT m.name AS name, i.name AS \"index\", x.name AS \"column\", x.desc AS is_descending, i.\"unique\" AS is_unique
FROM sqlite_schema m JOIN pragma_index_list(m.name) i JOIN pragma_index_xinfo(i.name) x
WHERE m.type = 'table' AND i.partial = 0 AND x.key ORDER BY m.name, i.name, x.seqno";

const KEYS: &str = "
SELECT m.name AS child, f.id AS id, f.\"table\" AS parent, f.\"from\" AS child_column, f.\"to\" AS parent_column,
    upper(f.on_delete) <> 'RESTRICT' AS is_deferrable
FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f
WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq";

pub(super) async fn read<C: ConnectionTrait>(connection: &C) -> Result<Catalogue, database::Error> {
    let mut catalogue = Catalogue { is_sqlite: true, ..Catalogue::default() };
    let primary_keys = read_tables(connection, &mut catalogue).await?;
    read_indexes(connection, &mut catalogue).await?;
    read_keys(connection, &mut catalogue, &primary_keys).await?;
    adopt_spelling(&mut catalogue);
    Ok(catalogue)
}

/// Reads tables and columns. Returns the columns of their primary keys, in the keys' order.
async fn read_tables<C: ConnectionTrait>(
    connection: &C,
    catalogue: &mut Catalogue,
) -> Result<HashMap<String, Vec<String>>, database::Error> {
    let mut primary_keys: HashMap<String, Vec<(i64, String)>> = HashMap::new();
    let mut without_rowid = Vec::new();
    for row in query(connection, COLUMNS).await? {
        let name: String = row.try_get_by("name")?;
        if catalogue.tables.last().is_none_or(|table| table.name.name != name) {
            without_rowid.push(row.try_get_by::<bool, _>("is_without_rowid")?);
            catalogue.tables.push(Table {
                name: TableName::new(None, name.clone()),
                columns: Vec::new(),
                indexes: Vec::new(),
                rows: RowName::Columns(Vec::new()),
                is_fenced: row.try_get_by("is_fenced")?,
                runs_others: row.try_get_by("runs_others")?,
                missing: Vec::new(),
                readable: true,
                filtered: false,
            });
        }
        let (column, kind): (String, String) = (row.try_get_by("column")?, row.try_get_by("kind")?);
        let place: i64 = row.try_get_by("pk")?;
        if place > 0 {
            primary_keys.entry(name).or_default().push((place, column.clone()));
        }
        let is_key = place > 0 && without_rowid.last() == Some(&true);
        let is_nullable = row.try_get_by::<bool, _>("is_nullable")? && !is_key;
        let Some(table) = catalogue.tables.last_mut() else { continue };
        let is_nullable = is_nullable && row.try_get_by("is_stored")?;
        table.columns.push(Column {
            name: column,
            holds: holds(&kind),
            kind,
            is_nullable,
            is_updatable: true,
        });
    }
    let ordered = |(name, mut columns): (String, Vec<(i64, String)>)| {
        columns.sort();
        (name, columns.into_iter().map(|(_, column)| column).collect())
    };
    let primary_keys: HashMap<String, Vec<String>> = primary_keys.into_iter().map(ordered).collect();
    for (table, without_rowid) in catalogue.tables.iter_mut().zip(without_rowid) {
        let key = primary_keys.get(&table.name.name).map(Vec::as_slice).unwrap_or_default();
        table.rows = RowName::Columns(if without_rowid { key.to_vec() } else { row_id(table, key) });
    }
    Ok(primary_keys)
}

/// By SQLite's own rules for a declared type.
fn holds(kind: &str) -> Holds {
    let kind = kind.to_uppercase();
    if kind.contains("INT") {
        Holds::WholeNumbers
    } else if ["CHAR", "CLOB", "TEXT"].iter().any(|word| kind.contains(word)) {
        Holds::Text
    } else {
        Holds::Other
    }
}

/// The name of the number that every row has: that of the column that shows it, or one that no column
/// has taken. None where all are taken.
fn row_id(table: &mut Table, key: &[String]) -> Vec<String> {
    if let [only] = key
        && let Some(column) = table.columns.iter_mut().find(|column| column.name == *only)
        && column.kind.eq_ignore_ascii_case("INTEGER")
    {
        column.is_nullable = false;
        return key.to_vec();
    }
    let taken = |word: &&&str| table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(word));
    let free = ["rowid", "_rowid_", "oid"].iter().find(|word| !taken(word));
    free.map(|word| (*word).to_owned()).into_iter().collect()
}

async fn read_keys<C: ConnectionTrait>(
    connection: &C,
    catalogue: &mut Catalogue,
    primary_keys: &HashMap<String, Vec<String>>,
) -> Result<(), database::Error> {
    let spelling: HashMap<String, String> = catalogue
        .tables
        .iter()
        .map(|table| (table.name.name.to_lowercase(), table.name.name.clone()))
        .collect();
    let mut last = None;
    for row in query(connection, KEYS).await? {
        let child: String = row.try_get_by("child")?;
        let parent: String = row.try_get_by("parent")?;
        let parent = spelling.get(&parent.to_lowercase()).cloned().unwrap_or(parent);
        let part = (child.clone(), row.try_get_by::<i64, _>("id")?);
        let child_column: String = row.try_get_by("child_column")?;
        let position = if last.as_ref() == Some(&part) {
            catalogue.keys.last().map_or(0, |key| key.child_columns.len())
        } else {
            catalogue.keys.push(ForeignKey {
                child: TableName::new(None, child),
                child_columns: Vec::new(),
                parent: TableName::new(None, parent.clone()),
                parent_columns: Vec::new(),
                // A transaction may defer every key but those that restrict.
                is_deferrable: row.try_get_by("is_deferrable")?,
                is_validated: true,
                matches_fully: false,
                is_implied: false,
            });
            0
        };
        last = Some(part);
        // A key that names no column of its parent means the parent's primary key.
        let parent_column = row
            .try_get_by::<Option<String>, _>("parent_column")?
            .or_else(|| primary_keys.get(&parent).and_then(|key| key.get(position)).cloned())
            .unwrap_or_default();
        if let Some(key) = catalogue.keys.last_mut() {
            key.child_columns.push(child_column);
            key.parent_columns.push(parent_column);
        }
    }
    Ok(())
}

/// What the pragmas tell of one index.
struct Listed {
    key: Vec<String>,
    is_unique: bool,
    is_sorted: bool,
}

async fn read_indexes<C: ConnectionTrait>(
    connection: &C,
    catalogue: &mut Catalogue,
) -> Result<(), database::Error> {
    let mut indexes: Vec<((String, String), Listed)> = Vec::new();
    for row in query(connection, INDEXES).await? {
        let index = (row.try_get_by("name")?, row.try_get_by("index")?);
        if indexes.last().is_none_or(|last| last.0 != index) {
            let is_unique = row.try_get_by("is_unique")?;
            indexes.push((index, Listed { key: Vec::new(), is_unique, is_sorted: true }));
        }
        let Some((_, listed)) = indexes.last_mut() else { continue };
        let column = row.try_get_by::<Option<String>, _>("column")?.unwrap_or_default();
        listed.is_sorted &= !row.try_get_by::<bool, _>("is_descending")?;
        listed.key.push(column);
    }
    for table in &mut catalogue.tables {
        let RowName::Columns(row_name) = table.rows.clone() else { continue };
        for (_, listed) in indexes.iter().filter(|(index, _)| index.0 == table.name.name) {
            // A number that no column shows is never null.
            let is_set = |name: &String| table.column(name).is_none_or(|column| !column.is_nullable);
            let index = |columns: &[String], is_unique: bool| Index {
                columns: columns.iter().take_while(|column| !column.is_empty()).cloned().collect(),
                is_unique: is_unique && columns.iter().all(|column| !column.is_empty() && is_set(column)),
                is_sorted: listed.is_sorted,
            };
            let (key, mut whole) = (index(&listed.key, listed.is_unique), listed.key.clone());
            // Every entry ends with what tells its row from all others.
            whole.extend(row_name.iter().filter(|column| !listed.key.contains(column)).cloned());
            let whole = index(&whole, true);
            table.indexes.extend([key, whole]);
        }
        // A table whose number is a column is its own index.
        if row_name.first().is_some_and(|column| table.column(column).is_some()) {
            table.indexes.push(Index { columns: row_name, is_unique: true, is_sorted: true });
        }
    }
    Ok(())
}

/// Spells the columns of keys as their tables do.
fn adopt_spelling(catalogue: &mut Catalogue) {
    let Catalogue { tables, keys, .. } = catalogue;
    let spell = |table: &TableName, columns: &mut Vec<String>| {
        let Some(table) = tables.iter().find(|known| known.name == *table) else { return };
        for column in columns {
            if let Some(known) = table.columns.iter().find(|known| known.name.eq_ignore_ascii_case(column)) {
                column.clone_from(&known.name);
            }
        }
    };
    for key in keys {
        spell(&key.child, &mut key.child_columns);
        spell(&key.parent, &mut key.parent_columns);
    }
}

async fn query<C: ConnectionTrait>(connection: &C, sql: &str) -> Result<Vec<QueryResult>, database::Error> {
    Ok(connection.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await?)
}
