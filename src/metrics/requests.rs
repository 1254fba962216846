//! What is measured of requests and connections.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// Names of operations that have a row of their own. Whoever may ask can make up names: those that come later are
/// counted together.
const MAX_NAMES: usize = 100;
/// Longest name that has a row of its own.
const MAX_NAME: usize = 64;
/// The code of a request without an error.
const FINE: &str = "OK";
/// Stands for all other names.
const OTHER: &str = "(other)";
/// Stands for operations without a name, and requests without an operation.
const UNNAMED: &str = "(none)";

/// Requests and connections.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    answered: Family<AnswerLabels, Counter>,
    times: Family<OperationLabel, Histogram, fn() -> Histogram>,
    rows: Arc<RwLock<HashMap<String, Row>>>,
    unnamed: Row,
    /// Connections that are open.
    pub connections: Gauge,
    /// Of these, sockets.
    pub sockets: Gauge,
    /// Streams of answers that are open: subscriptions over sockets and as events.
    pub streams: Gauge,
}

/// What is counted of an operation that succeeds, at hand: most do.
#[derive(Clone, Debug)]
struct Row {
    fine: Counter,
    times: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    operation: String,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: String,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        let times: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_5, 2.0, 15));
        let (answered, times) = (Family::default(), Family::new_with_constructor(times));
        Self {
            unnamed: row(&answered, &times, UNNAMED),
            answered,
            times,
            rows: Arc::default(),
            connections: Gauge::default(),
            sockets: Gauge::default(),
            streams: Gauge::default(),
        }
    }
}

impl RequestMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "requests",
            "Requests answered, by the operation's name and the code of the first error",
            self.answered.clone(),
        );
        registry.register_with_unit(
            "request",
            "How long operations took that were executed, by name",
            Unit::Seconds,
            self.times.clone(),
        );
        registry.register("connections_open", "Connections that are open", self.connections.clone());
        registry.register("sockets_open", "Sockets that are open", self.sockets.clone());
        registry.register("streams_open", "Subscriptions that are open", self.streams.clone());
    }

    /// An operation was executed, with the code of its first error or `OK`.
    pub fn executed(&self, operation: Option<&str>, code: &'static str, time: Duration) {
        let row = self.row(operation, code == FINE);
        if code == FINE {
            row.fine.inc();
        } else {
            self.refused(operation, code);
        }
        row.times.observe(time.as_secs_f64());
    }

    /// A stream of answers has ended.
    pub fn ended(&self, operation: Option<&str>, code: &'static str) {
        if code == FINE {
            self.row(operation, true).fine.inc();
        } else {
            self.refused(operation, code);
        }
    }

    /// A request was turned away.
    pub fn refused(&self, operation: Option<&str>, code: &'static str) {
        let operation = match operation {
            None => UNNAMED,
            Some(name) if self.rows().contains_key(name) => name,
            Some(_) => OTHER,
        };
        self.answered.get_or_create(&AnswerLabels { operation: operation.to_owned(), code }).inc();
    }

    fn rows(&self) -> RwLockReadGuard<'_, HashMap<String, Row>> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row that a name is counted in. Only what has succeeded takes one.
    fn row(&self, name: Option<&str>, has_succeeded: bool) -> Row {
        let Some(name) = name else { return self.unnamed.clone() };
        if let Some(row) = self.rows().get(name) {
            return row.clone();
        }
        if has_succeeded && name.len() <= MAX_NAME {
            let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
            if rows.len() < MAX_NAMES {
                let row = || row(&self.answered, &self.times, name);
                return rows.entry(name.to_owned()).or_insert_with(row).clone();
            }
        }
        row(&self.answered, &self.times, OTHER)
    }
}

fn row(
    answered: &Family<AnswerLabels, Counter>,
    times: &Family<OperationLabel, Histogram, fn() -> Histogram>,
    operation: &str,
) -> Row {
    let operation = operation.to_owned();
    Row {
        fine: answered.get_or_create(&AnswerLabels { operation: operation.clone(), code: FINE }).clone(),
        times: times.get_or_create(&OperationLabel { operation }).clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_do_not_fill_memory() {
        let metrics = RequestMetrics::default();
        for number in 0..10_000 {
            metrics.executed(Some(&format!("Refused{number}")), "BAD_USER_INPUT", Duration::ZERO);
        }
        metrics.executed(Some("Dashboard"), "OK", Duration::ZERO);
        for number in 0..10_000 {
            metrics.executed(Some(&format!("MadeUp{number}")), "OK", Duration::ZERO);
        }
        metrics.executed(None, "OK", Duration::ZERO);
        assert_eq!(metrics.rows().len(), MAX_NAMES);
        assert!(metrics.rows().contains_key("Dashboard") && !metrics.rows().contains_key("MadeUp9999"));
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        let rows = text.lines().filter(|line| line.starts_with("requests_total")).count();
        assert_eq!(rows, MAX_NAMES + 3, "a row for each name, one for the others by each code, one for none");
    }
}
