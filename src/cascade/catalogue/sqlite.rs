//! Reads `sqlite_schema` and its pragmas. Names there ignore case: all are spelt as their table is.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};

use super::{Catalogue, ForeignKey, Table, TableName};
use crate::database;

const COLUMNS: &str = "
SELECT m.name AS name, x.name AS \"column\" FROM sqlite_schema m JOIN pragma_table_xinfo(m.name) x
WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.name, x.cid";

const PRIMARY_KEYS: &str = "
SELECT m.name AS name, x.name AS \"column\" FROM sqlite_schema m JOIN pragma_table_xinfo(m.name) x
WHERE m.type = 'table' AND x.pk > 0 ORDER BY m.name, x.pk";

/// Whole indexes; an expression has no column name and ends the list.
const INDEXES: &str = "
SELECT m.name AS name, i.name AS \"index\", coalesce(x.name, '') AS \"column\"
FROM sqlite_schema m JOIN pragma_index_list(m.name) i JOIN pragma_index_info(i.name) x
WHERE m.type = 'table' AND i.partial = 0 ORDER BY m.name, i.name, x.seqno";

const KEYS: &str = "
SELECT m.name AS child, f.id AS id, f.\"table\" AS parent, f.\"from\" AS child_column, f.\"to\" AS parent_column,
    upper(f.on_delete) = 'RESTRICT' AS row_by_row
FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f
WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq";

pub(super) async fn read<C: ConnectionTrait>(connection: &C) -> Result<Catalogue, database::Error> {
    let mut catalogue = Catalogue::default();
    let mut spelling = HashMap::new();
    for row in query(connection, COLUMNS).await? {
        let name: String = row.try_get_by("name")?;
        let column = row.try_get_by("column")?;
        if let Some(table) = catalogue.tables.last_mut().filter(|table| table.name.name == name) {
            table.columns.push(column);
        } else {
            spelling.insert(name.to_lowercase(), name.clone());
            catalogue.tables.push(Table {
                name: TableName { schema: None, name },
                columns: vec![column],
                indexes: Vec::new(),
                missing: Vec::new(),
                readable: true,
                filtered: false,
            });
        }
    }
    let mut primary_keys: HashMap<String, Vec<String>> = HashMap::new();
    for row in query(connection, PRIMARY_KEYS).await? {
        primary_keys.entry(row.try_get_by("name")?).or_default().push(row.try_get_by("column")?);
    }
    read_indexes(connection, &mut catalogue, &primary_keys).await?;

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
                child: TableName { schema: None, name: child },
                child_columns: Vec::new(),
                parent: TableName { schema: None, name: parent.clone() },
                parent_columns: Vec::new(),
                row_by_row: row.try_get_by("row_by_row")?,
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
    adopt_spelling(&mut catalogue);
    Ok(catalogue)
}

async fn read_indexes<C: ConnectionTrait>(
    connection: &C,
    catalogue: &mut Catalogue,
    primary_keys: &HashMap<String, Vec<String>>,
) -> Result<(), database::Error> {
    let mut indexes: Vec<(String, String, Vec<String>)> = Vec::new();
    for row in query(connection, INDEXES).await? {
        let (table, index) = (row.try_get_by("name")?, row.try_get_by("index")?);
        let column = row.try_get_by("column")?;
        match indexes.last_mut().filter(|last| last.0 == table && last.1 == index) {
            Some((_, _, columns)) => columns.push(column),
            None => indexes.push((table, index, vec![column])),
        }
    }
    for table in &mut catalogue.tables {
        let listed = indexes.iter().filter(|index| index.0 == table.name.name).map(|index| &index.2);
        // The primary key of a table without row ids is the table itself, not an index.
        table.indexes = listed
            .chain(primary_keys.get(&table.name.name))
            .map(|columns| columns.iter().take_while(|column| !column.is_empty()).cloned().collect())
            .collect();
    }
    Ok(())
}

/// Spells the columns of keys as their tables do.
fn adopt_spelling(catalogue: &mut Catalogue) {
    let Catalogue { tables, keys, .. } = catalogue;
    let spell = |table: &TableName, columns: &mut Vec<String>| {
        let Some(table) = tables.iter().find(|known| known.name == *table) else { return };
        for column in columns {
            if let Some(known) = table.columns.iter().find(|known| known.eq_ignore_ascii_case(column)) {
                column.clone_from(known);
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
