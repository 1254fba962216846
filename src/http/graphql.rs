//! `/graphql` over POST and GET.

use std::{error::Error, pin::pin, sync::Arc, time::Duration};

use async_graphql::{Request as Question, Response as Answer, ServerError};
use async_graphql_axum::{GraphQLRequest, rejection::GraphQLRejection};
use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use http_body_util::LengthLimitError;
use thiserror::Error;

use super::{
    Edge, Endpoints, Written, accepts,
    asked::{Asked, has_at_most, linked, name_document},
    client, live, request_id, stamp,
};
use crate::{
    auth::{NotAuthentic, Viewer},
    graphql::{Allowed, Code, DOCUMENT_ID, Operation, executed, refusal},
};

/// The media type of the GraphQL-over-HTTP specification.
const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";

/// Queries only: a link must not change anything.
pub(super) async fn get(State(endpoints): State<Arc<Endpoints>>, request: Request) -> Response {
    answer(&endpoints, request, Allowed::Reading).await
}

/// Queries and mutations, as JSON only: a foreign page cannot post that without asking first.
pub(super) async fn post(State(endpoints): State<Arc<Endpoints>>, request: Request) -> Response {
    answer(&endpoints, request, Allowed::Everything).await
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|value| value.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn answer(endpoints: &Arc<Endpoints>, request: Request, allowed: Allowed) -> Response {
    let (head, body) = request.into_parts();
    let headers = &head.headers;
    let stranger = Asker { endpoints, headers, viewer: None };
    if let Some(wait) = client(endpoints, &head).and_then(|client| endpoints.rates.address(client).err()) {
        return stranger.too_often(wait);
    }
    if allowed == Allowed::Everything && !is_json(headers) {
        let sentence = "send the request as JSON, with content-type: application/json";
        return stranger.refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, sentence);
    }
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let viewer = match endpoints.authenticator.viewer(authorization).await {
        Ok(viewer) => viewer,
        Err(reason) => return stranger.unauthenticated(reason),
    };
    let asker = Asker { viewer: Some(&viewer), ..stranger };
    if let Err(wait) = endpoints.rates.viewer(&viewer) {
        return asker.too_often(wait);
    }
    let question = match allowed {
        Allowed::Reading => read_link(&head, &endpoints.edge).await,
        Allowed::Everything => read(body, &endpoints.edge).await,
    };
    let question = match question {
        Ok(question) => question,
        Err(reason) => return asker.refuse(reason.status(), Code::BadRequest, &reason.to_string()),
    };
    let operation = endpoints.api.open(question, viewer);
    // Over GET every operation is checked to be a query, which a stream is not.
    if allowed == Allowed::Everything && accepts(headers, "text/event-stream") {
        let id = request_id(headers);
        return match operation {
            Ok(operation) if operation.is_subscription() => {
                live::events(operation.stream(), Some(endpoints.ending.shutdown.clone()), id)
            }
            Ok(operation) => {
                let time = endpoints.edge.request_timeout;
                let answer =
                    async move { in_time(time, operation, allowed).await.unwrap_or_else(|late| late) };
                live::events(stream::once(answer), None, id)
            }
            Err(refusal) => live::events(stream::once(async { *refusal }), None, id),
        };
    }
    let answer = match operation {
        Ok(operation) => in_time(endpoints.edge.request_timeout, operation, allowed).await,
        Err(refusal) => Ok(*refusal),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(late) => return respond(headers, StatusCode::SERVICE_UNAVAILABLE, late),
    };
    let status = if is_request(&answer) && (!accepts(headers, GRAPHQL_RESPONSE) || executed(&answer)) {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    };
    respond(headers, status, answer)
}

/// The answer to one request that is no subscription; where it is not there in time, what is said instead.
pub(super) async fn in_time(
    time: Duration,
    operation: Operation,
    allowed: Allowed,
) -> Result<Answer, Answer> {
    // In its place: it is large, and would be moved.
    let answer = pin!(operation.execute(allowed));
    tokio::time::timeout(time, answer).await.map_err(|_| {
        let sentence = "the request took too long; ask for less, or try again in a moment";
        refusal(Code::Unavailable, ServerError::new(sentence, None))
    })
}

/// Whether an answer is to something that is a request at all.
fn is_request(answer: &Answer) -> bool {
    let code = |error: &ServerError| error.extensions.as_ref().and_then(|all| all.get("code").cloned());
    answer.errors.first().and_then(code) != Some(Code::BadRequest.word().into())
}

