//! What is to be examined: a Switchboard, or STUN and TURN servers by their URIs (RFC 7064, RFC 7065).

use std::fmt;

/// Port of STUN and TURN over UDP and TCP.
const PORT: u16 = 3478;
/// Port of STUN and TURN over TLS.
const TLS_PORT: u16 = 5349;

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A Switchboard, which tells its servers and credentials itself.
    Switchboard(Site),
    /// These servers.
    Servers(Vec<Uri>),
}

/// Where a Switchboard is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    /// Whether it is reached over TLS.
    pub(crate) secure: bool,
    /// Its name, or its address without brackets.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// What stands before `/ws`, without a slash at its end.
    pub(crate) path: String,
}

/// What carries packets to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Carrier {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

/// A STUN or TURN server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uri {
    /// Whether it relays.
    pub(crate) relays: bool,
    /// Its name, or its address without brackets.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// How it is reached; none where the URI leaves it open.
    pub(crate) carrier: Option<Carrier>,
}

/// Why a target cannot be understood: the user's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadTarget {
    /// Neither kind of address.
    #[error("{0:?} is neither a link such as https://example.org nor a server such as turn:example.org:3478")]
    Unknown(String),
    /// A port that is none, or brackets that do not match.
    #[error("{0:?} does not name a host and a port")]
    Place(String),
    /// A transport that no browser knows.
    #[error("{0:?}: the transport must be udp or tcp")]
    Transport(String),
    /// Both kinds at once.
    #[error("name one Switchboard, or any number of servers")]
    Mixed,
}

impl Target {
    /// Reads what was typed; nothing means the Switchboard on this machine.
    pub(crate) fn parse(words: &[String]) -> Result<Self, BadTarget> {
        match words {
            [] => Ok(Self::Switchboard(Site::parse("http://localhost:3000")?)),
            [one] if !is_uri(one) => Site::parse(one).map(Self::Switchboard),
            many if many.iter().all(|word| is_uri(word)) => {
                many.iter().map(|word| Uri::parse(word)).collect::<Result<_, _>>().map(Self::Servers)
            }
            _ => Err(BadTarget::Mixed),
        }
    }
}

impl Site {
    /// The origin of its pages (RFC 6454 §6.2).
    pub(crate) fn origin(&self) -> String {
        let (scheme, usual) = if self.secure { ("https", 443) } else { ("http", 80) };
        let port = if self.port == usual { String::new() } else { format!(":{}", self.port) };
        format!("{scheme}://{}{port}", bracketed(&self.host))
    }

    fn parse(word: &str) -> Result<Self, BadTarget> {
        let unknown = || BadTarget::Unknown(word.to_owned());
        let (scheme, rest) = word.split_once("://").ok_or_else(unknown)?;
        let secure = match scheme {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(unknown()),
        };
        let rest = rest.split(['?', '#']).next().unwrap_or(rest);
        let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = place_of(place).ok_or_else(|| BadTarget::Place(word.to_owned()))?;
        // What is copied from a browser is the link of a room.
        let path = path.trim_end_matches('/').trim_end_matches("/ws").split("/r/").next().unwrap_or_default();
        Ok(Self { secure, host, port: port.unwrap_or(if secure { 443 } else { 80 }), path: path.to_owned() })
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

impl Uri {
    /// Reads a URI.
    pub(crate) fn parse(word: &str) -> Result<Self, BadTarget> {
        let (scheme, rest) = word.split_once(':').ok_or_else(|| BadTarget::Unknown(word.to_owned()))?;
        let (relays, secure) = match scheme {
            "stun" => (false, false),
            "stuns" => (false, true),
            "turn" => (true, false),
            "turns" => (true, true),
            _ => return Err(BadTarget::Unknown(word.to_owned())),
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let carrier = match (query, secure) {
            ("" | "transport=tcp", true) => Some(Carrier::Tls),
            ("transport=tcp", false) => Some(Carrier::Tcp),
            ("transport=udp", false) => Some(Carrier::Udp),
            ("", false) => None,
            _ => return Err(BadTarget::Transport(word.to_owned())),
        };
        let (host, port) = place_of(place).ok_or_else(|| BadTarget::Place(word.to_owned()))?;
        Ok(Self { relays, host, port: port.unwrap_or(if secure { TLS_PORT } else { PORT }), carrier })
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        })
    }
}

fn is_uri(word: &str) -> bool {
    ["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| word.starts_with(scheme))
}

/// Host and port; none where the text is neither.
fn place_of(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').filter(|(ip, _)| ip.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None if port.is_empty() => None,
        None => return None,
    };
    let is_host = !host.is_empty() && !host.contains(['@', ' ', '/']);
    is_host.then(|| (host.to_owned(), port))
}

/// A host as it stands before a port.
pub(crate) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(word: &str) -> Site {
        Site::parse(word).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn nothing_means_the_server_on_this_machine() {
        let Target::Switchboard(site) = Target::parse(&[]).expect("a target") else { panic!("a switchboard") };
        assert_eq!(site.to_string(), "http://localhost:3000");
    }

    #[test]
    fn links_are_read_as_browsers_show_them() {
        assert_eq!(site("https://example.org").to_string(), "https://example.org");
        assert_eq!(site("https://example.org/r/aUa62LD8NZ#x").to_string(), "https://example.org");
        assert_eq!(site("wss://example.org:8443/calls/ws").to_string(), "https://example.org:8443/calls");
        assert_eq!(site("http://[::1]:3000/").to_string(), "http://[::1]:3000");
        assert_eq!(site("http://127.0.0.1").port, 80);
    }

    #[test]
    fn uris_have_the_ports_and_transports_of_the_standard() {
        let uri = |word: &str| Uri::parse(word).unwrap_or_else(|error| panic!("{error}"));
        let read = |word: &str| (uri(word).relays, uri(word).host, uri(word).port, uri(word).carrier);
        assert_eq!(read("stun:example.org"), (false, "example.org".to_owned(), 3478, None));
        assert_eq!(read("turn:[::1]:9?transport=udp"), (true, "::1".to_owned(), 9, Some(Carrier::Udp)));
        assert_eq!(read("turn:a?transport=tcp"), (true, "a".to_owned(), 3478, Some(Carrier::Tcp)));
        assert_eq!(read("turns:a?transport=tcp"), (true, "a".to_owned(), 5349, Some(Carrier::Tls)));
        assert_eq!(read("turns:a:443"), (true, "a".to_owned(), 443, Some(Carrier::Tls)));
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        let refused = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Target::parse(&words).expect_err("refused").to_string()
        };
        assert!(refused(&["example.org"]).contains("neither a link"));
        assert!(refused(&["turn:example.org:x"]).contains("host and a port"));
        assert!(refused(&["turn:[::1:3478"]).contains("host and a port"));
        assert!(refused(&["turns:a?transport=udp"]).contains("must be udp or tcp"));
        assert!(refused(&["http://a", "turn:b"]).contains("one Switchboard"));
    }
}
