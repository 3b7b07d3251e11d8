//! Addresses, networks, origins and URLs as an operator writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use switchboard_server::config::{DEFAULT_ADMIN_PORT, DEFAULT_PORT, DEFAULT_TURN_PORT, DEFAULT_TURN_TLS_PORT};
use toml::Spanned;
use toml::de::DeValue;

use super::value::{Secrets, Setting, Wrong, describe, quote};

/// Where to listen, with the port that is usual there. A port alone means every address of the machine, IPv6 and IPv4; for
/// what only the operator may reach it means loopback, so that nothing is opened to strangers by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addr<const PORT: u16, const LOOPBACK: bool = false>(pub(crate) SocketAddr);

/// Where pages and dialects are served.
pub(crate) type ListenAddr = Addr<DEFAULT_PORT>;

/// Where the operator is served.
pub(crate) type AdminAddr = Addr<DEFAULT_ADMIN_PORT, true>;

/// Where STUN and TURN are served over UDP and TCP.
pub(crate) type TurnAddr = Addr<DEFAULT_TURN_PORT>;

/// Where they are served over TLS.
pub(crate) type TurnTlsAddr = Addr<DEFAULT_TURN_TLS_PORT>;

/// A network whose members are trusted, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network(pub(crate) IpNet);

/// The origin of a web page (RFC 6454 §6.1), as browsers write it: lower case, no default port. `*` is any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageOrigin(pub(crate) String);

/// The `http` or `https` URL under which people reach the server: an origin, for the server answers at the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl(pub(crate) String);

impl<const PORT: u16, const LOOPBACK: bool> Setting for Addr<PORT, LOOPBACK> {
    const PLACEHOLDER: &'static str = "ADDR";

    fn rule() -> String {
        if LOOPBACK {
            format!("an address with a port, such as \"{PORT}\" (loopback) or \"127.0.0.1:{PORT}\"")
        } else {
            format!("an address with a port, such as \"{PORT}\", \"127.0.0.1:{PORT}\" or \"[::]:{PORT}\"")
        }
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let alone = if LOOPBACK { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        address(text, SocketAddr::new(alone, PORT), &Self::rule()).map(Self)
    }

    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        match value.get_ref() {
            DeValue::String(text) => Self::from_text(text),
            DeValue::Integer(port) if port.radix() == 10 => Self::from_text(port.as_str()),
            other => Err(Wrong::not(&Self::rule(), &describe(other))),
        }
        .map_err(|wrong| wrong.at(value.span()))
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(&self.0.to_string())
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        proptest::arbitrary::any::<(IpAddr, u16)>().prop_map(|pair| Self(SocketAddr::from(pair))).boxed()
    }
}

impl Setting for Network {
    const PLACEHOLDER: &'static str = "NET";

    fn rule() -> String {
        "an address or a network, such as \"192.0.2.7\" or \"10.0.0.0/8\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(|network| Self(network.trunc()))
            .map_err(|_| Wrong::not(&Self::rule(), &quote(text)))
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(&self.0.to_string())
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        proptest::arbitrary::any::<(IpAddr, u8)>()
            .prop_map(|(address, length)| {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                Self(IpNet::new_assert(address, length % (bits + 1)).trunc())
            })
            .boxed()
    }
}

impl PageOrigin {
    /// The word for every origin.
    pub(crate) const ANY: &'static str = "*";
}

impl Setting for PageOrigin {
    const PLACEHOLDER: &'static str = "ORIGIN";

    fn rule() -> String {
        "the origin of a page, such as \"https://example.org\", or \"*\" for all".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let wrong = || Wrong::not(&Self::rule(), &quote(text));
        if text == Self::ANY {
            return Ok(Self(text.to_owned()));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let guess = format!("https://{text}");
            return Err(match Self::from_text(&guess) {
                Ok(_) => wrong().hint(format!("write it with its scheme: {}", quote(&guess))),
                Err(_) => wrong(),
            });
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '+' || c == '.';
        if scheme.is_empty() || !scheme.chars().all(letters) || !is_authority(authority) {
            return Err(wrong());
        }
        let origin = format!("{scheme}://{authority}").to_ascii_lowercase();
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "http" => ":80",
            "https" => ":443",
            _ => return Ok(Self(origin)),
        };
        Ok(Self(origin.strip_suffix(default_port).unwrap_or(&origin).to_owned()))
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(&self.0)
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        "(https?|moz-extension)://[a-z][a-z0-9-]{0,20}(\\.[a-z]{2,5})?(:[1-9][0-9]{4})?"
            .prop_filter_map("a port", |text| Self::from_text(&text).ok())
            .boxed()
    }
}

impl Setting for PublicUrl {
    const PLACEHOLDER: &'static str = "URL";

    fn rule() -> String {
        "a URL without a path, such as \"https://example.org\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let wrong = |hint| Wrong { hint, ..Wrong::not(&Self::rule(), &quote(text)) };
        match PageOrigin::from_text(text) {
            Ok(PageOrigin(url)) if url.starts_with("https://") || url.starts_with("http://") => Ok(Self(url)),
            Ok(_) => Err(wrong(None)),
            Err(because) => Err(wrong(because.hint)),
        }
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(&self.0)
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        "https?://[a-z][a-z0-9-]{0,20}\\.[a-z]{2,5}".prop_map(Self).boxed()
    }
}

