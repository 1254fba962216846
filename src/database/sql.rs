//! A statement under construction: its text and the values it binds.

use chrono::{DateTime, Utc};
use entity::timestamp;
use sea_orm::{DbBackend, Statement, Value};
use uuid::Uuid;

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

    /// The statement, with everything bound so far.
    #[must_use]
    pub fn statement(self, text: &str) -> Statement {
        Statement::from_sql_and_values(self.backend, text, self.values)
    }
}
