//! What a server is told: addresses, trust and limits, as they mean; not how an operator writes them.
//!
//! [`Config::default`] is the product's default. Reading files, environment and flags is the command's business.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Serialize;
use switchboard_signalling::core::{self, IceSource};

mod matchbox;
mod peerjs;
mod relay;
mod star;
mod turn;

pub use matchbox::MatchboxConfig;
pub use peerjs::{DEFAULT_PEERJS_KEY, InvalidMountPath, MountPath, PEERJS_KEYS, PeerJsConfig, is_peerjs_key};
pub use relay::RelayConfig;
pub use star::StarConfig;
pub use switchboard_signalling::core::Rate;
pub use turn::{
    DEFAULT_TURN_PORT, DEFAULT_TURN_TLS_PORT, Integrity, PacketIo, RelayAddress, Secret, StaticUser, TlsFiles,
    TurnConfig, TurnLimits, TurnListen,
};

/// Port of pages, dialects and everything else that people connect to.
pub const DEFAULT_PORT: u16 = 3000;

/// Port of metrics and health for the operator.
pub const DEFAULT_ADMIN_PORT: u16 = 9464;

/// Everything that [`Server::spawn`](crate::Server::spawn) needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where people connect. `[::]` accepts IPv4 too; port 0 takes a free one. Default: `[::]:3000`.
    pub listen: Vec<SocketAddr>,
    /// Where the operator reads metrics and health. Default: `127.0.0.1:9464`, if it is free.
    pub admin_listen: AdminListen,
    /// The URL under which people reach the server, where it differs from the address they connect to (behind a
    /// proxy that rewrites `Host`). Its origin counts as the server's own. Default: none.
    pub public_url: Option<String>,
    /// Which other web pages may use the server. Default: none.
    pub origins: Origins,
    /// Whose word on the client's address (`X-Forwarded-For`) is taken. Default: loopback, `127.0.0.0/8` and `::1`.
    pub trusted_proxies: Vec<IpNet>,
    /// What clients give to `RTCPeerConnection` to find their public addresses. Default: none.
    pub ice_servers: Vec<IceServer>,
    /// This server's own STUN and TURN.
    pub turn: TurnConfig,
    /// The PeerJS dialect.
    pub peerjs: PeerJsConfig,
    /// webrtc-star, for js-ipfs and js-libp2p pages.
    pub star: StarConfig,
    /// Topics, for Trystero's clients.
    pub relay: RelayConfig,
    /// The door for matchbox.
    pub matchbox: MatchboxConfig,
    /// How much of everything.
    pub limits: Limits,
    /// How long [`Server::shutdown`](crate::Server::shutdown) waits for clients to take their leave. Default: 10 s,
    /// well inside the 90 s that systemd grants before it kills. Docker grants 10 s.
    pub drain_timeout: Duration,
}

/// Where metrics and health are served. Never put it where strangers reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminListen {
    /// There; a port in use is a warning, so that a second server on one machine starts without being configured.
    IfFree(SocketAddr),
    /// There, or the server does not start.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

/// Which pages of other origins may open sockets and import the browser module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// These (scheme, host and port, as in `https://example.org`), and always the server's own.
    Listed(Vec<String>),
    /// All.
    Any,
}

/// One `RTCIceServer` (W3C WebRTC §4.2.5).
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct IceServer {
    /// `stun:`, `turn:` and `turns:` URLs.
    pub urls: Vec<String>,
    /// For TURN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN. Every client gets to see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// How much of everything. Each limit protects the others from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sockets in all. 20,000 idle ones cost about 50 MB; raise the process's limit of open files with it.
    pub connections: u32,
    /// Sockets of one IPv4 address or IPv6 /64. Default 256: households, schools and carrier-grade NATs share one.
    pub connections_per_address: u32,
    /// Rooms in all. Default 10,000: half as many as sockets, for a room with one member talks to nobody.
    pub rooms: usize,
    /// Rooms that were made from one IPv4 address or IPv6 /64. Default 1,000: a tenth of all, so that no address fills the
    /// server, and four for each of its sockets.
    pub rooms_per_address: u32,
    /// Members of one room. Default 32: in a full mesh each has a connection to every other, 496 in all.
    pub room_members: usize,
    /// Rooms that one peer can be in. Default 8.
    pub rooms_per_peer: usize,
    /// Messages of one connection. Default 50 a second, 200 at once: a negotiation with 31 others is about 400
    /// messages in its first seconds. Faster senders are read more slowly; nothing is lost.
    pub messages_per_connection: Rate,
    /// Messages of one address. Default 1,000 a second, 4,000 at once: twenty connections at full speed.
    pub messages_per_address: Rate,
    /// Messages in all. Default none: the processor is the limit.
    pub messages_in_all: Rate,
    /// Bytes that wait for one client to read them, beyond what the kernel's buffers hold; who lets more wait is dropped.
    /// Default 256 KiB: four messages of the largest size, several hundred ordinary ones.
    pub queue_bytes: usize,
    /// Messages that wait for a peer whose socket is lost. Default 64: one negotiation with its candidates.
    pub away_messages: usize,
    /// Bytes that wait for a peer whose socket is lost. Default 256 KiB, as for one that is slow.
    pub away_bytes: usize,
    /// How long a peer whose socket is lost keeps its place. Default 30 s: a change of network, a tunnel, a restart of
    /// the router's radio.
    pub grace: Duration,
    /// How long a client of the rooms protocol may take to say hello. Default 10 s.
    pub greeting_timeout: Duration,
    /// How long a Socket.IO client may take to connect to the namespace. Default 45 s, as in the original.
    pub socketio_greeting_timeout: Duration,
    /// How long a socket may be silent before it is pinged. Default 25 s: home routers forget idle connections after
    /// 30 s at the earliest.
    pub heartbeat: Duration,
    /// How long the answer to a ping may take before the socket counts as lost. Default 20 s.
    pub heartbeat_timeout: Duration,
    /// How long a client may take to send the head of a request. Default 10 s; slow senders must not hold sockets.
    pub header_timeout: Duration,
    /// How long a client may take to send the body of a request, or an answer may take to be read. Default 30 s.
    pub body_timeout: Duration,
}

