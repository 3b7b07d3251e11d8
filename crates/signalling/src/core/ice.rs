//! Which STUN and TURN servers a peer is to use, and fresh credentials before the old ones expire.
//!
//! Credentials are the shell's business: it knows the secret, the ports and the wall clock. The core knows who is in which
//! room and by which name each came, asks for what is due, and tells it.

use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use switchboard_wire::rooms::{Dialect, IceServers, ServerMessage};
use switchboard_wire::{Instant, PeerId, RoomId};

use super::address::ClientAddr;
use super::peer::{Link, ResumeTicket};
use super::{ConnId, Core, Output, Timer};

/// Longest name of a host in characters (RFC 1035 §2.3.4, without the last dot).
const HOST_NAME_MAX: usize = 253;

/// When credentials are renewed, as parts of their lifetime: at half of it, so that a client that misses one renewal has
/// time for another; up to a tenth of it sooner, so that peers who came at once are not renewed at once.
const RENEWAL: std::ops::Range<f64> = 0.4..0.5;

/// Who connects.
#[derive(Clone, Debug)]
pub struct Caller {
    /// From where.
    pub address: ClientAddr,
    /// By which name it reached the server, if that is known.
    pub host: Option<HostName>,
}

impl From<ClientAddr> for Caller {
    fn from(address: ClientAddr) -> Self {
        Self { address, host: None }
    }
}

/// The name or address of a host, as it stands in a URL: `example.org`, `192.0.2.7`, `[2001:db8::7]`; lower case.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HostName(Arc<str>);

impl HostName {
    /// Reads a `Host` header or the authority of a URL, whose port is left out (RFC 9110 §7.2, RFC 3986 §3.2.2).
    ///
    /// Names are letters, digits, dots, hyphens and underscores, so that one can be put into a URL without escaping;
    /// anything else is none.
    pub fn from_authority(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (text, ""),
        };
        let port_fits = port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
        let host_fits = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(literal) => literal.is_some_and(|literal| literal.parse::<Ipv6Addr>().is_ok()),
            None => is_name(host),
        };
        (port_fits && host_fits).then(|| Self(host.to_ascii_lowercase().into()))
    }

    /// This machine, for whoever is on it.
    pub fn localhost() -> Self {
        Self("localhost".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_name(host: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    (1..=HOST_NAME_MAX).contains(&host.len()) && host.bytes().all(fits)
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostName({self})")
    }
}

/// For whom ICE servers are wanted.
#[derive(Clone, Copy, Debug)]
pub struct IceRequest<'a> {
    /// Who will use them.
    pub peer: PeerId,
    /// In which room; none for what a peer is told before it enters one.
    pub room: Option<&'a RoomId>,
    /// The name by which the peer reached the server, for the server's own URLs.
    pub host: Option<&'a HostName>,
}

/// What a peer may use, and for how long.
#[derive(Clone, Debug, Default)]
pub struct IceGrant {
    /// For `RTCPeerConnection`.
    pub servers: IceServers,
    /// How long they are good; none if they do not expire.
    pub lifetime: Option<Duration>,
}

/// Names ICE servers and issues credentials. Asked with the core borrowed, so it must not call the core; it should take
/// microseconds.
pub trait IceSource: fmt::Debug + Send + Sync {
    /// What this peer may use from now on.
    fn grant(&self, request: IceRequest<'_>) -> IceGrant;
}

/// The same servers for everybody, for ever.
#[derive(Clone, Debug, Default)]
pub struct FixedIce(pub IceServers);

impl IceSource for FixedIce {
    fn grant(&self, _: IceRequest<'_>) -> IceGrant {
        IceGrant { servers: self.0.clone(), lifetime: None }
    }
}

impl Core {
    /// The connected peer whose resume token this is; none if it is made up, was replaced, or its peer is away.
    pub fn session(&self, token: &str) -> Option<PeerId> {
        let ticket = ResumeTicket::parse(token)?;
        let id = ticket.key.peer_id();
        let peer = self.peers.get(&id).filter(|peer| peer.accepts(ticket.token))?;
        matches!(peer.link, Link::Connected(_)).then_some(id)
    }

