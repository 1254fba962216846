//! One request to a bucket: signed, sent, and what came of it.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use md5::{Digest, Md5};
use object_store::{
    ClientOptions, HeaderValue, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider},
    client::{
        ClientConfigKey, HttpClient, HttpConnector, HttpErrorKind, HttpRequest, HttpRequestBody,
        ReqwestConnector,
    },
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;

use super::{
    super::Error,
    answer::{self, Reason},
};

/// Longest wait for one answer, all of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Pauses before the same request is sent once more. Whoever asked tries again later, too.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
/// Where S3 is when nothing else is said.
const DEFAULT_REGION: &str = "us-east-1";

/// What a signature takes as it is; all the rest is encoded.
const IN_QUERY: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const IN_PATH: AsciiSet = IN_QUERY.remove(b'/');

/// Codes that say to come back later, in answers whose status does not.
const PASSING_CODES: [&str; 6] = [
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottlingException",
];

/// Who speaks with the bucket.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: HttpClient,
    credentials: AwsCredentialProvider,
    region: Arc<str>,
    /// Of the bucket, without `/` at its end.
    endpoint: Arc<str>,
    /// How messages name it.
    pub(super) bucket: Arc<str>,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// The whole key, or nothing for the bucket itself.
    pub(super) key: Option<&'a str>,
    pub(super) query: &'a [(&'a str, &'a str)],
    /// Of the body, where S3 demands one.
    pub(super) digest: Option<String>,
    pub(super) body: HttpRequestBody,
}

impl Request<'_> {
    pub(super) fn new(method: Method) -> Self {
        Self { method, key: None, query: &[], digest: None, body: HttpRequestBody::empty() }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server said no.
    Told {
        status: StatusCode,
        code: String,
        text: String,
    },
    /// There was no answer in time. Waiting again would take as long.
    TimedOut(String),
    Error(Error),
}

impl Fault {
    /// What an answer says of one of its parts, which has no status.
    pub(super) fn told(what: &str, code: &str, message: &str) -> Self {
        let status = if PASSING_CODES.contains(&code) {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::BAD_REQUEST
        };
        let text = format!("{what}: {code} {message}");
        Self::Told { status, code: code.to_owned(), text }
    }

    /// Whether the server does not know the request at all.
    pub(super) fn is_unknown_request(&self) -> bool {
        matches!(self, Self::Told { status, .. }
            if matches!(*status, StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED))
    }

    /// Whether what was named is not there, in a bucket that is.
    pub(super) fn is_missing_object(&self) -> bool {
        matches!(self, Self::Told { code, .. } if matches!(&**code, "NoSuchKey" | "NoSuchVersion" | "NoSuchUpload"))
    }

    fn is_passing(&self) -> bool {
        match self {
            Self::Told { status, code, .. } => {
                PASSING_CODES.contains(&&**code)
                    || *status == StatusCode::TOO_MANY_REQUESTS
                    || status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED
            }
            Self::TimedOut(_) => true,
            Self::Error(error) => error.is_passing(),
        }
    }

    pub(super) fn into_error(self) -> Error {
        let is_passing = self.is_passing();
        match self {
            Self::Told { text, .. } | Self::TimedOut(text) if is_passing => Error::Unavailable(text),
            Self::Told { status, code, text } => match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::Denied(text),
                _ if code == "AccessDenied" => Error::Denied(text),
                _ => Error::Refused(text),
            },
            Self::TimedOut(text) => Error::Unavailable(text),
            Self::Error(error) => error,
        }
    }
}

impl Client {
    pub(super) fn new(name: &str, variables: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let mut builder = AmazonS3Builder::new().with_bucket_name(name);
        let mut options = ClientOptions::new();
        for (variable, value) in variables.filter(|(variable, _)| variable.starts_with("AWS_")) {
            match variable.to_ascii_lowercase().parse() {
                Ok(AmazonS3ConfigKey::Bucket) | Err(_) => {}
                Ok(AmazonS3ConfigKey::Client(key)) => options = options.with_config(key, value),
                Ok(key) => builder = builder.with_config(key, value),
            }
        }
        let options = options.with_timeout(PATIENCE).with_connect_timeout(CONNECT_PATIENCE);
        let of = |key| builder.get_config_value(&key).filter(|value| !value.is_empty());
        let region = of(AmazonS3ConfigKey::Region).unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let is_in_host = of(AmazonS3ConfigKey::VirtualHostedStyleRequest).as_deref() == Some("true");
        let endpoint = match of(AmazonS3ConfigKey::S3Endpoint).or_else(|| of(AmazonS3ConfigKey::Endpoint)) {
            Some(given) if is_in_host => given,
            Some(given) => format!("{}/{name}", given.trim_end_matches('/')),
            None if is_in_host => format!("https://{name}.s3.{region}.amazonaws.com"),
            None => format!("https://s3.{region}.amazonaws.com/{name}"),
        };
        check_endpoint(&endpoint, &options)?;
        let retries = RetryConfig { max_retries: 1, retry_timeout: PATIENCE, ..RetryConfig::default() };
        let library = builder.with_client_options(options.clone()).with_retry(retries).build();
        let library = library.map_err(|error| Error::address(&error.to_string()))?;
        let http = ReqwestConnector::default().connect(&options);
        Ok(Self {
            http: http.map_err(|error| Error::address(&error.to_string()))?,
            credentials: Arc::clone(library.credentials()),
            region: region.into(),
            endpoint: endpoint.trim_end_matches('/').into(),
            bucket: format!("bucket {name}").into(),
        })
    }

