//! Subscriptions: Server-Sent Events on `/graphql`, and `graphql-transport-ws` on `/graphql/ws`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_graphql::Data;
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::{
    extract::{State, WebSocketUpgrade},
    http::{HeaderMap, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, StreamExt, stream};
use serde_json::Value;

use super::Endpoints;

/// The protocol spoken on `/graphql/ws`.
const PROTOCOL: &str = "graphql-transport-ws";
/// A client that answers no ping for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// Whether the caller asks for a stream of events.
pub(super) fn wants_events(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accept.into_iter().any(|value| value.contains("text/event-stream"))
}

/// Each answer as an event `next`, and `complete` at the end.
pub(super) fn events(answers: impl Stream<Item = async_graphql::Response> + Send + 'static) -> Response {
    let next = answers.map(|answer| {
        let data = serde_json::to_string(&answer).unwrap_or_default();
        Ok::<_, Infallible>(Event::default().event("next").data(data))
    });
    let complete = stream::once(async { Ok(Event::default().event("complete").data("")) });
    Sse::new(next.chain(complete)).keep_alive(KeepAlive::default()).into_response()
}

/// Opens a socket. The token comes as `Authorization` in `connection_init`: a browser can set no
/// header here.
pub(super) async fn socket(
    State(endpoints): State<Arc<Endpoints>>,
    protocol: GraphQLProtocol,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.protocols([PROTOCOL]).on_upgrade(move |socket| async move {
        let api = endpoints.api.clone();
        GraphQLWebSocket::new(socket, api, protocol)
            .keepalive_timeout(SILENCE)
            .on_connection_init(move |payload| authenticate(endpoints, payload))
            .serve()
            .await;
    })
}

async fn authenticate(endpoints: Arc<Endpoints>, payload: Value) -> async_graphql::Result<Data> {
    let given = ["Authorization", "authorization"].iter().find_map(|name| payload.get(name)?.as_str());
    let viewer = endpoints.authenticator.viewer(given).await.map_err(|reason| reason.to_string())?;
    let mut data = Data::default();
    data.insert(Arc::new(viewer));
    Ok(data)
}
