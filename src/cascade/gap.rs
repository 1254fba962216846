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
    /// A row that can belong to two tenants, by the keys named.
    TwoOwners(String),
    /// A key from a table of the plan to itself, or to `tenants` from `tenants`, that does not carry
    /// the tenant.
    CrossingSelfReference(String),
    /// A key from a table to itself, by these columns, that lets no row go before those that refer to it.
    RowByRow(String),
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
            Self::TwoOwners(keys) => {
                format!("a row can belong to two tenants, by {keys}; erasing one would change the other")
            }
            Self::CrossingSelfReference(column) => {
                format!("a row can refer by {column} to a row of another tenant in the same table")
            }
            Self::RowByRow(columns) => format!(
                "rows refer to one another by {columns} with ON DELETE RESTRICT, and this database checks that row \
                 by row"
            ),
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
                "add a foreign key from the column to tenants (id), or rename the column if it is not a tenant's id"
                    .to_owned()
            }
            Self::TwoOwners(_) => {
                "let every foreign key of the table carry the same tenant_id column, or keep such rows in a table \
                 without a foreign key to tenants"
                    .to_owned()
            }
            Self::CrossingSelfReference(_) => "let the foreign key carry tenant_id on both sides".to_owned(),
            Self::RowByRow(_) => "let the foreign key be ON DELETE NO ACTION, or CASCADE".to_owned(),
            Self::PartialKey { .. } => {
                "let the foreign key be between whole tables, or detach the partition".to_owned()
            }
            Self::Unlisted => "drop its foreign key".to_owned(),
            Self::Cycle(_) => "drop one of these foreign keys, or move it to a table of its own".to_owned(),
            Self::NoIndex(columns) => format!("create an index that leads with {columns}"),
            Self::NotGranted(missing) => format!("grant {missing} to the gateway's database user"),
            Self::Filtered => "give the gateway's database user BYPASSRLS, or drop the policy".to_owned(),
            Self::Materialised(_) => "drop the materialised view, or make it a plain view".to_owned(),
        }
    }
}
