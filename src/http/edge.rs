//! What stands between the internet and the endpoints: who may call from a foreign page, how large and how slow a
//! request may be, and the headers that every answer carries.

use std::time::Duration;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, header},
    response::Response,
};
use tower::util::MapResponseLayer;
use tower_http::{
    compression::{
        CompressionLayer, Predicate,
        predicate::{NotForContentType, SizeAbove},
    },
    cors::{AllowOrigin, CorsLayer},
};

use super::{Connections, REQUEST_ID, Rates, TrustedProxies};

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
    /// Longest time that a request may take to arrive, and then to be answered. A subscription may go on.
    pub request_timeout: Duration,
    /// Origins whose pages may call, such as `https://dashboard.example`.
    pub origins: Vec<String>,
    /// Whether the playground is served.
    pub playground: bool,
    /// How many connections there may be.
    pub connections: Connections,
    /// Networks of proxies that say for whom they ask.
    pub proxies: TrustedProxies,
    /// How often one client may ask.
    pub rates: Rates,
}

impl Default for Edge {
    /// A document is a few thousand bytes, and an answer takes milliseconds.
    fn default() -> Self {
        Self {
            max_body: 1 << 20,
            request_timeout: Duration::from_secs(30),
            origins: Vec::new(),
            playground: true,
            connections: Connections::default(),
            proxies: TrustedProxies::default(),
            rates: Rates::default(),
        }
    }
}

impl Edge {
    /// Adds what every answer of `router` has.
    pub(super) fn around(&self, router: Router) -> Router {
        // Where other origins may call, their pages may also have what they get.
        let kept = ALWAYS.into_iter().skip(usize::from(!self.origins.is_empty()));
        let kept: Vec<_> = kept.map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
        // One layer: each takes its part of the time of the smallest request.
        let router = router.layer(MapResponseLayer::new(move |mut response: Response| {
            for (name, value) in &kept {
                response.headers_mut().entry(name).or_insert_with(|| value.clone());
            }
            response
        }));
        // A stream's events must not wait for enough of them to be worth it.
        let worth_it = SizeAbove::new(COMPRESSED).and(NotForContentType::const_new("text/event-stream"));
        let router = router.layer(CompressionLayer::new().compress_when(worth_it));
        if self.origins.is_empty() {
            return router;
        }
        // What is no header cannot be an origin that a browser sends.
        let origins = self.origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        let cors = CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT])
            .expose_headers([HeaderName::from_static(REQUEST_ID), header::RETRY_AFTER])
            .max_age(PREFLIGHT);
        router.layer(cors)
    }
}
