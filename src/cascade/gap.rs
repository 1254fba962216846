//! What cannot be erased safely, and what to do about it.

use super::catalogue::TableName;

/// A hole in the plan. While there is one, nothing is erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The table, or materialised view.
    pub table: String,
    /// The column, where one column is the matter.
    pub column: Option<String>,
    /// What is wrong.
    pub kind: GapKind,
    /// What else the reader must know because of it.
    pub note: Option<&'static str>,
}

/// The kinds of hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GapKind {
    /// A `tenant_id` that no foreign key binds to the tenant.
    NoForeignKey,
    /// A table that inherits from this one, whose foreign keys do not hold for its rows.
    Heir(String),
    /// A row that can belong to two tenants, by the keys named.
    TwoOwners(String),
    /// Rows that belong to this tenant by one of the keys named and to another by the other.
    SharedRows(String),
    /// A key from `tenants` to itself.
    CrossingSelfReference(String),
    /// A foreign key, by these columns, that rows of before it were never held against.
    NotValidated(String),
    /// A foreign key, by these columns, that concerns one partition and not the whole of its table.
    PartialKey {
        /// The columns of the key.
        columns: String,
        /// The partition.
        partition: String,
    },
    /// Foreign keys lead from it to a tenant, but it is not among the tables that may be erased from.
    Unlisted,
    /// Tables that refer to each other in a circle.
    Cycle(String),
    /// No index leads to a tenant's rows in a table that is not small.
    NoIndex(String),
    /// The gateway is not granted these privileges, which a deletion needs.
    NotGranted(String),
    /// A row-level policy can hide rows.
    Filtered,
    /// A copy of tenants' rows that a deletion would leave as it is.
    Materialised(String),
}

impl Gap {
    pub(super) fn new(table: &TableName, column: Option<&str>, kind: GapKind) -> Self {
        Self { table: table.to_string(), column: column.map(str::to_owned), kind, note: None }
    }

    /// What is wrong, in a sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        let reason = self.kind.reason();
        self.note.map_or_else(|| reason.clone(), |note| format!("{reason}; {note}"))
    }

    /// What closes it, in a sentence.
    #[must_use]
    pub fn remedy(&self) -> String {
        self.kind.remedy()
    }
}

impl GapKind {
    fn reason(&self) -> String {
        match self {
            Self::NoForeignKey => {
                "the column names a tenant but no foreign key binds it to `tenants`".to_owned()
            }
            Self::Heir(parent) => {
                format!("it inherits from {parent}, whose foreign keys do not hold for its rows")
            }
            Self::TwoOwners(keys) => {
                format!("a row can belong to two tenants, by {keys}; erasing one would change the other")
            }
            Self::CrossingSelfReference(column) => {
                format!("a row can refer by {column} to a row of another tenant in the same table")
            }
            Self::SharedRows(keys) => {
                format!(
                    "rows belong to this tenant and to another, by {keys}; erasing them would change the other"
                )
            }
            Self::NotValidated(columns) => {
                format!(
                    "its foreign key by {columns} is not validated: rows of before it may refer to nothing"
                )
            }
            Self::PartialKey { columns, partition } => format!(
                "its foreign key by {columns} concerns the partition {partition} alone; rows of the other \
                 partitions could be left behind, or taken along"
            ),
            Self::Unlisted => {
                "foreign keys lead from it to a tenant, but it is no table that a deletion may erase from"
                    .to_owned()
            }
            Self::Cycle(tables) => format!("foreign keys form a circle: {tables}"),
            Self::NoIndex(columns) => {
                format!("no index leads with {columns}, so that erasing would read the whole table")
            }
            Self::NotGranted(missing) => {
                format!("a deletion needs it, and the gateway's database user may not: {missing} is missing")
            }
            Self::Filtered => "a row-level policy can hide rows from the gateway".to_owned(),
            Self::Materialised(table) => {
                format!("it keeps a copy of rows of {table}, which erasing leaves behind")
            }
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::NoForeignKey => {
                "add a foreign key from the column to tenants (id); or say that it is the tenant's with --cascade-own \
                 TABLE.COLUMN, or that it is not with --cascade-ignore TABLE"
                    .to_owned()
            }
            Self::Heir(parent) => format!(
                "add the foreign keys of {parent} to it; or say that its rows are the tenant's with --cascade-own \
                 TABLE.COLUMN, or that they are not with --cascade-ignore TABLE"
            ),
            Self::TwoOwners(_) => {
                "let every foreign key of the table carry the same tenant_id column, or keep such rows in a table \
                 without a foreign key to tenants"
                    .to_owned()
            }
            Self::CrossingSelfReference(_) => "keep such references in a table of their own".to_owned(),
            Self::SharedRows(_) => {
                "let the keys of each of these rows lead to one tenant, or let them carry tenant_id".to_owned()
            }
            Self::NotValidated(_) => "run ALTER TABLE … VALIDATE CONSTRAINT for the foreign key".to_owned(),
            Self::PartialKey { .. } => {
                "let the foreign key be between whole tables, or detach the partition".to_owned()
            }
            Self::Unlisted => "drop its foreign key".to_owned(),
            Self::Cycle(_) => {
                "let a column of one of these foreign keys be null, or let one of them be DEFERRABLE".to_owned()
            }
            Self::NoIndex(columns) => format!("create an index that leads with {columns}"),
            Self::NotGranted(missing) => format!("grant {missing} to the gateway's database user"),
            Self::Filtered => "give the gateway's database user BYPASSRLS, or drop the policy".to_owned(),
            Self::Materialised(_) => "drop the materialised view, make it a plain view, or say that it may keep its rows \
                 until it is refreshed with --cascade-ignore VIEW"
                .to_owned(),
        }
    }
}
