//! What stands between the internet and the endpoints: who may call from a foreign page, how large and how slow a
//! request may be, and the headers that every answer carries.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, Method, header},
    response::Response,
};
use tower::{Service, ServiceBuilder};
use tower_http::{
    compression::{
        CompressionLayer, Predicate,
        predicate::{NotForContentType, SizeAbove},
    },
    cors::{AllowOrigin, CorsLayer},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};
use tracing::{Instrument, Span, instrument::Instrumented};

use super::{Connections, REQUEST_ID, Rates, Sockets, TrustedProxies};
use crate::telemetry;

/// How a browser keeps the answer of a preflight.
const PREFLIGHT: Duration = Duration::from_mins(10);

/// Answers of fewer bytes are sent as they are: they fit into one packet.
const COMPRESSED: u16 = 1_024;

/// Headers of every answer that does not set its own.
const ALWAYS: [(HeaderName, &str); 5] = [
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // A page has a policy of its own.
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

/// The settings of the edge.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Largest body of a request, in bytes.
    pub max_body: usize,
    /// Most values in the JSON of a request, however deep.
    pub max_values: usize,
    /// Longest time that a request may take to arrive, and then to be answered. A subscription may go on.
    pub request_timeout: Duration,
    /// Origins whose pages may call, such as `https://dashboard.example`.
    pub origins: Vec<String>,
    /// Whether the playground is served.
    pub playground: bool,
    /// How many connections there may be.
    pub connections: Connections,
    /// What one socket may do.
    pub sockets: Sockets,
    /// Networks of proxies that say for whom they ask.
    pub proxies: TrustedProxies,
    /// How often one client may ask.
    pub rates: Rates,
}

impl Default for Edge {
    /// A document is a few thousand bytes, and an answer takes milliseconds. Larger bodies take time of others before it
    /// is known that they are to be refused.
    fn default() -> Self {
        Self {
            max_body: 1 << 18,
            max_values: 10_000,
            request_timeout: Duration::from_secs(30),
            origins: Vec::new(),
            playground: true,
            connections: Connections::default(),
            sockets: Sockets::default(),
            proxies: TrustedProxies::default(),
            rates: Rates::default(),
        }
    }
}

impl Edge {
    /// Adds what every answer of `router` has. Not as layers of the router, each of which would be a box of its own:
    /// together they would take half of the time of the smallest request.
    pub(super) fn around(
        &self,
        router: Router,
    ) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
    {
        // Where other origins may call, their pages may also have what they get.
        let kept = ALWAYS.into_iter().skip(usize::from(!self.origins.is_empty()));
        let kept: Vec<_> = kept.map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
        let kept: Arc<[_]> = kept.into();
        // A stream's events must not wait for enough of them to be worth it.
        let worth_it = SizeAbove::new(COMPRESSED).and(NotForContentType::const_new("text/event-stream"));
        ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(Body::new))
            .map_request(|mut request: Request| {
                if request.headers().get(REQUEST_ID).is_some_and(|id| !is_name(id)) {
                    request.headers_mut().remove(REQUEST_ID);
                }
                request
            })
            .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
            .layer_fn(Spanned)
            .layer(PropagateRequestIdLayer::x_request_id())
            .layer(CompressionLayer::new().compress_when(worth_it))
            .map_response(move |mut response: Response| {
                for (name, value) in &*kept {
                    response.headers_mut().entry(name).or_insert_with(|| value.clone());
                }
                response
            })
            .option_layer(self.cors())
            .service(router)
    }

    fn cors(&self) -> Option<CorsLayer> {
        if self.origins.is_empty() {
            return None;
        }
        // What is no header cannot be an origin that a browser sends.
        let origins = self.origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        Some(
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(origins))
                .allow_methods([Method::GET, Method::POST])
                .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT])
                .expose_headers([HeaderName::from_static(REQUEST_ID), header::RETRY_AFTER])
                .max_age(PREFLIGHT),
        )
    }
}

/// Whether a request may have this name, which a proxy has given it: it stands in the log, in answers and in errors.
fn is_name(id: &HeaderValue) -> bool {
    let is_sign = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte);
    (1..=128).contains(&id.len()) && id.as_bytes().iter().all(is_sign)
}

/// Answers each request within its span: what everything that is logged of it, and its traces, belong to.
#[derive(Clone)]
struct Spanned<S>(S);

impl<S: Service<Request>> Service<Request> for Spanned<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let span = span(&request);
        let answer = span.in_scope(|| self.0.call(request));
        answer.instrument(span)
    }
}

fn span(request: &Request) -> Span {
    let request_id = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let path = request.uri().path();
    let span = tracing::info_span!("request", request_id, path, otel.kind = tracing::field::Empty);
    telemetry::join(&span, request.headers());
    span
}
