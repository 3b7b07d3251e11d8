//! Which web pages may use the server.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Instant;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{Extensions, HeaderMap, HeaderValue, Uri};
use ipnet::IpNet;

use crate::Config;
use crate::client_addr::{client_addr, forwarded_host};
use crate::config::Origins;
use crate::http::Peer;
use crate::occasional::Occasional;
use crate::server::SpawnError;

/// Most bytes of a header that stand in the log: a URL's host has no more (RFC 1035 §2.3.4).
const LOGGED: usize = 255;

/// The operator's list, ready to be asked.
#[derive(Debug)]
pub(crate) struct OriginPolicy {
    /// Where the list stands in the configuration.
    setting: &'static str,
    any: bool,
    listed: HashSet<String>,
    trusted_proxies: Vec<IpNet>,
    refusals: Occasional,
}

impl OriginPolicy {
    /// Reads a list that stands under `setting`; `public_url` counts as the server's own origin.
    pub(crate) fn new(setting: &'static str, origins: &Origins, config: &Config) -> Result<Self, SpawnError> {
        let (any, listed) = match origins {
            Origins::Any => (true, &[][..]),
            Origins::Listed(listed) => (false, &listed[..]),
        };
        let bad = |text: &str| SpawnError::BadOrigin { text: text.to_owned() };
        let texts = listed.iter().map(String::as_str).chain(config.public_url.as_deref());
        let listed = texts.map(|text| origin_of(text).ok_or_else(|| bad(text))).collect::<Result<_, _>>()?;
        let trusted_proxies = config.trusted_proxies.clone();
        Ok(Self { setting, any, listed, trusted_proxies, refusals: Occasional::default() })
    }

    /// Where the list stands in the configuration.
    pub(crate) fn setting(&self) -> &'static str {
        self.setting
    }

    /// Whether the list names this origin; that all are admitted does not count.
    pub(crate) fn lists(&self, origin: &HeaderValue) -> bool {
        origin.to_str().ok().and_then(origin_of).is_some_and(|origin| self.listed.contains(&origin))
    }

    /// Whether a request is admitted: it comes from no page, from one of the server's own, or from a listed origin.
    ///
    /// The server's own origins are those whose host the request was sent to, or was sent to before a trusted proxy passed
    /// it on. A page of another site can forge none of these headers.
    pub(crate) fn admits(&self, headers: &HeaderMap, extensions: &Extensions) -> bool {
        let Some(origin) = headers.get(ORIGIN) else { return true };
        if self.any {
            return true;
        }
        let Some(origin) = origin.to_str().ok().and_then(origin_of) else { return false };
        self.listed.contains(&origin) || self.hosts(headers, extensions).any(|host| is_at(&origin, host))
    }

    /// Tells the operator that a page was refused, and by which settings it would not have been.
    pub(crate) fn tell_refusal(&self, headers: &HeaderMap, extensions: &Extensions) {
        let (peer, settings) = (peer(extensions), self.setting);
        let origin = headers.get(ORIGIN).map_or("", logged);
        let host = self.hosts(headers, extensions).next().map_or("", |host| cut(host));
        let client = peer.map(|peer| client_addr(peer, headers, &self.trusted_proxies).ip());
        tracing::debug!(
            client = client.map(tracing::field::display),
            origin,
            host,
            settings,
            "a page of a foreign origin was refused"
        );
        if let Some(times) = self.refusals.take(Instant::now()) {
            tracing::warn!(
                origin,
                host,
                settings,
                times,
                "refused a page whose origin is not the host that was asked for; if the page is yours, set `public_url` \
                 to the address that people open, let the proxy pass `Host` on, or list the origin"
            );
        }
    }

    /// By which hosts the server was asked for, the most outward first.
    pub(crate) fn hosts<'h>(&self, headers: &'h HeaderMap, extensions: &Extensions) -> impl Iterator<Item = &'h str> {
        let forwarded = peer(extensions).and_then(|peer| forwarded_host(peer, headers, &self.trusted_proxies));
        let own = headers.get(HOST).and_then(|host| host.to_str().ok());
        forwarded.into_iter().chain(own)
    }
}

/// The other end of the socket.
fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<Peer>().map(|Peer(peer)| *peer)
}

/// Whether `host`, with or without the port that the scheme implies, is an origin's.
fn is_at(origin: &str, host: &str) -> bool {
    let scheme = origin.split_once("://").map_or("", |(scheme, _)| scheme);
    origin_of(&format!("{scheme}://{host}")).is_some_and(|own| own == origin)
}

