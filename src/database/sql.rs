//! A statement under construction: its text and the values it binds.

use chrono::{DateTime, Utc};
use entity::timestamp;
use sea_orm::{DbBackend, Statement, Value};
use uuid::Uuid;

/// A column of a table of values.
#[derive(Clone, Debug)]
pub enum Column {
    /// Ids.
    Ids(Vec<Uuid>),
    /// Instants.
    Instants(Vec<DateTime<Utc>>),
    /// Whole numbers.
    Integers(Vec<i32>),
    /// Words.
    Words(Vec<String>),
}

/// Collects values and names each by the placeholder that stands for it in the text.
#[derive(Clone, Debug)]
pub struct Sql {
    backend: DbBackend,
    values: Vec<Value>,
}

impl Sql {
    /// Nothing bound yet.
    #[must_use]
    pub fn new(backend: DbBackend) -> Self {
        Self { backend, values: Vec::new() }
    }

    /// Which database it is for.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.backend
    }

    /// Binds a value. Returns its placeholder.
    pub fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    /// Binds an instant. Returns its placeholder.
    pub fn bind_instant(&mut self, instant: DateTime<Utc>) -> String {
        self.bind(timestamp::value(self.backend, instant))
    }

    /// Binds ids. Returns what may follow `column`, true for each of them.
    pub fn bind_ids(&mut self, ids: &[Uuid]) -> String {
        match self.backend {
            DbBackend::Sqlite => {
                let ids: Vec<_> = ids.iter().map(|id| id.simple().to_string()).collect();
                let list = self.bind(serde_json::json!(ids).to_string().into());
                format!("IN (SELECT unhex(value) FROM json_each({list}))")
            }
            _ => format!("= ANY({})", self.bind(ids.to_vec().into())),
        }
    }

    /// Binds words. Returns what may follow `column`, true for each of them.
    pub fn bind_words(&mut self, words: &[&str]) -> String {
        if self.backend == DbBackend::Sqlite {
            let list = self.bind(serde_json::json!(words).to_string().into());
            format!("IN (SELECT value FROM json_each({list}))")
        } else {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            format!("= ANY({})", self.bind(words.into()))
        }
    }

    /// Binds a table of values, column by column. Returns an item of a `FROM` list with that name.
    pub fn bind_table(&mut self, name: &str, columns: Vec<(&str, Column)>) -> String {
        if self.backend == DbBackend::Sqlite {
            return self.bind_json(name, &columns);
        }
        let (names, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let arrays: Vec<_> = columns
            .into_iter()
            .map(|column| match column {
                Column::Ids(ids) => format!("{}::uuid[]", self.bind(ids.into())),
                Column::Instants(instants) => format!("{}::timestamptz[]", self.bind(instants.into())),
                Column::Integers(numbers) => format!("{}::integer[]", self.bind(numbers.into())),
                Column::Words(words) => format!("{}::text[]", self.bind(words.into())),
            })
            .collect();
        // Citus mixes up the columns of a bare `unnest` that is joined; PostgreSQL sees no difference.
        format!("(SELECT * FROM unnest({}) AS {name} ({})) AS {name}", arrays.join(", "), names.join(", "))
    }

    fn bind_json(&mut self, name: &str, columns: &[(&str, Column)]) -> String {
        let rows = columns.first().map_or(0, |(_, column)| column.len());
        let rows: Vec<Vec<serde_json::Value>> =
            (0..rows).map(|row| columns.iter().map(|(_, column)| column.json(row)).collect()).collect();
        let text = self.bind(serde_json::json!(rows).to_string().into());
        let selected: Vec<_> = columns
            .iter()
            .enumerate()
            .map(|(place, (column_name, column))| match column {
                Column::Ids(_) => format!("unhex(value ->> {place}) AS {column_name}"),
                _ => format!("value ->> {place} AS {column_name}"),
            })
            .collect();
        // The limit keeps SQLite from reading the JSON again for every row that the table is joined to.
        format!("(SELECT {} FROM json_each({text}) LIMIT -1) AS {name}", selected.join(", "))
    }

    /// The statement, with everything bound so far.
    #[must_use]
    pub fn statement(self, text: &str) -> Statement {
        Statement::from_sql_and_values(self.backend, text, self.values)
    }
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Instants(instants) => instants.len(),
            Self::Integers(numbers) => numbers.len(),
            Self::Words(words) => words.len(),
        }
    }

    fn json(&self, row: usize) -> serde_json::Value {
        match self {
            Self::Ids(ids) => ids[row].simple().to_string().into(),
            Self::Instants(instants) => timestamp::text(instants[row]).into(),
            Self::Integers(numbers) => numbers[row].into(),
            Self::Words(words) => words[row].as_str().into(),
        }
    }
}
