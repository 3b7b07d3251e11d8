//! What the server itself reads of HTTP.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use switchboard_server::fuzzing::{self, client_addr};

/// Reads `data` as the values of `X-Forwarded-For`, one a line, behind a proxy that is trusted.
///
/// The client's address is one that a trusted proxy reported, or the proxy's own: what stands left of the first untrusted
/// or unreadable entry changes nothing.
pub fn client_address(data: &[u8]) {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let networks = ["127.0.0.0/8", "10.0.0.0/8", "2001:db8::/32"];
    let trusted: Vec<IpNet> = networks.iter().filter_map(|network| network.parse().ok()).collect();
    let headers = |lines: &[&[u8]]| {
        let mut headers = HeaderMap::new();
        for line in lines {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                headers.append("x-forwarded-for", value);
            }
        }
        headers
    };
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').take(16).collect();
    let client = client_addr(peer, &headers(&lines), &trusted).ip();
    assert_eq!(client, client.to_canonical());

    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    if !is_trusted(client) {
        let invented: Vec<&[u8]> = std::iter::once(&b"203.0.113.1"[..]).chain(lines.iter().copied()).collect();
        assert_eq!(client_addr(peer, &headers(&invented), &trusted).ip(), client, "a client's invention was believed");
    }
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    assert_eq!(client_addr(stranger, &headers(&lines), &trusted).ip(), stranger, "a stranger was believed");
}

/// Reads `data` as a `Host` header. What is accepted can stand in a URL of an ICE server, where it is the whole host, and is
/// accepted again.
pub fn host_name(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let headers = HeaderMap::from_iter([(http::header::HOST, value)]);
    let Some(host) = fuzzing::host_name(IpAddr::V4(Ipv4Addr::LOCALHOST), &headers, &[]) else { return };
    let text = host.as_str();
    assert_eq!(fuzzing::HostName::from_authority(text).as_ref(), Some(&host), "it is not accepted again");
    let url: http::Uri = format!("turn://{text}:3478").parse().expect("a URL");
    assert_eq!(url.host(), Some(text), "it is more than a host");
}
