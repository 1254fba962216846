//! The options of what stands between the internet and the endpoints.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;
use ipnet::IpNet;

use super::Failure;
use crate::{
    app::{Connections, DocumentLimits, Edge, Exposure, Rates, Sockets, TrustedDocuments, TrustedProxies},
    config::between,
};

/// Limits of requests, and who may send them.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits of requests")]
pub(super) struct EdgeOptions {
    /// Largest body of a request, in bytes
    #[arg(long, env = "MAX_BODY_BYTES", default_value_t = Edge::default().max_body)]
    max_body_bytes: usize,
    /// Values in the JSON of a request: variables, and whatever is in them
    #[arg(long, env = "MAX_VALUES", default_value_t = Edge::default().max_values)]
    max_values: usize,
    /// Longest time that a request may take to arrive, and then to be answered; a subscription may go on
    #[arg(long, env = "REQUEST_TIMEOUT", default_value = "30s", value_parser = request_timeout)]
    request_timeout: Duration,
    /// Connections at the same time
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = Connections::default().most)]
    max_connections: usize,
    /// Connections from one address, or from one /64 of IPv6
    #[arg(long, env = "MAX_CONNECTIONS_PER_ADDRESS", default_value_t = Connections::default().most_per_address)]
    max_connections_per_address: usize,
    /// Longest time that the first request of a connection may take to begin
    #[arg(long, env = "HEADER_TIMEOUT", default_value = "10s", value_parser = request_timeout)]
    header_timeout: Duration,
    /// Longest time that a connection is kept without a request; longer than balancers keep theirs
    #[arg(long, env = "IDLE_TIMEOUT", default_value = "75s", value_parser = request_timeout)]
    idle_timeout: Duration,
    /// Longest time that nothing may come through a socket, not even the answer to a ping
    #[arg(long, env = "SOCKET_SILENCE", default_value = "50s", value_parser = request_timeout)]
    socket_silence: Duration,
    /// Longest time that a socket is kept without an operation
    #[arg(long, env = "SOCKET_IDLE_TIMEOUT", default_value = "10m", value_parser = socket_time)]
    socket_idle_timeout: Duration,
    /// Longest time that a socket is kept
    #[arg(long, env = "SOCKET_LIFETIME", default_value = "12h", value_parser = socket_time)]
    socket_lifetime: Duration,
    /// Operations of one socket at the same time
    #[arg(long, env = "MAX_SOCKET_OPERATIONS", default_value_t = Sockets::default().operations)]
    max_socket_operations: usize,
    /// Requests a second from one address, or from one /64 of IPv6; 0: without a limit
    #[arg(long, env = "RATE_PER_ADDRESS", default_value_t = Rates::default().per_address)]
    rate_per_address: u32,
    /// Requests a second of one viewer, from wherever; 0: without a limit
    #[arg(long, env = "RATE_PER_VIEWER", default_value_t = Rates::default().per_viewer)]
    rate_per_viewer: u32,
    /// Network of proxies, such as 10.0.0.0/8, whose `X-Forwarded-For` is believed. May be given again, or list several
    /// with commas; without it nobody's is
    #[arg(long, env = "TRUSTED_PROXY", value_name = "NETWORK", value_delimiter = ',', value_parser = network)]
    trusted_proxy: Vec<IpNet>,
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
    /// File of documents that clients may name by their ids: an object of documents by ids, as code generators and Relay
    /// write it, or an apollo-persisted-query-manifest
    #[arg(long, env = "TRUSTED_DOCUMENTS", value_name = "FILE")]
    trusted_documents: Option<PathBuf>,
    /// Answer nothing but the documents of that file; the schema is kept to itself then
    #[arg(long, env = "TRUSTED_DOCUMENTS_ONLY", requires = "trusted_documents")]
    trusted_documents_only: bool,
}

impl EdgeOptions {
    /// What strangers see of the schema, and how much they may ask.
    ///
    /// # Errors
    ///
    /// When the file of trusted documents cannot be read.
    pub(super) fn exposure(&self) -> Result<Exposure, Failure> {
        let trusted = match &self.trusted_documents {
            Some(file) => {
                let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
                let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
                TrustedDocuments::read(&text, self.trusted_documents_only).map_err(|error| wrong(&error))?
            }
            None => TrustedDocuments::default(),
        };
        let limits = DocumentLimits {
            tokens: self.max_query_tokens,
            depth: self.max_query_depth,
            cost: self.max_query_cost,
            aliases: self.max_query_aliases,
            directives: self.max_query_directives,
            root_fields: self.max_query_root_fields,
        };
        Ok(Exposure { limits, is_hidden: self.is_hidden(), trusted })
    }

    /// The settings of the edge.
    pub(super) fn edge(&self) -> Edge {
        Edge {
            max_body: self.max_body_bytes,
            max_values: self.max_values,
            request_timeout: self.request_timeout,
            origins: self.cors_origin.clone(),
            playground: !self.is_hidden(),
            connections: Connections {
                most: self.max_connections,
                most_per_address: self.max_connections_per_address,
                header_timeout: self.header_timeout,
                idle_timeout: self.idle_timeout,
            },
            sockets: Sockets {
                silence: self.socket_silence,
                idle: self.socket_idle_timeout,
                lifetime: self.socket_lifetime,
                operations: self.max_socket_operations,
            },
            proxies: TrustedProxies(self.trusted_proxy.clone()),
            rates: Rates { per_address: self.rate_per_address, per_viewer: self.rate_per_viewer },
        }
    }

    /// Nobody can ask about the schema where its authors have not asked.
    fn is_hidden(&self) -> bool {
        self.hide_schema || self.trusted_documents_only
    }
}

fn request_timeout(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_millis(1), Duration::from_hours(1))
}

fn socket_time(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(1), Duration::from_hours(24 * 31))
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    let wrong = |_| format!("{text:?} is no network; write 10.0.0.0/8, or one address");
    text.parse().or_else(|_| one()).map_err(wrong)
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
