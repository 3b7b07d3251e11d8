//! Who a request comes from and by which name it reached the server, where proxies stand between.
//!
//! Each proxy appends the address that it saw to `X-Forwarded-For`, so the entries can be believed from the right as far
//! as the proxies are trusted; what stands further left may be the client's invention.

use std::net::IpAddr;

use http::header::HOST;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use switchboard_signalling::core::{ClientAddr, HostName};

use crate::config::is_in;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

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

/// The name by which a client reached the server: the one that the first of the proxies was asked for, if `peer` is a
/// trusted one and says so, else the one of the request. None if it is no name that can stand in a URL.
///
/// A client that gets a lie past its proxies deceives itself alone: the name comes back to it in URLs and goes nowhere
/// else.
pub fn host_name(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<HostName> {
    let forwarded = forwarded_host(peer, headers, trusted).and_then(HostName::from_authority);
    forwarded.or_else(|| HostName::from_authority(headers.get(HOST)?.to_str().ok()?))
}

/// What the first of the proxies was asked for, host and perhaps port, if `peer` is a trusted one and says so.
pub(crate) fn forwarded_host<'h>(peer: IpAddr, headers: &'h HeaderMap, trusted: &[IpNet]) -> Option<&'h str> {
    let hosts = headers.get(&FORWARDED_HOST).filter(|_| is_in(trusted, peer))?.to_str().ok()?;
    hosts.split(',').next().map(str::trim)
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

    fn host(peer: &str, headers: &[(HeaderName, &'static str)]) -> Option<String> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        let trusted = ["127.0.0.0/8".parse().expect("network")];
        host_name(peer.parse().expect("address"), &headers, &trusted).map(|host| host.to_string())
    }

    #[test]
    fn the_host_is_the_requests_own_or_a_trusted_proxys() {
        let own = (HOST, "inner:3000");
        assert_eq!(host("192.0.2.1", std::slice::from_ref(&own)).as_deref(), Some("inner"));
        let forwarded = [own.clone(), (FORWARDED_HOST, "Outer.example:8443, middle.example")];
        assert_eq!(host("127.0.0.1", &forwarded).as_deref(), Some("outer.example"));
        assert_eq!(host("::ffff:127.0.0.1", &forwarded).as_deref(), Some("outer.example"));
        assert_eq!(host("192.0.2.1", &forwarded).as_deref(), Some("inner"), "a stranger's word");
        assert_eq!(host("127.0.0.1", &[own, (FORWARDED_HOST, "a b")]).as_deref(), Some("inner"));
        assert_eq!(host("127.0.0.1", &[(HOST, "a\"b")]), None);
        assert_eq!(host("127.0.0.1", &[]), None);
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
