//! What an operator may change.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use switchboard_wire::limits::{MESSAGE_BYTES, NAME_CHARS};
use switchboard_wire::rooms::{Dialect, Limits};

use super::directory::DirectoryConfig;
use super::ice::{FixedIce, IceSource};

/// How many messages a second, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Sustained messages a second; 0 for no limit.
    pub per_second: u32,
    /// Messages that may come at once before the sender is slowed down.
    pub burst: u32,
}

/// The limits and texts of a [`Core`](super::Core).
#[derive(Clone, Debug)]
pub struct Config {
    /// Connections in all.
    pub connections: u32,
    /// Connections of one IPv4 address or IPv6 /64. Households, schools and carrier-grade NATs share one.
    pub connections_per_address: u32,
    /// Rooms in all.
    pub rooms: usize,
    /// Rooms that peers of one IPv4 address or IPv6 /64 made and that are there still, whoever is in them.
    pub rooms_per_address: u32,
    /// Members of a room. In a full mesh each has a connection to every other: 32 make 496.
    pub room_members: usize,
    /// Rooms that one peer can be in.
    pub rooms_per_peer: usize,
    /// How long a lost peer keeps its place.
    pub grace: Duration,
    /// How long a connection of the rooms protocol may take to say hello, and one that only holds names to claim one.
    pub greeting_timeout: Duration,
    /// How long a Socket.IO session may take to connect to the namespace (45 s in the original).
    pub socketio_greeting_timeout: Duration,
    /// Messages of one connection. An ICE negotiation with 31 peers is about 400 messages in its first seconds.
    pub per_connection: Rate,
    /// Messages of one address.
    pub per_address: Rate,
    /// Messages in all.
    pub in_all: Rate,
    /// Messages that wait for a peer that is away.
    pub away_messages: usize,
    /// Bytes of payload that wait for a peer that is away.
    pub away_bytes: usize,
    /// Who names the STUN and TURN servers that clients give to `RTCPeerConnection`.
    pub ice: Arc<dyn IceSource>,
    /// Names, and texts that wait for them.
    pub directory: DirectoryConfig,
    /// How long a socket may be silent before the shell pings it; told in `welcome`.
    pub heartbeat: Duration,
    /// Name and version of the server, told in `welcome`.
    pub server: Cow<'static, str>,
    /// Whether anybody listens to [`Event`](super::Event)s.
    pub events: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_address: 256,
            rooms: 10_000,
            rooms_per_address: 1_000,
            room_members: 32,
            rooms_per_peer: 8,
            grace: Duration::from_secs(30),
            greeting_timeout: Duration::from_secs(10),
            socketio_greeting_timeout: Duration::from_secs(45),
            per_connection: Rate { per_second: 50, burst: 200 },
            per_address: Rate { per_second: 1_000, burst: 4_000 },
            in_all: Rate { per_second: 0, burst: 0 },
            away_messages: 64,
            away_bytes: 256 * 1024,
            ice: Arc::new(FixedIce::default()),
            directory: DirectoryConfig::default(),
            heartbeat: Duration::from_secs(25),
            server: Cow::Borrowed(concat!("switchboard ", env!("CARGO_PKG_VERSION"))),
            events: false,
        }
    }
}

impl Config {
    pub(super) fn greeting_timeout(&self, dialect: Dialect) -> Duration {
        match dialect {
            Dialect::Switchboard | Dialect::PeerJs | Dialect::Relay | Dialect::Matchbox => self.greeting_timeout,
            Dialect::SocketIo => self.socketio_greeting_timeout,
        }
    }

    /// The limits as `welcome` tells them.
    pub(super) fn told_limits(&self) -> Limits {
        Limits {
            message_bytes: MESSAGE_BYTES,
            name_chars: NAME_CHARS,
            room_members: self.room_members,
            rooms_per_peer: self.rooms_per_peer,
            grace: self.grace,
            heartbeat: self.heartbeat,
        }
    }
}
