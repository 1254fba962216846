//! `/graphql` over POST and GET.

use std::{error::Error, sync::Arc, time::Duration};

use async_graphql::{ParseRequestError, Request as Question, Response as Answer, ServerError};
use async_graphql_axum::{GraphQLRequest, rejection::GraphQLRejection};
use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use http_body_util::LengthLimitError;

use super::{
    Edge, Endpoints, Written, accepts,
    asked::{Asked, linked_id, name_document},
    client, live, request_id, stamp,
};
use crate::{
    auth::{NotAuthentic, Viewer},
    graphql::{Allowed, Code, executed, refusal},
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
    if let Some(wait) = client(endpoints, &head).and_then(|client| endpoints.rates.address(client).err()) {
        return too_often(endpoints, headers, wait);
    }
    if allowed == Allowed::Everything && !is_json(headers) {
        let sentence = "send the request as JSON, with content-type: application/json";
        return refuse(endpoints, headers, StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, sentence);
    }
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let viewer = match endpoints.authenticator.viewer(authorization).await {
        Ok(viewer) => viewer,
        Err(reason) => return unauthenticated(endpoints, headers, reason),
    };
    if let Err(wait) = endpoints.rates.viewer(&viewer) {
        return too_often(endpoints, headers, wait);
    }
    let question = match allowed {
        Allowed::Reading => read_link(&head).await,
        Allowed::Everything => read(body, &endpoints.edge).await,
    };
    let mut question = match question {
        Ok(question) => question,
        Err(error) => return undecodable(endpoints, headers, &error),
    };
    // Over GET every operation is checked to be a query, which a stream is not.
    if allowed == Allowed::Everything && accepts(headers, "text/event-stream") {
        let id = request_id(headers);
        if endpoints.api.is_subscription(&mut question) {
            let until = endpoints.ending.shutdown.clone();
            return live::events(endpoints.api.stream(question, viewer), Some(until), id);
        }
        let endpoints = endpoints.clone();
        let answer =
            async move { in_time(&endpoints, question, viewer, allowed).await.unwrap_or_else(|late| late) };
        return live::events(futures_util::stream::once(answer), None, id);
    }
    let answer = match in_time(endpoints, question, viewer, allowed).await {
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
    endpoints: &Endpoints,
    question: Question,
    viewer: Viewer,
    allowed: Allowed,
) -> Result<Answer, Answer> {
    let answer = endpoints.api.execute(question, viewer, allowed);
    tokio::time::timeout(endpoints.edge.request_timeout, answer).await.map_err(|_| {
        let sentence = "the request took too long; ask for less, or try again in a moment";
        refusal(Code::Unavailable, ServerError::new(sentence, None))
    })
}

/// Whether an answer is to something that is a request at all.
fn is_request(answer: &Answer) -> bool {
    let code = |error: &ServerError| error.extensions.as_ref().and_then(|all| all.get("code").cloned());
    answer.errors.first().and_then(code) != Some(Code::BadRequest.word().into())
}

/// Reads a request from an address.
async fn read_link(head: &Parts) -> Result<Question, ParseRequestError> {
    let mut link = Request::from_parts(head.clone(), Body::empty());
    // One that wants only the head of the answer is the same link.
    *link.method_mut() = Method::GET;
    let decoded = GraphQLRequest::<GraphQLRejection>::from_request(link, &()).await;
    let question = decoded
        .map(GraphQLRequest::into_inner)
        .map_err(|GraphQLRejection(error)| ParseRequestError::InvalidRequest(error.into()))?;
    Ok(name_document(question, linked_id(head)))
}

/// Reads a request from a body of bounded size.
async fn read(body: Body, edge: &Edge) -> Result<Question, ParseRequestError> {
    let late = |_| ParseRequestError::Io(std::io::ErrorKind::TimedOut.into());
    let body =
        tokio::time::timeout(edge.request_timeout, to_bytes(body, edge.max_body)).await.map_err(late)?;
    let body = body.map_err(|error| {
        if error.source().is_some_and(<dyn Error>::is::<LengthLimitError>) {
            ParseRequestError::PayloadTooLarge
        } else {
            ParseRequestError::InvalidRequest(error.into())
        }
    })?;
    // The decoder would take a list for the fields of a request in their order.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(ParseRequestError::UnsupportedBatch);
    }
    let asked: Asked =
        serde_json::from_slice(&body).map_err(|error| ParseRequestError::InvalidRequest(error.into()))?;
    Ok(asked.into())
}

/// Answers a request that is not executed, and notes that.
fn refuse(
    endpoints: &Endpoints,
    headers: &HeaderMap,
    status: StatusCode,
    code: Code,
    sentence: &str,
) -> Response {
    let answer = refusal(code, ServerError::new(sentence, None));
    endpoints.api.note_refusal(&answer);
    respond(headers, status, answer)
}

/// An answer for whoever asks too often: how long to wait, in whole seconds.
pub(super) fn rate_limited(wait: Duration) -> Answer {
    let sentence = format!("too many requests; try again in {} s", seconds(wait));
    refusal(Code::RateLimited, ServerError::new(sentence, None))
}

fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + 1
}

/// The same as a response.
pub(super) fn too_often(endpoints: &Endpoints, headers: &HeaderMap, wait: Duration) -> Response {
    let answer = rate_limited(wait);
    endpoints.api.note_refusal(&answer);
    let mut response = respond(headers, StatusCode::TOO_MANY_REQUESTS, answer);
    response.headers_mut().insert(header::RETRY_AFTER, seconds(wait).into());
    response
}

fn unauthenticated(endpoints: &Endpoints, headers: &HeaderMap, reason: NotAuthentic) -> Response {
    let sentence = reason.to_string();
    let mut response = refuse(endpoints, headers, StatusCode::UNAUTHORIZED, Code::Unauthenticated, &sentence);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn undecodable(endpoints: &Endpoints, headers: &HeaderMap, error: &ParseRequestError) -> Response {
    let (status, sentence) = match error {
        ParseRequestError::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the request is too large"),
        ParseRequestError::Io(_) => (StatusCode::REQUEST_TIMEOUT, "the request came too slowly"),
        ParseRequestError::UnsupportedBatch => {
            (StatusCode::BAD_REQUEST, "batches are not supported; send one request at a time")
        }
        _ => (
            StatusCode::BAD_REQUEST,
            "send a JSON object with `query` and, if need be, `variables` and `operationName`",
        ),
    };
    refuse(endpoints, headers, status, Code::BadRequest, sentence)
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