impl Config {
    /// A server for tests: on a free port of loopback, without an operator's listener and without TURN.
    pub fn on_loopback() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
            admin_listen: AdminListen::Off,
            turn: TurnConfig::off(),
            ..Self::default()
        }
    }

    /// For [`Signalling`](crate::Signalling) in somebody else's program: without TURN, whose sockets that program would not
    /// expect.
    pub fn embedded() -> Self {
        Self { turn: TurnConfig::off(), ..Self::default() }
    }

    /// The part that the signalling core keeps to; it asks `ice` for ICE servers.
    pub(crate) fn core(&self, ice: Arc<dyn IceSource>) -> core::Config {
        let limits = &self.limits;
        core::Config {
            connections: limits.connections,
            connections_per_address: limits.connections_per_address,
            rooms: limits.rooms,
            rooms_per_address: limits.rooms_per_address,
            room_members: limits.room_members,
            rooms_per_peer: limits.rooms_per_peer,
            grace: limits.grace,
            greeting_timeout: limits.greeting_timeout,
            socketio_greeting_timeout: limits.socketio_greeting_timeout,
            per_connection: limits.messages_per_connection,
            per_address: limits.messages_per_address,
            in_all: limits.messages_in_all,
            away_messages: limits.away_messages,
            away_bytes: limits.away_bytes,
            directory: self.directory(),
            ice,
            heartbeat: limits.heartbeat,
            server: concat!("switchboard ", env!("CARGO_PKG_VERSION")).into(),
            events: false,
        }
    }
}

impl Config {
    /// How much the directory of names holds, and for how long.
    fn directory(&self) -> core::DirectoryConfig {
        let mut default = core::DirectoryConfig::default();
        self.star.apply(&mut default);
        self.relay.apply(&mut default);
        let clients = self.peerjs.concurrent_limit.unwrap_or(self.limits.connections);
        // What waits for a name comes in such portions, and a digest comes in one go: with frames around them.
        let bytes = default.portion.bytes.min(self.limits.queue_bytes / 2);
        core::DirectoryConfig {
            announce_bytes: default.announce_bytes.min(self.limits.queue_bytes / 4),
            portion: core::WaitingLimits { bytes, ..default.portion },
            peerjs: core::NameLimits { names: clients as usize, ..default.peerjs },
            wait: self.peerjs.expire_timeout,
            ..default
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, DEFAULT_PORT))],
            admin_listen: AdminListen::IfFree(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_ADMIN_PORT))),
            public_url: None,
            origins: Origins::Listed(Vec::new()),
            trusted_proxies: loopback(),
            ice_servers: Vec::new(),
            turn: TurnConfig::default(),
            peerjs: PeerJsConfig::default(),
            star: StarConfig::default(),
            relay: RelayConfig::default(),
            matchbox: MatchboxConfig::default(),
            limits: Limits::default(),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let kib = 1024;
        Self {
            connections: 20_000,
            connections_per_address: 256,
            rooms: 10_000,
            rooms_per_address: 1_000,
            room_members: 32,
            rooms_per_peer: 8,
            messages_per_connection: Rate { per_second: 50, burst: 200 },
            messages_per_address: Rate { per_second: 1_000, burst: 4_000 },
            messages_in_all: Rate { per_second: 0, burst: 0 },
            queue_bytes: 256 * kib,
            away_messages: 64,
            away_bytes: 256 * kib,
            grace: Duration::from_secs(30),
            greeting_timeout: Duration::from_secs(10),
            socketio_greeting_timeout: Duration::from_secs(45),
            heartbeat: Duration::from_secs(25),
            heartbeat_timeout: Duration::from_secs(20),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credential = self.credential.as_ref().map(|_| "***");
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .field("credential", &credential)
            .finish()
    }
}

/// The networks of loopback.
fn loopback() -> Vec<IpNet> {
    let v4 = Ipv4Net::new(Ipv4Addr::new(127, 0, 0, 0), 8).map(IpNet::V4);
    let v6 = Ipv6Net::new(Ipv6Addr::LOCALHOST, 128).map(IpNet::V6);
    v4.into_iter().chain(v6).collect()
}

/// Whether `address` is in one of `networks`, an IPv4 address written as IPv6 included.
pub(crate) fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusts_loopback_only_by_default() {
        let trusted = Config::default().trusted_proxies;
        for address in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(is_in(&trusted, address.parse().expect("address")), "{address}");
        }
        for address in ["128.0.0.1", "10.0.0.1", "::2", "::ffff:10.0.0.1"] {
            assert!(!is_in(&trusted, address.parse().expect("address")), "{address}");
        }
    }

    #[test]
    fn hides_credentials_from_debug_output() {
        let server = IceServer { urls: vec![], username: Some("u".into()), credential: Some("hunter2".into()) };
        assert!(!format!("{server:?}").contains("hunter2"));
    }
}