/// Parses `3000`, `:3000`, `192.0.2.7:3000` or `[2001:db8::7]:3000`; a port alone gets the address of `usual`, whose port is
/// advised where there is none.
fn address(text: &str, usual: SocketAddr, rule: &str) -> Result<SocketAddr, Wrong> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        return port
            .parse()
            .map(|port| SocketAddr::new(usual.ip(), port))
            .map_err(|_| Wrong::because(format!("{} is not a port: ports end at 65535", quote(port))));
    }
    text.parse().map_err(|_| {
        let wrong = Wrong::not(rule, &quote(text));
        match (text.parse::<IpAddr>(), text.strip_prefix("localhost:")) {
            (Ok(bare), _) => {
                let with_port = SocketAddr::new(bare, usual.port()).to_string();
                wrong.hint(format!("add a port: {}", quote(&with_port)))
            }
            (_, Some(port)) => wrong.hint(format!("write the address: {}", quote(&format!("127.0.0.1:{port}")))),
            _ => wrong,
        }
    })
}

/// Whether `text` is a host with an optional port (RFC 3986 §3.2, without user information).
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port_fits = port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_fits = match literal {
        Some(literal) => literal.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')),
    };
    port_fits && host_fits
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::read;
    use super::*;

    fn listen(text: &str) -> Result<String, Wrong> {
        ListenAddr::from_text(text).map(|addr| addr.0.to_string())
    }

    #[test]
    fn a_port_alone_listens_everywhere() {
        for text in ["3000", ":3000"] {
            assert_eq!(listen(text).as_deref(), Ok("[::]:3000"));
        }
        assert_eq!(read("3000"), ListenAddr::from_text("3000"));
        assert_eq!(TurnAddr::from_text("3478").map(|addr| addr.0.to_string()).as_deref(), Ok("[::]:3478"));
        assert!(TurnTlsAddr::from_text("").expect_err("empty").sentence.contains("[::]:5349"));
    }

    #[test]
    fn a_port_alone_keeps_the_operators_listener_on_loopback() {
        assert_eq!(AdminAddr::from_text(":9464").map(|addr| addr.0.to_string()).as_deref(), Ok("127.0.0.1:9464"));
    }

    #[test]
    fn addresses_need_a_port_and_are_told_how() {
        assert_eq!(listen("127.0.0.1:80").as_deref(), Ok("127.0.0.1:80"));
        assert_eq!(listen("[::1]:80").as_deref(), Ok("[::1]:80"));
        let hint = |text| listen(text).expect_err("no address").hint;
        assert_eq!(hint("127.0.0.1").as_deref(), Some("add a port: \"127.0.0.1:3000\""));
        assert_eq!(hint("::1").as_deref(), Some("add a port: \"[::1]:3000\""));
        assert_eq!(hint("localhost:80").as_deref(), Some("write the address: \"127.0.0.1:80\""));
        for text in ["", ":", "65536", "a:1", "1.2.3.4:99999", "-1"] {
            assert!(listen(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        let origin = |text| PageOrigin::from_text(text).map(|origin| origin.0);
        assert_eq!(origin("HTTPS://Example.org:443/").as_deref(), Ok("https://example.org"));
        assert_eq!(origin("http://example.org:443").as_deref(), Ok("http://example.org:443"));
        assert_eq!(origin("http://[::1]:3000").as_deref(), Ok("http://[::1]:3000"));
        assert_eq!(origin("*").as_deref(), Ok("*"));
        for text in ["https://", "https://a/b", "https://a:b", "https://u@a", "https://a?b", "://a", "null"] {
            assert!(origin(text).is_err(), "{text:?}");
        }
        let hint = origin("example.org").expect_err("no scheme").hint;
        assert_eq!(hint.as_deref(), Some("write it with its scheme: \"https://example.org\""));
    }

    #[test]
    fn networks_lose_their_host_bits() {
        let network = |text| Network::from_text(text).map(|network| network.0.to_string());
        assert_eq!(network("10.1.2.3/8").as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(network("::1").as_deref(), Ok("::1/128"));
        assert!(network("10.0.0.0/33").is_err());
    }

    #[test]
    fn public_urls_are_web_origins() {
        let url = |text| PublicUrl::from_text(text).map(|url| url.0);
        assert_eq!(url("https://example.org/").as_deref(), Ok("https://example.org"));
        assert_eq!(url("http://example.org:8080").as_deref(), Ok("http://example.org:8080"));
        for text in ["example.org", "ftp://a", "https://", "https://a b", "https://a/chat", "*"] {
            assert!(url(text).is_err(), "{text:?}");
        }
        let hint = url("example.org").expect_err("no scheme").hint;
        assert_eq!(hint.as_deref(), Some("write it with its scheme: \"https://example.org\""));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (listen(&text), PageOrigin::from_text(&text), PublicUrl::from_text(&text), Network::from_text(&text));
        }
    }
}
