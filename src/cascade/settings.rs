//! What configuration says of tables that the catalogue leaves open.

use sea_orm::ConnectionTrait;

use super::catalogue::{self, Catalogue, ForeignKey, TableName, quote};
use crate::database;

/// How tables without a foreign key to a tenant are treated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Columns that hold a tenant's id although no foreign key says so: their rows are the tenant's.
    pub own: Vec<(TableName, String)>,
    /// Tables and materialised views that are not the tenant's, whatever their columns are called.
    pub ignore: Vec<TableName>,
}

/// Why settings cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The text names nothing.
    #[error(
        "{option} '{text}' is no name of a {}: write {form} or SCHEMA.{form}, with names that hold a dot in double quotes, \
         or leave the option out",
        if *.form == "TABLE" { "table" } else { "column" }
    )]
    Unreadable {
        /// Which setting.
        option: &'static str,
        /// What it was set to.
        text: String,
        /// What it should look like.
        form: &'static str,
    },
    /// There is no such table, view or column.
    #[error("the settings of the cascade name {0}, which does not exist")]
    Unknown(String),
    /// Foreign keys lead from the table to a tenant: it would be left with references to nothing.
    #[error("the table {0} cannot be ignored: foreign keys lead from it to a tenant")]
    Bound(String),
    /// The catalogue could not be read.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl Settings {
    /// Reads `TABLE.COLUMN` or `SCHEMA.TABLE.COLUMN`, and `TABLE` or `SCHEMA.TABLE`. A name with a dot is
    /// written in double quotes.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Unreadable`].
    pub fn read(own: &[String], ignore: &[String]) -> Result<Self, SettingsError> {
        let table = |words: &[String]| match words {
            [name] => Some(TableName::new(None, name.clone())),
            [schema, name] => Some(TableName::new(Some(schema.clone()), name.clone())),
            _ => None,
        };
        let column = |text: &String| {
            let words = words(text)?;
            let (column, words) = words.split_last()?;
            Some((table(words)?, column.clone()))
        };
        let unreadable = |option, form| {
            move |text: &String| SettingsError::Unreadable { option, text: text.clone(), form }
        };
        let no_column = unreadable("--cascade-own", "TABLE.COLUMN");
        let no_table = unreadable("--cascade-ignore", "TABLE");
        let named = |text: &String| words(text).and_then(|words| table(&words));
        Ok(Self {
            own: own
                .iter()
                .map(|text| column(text).ok_or_else(|| no_column(text)))
                .collect::<Result<_, _>>()?,
            ignore: ignore
                .iter()
                .map(|text| named(text).ok_or_else(|| no_table(text)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether the database has what the settings name, and may do without what they ignore.
    ///
    /// # Errors
    ///
    /// [`SettingsError`].
    pub async fn check<C: ConnectionTrait>(&self, connection: &C) -> Result<(), SettingsError> {
        if *self == Self::default() {
            return Ok(());
        }
        let catalogue = catalogue::read(connection).await?;
        for (table, column) in &self.own {
            let name = local(&catalogue, table);
            let found = catalogue.table(&name).is_some_and(|table| table.column(column).is_some());
            if !found {
                return Err(SettingsError::Unknown(format!("{table}.{column}")));
            }
        }
        let plan = super::plan(connection, self).await?;
        for table in &self.ignore {
            let name = local(&catalogue, table);
            let is_view = catalogue.materialised.iter().any(|copy| copy.view == name);
            if catalogue.table(&name).is_none() && !is_view {
                return Err(SettingsError::Unknown(table.to_string()));
            }
            if plan.steps.iter().any(|step| step.table == name) {
                return Err(SettingsError::Bound(table.to_string()));
            }
        }
        Ok(())
    }

    /// The tables that belong to a tenant by these settings, as far as there are such tables.
    ///
    /// # Errors
    ///
    /// [`database::Error`] when the catalogue cannot be read.
    pub async fn owned<C: ConnectionTrait>(&self, connection: &C) -> Result<Vec<TableName>, database::Error> {
        if self.own.is_empty() {
            return Ok(Vec::new());
        }
        let catalogue = catalogue::read(connection).await?;
        Ok(self.keys(&catalogue).into_iter().map(|key| key.child).collect())
    }

    /// The foreign keys that the owned columns stand for.
    pub(super) fn keys(&self, catalogue: &Catalogue) -> Vec<ForeignKey> {
        let named = self.own.iter().filter_map(|(table, column)| {
            let table = catalogue.table(&local(catalogue, table))?;
            table.column(column).map(|_| (table.name.clone(), column))
        });
        named.map(|(table, column)| ForeignKey::implied(table, column, TableName::root(), "id")).collect()
    }

    pub(super) fn ignores(&self, catalogue: &Catalogue, table: &TableName) -> bool {
        self.ignore.iter().any(|ignored| local(catalogue, ignored) == *table)
    }
}

/// The name as the catalogue has it: without a schema for the one that the gateway's own tables are in.
fn local(catalogue: &Catalogue, table: &TableName) -> TableName {
    let is_own = table.schema.is_some() && table.schema == catalogue.schema;
    TableName::new(table.schema.clone().filter(|_| !is_own), table.name.clone())
}

/// The names between dots; those in double quotes as they are.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut rest) = (Vec::new(), text);
    loop {
        let (word, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let end = closing_quote(quoted)?;
            (quoted[..end].replace("\"\"", "\""), &quoted[end + 1..])
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        };
        if word.is_empty() {
            return None;
        }
        words.push(word);
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => return Some(words),
            None => return None,
        }
    }
}

/// Where the name ends: at the first quote that is not doubled.
fn closing_quote(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('"')?;
        if !text[at + 1..].starts_with('"') {
            return Some(at);
        }
        from = at + 2;
    }
}

impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let own = self.own.iter().map(|(table, column)| format!("{}.{}", table.quoted(), quote(column)));
        let ignored = self.ignore.iter().map(TableName::quoted);
        write!(
            f,
            "own {}; ignore {}",
            own.collect::<Vec<_>>().join(", "),
            ignored.collect::<Vec<_>>().join(", ")
        )
    }
}