/// A header as the log shows it.
fn logged(value: &HeaderValue) -> &str {
    value.to_str().map_or("(not text)", cut)
}

fn cut(text: &str) -> &str {
    // Headers that are text are ASCII.
    text.get(..LOGGED).unwrap_or(text)
}

/// Scheme, host and port of a URL in lower case, without the port that the scheme implies.
fn origin_of(text: &str) -> Option<String> {
    let uri: Uri = text.trim_end_matches('/').parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let host = uri.authority().map(Authority::host)?.to_ascii_lowercase();
    if host.is_empty() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return None;
    }
    match (uri.port_u16(), &*scheme) {
        (None, _) | (Some(80), "http") | (Some(443), "https") => Some(format!("{scheme}://{host}")),
        (Some(port), _) => Some(format!("{scheme}://{host}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINS: &str = "origins";

    fn policy(origins: Origins, public_url: Option<&str>) -> Result<OriginPolicy, SpawnError> {
        let trusted_proxies = vec!["127.0.0.0/8".parse().expect("network")];
        let config = Config { public_url: public_url.map(str::to_owned), trusted_proxies, ..Config::default() };
        OriginPolicy::new(ORIGINS, &origins, &config)
    }

    fn asks(policy: &OriginPolicy, peer: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let header = |(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut extensions = Extensions::new();
        extensions.insert(Peer(peer.parse().expect("address")));
        policy.admits(&headers.iter().map(header).collect(), &extensions)
    }

    fn admits(policy: &OriginPolicy, origin: &'static str, host: &'static str) -> bool {
        asks(policy, "192.0.2.1", &[("origin", origin), ("host", host)])
    }

    #[test]
    fn admits_its_own_pages_and_listed_ones() {
        let listed = Origins::Listed(vec!["https://Friend.example:443/".into(), "http://[::1]:8080".into()]);
        let listed = policy(listed, Some("https://front.example/")).expect("valid");
        assert!(admits(&listed, "http://localhost:3000", "localhost:3000"));
        assert!(admits(&listed, "https://example.org", "Example.org"));
        assert!(admits(&listed, "https://example.org", "example.org:443"), "as some proxies write it");
        assert!(admits(&listed, "https://friend.example", "localhost"));
        assert!(admits(&listed, "http://[::1]:8080", "localhost"));
        assert!(admits(&listed, "https://front.example", "localhost"));
        assert!(!admits(&listed, "http://friend.example", "localhost"));
        assert!(!admits(&listed, "http://localhost:3001", "localhost:3000"));
        assert!(!admits(&listed, "http://example.org", "example.org:443"));
        assert!(!admits(&listed, "null", "localhost:3000"));
        assert!(listed.admits(&HeaderMap::new(), &Extensions::new()), "programs send no origin");
        assert!(admits(&policy(Origins::Any, None).expect("valid"), "null", "localhost"));
    }

    #[test]
    fn behind_a_proxy_the_host_that_it_was_asked_for_counts_too() {
        let listed = policy(Origins::Listed(Vec::new()), None).expect("valid");
        let page = [("origin", "https://outer.example:8443"), ("host", "127.0.0.1:3000")];
        assert!(!asks(&listed, "127.0.0.1", &page), "a proxy that says nothing");
        let said = |host| [page[0], page[1], ("x-forwarded-host", host)];
        assert!(asks(&listed, "127.0.0.1", &said("Outer.example:8443")));
        assert!(asks(&listed, "::ffff:127.0.0.1", &said("outer.example:8443, middle.example")));
        assert!(!asks(&listed, "127.0.0.1", &said("outer.example")));
        assert!(!asks(&listed, "127.0.0.1", &said("a b")));
        assert!(!asks(&listed, "192.0.2.1", &said("outer.example:8443")), "a stranger's word");
    }

    #[test]
    fn everybody_is_not_somebody_who_is_listed() {
        let origin = HeaderValue::from_static("https://friend.example");
        let listed = Origins::Listed(vec!["https://friend.example".into()]);
        assert!(policy(listed, None).expect("valid").lists(&origin));
        assert!(!policy(Origins::Any, None).expect("valid").lists(&origin));
    }

    #[test]
    fn refuses_a_list_that_holds_no_origin() {
        for bad in ["example.org", "", "https://", "https://user@example.org", "*"] {
            assert!(policy(Origins::Listed(vec![bad.into()]), None).is_err(), "{bad}");
        }
    }
}
