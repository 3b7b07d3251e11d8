//! Who a request comes from, where proxies stand between.
//!
//! Each proxy appends the address that it saw to `X-Forwarded-For`, so the entries can be believed from the right as far
//! as the proxies are trusted; what stands further left may be the client's invention.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use switchboard_signalling::core::ClientAddr;

use crate::config::is_in;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The rightmost address that is not a trusted proxy's; `peer` if that is not trusted itself.
pub fn client_addr(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> ClientAddr {
    let mut client = peer;
    let values = headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>();
    let hops = values.iter().rev().filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(','));
    for hop in hops {
        if !is_in(trusted, client) {
            break;
        }
        // An entry that cannot be read ends the chain: what stands left of it cannot be trusted.
        let Some(address) = parse_hop(hop.trim()) else { break };
        client = address;
    }
    ClientAddr::new(client)
}

/// An address, as some proxies write it with a port.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let text = bracketed.unwrap_or(text);
    text.parse().ok().or_else(|| text.rsplit_once(':').and_then(|(address, _)| address.parse().ok()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, forwarded: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
        }
        let trusted = ["127.0.0.0/8".parse().expect("network"), "10.0.0.0/8".parse().expect("network")];
        client_addr(peer.parse().expect("address"), &headers, &trusted).ip().to_string()
    }

    #[test]
    fn believes_the_rightmost_untrusted_hop() {
        assert_eq!(client("127.0.0.1", &["203.0.113.9, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(client("::ffff:127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("127.0.0.1", &["198.51.100.7", "10.0.0.2"]), "198.51.100.7");
    }

    #[test]
    fn does_not_believe_strangers() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("127.0.0.1", &["198.51.100.7, 192.0.2.1"]), "192.0.2.1");
    }

    #[test]
    fn stops_at_what_it_cannot_read() {
        assert_eq!(client("127.0.0.1", &["198.51.100.7, unknown"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["198.51.100.7, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn reads_addresses_with_ports_and_in_mapped_form() {
        assert_eq!(client("127.0.0.1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(client("127.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(client("127.0.0.1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(client("127.0.0.1", &["::ffff:198.51.100.7"]), "198.51.100.7");
    }
}
