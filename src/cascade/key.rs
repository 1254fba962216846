//! By what a table's rows are walked: columns that tell a tenant's rows apart, in an index that leads
//! with the tenant. Between batches a place in that order is kept as text.

use sea_orm::{DbBackend, QueryResult, Value};
use serde::{Deserialize, Serialize};

use super::{
    blocks::Block,
    catalogue::{Table, quote},
};
use crate::database::{self, Sql};

/// The order in which a tenant's rows of a table can be walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// By these columns, through an index that leads with the tenant.
    Columns(Vec<KeyColumn>),
    /// A tenant has one row at most.
    One,
    /// No index gives one.
    Missing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyColumn {
    pub(super) name: String,
    /// The type that PostgreSQL reads a text as.
    kind: String,
}

/// Where a walk stands: on which of a step's routes, after which key, and whether its present pass over
/// the rows has erased any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    #[serde(rename = "r", default)]
    pub(super) route: usize,
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Vec<String>>,
    /// Where the walk is by blocks.
    #[serde(flatten)]
    pub(super) block: Option<Block>,
    #[serde(rename = "e", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) has_erased: bool,
}

impl Place {
    /// The beginning of a route.
    pub(super) fn start(route: usize) -> Self {
        Self { route, ..Self::default() }
    }

    pub(super) fn read(text: &str) -> Result<Self, database::Error> {
        serde_json::from_str(text)
            .map_err(|error| database::Error::Refused(format!("a checkpoint cannot be read: {error}")))
    }

    pub(super) fn write(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

impl Key {
    /// The shortest order that tells the rows of one tenant apart, who is told by the column `tenant`.
    pub(super) fn of(table: &Table, tenant: &str) -> Self {
        let unique: Vec<_> = table.indexes.iter().filter(|index| index.is_unique).collect();
        let sorted = table
            .indexes
            .iter()
            .filter(|index| index.is_sorted && index.columns.first().is_some_and(|column| column == tenant));
        let prefixes = sorted.flat_map(|index| (0..index.columns.len()).map(|end| &index.columns[1..=end]));
        let tells_apart = |prefix: &&[String]| {
            prefix.iter().all(|name| table.column(name).is_none_or(|column| !column.is_nullable))
                && unique.iter().any(|index| {
                    index.columns.iter().all(|column| column == tenant || prefix.contains(column))
                })
        };
        match prefixes.filter(tells_apart).min_by_key(|prefix| prefix.len()) {
            None => Self::Missing,
            Some([]) => Self::One,
            Some(prefix) => Self::Columns(prefix.iter().map(|name| KeyColumn::of(table, name)).collect()),
        }
    }
}

impl KeyColumn {
    pub(super) fn of(table: &Table, name: &str) -> Self {
        let kind = table.column(name).map(|column| column.kind.clone()).unwrap_or_default();
        Self { name: name.to_owned(), kind }
    }
}

/// The columns, as SQL lists them.
pub(super) fn list(key: &[KeyColumn]) -> String {
    key.iter().map(|column| quote(&column.name)).collect::<Vec<_>>().join(", ")
}

/// The same, for the opposite order.
pub(super) fn list_descending(key: &[KeyColumn]) -> String {
    key.iter().map(|column| format!("{} DESC", quote(&column.name))).collect::<Vec<_>>().join(", ")
}

/// What to select so that [`read`] finds a row's key.
pub(super) fn selected(backend: DbBackend, key: &[KeyColumn]) -> String {
    let text = |(at, column): (usize, &KeyColumn)| {
        let name = quote(&column.name);
        match backend {
            // What a column holds there need not be what it is declared to hold.
            DbBackend::Sqlite => format!(
                "CASE typeof({name}) WHEN 'blob' THEN 'b' || hex({name}) WHEN 'real' THEN 'r' || printf('%!.17g', {name}) \
                 WHEN 'integer' THEN 'i' || {name} ELSE 't' || {name} END AS k{at}"
            ),
            _ => format!("CAST({name} AS text) AS k{at}"),
        }
    };
    key.iter().enumerate().map(text).collect::<Vec<_>>().join(", ")
}

/// A row's key, of what [`selected`] selects.
pub(super) fn read(row: &QueryResult, key: &[KeyColumn]) -> Result<Vec<String>, database::Error> {
    (0..key.len()).map(|at| Ok(row.try_get_by::<String, _>(format!("k{at}").as_str())?)).collect()
}

/// A condition: the row's key is `compared` (such as `>`) to this one.
pub(super) fn compared(
    sql: &mut Sql,
    key: &[KeyColumn],
    compared: &str,
    to: &[String],
) -> Result<String, database::Error> {
    if key.len() != to.len() {
        return Err(database::Error::Refused("a checkpoint is of another key".to_owned()));
    }
    let bound = key.iter().zip(to).map(|(column, text)| match sql.backend() {
        DbBackend::Sqlite => Ok(sql.bind(value(text)?)),
        _ => Ok(format!("CAST({} AS {})", sql.bind(text.as_str().into()), column.kind)),
    });
    let bound: Vec<String> = bound.collect::<Result<_, database::Error>>()?;
    Ok(format!("({}) {compared} ({})", list(key), bound.join(", ")))
}

/// The value behind a text that [`selected`] makes on SQLite.
fn value(text: &str) -> Result<Value, database::Error> {
    let unreadable = || database::Error::Refused("a checkpoint cannot be read".to_owned());
    let mut rest = text.chars();
    let (kind, rest) = (rest.next(), rest.as_str());
    Ok(match kind {
        Some('b') => {
            let digits = rest.as_bytes().chunks(2).map(std::str::from_utf8);
            let bytes =
                digits.map(|pair| u8::from_str_radix(pair.ok()?, 16).ok()).collect::<Option<Vec<_>>>();
            bytes.ok_or_else(unreadable)?.into()
        }
        Some('r') => rest.parse::<f64>().map_err(|_| unreadable())?.into(),
        Some('i') => rest.parse::<i64>().map_err(|_| unreadable())?.into(),
        Some('t') => rest.into(),
        _ => return Err(unreadable()),
    })
}
