//! How a table's rows belong to their tenant, and how they are reached from it.

use std::collections::BTreeMap;

use super::{
    catalogue::{Catalogue, Holds, TableName, quote},
    key::Key,
};

/// One way in which a row belongs to its tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// This column holds the tenant's id, in this form.
    Column(String, Form),
    /// These columns refer to those of a row that belongs to the tenant.
    Parent { columns: Vec<String>, parent: TableName, parent_columns: Vec<String> },
}

/// How a column holds an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// As `tenants` does.
    Id,
    /// As text, on PostgreSQL.
    Text,
    /// As text, on SQLite.
    SqliteText,
}

impl Form {
    /// The form that a column is declared to have.
    pub(super) fn of(catalogue: &Catalogue, table: &TableName, column: &str) -> Self {
        let column = catalogue.table(table).and_then(|table| table.column(column));
        match column.map(|column| column.holds) {
            Some(Holds::Text) if catalogue.is_sqlite => Self::SqliteText,
            Some(Holds::Text) => Self::Text,
            _ => Self::Id,
        }
    }

    /// The tenant's id, `$1`, in this form.
    pub(super) fn tenant(self) -> &'static str {
        match self {
            Self::Id => "$1",
            Self::Text => "CAST($1 AS text)",
            Self::SqliteText => {
                "lower(substr(hex($1), 1, 8) || '-' || substr(hex($1), 9, 4) || '-' || substr(hex($1), 13, 4) || '-' \
                 || substr(hex($1), 17, 4) || '-' || substr(hex($1), 21))"
            }
        }
    }
}

/// The ways of each table. A row belongs to a tenant by any of them.
pub(super) type Ways = BTreeMap<TableName, Vec<Way>>;

impl Way {
    /// The columns that tell to whom a row belongs.
    pub(super) fn columns(&self) -> Vec<String> {
        match self {
            Self::Column(column, _) => vec![column.clone()],
            Self::Parent { columns, .. } => columns.clone(),
        }
    }

    /// A condition true for rows that belong to the tenant this way; `$1` is the tenant's id.
    pub(super) fn condition(&self, ways: &Ways) -> String {
        match self {
            Self::Column(column, form) => format!("{} = {}", quote(column), form.tenant()),
            Self::Parent { columns, parent, parent_columns } => format!(
                "({}) IN (SELECT {} FROM {} WHERE {})",
                list(columns, None),
                list(parent_columns, None),
                parent.quoted(),
                condition(ways, parent)
            ),
        }
    }
}

/// A condition true for the tenant's rows of a table; `$1` is the tenant's id.
pub(super) fn condition(ways: &Ways, table: &TableName) -> String {
    // On a circle a parent may have no way yet; the plan has a gap then and is not walked.
    let Some(ways_of) = ways.get(table).filter(|ways| !ways.is_empty()) else { return "false".to_owned() };
    let conditions: Vec<_> = ways_of.iter().map(|way| way.condition(ways)).collect();
    if let [only] = &conditions[..] { only.clone() } else { format!("({})", conditions.join(" OR ")) }
}

/// Columns as SQL lists them, of the table or of an alias.
pub(super) fn list(columns: &[String], of: Option<&str>) -> String {
    let column = |name: &String| of.map_or_else(|| quote(name), |of| format!("{of}.{}", quote(name)));
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

/// From a table whose column holds the tenant's id down to the table whose rows are meant.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// The table that is walked, and whose column holds the tenant's id.
    pub(super) walked: TableName,
    pub(super) column: String,
    pub(super) form: Form,
    pub(super) key: Key,
    /// From the walked table downwards; none where it is the one that is meant.
    pub(super) hops: Vec<Hop>,
}

/// A step from a table's rows down to those that refer to them.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    pub(super) parent_columns: Vec<String>,
    pub(super) child: TableName,
    pub(super) columns: Vec<String>,
    /// Whether an index leads to the rows that refer to a given one.
    pub(super) is_indexed: bool,
}

impl Route {
    /// A condition true for the tenant's rows that the route leads to; `$1` is the tenant's id.
    pub(super) fn condition(&self) -> String {
        let (mut condition, mut table) =
            (format!("{} = {}", quote(&self.column), self.form.tenant()), &self.walked);
        for hop in &self.hops {
            let (columns, parent_columns) = (list(&hop.columns, None), list(&hop.parent_columns, None));
            condition =
                format!("({columns}) IN (SELECT {parent_columns} FROM {} WHERE {condition})", table.quoted());
            table = &hop.child;
        }
        condition
    }
}

/// Every route to a table's rows.
pub(super) fn routes(catalogue: &Catalogue, ways: &Ways, name: &TableName) -> Vec<Route> {
    let Some(table) = catalogue.table(name) else { return Vec::new() };
    let of_way = |way: &Way| match way {
        Way::Column(column, form) => vec![Route {
            walked: name.clone(),
            column: column.clone(),
            form: *form,
            key: Key::of(table, column),
            hops: Vec::new(),
        }],
        Way::Parent { columns, parent, parent_columns } => {
            let mut routes = routes(catalogue, ways, parent);
            for route in &mut routes {
                route.hops.push(Hop {
                    parent_columns: parent_columns.clone(),
                    child: name.clone(),
                    columns: columns.clone(),
                    is_indexed: table.is_indexed_by(columns),
                });
            }
            routes
        }
    };
    ways.get(name).into_iter().flatten().flat_map(of_way).collect()
}
