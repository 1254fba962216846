//! What the process tells of itself: its log, and traces where there is a collector for them.

mod lines;

use std::{
    io::{IsTerminal, Stderr},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use opentelemetry::{Context, global, trace::TracerProvider};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use reqwest::header::HeaderMap;
use tracing::{Level, Span, Subscriber, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    EnvFilter, Layer, filter::Targets, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

use lines::Lines;

/// Longest wait of a line that may wait.
const WAIT: Duration = Duration::from_millis(100);
/// The target of what is told of each operation: its lines may wait.
pub const OPERATIONS: &str = "tenant_gateway::operations";

/// The name of the service, unless `OTEL_SERVICE_NAME` says another.
const SERVICE: &str = "tenant-gateway";
/// Where a collector takes traces, beneath its address.
const TRACES: &str = "v1/traces";
/// The header of W3C Trace Context.
const TRACE_PARENT: &str = "traceparent";

/// Whether there is a collector.
static IS_TRACING: AtomicBool = AtomicBool::new(false);

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Pretty,
    /// An object a line, for programs.
    Json,
}

/// Writes and sends what is left of the log and the traces when it is dropped.
#[derive(Debug)]
pub struct Telemetry {
    lines: Lines<Stderr>,
    traces: Option<SdkTracerProvider>,
}

/// Starts the log and, where there is a collector, traces. Once in a process, and before its runtime: traces are sent
/// by a thread of their own.
///
/// # Errors
///
/// When the address of the collector is none.
pub fn start(
    filter: EnvFilter,
    format: LogFormat,
    collector: Option<&str>,
) -> Result<Telemetry, ExporterBuildError> {
    let registry = tracing_subscriber::registry();
    let lines = Lines::to(std::io::stderr(), WAIT);
    let Some(provider) = collector.map(provider).transpose()? else {
        // One filter for all is cheaper than one for each.
        registry.with(filter).with(log(format, &lines)).init();
        return Ok(Telemetry { lines, traces: None });
    };
    // Not what sending them does.
    let own = Targets::new()
        .with_default(LevelFilter::OFF)
        .with_target("tenant_gateway", Level::DEBUG)
        .with_target("sea_orm", Level::INFO);
    let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer(SERVICE)).with_filter(own);
    registry.with(log(format, &lines).with_filter(filter)).with(traces).init();
    Ok(Telemetry { lines, traces: Some(provider) })
}

fn log<S>(format: LogFormat, lines: &Lines<Stderr>) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let log = tracing_subscriber::fmt::layer().with_writer(lines.clone());
    match format {
        LogFormat::Pretty => log.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).boxed(),
    }
}

fn provider(collector: &str) -> Result<SdkTracerProvider, ExporterBuildError> {
    global::set_text_map_propagator(TraceContextPropagator::new());
    IS_TRACING.store(true, Ordering::Relaxed);
    // A second installation is refused, which is as good as the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let address = format!("{}/{TRACES}", collector.trim_end_matches('/'));
    let exporter = SpanExporter::builder().with_http().with_endpoint(address).build()?;
    let service = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| SERVICE.to_owned());
    let resource = Resource::builder().with_service_name(service).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.lines.write();
        if let Some(Err(error)) = self.traces.as_ref().map(SdkTracerProvider::shutdown) {
            eprintln!("the last traces were not sent: {error}");
        }
    }
}

/// Makes `span` that of a request to this server, a part of the trace that the headers name. It has an empty field
/// `otel.kind`. Nothing where there is no collector.
pub fn join(span: &Span, headers: &HeaderMap) {
    if !IS_TRACING.load(Ordering::Relaxed) {
        return;
    }
    span.record("otel.kind", "server");
    if headers.contains_key(TRACE_PARENT) {
        let parent = global::get_text_map_propagator(|known| {
            known.extract_with_context(&Context::new(), &HeaderExtractor(headers))
        });
        // It has not begun, which is the only obstacle.
        let _ = span.set_parent(parent);
    }
}

/// Names the present trace in the headers of a request to somebody else.
pub fn carry(headers: &mut HeaderMap) {
    let present = Span::current().context();
    global::get_text_map_propagator(|known| known.inject_context(&present, &mut HeaderInjector(headers)));
}
