//! `/graphql` over POST and GET.

use std::{sync::Arc, time::Duration};

use async_graphql::{ParseRequestError, Request as Question, Response as Answer, ServerError};
use async_graphql_axum::{GraphQLRequest, rejection::GraphQLRejection};
use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    Edge, Endpoints, Written,
    asked::{Asked, linked_id, name_document},
    client, live, request_id,
};
use crate::{
    auth::NotAuthentic,
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
    let is_json = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if is_json {
        answer(&endpoints, request, Allowed::Everything).await
    } else {
        let sentence = "send the request as JSON, with content-type: application/json";
        refuse(&endpoints, request.headers(), StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, sentence)
    }
}

async fn answer(endpoints: &Endpoints, request: Request, allowed: Allowed) -> Response {
    let (head, body) = request.into_parts();
    let headers = &head.headers;
    if let Some(wait) = client(endpoints, &head).and_then(|client| endpoints.rates.address(client).err()) {
        return too_often(endpoints, headers, wait);
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
    let question = match question {
        Ok(question) => question,
        Err(error) => return undecodable(endpoints, headers, &error),
    };
    // Over GET every operation is checked to be a query, which a stream is not.
    if allowed == Allowed::Everything && live::wants_events(headers) {
        return live::events(endpoints.api.stream(question, viewer), &endpoints.ending.shutdown);
    }
    let patience = endpoints.edge.request_timeout;
    let Ok(answer) = tokio::time::timeout(patience, endpoints.api.execute(question, viewer, allowed)).await
    else {
        let sentence = "the request took too long; ask for less, or try again in a moment";
        return refuse(endpoints, headers, StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, sentence);
    };
    let status = if is_request(&answer) && (!accepts_graphql_response(headers) || executed(&answer)) {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    };
    respond(headers, status, answer)
}

/// Whether an answer is to something that is a request at all.
fn is_request(answer: &Answer) -> bool {
    let code = |error: &ServerError| error.extensions.as_ref().and_then(|all| all.get("code").cloned());
    answer.errors.first().and_then(code) != Some(Code::BadRequest.word().into())
}

/// Reads a request from an address.
async fn read_link(head: &Parts) -> Result<Question, ParseRequestError> {
    let link = Request::from_parts(head.clone(), Body::empty());
    let decoded = GraphQLRequest::<GraphQLRejection>::from_request(link, &()).await;
    let question = decoded.map(GraphQLRequest::into_inner).map_err(|GraphQLRejection(error)| error)?;
    Ok(name_document(question, linked_id(head)))
}

/// Reads a request from a body of bounded size.
async fn read(body: Body, edge: &Edge) -> Result<Question, ParseRequestError> {
    let late = |_| ParseRequestError::Io(std::io::ErrorKind::TimedOut.into());
    let body =
        tokio::time::timeout(edge.request_timeout, to_bytes(body, edge.max_body)).await.map_err(late)?;
    let body = body.map_err(|_| ParseRequestError::PayloadTooLarge)?;
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
    tracing::debug!(%error, "not a GraphQL request");
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

fn accepts_graphql_response(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains(GRAPHQL_RESPONSE))
}

/// Writes the answer in the media type that was asked for, each error with the request's name.
fn respond(headers: &HeaderMap, status: StatusCode, mut answer: Answer) -> Response {
    for error in &mut answer.errors {
        error.extensions.get_or_insert_default().set("requestId", request_id(headers));
    }
    let kind = if accepts_graphql_response(headers) {
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
