//! How a table is named, in SQL and for people.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

use super::RECORDS;

/// The root of every cascade.
const ROOT: &str = "tenants";

/// A table, by its schema (none on SQLite) and name.
#[derive(Clone, Debug)]
pub struct TableName {
    /// The schema; none for the one that the gateway's own tables are in.
    pub schema: Option<String>,
    /// The name as the catalogue has it, without quotes.
    pub name: String,
    /// Whether other tables inherit from it, whose rows are not meant. It makes no other name of it.
    pub(super) has_heirs: bool,
}

impl TableName {
    /// A table without heirs, as far as is known.
    pub(in crate::cascade) fn new(schema: Option<String>, name: String) -> Self {
        Self { schema, name, has_heirs: false }
    }

    /// The table of tenants.
    pub(in crate::cascade) fn root() -> Self {
        Self::new(None, ROOT.to_owned())
    }

    pub(in crate::cascade) fn is_root(&self) -> bool {
        self.is_one_of(&[ROOT])
    }

    /// Whether it has one of these names, in the schema of the gateway's own tables.
    pub(super) fn is_one_of(&self, names: &[&str]) -> bool {
        self.schema.is_none() && names.contains(&self.name.as_str())
    }

    /// What a deletion does to the table, as privileges: it marks a tenant before it erases, and keeps
    /// the record.
    pub(super) fn needs(&self) -> &'static [&'static str] {
        if self.is_one_of(&RECORDS) {
            &["SELECT", "INSERT", "UPDATE", "DELETE"]
        } else if self.is_one_of(&[ROOT]) {
            &["SELECT", "UPDATE", "DELETE"]
        } else {
            &["SELECT", "DELETE"]
        }
    }

    /// As a statement names the rows of it and of no other table.
    pub(in crate::cascade) fn quoted(&self) -> String {
        let name = self.qualifier();
        if self.has_heirs { format!("ONLY {name}") } else { name }
    }

    /// As SQL names it before a column.
    pub(in crate::cascade) fn qualifier(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(&self.name)),
            None => quote(&self.name),
        }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl TableName {
    fn parts(&self) -> (Option<&str>, &str) {
        (self.schema.as_deref(), &self.name)
    }
}

impl PartialEq for TableName {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for TableName {}

impl PartialOrd for TableName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TableName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl Hash for TableName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

/// An identifier as SQL takes it, whatever characters it has.
pub(in crate::cascade) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
