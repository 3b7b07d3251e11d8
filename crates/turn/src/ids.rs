//! Who is who: a client's connection, a relay socket, a worker, a relay's address, and the time.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The server's socket and the client's address: with the protocol in [`Via`], a 5-tuple (RFC 8656 §3.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Client {
    /// The listener or connection that the client's packets come through.
    pub via: Via,
    /// The client's transport address as the server sees it.
    pub remote: SocketAddr,
}

/// What carries a client's packets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Via {
    /// A UDP listener, by its number.
    Udp(u16),
    /// A TCP connection, by its number; no two connections that live at the same time share one.
    Tcp(u32),
    /// A TLS connection, numbered as TCP connections are.
    Tls(u32),
}

impl Via {
    /// Whether packets come as a stream, where frames are padded to four bytes (RFC 8656 §12.5) and nothing is resent.
    pub fn is_stream(self) -> bool {
        match self {
            Self::Udp(_) => false,
            Self::Tcp(_) | Self::Tls(_) => true,
        }
    }
}

/// A relay socket of one worker; the [`Host`](crate::Host) chooses it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RelayId(pub u32);

/// A worker: one engine, one thread, its own sockets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WorkerId(pub u8);

/// An address that relays are opened on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RelayAddress {
    /// The local address that relay sockets are bound to.
    pub bind: IpAddr,
    /// The address that clients are told, another one where a 1:1 NAT stands in between.
    pub external: IpAddr,
}

/// The time, as the caller reads it once per round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// For deadlines: never goes back.
    pub instant: Instant,
    /// Since 1970 in UTC, for the expiry of credentials and for nonces.
    pub unix: Duration,
}
