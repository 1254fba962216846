//! What the database says of itself: tables, foreign keys, indexes.

mod name;
mod postgres;
mod sqlite;

use sea_orm::{ConnectionTrait, DbBackend};

pub use self::name::TableName;
pub(super) use self::name::quote;
use crate::database;

/// The gateway's own tables: they name a tenant and outlive it.
const OWN_TABLES: [&str; 6] = [
    "tenant_deletions",
    "tenant_deletion_tables",
    "tenant_deletion_ranges",
    "tenant_deletion_objects",
    "gateway_leases",
    migration::HISTORY_TABLE,
];

/// Those of them that a deletion keeps its record, its checkpoints, its outbox and its lease in.
const RECORDS: [&str; 5] = [
    "tenant_deletions",
    "tenant_deletion_tables",
    "tenant_deletion_ranges",
    "tenant_deletion_objects",
    "gateway_leases",
];

/// Ownership without a foreign key: the differences that deleting calls appends, by trigger. They go
/// with their tenant, after its calls.
const DELTAS: &str = "usage_deltas";

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// The type as SQL names it.
    pub(super) kind: String,
    pub(super) is_nullable: bool,
    /// Whether the gateway may change it.
    pub(super) is_updatable: bool,
    pub(super) holds: Holds,
}

/// What kind of value a column is declared to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    WholeNumbers,
    Other,
}

/// A usable index on all rows.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// In its order, up to the first expression.
    pub(super) columns: Vec<String>,
    /// Whether no two rows agree in all of its columns, none of which is null.
    pub(super) is_unique: bool,
    /// Whether rows can be read in the ascending order of its columns.
    pub(super) is_sorted: bool,
}

/// What tells one row of a table from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowName {
    /// The place in a table of PostgreSQL.
    Place,
    /// The place in a partition.
    PlaceInPartition,
    /// One or several columns, as SQL names them.
    Columns(Vec<String>),
}

/// A table and what matters of it here.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own in the catalogue")]
pub(super) struct Table {
    pub(super) name: TableName,
    pub(super) columns: Vec<Column>,
    pub(super) indexes: Vec<Index>,
    /// How one row of it is named.
    pub(super) rows: RowName,
    /// Whether inserts for a tenant that is being erased are refused.
    pub(super) is_fenced: bool,
    /// Whether it has triggers that the gateway does not know. Not looked for on PostgreSQL.
    pub(super) runs_others: bool,
    /// What the gateway needs to erase from it and is not granted, each as `GRANT` names it and where.
    pub(super) missing: Vec<String>,
    /// Whether the gateway may read it.
    pub(super) readable: bool,
    /// Whether a row-level policy may hide rows from the gateway.
    pub(super) filtered: bool,
}

/// A foreign key.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own in the catalogue")]
pub(super) struct ForeignKey {
    pub(super) child: TableName,
    pub(super) child_columns: Vec<String>,
    pub(super) parent: TableName,
    pub(super) parent_columns: Vec<String>,
    /// Whether a transaction may delete rows before those that refer to them.
    pub(super) is_deferrable: bool,
    /// Whether every row is known to keep to it.
    pub(super) is_validated: bool,
    /// Whether a null in one of several columns is not enough to refer to nothing.
    pub(super) matches_fully: bool,
    /// Whether the gateway alone knows of it: the database does not enforce it.
    pub(super) is_implied: bool,
}

impl ForeignKey {
    /// A key that the database does not know of.
    pub(super) fn implied(child: TableName, column: &str, parent: TableName, parent_column: &str) -> Self {
        Self {
            child,
            child_columns: vec![column.to_owned()],
            parent,
            parent_columns: vec![parent_column.to_owned()],
            is_deferrable: false,
            is_validated: true,
            matches_fully: false,
            is_implied: true,
        }
    }

