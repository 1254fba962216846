//! The statement that the gateway itself sends for statistics, so that others can run the very same.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use chrono::TimeDelta;
use sea_orm::{Value, sea_query::ArrayType};
use serde_json::{Value as Json, json};
use tenant_gateway::{clock::Clock, database::Database, usage::Reader};

use super::fill::{FIRST, PREFIX, ZONES, id};

/// A parameter of the statement.
#[derive(Clone, Debug)]
enum Parameter {
    /// The tenants that are asked for.
    Tenants,
    /// A list, the same for all.
    List(&'static str, Vec<String>),
    /// A value, the same for all.
    One(String),
}

/// The statement and its parameters.
pub struct Statement {
    sql: String,
    parameters: Vec<Parameter>,
}

impl Statement {
    /// Lets the gateway's reader send it, and listens.
    pub async fn capture(database: &Database) -> Self {
        let mut database = database.clone();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = heard.clone();
        database.observe(move |info| {
            listener.lock().expect("the log").push(info.statement.clone());
        });
        let reader = Reader::new(database, Clock::system(), TimeDelta::hours(2));
        // A reader that has met every zone asks as one does that has run for a while.
        let tenants: Vec<_> = (FIRST..).take(ZONES.len()).map(id).collect();
        reader.read(&tenants).await.expect("figures");
        reader.read(&tenants[..1]).await.expect("figures");
        let statement = heard.lock().expect("the log").pop().expect("a statement");
        let values = statement.values.expect("parameters").0;
        Self { sql: statement.sql, parameters: values.iter().map(parameter).collect() }
    }

    /// For the peer: the parameters, with none for the tenants.
    pub fn for_peer(&self, database_url: &str, port: u16) -> Json {
        let parameters: Vec<Json> = self
            .parameters
            .iter()
            .map(|parameter| match parameter {
                Parameter::Tenants => Json::Null,
                Parameter::List(_, values) => json!(values),
                Parameter::One(value) => json!(value),
            })
            .collect();
        json!({ "sql": self.sql, "parameters": parameters, "database": database_url, "port": port })
    }

    /// For pgbench: a script that asks for `keys` tenants chosen at random.
    pub fn script(&self, tenants: u32, keys: usize) -> String {
        let mut script = String::new();
        for key in 0..keys {
            let last = FIRST + u64::from(tenants) - 1;
            writeln!(script, "\\set t{key} random({FIRST}, {last})").expect("a string");
        }
        let ids: Vec<_> = (0..keys).map(|key| format!("('{PREFIX}' || :t{key})::uuid")).collect();
        let ids = format!("ARRAY[{}]", ids.join(","));
        // Several are put into one value first: the planner must see a list of unknown length, as it does
        // when the gateway binds one, and they are to be made once.
        let (mut sql, tenants) = if keys == 1 {
            (self.sql.clone(), format!("({ids})"))
        } else {
            let with = format!("WITH ids AS MATERIALIZED (SELECT {ids} AS a) ");
            (with + &self.sql, "(SELECT a FROM ids)::uuid[]".to_owned())
        };
        for (place, parameter) in self.parameters.iter().enumerate().rev() {
            let literal = match parameter {
                Parameter::Tenants => tenants.clone(),
                Parameter::List(kind, values) => format!("'{{{}}}'::{kind}[]", values.join(",")),
                Parameter::One(value) => format!("'{value}'::timestamptz"),
            };
            sql = sql.replace(&format!("${}", place + 1), &literal);
        }
        script + &sql + ";\n"
    }
}

fn parameter(value: &Value) -> Parameter {
    match value {
        Value::Array(ArrayType::Uuid, Some(_)) => Parameter::Tenants,
        Value::Array(kind, Some(values)) => {
            let kind = match kind {
                ArrayType::Int => "integer",
                ArrayType::String => "text",
                _ => "timestamptz",
            };
            Parameter::List(kind, values.iter().map(text).collect())
        }
        other => Parameter::One(text(other)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Int(Some(number)) => number.to_string(),
        Value::String(Some(word)) => word.clone(),
        Value::ChronoDateTimeUtc(Some(instant)) => instant.to_rfc3339(),
        other => panic!("no such parameter: {other:?}"),
    }
}
