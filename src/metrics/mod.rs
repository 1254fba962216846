//! What operators see of the running gateway, in the format of Prometheus.

mod requests;
mod statements;

pub use prometheus_client::metrics::gauge::Gauge;
pub use requests::RequestMetrics;
pub use statements::{StatementMetrics, count, counting};

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// Everything that is measured. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    batch_keys: Family<SourceLabel, Histogram, fn() -> Histogram>,
    batch_waits: Family<SourceLabel, Histogram, fn() -> Histogram>,
    /// Requests and connections.
    pub requests: RequestMetrics,
    /// Statements and the connections they go through.
    pub statements: StatementMetrics,
    /// What the workers of the statistics find and do.
    pub usage: UsageMetrics,
    /// What erasing does.
    pub deletion: DeletionMetrics,
}

/// Which loader.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: &'static str,
}

/// One loader's batches.
#[derive(Clone, Debug)]
pub struct BatchMetrics {
    keys: Histogram,
    waits: Histogram,
}

/// What the workers of the statistics find and do.
#[derive(Clone, Debug, Default)]
pub struct UsageMetrics {
    /// Differences found between sums and calls since the start. Must stay 0.
    pub drift: Counter,
    /// Tenants and weeks that were compared.
    pub compared: Counter,
    /// Differences folded into the sums.
    pub folded: Counter,
    /// Tenants with differences that are not folded yet, as last seen.
    pub tenants_unfolded: Gauge,
    /// Seconds that the last round of folding took.
    pub round_seconds: Gauge<f64, AtomicU64>,
    /// Tenants whose sums are not built yet.
    pub tenants_unbuilt: Gauge,
    /// Steps of a worker that failed, and are tried again.
    pub failures: Counter,
}

/// What erasing does.
#[derive(Clone, Debug)]
pub struct DeletionMetrics {
    rows: Counter,
    batches: Histogram,
    /// Deletions that ended in this process.
    pub ended: Counter,
    /// Obstacles that a deletion met, most of which go away by themselves.
    pub obstacles: Counter,
    open: Family<StatusLabel, Gauge>,
    oldest_due_seconds: Gauge<f64, AtomicU64>,
    certificates_unstored: Gauge,
}

/// Which status of a deletion.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

impl Default for DeletionMetrics {
    fn default() -> Self {
        Self {
            rows: Counter::default(),
            batches: Histogram::new(exponential_buckets(0.001, 2.0, 13)),
            ended: Counter::default(),
            obstacles: Counter::default(),
            open: Family::default(),
            oldest_due_seconds: Gauge::default(),
            certificates_unstored: Gauge::default(),
        }
    }
}

impl DeletionMetrics {
    /// A batch has erased so many rows in so long a transaction.
    pub fn batch(&self, rows: i64, time: Duration) {
        self.rows.inc_by(u64::try_from(rows).unwrap_or_default());
        self.batches.observe(time.as_secs_f64());
    }

    /// What waits to be done, in all processes: deletions by the words of their status, since when the oldest
    /// has been due, and certificates.
    pub fn wait(
        &self,
        open: impl IntoIterator<Item = (&'static str, i64)>,
        oldest_due: Duration,
        unstored: i64,
    ) {
        for (status, count) in open {
            self.open.get_or_create(&StatusLabel { status }).set(count);
        }
        self.oldest_due_seconds.set(oldest_due.as_secs_f64());
        self.certificates_unstored.set(unstored);
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "deletions_open",
            "Deletions that have not ended, of all processes, by status",
            self.open.clone(),
        );
        registry.register_with_unit(
            "deletion_oldest_due",
            "How long ago the open deletion that waits longest was to begin; 0 while none is due",
            Unit::Seconds,
            self.oldest_due_seconds.clone(),
        );
        registry.register(
            "deletion_certificates_unstored",
            "Certificates that are not in object storage yet",
            self.certificates_unstored.clone(),
        );
        registry.register("deletion_rows", "Rows of tenants erased in batches", self.rows.clone());
        registry.register_with_unit(
            "deletion_batch",
            "How long the transactions were that erased rows",
            Unit::Seconds,
            self.batches.clone(),
        );
        registry.register("deletions_ended", "Deletions that ended in this process", self.ended.clone());
        registry.register(
            "deletion_obstacles",
            "Obstacles that deletions met; most go away by themselves",
            self.obstacles.clone(),
        );
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("tenant_gateway");
        let sizes: fn() -> Histogram = || Histogram::new(exponential_buckets(1.0, 2.0, 9));
        let times: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_1, 2.0, 17));
        let batch_keys = Family::new_with_constructor(sizes);
        let batch_waits = Family::new_with_constructor(times);
        registry.register("batch_keys", "Keys that shared one statement, by loader", batch_keys.clone());
        registry.register_with_unit(
            "batch_wait",
            "Longest wait of a key before its statement was sent, by loader",
            Unit::Seconds,
            batch_waits.clone(),
        );
        let usage = UsageMetrics::default();
        let each = [
            ("usage_drift", "Differences found between sums and calls; must stay 0", &usage.drift),
            ("usage_compared", "Weeks of a tenant whose sums were compared with its calls", &usage.compared),
            ("usage_folded", "Differences folded into the sums", &usage.folded),
            ("usage_worker_failures", "Steps of the statistics' workers that failed", &usage.failures),
        ];
        for (name, help, counter) in each {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "usage_tenants_unfolded",
            "Tenants that had differences to fold in the last round",
            usage.tenants_unfolded.clone(),
        );
        registry.register(
            "usage_tenants_unbuilt",
            "Tenants whose sums are not built yet",
            usage.tenants_unbuilt.clone(),
        );
        registry.register_with_unit(
            "usage_fold_round",
            "How long the last round of folding took",
            Unit::Seconds,
            usage.round_seconds.clone(),
        );
        let deletion = DeletionMetrics::default();
        deletion.register(&mut registry);
        let (requests, statements) = (RequestMetrics::default(), StatementMetrics::default());
        requests.register(&mut registry);
        statements.register(&mut registry);
        Self { registry: Arc::new(registry), batch_keys, batch_waits, requests, statements, usage, deletion }
    }
}

impl Metrics {
    /// The counters of one loader.
    #[must_use]
    pub fn batches(&self, source: &'static str) -> BatchMetrics {
        let label = SourceLabel { source };
        BatchMetrics {
            keys: self.batch_keys.get_or_create(&label).clone(),
            waits: self.batch_waits.get_or_create(&label).clone(),
        }
    }

    /// All of it as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

impl BatchMetrics {
    /// A statement of so many keys was sent, the first of which had waited so long.
    #[expect(clippy::cast_precision_loss, reason = "batches are small")]
    pub fn sent(&self, keys: usize, waited: Duration) {
        self.keys.observe(keys as f64);
        self.waits.observe(waited.as_secs_f64());
    }
}
