//! The statement that the gateway itself sends for statistics, so that others can run the very same.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use chrono::TimeDelta;
use sea_orm::Value;
use serde_json::{Value as Json, json};
use tenant_gateway::{
    clock::Clock,
    database::Database,
    usage::{Reader, Subject, Zone},
};

use super::fill::{PREFIX, ZONES, id, zone};

/// A parameter for one tenant: a list that grows with the tenants, or one value for all.
#[derive(Clone, Debug)]
enum Parameter {
    List { kind: &'static str, values: Vec<Option<String>> },
    One(String),
}

/// The statement, with its parameters for a tenant of each zone. In lists, none stands for the tenant.
pub struct Statement {
    sql: String,
    zones: Vec<Vec<Parameter>>,
}

impl Statement {
    /// Lets the gateway's reader send it once for each zone, and listens.
    pub async fn capture(database: &Database) -> Self {
        let mut database = database.clone();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = heard.clone();
        database.connection.set_metric_callback(move |info| {
            listener.lock().expect("the log").push(info.statement.clone());
        });
        let reader = Reader::new(database, Clock::system(), TimeDelta::hours(2));
        let (mut sql, mut zones) = (String::new(), Vec::new());
        for number in (super::fill::FIRST..).take(ZONES.len()) {
            let subject = Subject { tenant: id(number), zone: Zone::named(zone(number)).expect("a zone") };
            reader.stats(&[subject]).await.expect("figures");
            let statement = heard.lock().expect("the log").pop().expect("a statement");
            let values = statement.values.expect("parameters").0;
            zones.push(values.iter().map(|value| parameter(value, &id(number).to_string())).collect());
            sql = statement.sql;
        }
        Self { sql, zones }
    }

    /// For the peer: lists of strings in which `ID` stands for the tenant.
    pub fn for_peer(&self, database_url: &str, port: u16) -> Json {
        let zones: serde_json::Map<String, Json> = ZONES
            .iter()
            .zip(&self.zones)
            .map(|(zone, parameters)| {
                let parameters: Vec<Json> = parameters
                    .iter()
                    .map(|parameter| match parameter {
                        Parameter::List { values, .. } => {
                            json!(values.iter().map(|v| v.as_deref().unwrap_or("ID")).collect::<Vec<_>>())
                        }
                        Parameter::One(value) => json!(value),
                    })
                    .collect();
                ((*zone).to_owned(), json!(parameters))
            })
            .collect();
        json!({ "sql": self.sql, "zones": zones, "database": database_url, "port": port })
    }

    /// For pgbench: a script that asks for `keys` tenants chosen at random, the first of them of each
    /// zone in turn.
    pub fn scripts(&self, tenants: u32, keys: usize) -> Vec<String> {
        let zones = ZONES.len();
        (0..zones)
            .map(|zone| {
                let mut script = String::new();
                for key in 0..keys {
                    let offset = (zone + key) % zones;
                    let last = tenants as usize / zones - 1;
                    let first = super::fill::FIRST + offset as u64;
                    writeln!(script, "\\set t{key} {first} + {zones} * random(0, {last})").expect("a string");
                }
                let lists: Vec<String> = (0..self.zones[0].len())
                    .map(|place| {
                        let of = |key: usize| &self.zones[(zone + key) % zones][place];
                        literal((0..keys).map(of))
                    })
                    .collect();
                let mut sql = self.sql.clone();
                for (place, list) in lists.iter().enumerate().rev() {
                    sql = sql.replace(&format!("${}", place + 1), list);
                }
                script + &sql + ";\n"
            })
            .collect()
    }
}

/// One parameter for several tenants, as SQL.
fn literal<'a>(of_tenants: impl Iterator<Item = &'a Parameter>) -> String {
    let (mut elements, mut cast) = (Vec::new(), "");
    for (key, parameter) in of_tenants.enumerate() {
        match parameter {
            Parameter::One(value) => return format!("'{value}'::timestamptz"),
            Parameter::List { kind, values } => {
                cast = kind;
                elements.extend(values.iter().map(|value| match value {
                    Some(value) => format!("'{value}'"),
                    None => format!("('{PREFIX}' || :t{key})::uuid"),
                }));
            }
        }
    }
    format!("(ARRAY[{}]::{cast}[])", elements.join(","))
}

fn parameter(value: &Value, tenant: &str) -> Parameter {
    match value {
        Value::Array(kind, Some(values)) => {
            let kind = match kind {
                sea_orm::sea_query::ArrayType::Uuid => "uuid",
                sea_orm::sea_query::ArrayType::Int => "integer",
                _ => "timestamptz",
            };
            let values = values.iter().map(text).map(|text| (text != tenant).then_some(text)).collect();
            Parameter::List { kind, values }
        }
        other => Parameter::One(text(other)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Uuid(Some(id)) => id.to_string(),
        Value::Int(Some(number)) => number.to_string(),
        Value::ChronoDateTimeUtc(Some(instant)) => instant.to_rfc3339(),
        other => panic!("no such parameter: {other:?}"),
    }
}
