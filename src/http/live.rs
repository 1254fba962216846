//! Subscriptions as Server-Sent Events on `/graphql`, each over a connection of its own.

use std::convert::Infallible;

use async_graphql::Response as Answer;
use axum::{
    http::{HeaderName, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::stamp;

/// Proxies that buffer answers would hold events back.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// Each answer as an event `next`, and `complete` at the end. With `until` it ends without `complete`: the client
/// connects again, elsewhere.
pub(super) fn events(
    answers: impl Stream<Item = Answer> + Send + 'static,
    until: Option<CancellationToken>,
    request_id: String,
) -> Response {
    let next = answers.map(move |mut answer| {
        stamp(&mut answer, &request_id);
        let data = serde_json::to_string(&super::Written::of(&answer)).unwrap_or_default();
        Ok::<_, Infallible>(Event::default().event("next").data(data))
    });
    let complete = stream::once(async { Ok(Event::default().event("complete").data("")) });
    let end = async move {
        match until {
            Some(until) => until.cancelled_owned().await,
            None => std::future::pending().await,
        }
    };
    let mut events = next.chain(complete).take_until(Box::pin(end)).boxed();
    // What comes later is of the same request.
    let span = Span::current();
    let events = stream::poll_fn(move |context| span.in_scope(|| events.poll_next_unpin(context)));
    let headers = [(header::CACHE_CONTROL, "no-store"), UNBUFFERED];
    (headers, Sse::new(events).keep_alive(KeepAlive::default())).into_response()
}
