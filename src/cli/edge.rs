//! The options of what stands between the internet and the endpoints.

use std::time::Duration;

use clap::Args;

use crate::{
    app::{DocumentLimits, Edge, Exposure},
    config::between,
};

/// Limits of requests, and who may send them.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits of requests")]
pub(super) struct EdgeOptions {
    /// Largest body of a request, in bytes
    #[arg(long, env = "MAX_BODY_BYTES", default_value_t = Edge::default().max_body)]
    max_body_bytes: usize,
    /// Longest time that a request may take to arrive, and then to be answered; a subscription may go on
    #[arg(long, env = "REQUEST_TIMEOUT", default_value = "30s", value_parser = request_timeout)]
    request_timeout: Duration,
    /// Words and signs of a document
    #[arg(long, env = "MAX_QUERY_TOKENS", default_value_t = DocumentLimits::default().tokens)]
    max_query_tokens: usize,
    /// Fields inside fields
    #[arg(long, env = "MAX_QUERY_DEPTH", default_value_t = DocumentLimits::default().depth)]
    max_query_depth: usize,
    /// Fields of a document, those of a page times its size
    #[arg(long, env = "MAX_QUERY_COST", default_value_t = DocumentLimits::default().cost)]
    max_query_cost: usize,
    /// Fields under another name
    #[arg(long, env = "MAX_QUERY_ALIASES", default_value_t = DocumentLimits::default().aliases)]
    max_query_aliases: usize,
    /// Directives of a document
    #[arg(long, env = "MAX_QUERY_DIRECTIVES", default_value_t = DocumentLimits::default().directives)]
    max_query_directives: usize,
    /// Fields of an operation's root
    #[arg(long, env = "MAX_QUERY_ROOT_FIELDS", default_value_t = DocumentLimits::default().root_fields)]
    max_query_root_fields: usize,
    /// Origin whose pages may call the API from a browser, such as <https://dashboard.example>. May be given again, or
    /// list several with commas; without it only the gateway's own pages may
    #[arg(long, env = "CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    cors_origin: Vec<String>,
    /// Keep the schema to itself: no introspection, no names suggested for mistyped ones, and no playground
    #[arg(long, env = "HIDE_SCHEMA")]
    hide_schema: bool,
}

impl EdgeOptions {
    /// What strangers see of the schema, and how much they may ask.
    pub(super) fn exposure(&self) -> Exposure {
        let limits = DocumentLimits {
            tokens: self.max_query_tokens,
            depth: self.max_query_depth,
            cost: self.max_query_cost,
            aliases: self.max_query_aliases,
            directives: self.max_query_directives,
            root_fields: self.max_query_root_fields,
        };
        Exposure { limits, is_hidden: self.hide_schema }
    }

    /// The settings of the edge.
    pub(super) fn edge(&self) -> Edge {
        Edge {
            max_body: self.max_body_bytes,
            request_timeout: self.request_timeout,
            origins: self.cors_origin.clone(),
            playground: !self.hide_schema,
        }
    }
}

fn request_timeout(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_millis(1), Duration::from_hours(1))
}

/// An origin as browsers send it: a scheme, a host, a port where it is not the usual one, and nothing else.
fn origin(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is no origin; write https://dashboard.example, without a path");
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    if url.origin().ascii_serialization() != text || !matches!(url.scheme(), "http" | "https") {
        return Err(wrong());
    }
    Ok(text.to_owned())
}
