//! What is measured of statements, and how many of them one request took.

use std::{cell::Cell, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// Statements and the connections they go through.
#[derive(Clone, Debug)]
pub struct StatementMetrics {
    times: Histogram,
    failures: Counter,
    /// Connections of the pool.
    pub connections: Gauge,
    /// Of these, those that nobody uses now.
    pub idle: Gauge,
    /// Differences that are not folded into the sums yet.
    pub unfolded: Gauge,
    /// Seconds since the oldest of them came.
    pub fold_lag: Gauge<f64, AtomicU64>,
}

impl Default for StatementMetrics {
    fn default() -> Self {
        Self {
            times: Histogram::new(exponential_buckets(0.000_1, 2.0, 17)),
            failures: Counter::default(),
            connections: Gauge::default(),
            idle: Gauge::default(),
            unfolded: Gauge::default(),
            fold_lag: Gauge::default(),
        }
    }
}

impl StatementMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "statement",
            "How long statements took; those that requests read with, with the wait for a connection",
            Unit::Seconds,
            self.times.clone(),
        );
        registry.register("statement_failures", "Statements that failed", self.failures.clone());
        registry.register("pool_connections", "Connections to the database", self.connections.clone());
        registry.register("pool_idle", "Connections that nobody uses now", self.idle.clone());
        registry.register(
            "usage_unfolded",
            "Differences that are not folded into the sums yet, of all processes",
            self.unfolded.clone(),
        );
        registry.register_with_unit(
            "usage_fold_lag",
            "How long ago the oldest difference came that is not folded yet",
            Unit::Seconds,
            self.fold_lag.clone(),
        );
    }

    /// A statement has ended.
    pub fn ended(&self, time: Duration, has_failed: bool) {
        self.times.observe(time.as_secs_f64());
        if has_failed {
            self.failures.inc();
        }
        count();
    }
}

tokio::task_local! {
    static STATEMENTS: Cell<u32>;
}

/// Notes that the request at hand has taken a statement, or a part in one. Nothing where there is no request.
pub fn count() {
    let _ = STATEMENTS.try_with(|statements| statements.set(statements.get() + 1));
}

/// What `work` gives, and how many statements it took part in.
pub async fn counting<T>(work: impl Future<Output = T>) -> (T, u32) {
    STATEMENTS.scope(Cell::new(0), async { (work.await, STATEMENTS.with(Cell::get)) }).await
}
