//! The playground: GraphiQL at `/graphiql`, served from the binary, with example operations in its tabs.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

use self::assets::Assets;
pub use self::examples::{EXAMPLES, VARIABLES};

mod assets;
mod examples;

/// The page runs its own scripts, talks to its own server and loads nothing else. GraphiQL's style sheet
/// carries its fonts as `data:`, and GraphiQL adds a `<style>` while a dialog is open.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; font-src data:; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct Playground {
    page: String,
    etag: String,
    assets: Assets,
}

impl Playground {
    fn embedded() -> Self {
        let assets = Assets::embedded();
        let page = assets.link(include_str!("index.html"));
        let etag = format!("\"{}\"", assets::digest(page.as_bytes()));
        Self { page, etag, assets }
    }
}

/// `GET /graphiql` and the files that the page loads.
///
/// `/graphiql#token=JWT&tenant=ID` opens the page with the token in its headers and the tenant in its
/// variables.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/graphiql", get(page))
        .route("/graphiql/", get(|| async { Redirect::permanent("../graphiql") }))
        .route("/graphiql/assets/{file}", get(asset))
        .with_state(Arc::new(Playground::embedded()))
}

async fn page(State(playground): State<Arc<Playground>>, request: HeaderMap) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, &playground.etag),
    ];
    if assets::matches_etag(&request, &playground.etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, playground.page.clone()).into_response()
}

async fn asset(
    State(playground): State<Arc<Playground>>,
    Path(file): Path<String>,
    request: HeaderMap,
) -> Response {
    playground.assets.respond(&file, &request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_the_page_loads_is_in_the_binary() {
        let Playground { page, assets, .. } = Playground::embedded();
        let addresses: Vec<_> =
            page.split('"').filter_map(|part| part.strip_prefix("graphiql/assets/")).collect();
        assert_eq!(addresses.len(), 9);
        for address in addresses {
            let found = assets.respond(address, &HeaderMap::new());
            assert_eq!(found.status(), StatusCode::OK, "{address}");
        }
        assert!(!page.contains("://"), "the page names another host");
    }
}