    /// Asks the bucket itself.
    pub(super) async fn ask(&self, method: Method, query: &[(&str, &str)]) -> Result<Vec<u8>, Fault> {
        self.send(&Request { query, ..Request::new(method) }).await
    }

    /// Reads an answer of the bucket.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &[u8], root: &str) -> Result<T, Error> {
        answer::read(answer, root)
            .map_err(|why| Error::Refused(format!("{}: the answer cannot be read: {why}", self.bucket)))
    }

    /// Sends until there is an answer or no more patience. All requests may be sent twice.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Vec<u8>, Fault> {
        for pause in PAUSES {
            match self.send_once(request).await {
                Err(fault) if fault.is_passing() && !matches!(fault, Fault::TimedOut(_)) => {
                    tokio::time::sleep(pause).await;
                }
                other => return other,
            }
        }
        self.send_once(request).await
    }

    async fn send_once(&self, request: &Request<'_>) -> Result<Vec<u8>, Fault> {
        let what = match request.key {
            Some(key) => format!("{}, key {key:?}", self.bucket),
            None => self.bucket.to_string(),
        };
        let failed = |error: object_store::client::HttpError| {
            let text = format!("{what}: {}", root_cause(&error));
            match error.kind() {
                HttpErrorKind::Timeout => Fault::TimedOut(text),
                _ => Fault::Error(Error::Unavailable(text)),
            }
        };
        let answer = self.http.execute(self.signed(request).await?).await.map_err(failed)?;
        let (parts, body) = answer.into_parts();
        let bytes = body.bytes().await.map_err(failed)?;
        if parts.status.is_success() {
            return Ok(bytes.into());
        }
        let reason: Reason = answer::read(&bytes, "Error").unwrap_or_default();
        let text = format!("{what}: {} {} {}", parts.status.as_u16(), reason.code, reason.message);
        Err(Fault::Told { status: parts.status, code: reason.code, text: text.trim_end().to_owned() })
    }

    async fn signed(&self, request: &Request<'_>) -> Result<HttpRequest, Fault> {
        let credential = self.credentials.get_credential().await.map_err(|error| {
            Fault::Error(Error::Unavailable(format!("{}: no credentials: {error}", self.bucket)))
        })?;
        let mut signed = HttpRequest::new(request.body.clone());
        *signed.method_mut() = request.method.clone();
        *signed.uri_mut() = self
            .url(request)?
            .parse()
            .map_err(|error| Fault::Error(Error::Refused(format!("{}: {error}", self.bucket))))?;
        if let Some(digest) = &request.digest {
            let value = HeaderValue::from_str(digest);
            let value = value.map_err(|error| Fault::Error(Error::Refused(error.to_string())))?;
            signed.headers_mut().insert("content-md5", value);
        }
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut signed, None);
        Ok(signed)
    }

    fn url(&self, request: &Request<'_>) -> Result<String, Fault> {
        let mut url = self.endpoint.to_string();
        if let Some(key) = request.key {
            // Every URL with such a part is another one, without it.
            if key.split('/').any(|part| matches!(part, "." | "..")) {
                return Err(Fault::Error(Error::key(
                    key,
                    "a request cannot name a key with . or .. in its path",
                )));
            }
            url.push('/');
            url.extend(utf8_percent_encode(key, &IN_PATH));
        }
        for (at, (name, value)) in request.query.iter().enumerate() {
            url.push(if at == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.extend(utf8_percent_encode(value, &IN_QUERY));
        }
        Ok(url)
    }
}

/// The digest that S3 demands with an order to delete.
pub(super) fn md5(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(Md5::digest(bytes))
}

/// What would otherwise only come out with the first request.
fn check_endpoint(endpoint: &str, options: &ClientOptions) -> Result<(), Error> {
    let url = url::Url::parse(endpoint).map_err(|_| Error::address("AWS_ENDPOINT_URL is no URL"))?;
    let may_be_plain = options.get_config_value(&ClientConfigKey::AllowHttp).as_deref() == Some("true");
    match url.scheme() {
        "https" => Ok(()),
        "http" if may_be_plain => Ok(()),
        "http" => Err(Error::address("AWS_ENDPOINT_URL has no TLS; AWS_ALLOW_HTTP=true allows that")),
        _ => Err(Error::address("AWS_ENDPOINT_URL must start with https:// or http://")),
    }
}

/// The innermost cause, which says most.
fn root_cause(error: &object_store::client::HttpError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
