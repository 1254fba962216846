//! The files that the playground is made of, each under a name that changes with its content.

use std::collections::HashMap;

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use super::examples;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// A name under `/graphiql/assets/` never gets another content, so no client needs to ask twice.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// One file, as it goes over the wire.
struct Asset {
    content_type: &'static str,
    is_gzip: bool,
    body: Bytes,
    etag: String,
}

/// All files by the name in their address, which starts with a digest of what they hold.
pub(super) struct Assets {
    by_name: HashMap<String, Asset>,
    /// Plain name and name in the address.
    names: Vec<(&'static str, String)>,
}

impl Assets {
    /// Collects what was compiled in.
    pub(super) fn embedded() -> Self {
        let mut assets = Self { by_name: HashMap::new(), names: Vec::new() };
        for (name, content_type, body) in vendored() {
            assets.add(name, content_type, true, Bytes::from_static(body));
        }
        for (name, content_type, body) in own() {
            assets.add(name, content_type, false, body);
        }
        assets
    }

    fn add(&mut self, name: &'static str, content_type: &'static str, is_gzip: bool, body: Bytes) {
        let digest = digest(&body);
        let address = format!("{digest}-{name}");
        let etag = format!("\"{digest}\"");
        self.by_name.insert(address.clone(), Asset { content_type, is_gzip, body, etag });
        self.names.push((name, address));
    }

    /// Puts the address of every file where `page` says `"graphiql/assets/<plain name>"`.
    pub(super) fn link(&self, page: &str) -> String {
        self.names.iter().fold(page.to_owned(), |page, (name, address)| {
            page.replace(&format!("\"graphiql/assets/{name}\""), &format!("\"graphiql/assets/{address}\""))
        })
    }

    /// Answers a request for `file`.
    pub(super) fn respond(&self, file: &str, request: &HeaderMap) -> Response {
        match self.by_name.get(file) {
            Some(asset) => asset.respond(request),
            None => {
                (StatusCode::NOT_FOUND, "There is no such file; reload the playground.\n").into_response()
            }
        }
    }
}

impl Asset {
    fn respond(&self, request: &HeaderMap) -> Response {
        if self.is_gzip && !accepts_gzip(request) {
            let vary = [(header::VARY, "accept-encoding")];
            let sentence = "This file is kept compressed: ask for it with `accept-encoding: gzip`.\n";
            return (StatusCode::NOT_ACCEPTABLE, vary, sentence).into_response();
        }
        let caching = [(header::CACHE_CONTROL, FOR_EVER), (header::ETAG, &self.etag)];
        let encoding =
            self.is_gzip.then_some([(header::CONTENT_ENCODING, "gzip"), (header::VARY, "accept-encoding")]);
        if matches_etag(request, &self.etag) {
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        }
        let kind = [(header::CONTENT_TYPE, self.content_type), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
        let mut response = (caching, kind, self.body.clone()).into_response();
        for (name, value) in encoding.into_iter().flatten() {
            response.headers_mut().insert(name, header::HeaderValue::from_static(value));
        }
        response
    }
}

/// The first half of the SHA-256, in hexadecimal digits.
pub(super) fn digest(content: &[u8]) -> String {
    let mut digits = format!("{:x}", Sha256::digest(content));
    digits.truncate(32);
    digits
}

/// Says whether the client already holds the content that `etag` names.
pub(super) fn matches_etag(request: &HeaderMap, etag: &str) -> bool {
    elements(request, header::IF_NONE_MATCH)
        .any(|known| known.trim_start_matches("W/") == etag || known == "*")
}

/// A request that does not say what it accepts accepts everything (RFC 9110, 12.5.3).
fn accepts_gzip(request: &HeaderMap) -> bool {
    if !request.contains_key(header::ACCEPT_ENCODING) {
        return true;
    }
    let weight_of = |coding: &str| {
        elements(request, header::ACCEPT_ENCODING).find_map(|element| {
            let (name, parameter) = element.split_once(';').unwrap_or((element, ""));
            let weight = parameter.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=');
            let is_it = name.trim().eq_ignore_ascii_case(coding);
            is_it.then(|| if weight.is_empty() { 1.0 } else { weight.parse().unwrap_or(0.0) })
        })
    };
    weight_of("gzip").or_else(|| weight_of("*")).is_some_and(|weight: f32| weight > 0.0)
}

/// The comma-separated elements of every line of a header.
fn elements(request: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    request
        .get_all(name)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

/// Files of others, compressed; `vendor/README.md` says where they come from.
fn vendored() -> [(&'static str, &'static str, &'static [u8]); 5] {
    [
        ("graphiql.min.js", SCRIPT, include_bytes!("vendor/graphiql.min.js.gz")),
        ("graphiql.min.css", STYLE, include_bytes!("vendor/graphiql.min.css.gz")),
        ("react.production.min.js", SCRIPT, include_bytes!("vendor/react.production.min.js.gz")),
        ("react-dom.production.min.js", SCRIPT, include_bytes!("vendor/react-dom.production.min.js.gz")),
        ("notices.txt", TEXT, include_bytes!("vendor/notices.txt.gz")),
    ]
}

fn own() -> [(&'static str, &'static str, Bytes); 4] {
    let text = |content: &'static str| Bytes::from_static(content.as_bytes());
    [
        ("playground.js", SCRIPT, text(include_str!("playground.js"))),
        ("playground.css", STYLE, text(include_str!("playground.css"))),
        ("icon.svg", "image/svg+xml", text(include_str!("icon.svg"))),
        ("examples.js", SCRIPT, Bytes::from(examples::script())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(accept_encoding: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, header::HeaderValue::from_static(accept_encoding))])
    }

    #[test]
    fn gzip_is_accepted_by_name_by_wildcard_and_by_silence() {
        assert!(accepts_gzip(&HeaderMap::new()));
        for yes in ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, GZIP; q=0.5", "*", "identity, *;q=0.1"] {
            assert!(accepts_gzip(&request(yes)), "{yes}");
        }
        for no in ["", "identity", "br", "gzip;q=0", "gzip;q=0, *", "*;q=0"] {
            assert!(!accepts_gzip(&request(no)), "{no}");
        }
    }

    #[test]
    fn a_client_without_gzip_is_told_so() {
        let assets = Assets::embedded();
        let (_, file) = &assets.names[0];
        assert_eq!(assets.respond(file, &request("identity")).status(), StatusCode::NOT_ACCEPTABLE);
        assert_eq!(assets.respond(file, &request("gzip")).status(), StatusCode::OK);
    }

    #[test]
    fn a_known_file_is_not_sent_again() {
        let assets = Assets::embedded();
        for (_, file) in &assets.names {
            let first = assets.respond(file, &HeaderMap::new());
            let etag = first.headers()[header::ETAG].clone();
            let again = assets.respond(file, &HeaderMap::from_iter([(header::IF_NONE_MATCH, etag)]));
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{file}");
        }
    }

    #[test]
    fn only_the_address_with_the_digest_leads_to_a_file() {
        let assets = Assets::embedded();
        for (name, _) in &assets.names {
            assert_eq!(assets.respond(name, &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
        }
    }
}