/// Why a request cannot be read.
#[derive(Clone, Copy, Debug, Error)]
enum Unreadable {
    #[error("the request is too large")]
    TooLarge,
    #[error("the request came too slowly")]
    TooSlow,
    #[error("batches are not supported; send one request at a time")]
    Batch,
    #[error("the request has more than {0} values; send fewer variables")]
    TooMany(usize),
    #[error("send a JSON object with `query` and, if need be, `variables` and `operationName`")]
    NoRequest,
}

impl Unreadable {
    fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Batch | Self::TooMany(_) | Self::NoRequest => StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads a request from an address.
async fn read_link(head: &Parts, edge: &Edge) -> Result<Question, Unreadable> {
    for name in ["variables", "extensions"] {
        if linked(head, name).is_some_and(|json| !has_at_most(json.as_bytes(), edge.max_values)) {
            return Err(Unreadable::TooMany(edge.max_values));
        }
    }
    let mut link = Request::from_parts(head.clone(), Body::empty());
    // One that wants only the head of the answer is the same link.
    *link.method_mut() = Method::GET;
    let decoded = GraphQLRequest::<GraphQLRejection>::from_request(link, &()).await;
    let question = decoded.map_err(|_| Unreadable::NoRequest)?.into_inner();
    Ok(name_document(question, linked(head, DOCUMENT_ID)))
}

/// Reads a request from a body of bounded size.
async fn read(body: Body, edge: &Edge) -> Result<Question, Unreadable> {
    let body = tokio::time::timeout(edge.request_timeout, to_bytes(body, edge.max_body)).await;
    let body = body.map_err(|_| Unreadable::TooSlow)?.map_err(|error| {
        let is_large = error.source().is_some_and(<dyn Error>::is::<LengthLimitError>);
        if is_large { Unreadable::TooLarge } else { Unreadable::NoRequest }
    })?;
    // The decoder would take a list for the fields of a request in their order.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Unreadable::Batch);
    }
    if !has_at_most(&body, edge.max_values) {
        return Err(Unreadable::TooMany(edge.max_values));
    }
    let asked: Asked = serde_json::from_slice(&body).map_err(|_| Unreadable::NoRequest)?;
    Ok(asked.into())
}

/// Whoever is told that a request is not executed.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) endpoints: &'a Endpoints,
    pub(super) headers: &'a HeaderMap,
    /// As far as it is known.
    pub(super) viewer: Option<&'a Viewer>,
}

impl Asker<'_> {
    /// Answers a request that is not executed, and notes that.
    fn refuse(self, status: StatusCode, code: Code, sentence: &str) -> Response {
        let answer = refusal(code, ServerError::new(sentence, None));
        self.endpoints.api.note_refusal(&answer, self.viewer);
        respond(self.headers, status, answer)
    }

    /// Tells how long to wait, in whole seconds.
    pub(super) fn too_often(self, wait: Duration) -> Response {
        let answer = rate_limited(wait);
        self.endpoints.api.note_refusal(&answer, self.viewer);
        let mut response = respond(self.headers, StatusCode::TOO_MANY_REQUESTS, answer);
        response.headers_mut().insert(header::RETRY_AFTER, seconds(wait).into());
        response
    }

    fn unauthenticated(self, reason: NotAuthentic) -> Response {
        let sentence = reason.to_string();
        let mut response = self.refuse(StatusCode::UNAUTHORIZED, Code::Unauthenticated, &sentence);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        response
    }
}

/// An answer for whoever asks too often: how long to wait, in whole seconds.
pub(super) fn rate_limited(wait: Duration) -> Answer {
    let sentence = format!("too many requests; try again in {} s", seconds(wait));
    refusal(Code::RateLimited, ServerError::new(sentence, None))
}

fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + 1
}

/// Writes the answer in the media type that was asked for, each error with the request's name.
fn respond(headers: &HeaderMap, status: StatusCode, mut answer: Answer) -> Response {
    if !answer.errors.is_empty() {
        stamp(&mut answer, &request_id(headers));
    }
    let kind = if accepts(headers, GRAPHQL_RESPONSE) {
        "application/graphql-response+json; charset=utf-8"
    } else {
        "application/json; charset=utf-8"
    };
    let body = match serde_json::to_vec(&Written::of(&answer)) {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        // What one viewer may see is never kept for another.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body).into_response()
}
