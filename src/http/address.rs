//! Whose request it is: the client's address, seen through proxies that are trusted.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Where a proxy says from whom it has a request.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Networks whose word is taken for the addresses of clients.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl TrustedProxies {
    /// Whether a proxy at `address` is trusted.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address: that of the connection, or what a trusted proxy says, which may have it from another.
    /// What somebody said who is not trusted is not looked at.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        if !self.trusts(client) {
            return client;
        }
        // A client may have put any bytes before what the proxy has added.
        let said = headers.get_all(FORWARDED_FOR).iter();
        let said: Vec<&[u8]> = said.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).collect();
        for hop in said.into_iter().rev() {
            let hop = std::str::from_utf8(hop).unwrap_or_default();
            let Some(address) = address(hop.trim()) else { break };
            client = address;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = plain.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address| address.to_canonical())
}

/// Whom an address stands for where requests are counted: whoever has one address of IPv6 has its whole /64.
pub(super) fn whose(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(proxies: &[&str], peer: &str, forwarded: &[&'static str]) -> String {
        let proxies = TrustedProxies(proxies.iter().map(|text| text.parse().expect("a network")).collect());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            let value = value.replace('?', "\u{ff}");
            headers.append(
                FORWARDED_FOR,
                axum::http::HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
            );
        }
        proxies.client(peer.parse().expect("an address"), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(seen(&[], "198.51.100.7", &["203.0.113.1"]), "198.51.100.7");
        assert_eq!(seen(&["10.0.0.0/8"], "198.51.100.7", &["203.0.113.1"]), "198.51.100.7");
        assert_eq!(seen(&["10.0.0.0/8"], "10.1.1.1", &["203.0.113.1"]), "203.0.113.1");
        assert_eq!(seen(&["10.0.0.0/8"], "10.1.1.1", &[]), "10.1.1.1");
    }

    #[test]
    fn what_a_client_claims_before_the_first_proxy_is_not_believed() {
        let proxies = ["10.0.0.0/8", "2001:db8::/32"];
        assert_eq!(seen(&proxies, "10.1.1.1", &["127.0.0.1, 203.0.113.1, 10.2.2.2"]), "203.0.113.1");
        assert_eq!(seen(&proxies, "10.1.1.1", &["127.0.0.1", "203.0.113.1"]), "203.0.113.1");
        assert_eq!(seen(&proxies, "2001:db8::1", &["[2001:dead::1]:443"]), "2001:dead::1");
        assert_eq!(seen(&proxies, "10.1.1.1", &["203.0.113.1:5000"]), "203.0.113.1");
        assert_eq!(seen(&proxies, "10.1.1.1", &["203.0.113.1, nonsense"]), "10.1.1.1");
        assert_eq!(seen(&proxies, "10.1.1.1", &["::ffff:203.0.113.1"]), "203.0.113.1");
        // Bytes that are no text.
        assert_eq!(seen(&proxies, "10.1.1.1", &["?, 203.0.113.1"]), "203.0.113.1");
    }

    #[test]
    fn one_network_of_the_newer_protocol_is_one_client() {
        let key = |text: &str| whose(text.parse().expect("an address")).to_string();
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(key("203.0.113.1"), "203.0.113.1");
    }
}
