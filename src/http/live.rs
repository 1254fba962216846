//! Subscriptions as Server-Sent Events on `/graphql`, each over a connection of its own.

use std::convert::Infallible;

use async_graphql::Response as Answer;
use axum::{
    http::{HeaderMap, HeaderName, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;

/// Proxies that buffer answers would hold events back.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// Whether the caller asks for a stream of events.
pub(super) fn wants_events(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accept.into_iter().any(|value| value.contains("text/event-stream"))
}

/// Each answer as an event `next`, and `complete` at the end. Ends with `shutdown`, without `complete`: the client
/// connects again, elsewhere.
pub(super) fn events(
    answers: impl Stream<Item = Answer> + Send + 'static,
    shutdown: &CancellationToken,
) -> Response {
    let next = answers.map(|answer| {
        let data = serde_json::to_string(&super::Written::of(&answer)).unwrap_or_default();
        Ok::<_, Infallible>(Event::default().event("next").data(data))
    });
    let complete = stream::once(async { Ok(Event::default().event("complete").data("")) });
    let events = next.chain(complete).take_until(shutdown.clone().cancelled_owned());
    let headers = [(header::CACHE_CONTROL, "no-store"), UNBUFFERED];
    (headers, Sse::new(events).keep_alive(KeepAlive::default())).into_response()
}