    /// What the peer behind the connection may use. Socket.IO and matchbox have no message for it.
    pub(super) fn grant_ice(&self, conn: ConnId, peer: PeerId, room: Option<&RoomId>) -> IceGrant {
        let Some(connection) = self.connections.get(&conn) else { return IceGrant::default() };
        match connection.dialect {
            Dialect::Switchboard => self.config.ice.grant(IceRequest { peer, room, host: connection.host.as_ref() }),
            Dialect::SocketIo | Dialect::PeerJs | Dialect::Relay | Dialect::Matchbox => IceGrant::default(),
        }
    }

    /// Sees to it that credentials just granted are renewed in time. One timer serves all rooms of a peer: it is never
    /// later than the newest grant asks for.
    pub(super) fn plan_renewal(&mut self, id: PeerId, lifetime: Option<Duration>, now: Instant) {
        use rand::Rng as _;

        let Some(lifetime) = lifetime else { return };
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.renewal.is_none()) else { return };
        let due = now + lifetime.mul_f64(self.rng.random_range(RENEWAL));
        peer.renewal = Some(due);
        self.timers.set(due, Timer::Renewal(id));
    }

    /// Forgets a renewal that was planned: the peer is gone, or is about to be granted anew.
    pub(super) fn cancel_renewal(&mut self, id: PeerId) {
        if let Some(due) = self.peers.get_mut(&id).and_then(|peer| peer.renewal.take()) {
            self.timers.unset(due, Timer::Renewal(id));
        }
    }

    /// Sends fresh credentials for each room of a connected peer; one that is away gets them when it returns.
    pub(super) fn renew(&mut self, id: PeerId, now: Instant) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.renewal = None;
        let Link::Connected(conn) = peer.link else { return };
        for room in peer.rooms.clone() {
            let IceGrant { servers, lifetime } = self.grant_ice(conn, id, Some(&room));
            let Some(lifetime) = lifetime else { continue };
            let message = ServerMessage::IceServers { room, ice_servers: servers, lifetime };
            self.outputs.push_back(Output::Message { conn, message, reference: None });
            self.plan_renewal(id, Some(lifetime), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Option<String> {
        HostName::from_authority(text).map(|host| host.to_string())
    }

    #[test]
    fn reads_names_and_addresses_without_their_port() {
        assert_eq!(host("Example.ORG:3000").as_deref(), Some("example.org"));
        assert_eq!(host("localhost").as_deref(), Some("localhost"));
        assert_eq!(host("192.0.2.7:80").as_deref(), Some("192.0.2.7"));
        assert_eq!(host("[2001:DB8::7]:80").as_deref(), Some("[2001:db8::7]"));
        assert_eq!(host("[::1]").as_deref(), Some("[::1]"));
        assert_eq!(host("my_host.").as_deref(), Some("my_host."));
        assert_eq!(host(&"a".repeat(253)), Some("a".repeat(253)));
    }

    #[test]
    fn refuses_what_would_not_stand_in_a_url() {
        for text in [
            "",
            ":80",
            "a b",
            "a/b",
            "a?b",
            "a@b",
            "ä.example",
            "::1",
            "[::1",
            "[x]",
            "[::1]x",
            "a:b",
            "a:99999",
            "a:80:90",
        ] {
            assert_eq!(host(text), None, "{text:?}");
        }
        assert_eq!(host(&"a".repeat(254)), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_accepted_is_accepted_again(text in "\\PC{0,40}") {
            if let Some(host) = HostName::from_authority(&text) {
                proptest::prop_assert_eq!(HostName::from_authority(host.as_str()), Some(host.clone()));
            }
        }
    }
}