    /// Whether both are the same key.
    pub(super) fn is(&self, other: &Self) -> bool {
        let all = |key: &Self| {
            (key.child.clone(), key.child_columns.clone(), key.parent.clone(), key.parent_columns.clone())
        };
        all(self) == all(other)
    }
}

/// A foreign key that a partition has, or is referred to by, and the rest of its table does not.
#[derive(Clone, Debug)]
pub(super) struct PartialKey {
    /// Its parent is the whole table.
    pub(super) key: ForeignKey,
    pub(super) partition: TableName,
}

/// A materialised view and a table that it is made from.
#[derive(Clone, Debug)]
pub(super) struct Materialised {
    pub(super) view: TableName,
    pub(super) table: TableName,
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether an index leads to the rows with given values in `columns`.
    pub(super) fn is_indexed_by(&self, columns: &[String]) -> bool {
        self.indexes.iter().any(|Index { columns: index, .. }| {
            index.len() >= columns.len()
                && index.iter().take(columns.len()).all(|column| columns.contains(column))
        })
    }

    /// Whether its rows name objects in storage.
    pub(super) fn names_objects(&self) -> bool {
        let holds = |name, kind| self.column(name).is_some_and(|column| column.holds == kind);
        holds("storage_key", Holds::Text) && holds("size_bytes", Holds::WholeNumbers)
    }
}

/// A table that inherits columns from another one, directly or not, and no keys.
#[derive(Clone, Debug)]
pub(super) struct Heir {
    pub(super) table: TableName,
    pub(super) parent: TableName,
}

/// All of it, but the gateway's own tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalogue {
    pub(super) tables: Vec<Table>,
    /// Those of the gateway's own that a deletion writes its record into.
    pub(super) records: Vec<Table>,
    pub(super) keys: Vec<ForeignKey>,
    pub(super) is_sqlite: bool,
    /// The schema of the gateway's own tables.
    pub(super) schema: Option<String>,
    pub(super) partial_keys: Vec<PartialKey>,
    pub(super) materialised: Vec<Materialised>,
    pub(super) heirs: Vec<Heir>,
}

impl Catalogue {
    /// Lets every name of a table with heirs mean that table's own rows.
    fn tell_heirs_apart(&mut self) {
        let Self { tables, keys, heirs, .. } = self;
        for heir in heirs.iter() {
            let names = keys.iter_mut().flat_map(|key| [&mut key.child, &mut key.parent]);
            let names = names.chain(tables.iter_mut().map(|table| &mut table.name));
            names.filter(|name| **name == heir.parent).for_each(|name| name.has_heirs = true);
        }
    }

    pub(super) fn table(&self, name: &TableName) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == *name)
    }
}

/// Reads the catalogue through `connection`, and so as its transaction sees it.
pub(super) async fn read<C: ConnectionTrait>(connection: &C) -> Result<Catalogue, database::Error> {
    let mut catalogue = match connection.get_database_backend() {
        DbBackend::Sqlite => sqlite::read(connection).await?,
        _ => postgres::read(connection).await?,
    };
    let (own, tables): (Vec<_>, Vec<_>) =
        catalogue.tables.into_iter().partition(|table| table.name.is_one_of(&OWN_TABLES));
    catalogue.tables = tables;
    catalogue.records = own.into_iter().filter(|table| table.name.is_one_of(&RECORDS)).collect();
    catalogue.tables.sort_by(|a, b| a.name.cmp(&b.name));
    catalogue.keys.extend(implied_keys());
    catalogue.tell_heirs_apart();
    Ok(catalogue)
}

/// Keys that the gateway's own tables would have if appending differences did not have to be free of
/// them.
fn implied_keys() -> [ForeignKey; 2] {
    let table = |name: &str| TableName::new(None, name.to_owned());
    [
        ForeignKey::implied(table(DELTAS), "tenant_id", TableName::root(), "id"),
        ForeignKey::implied(table("calls"), "tenant_id", table(DELTAS), "tenant_id"),
    ]
}
