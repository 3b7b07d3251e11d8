//! What the STUN and TURN server is told.

use std::net::{Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use switchboard_turn::{Integrity, RelayAddress, Secret, StaticUser};

/// Port of STUN and TURN over UDP and TCP (RFC 8656 §5).
pub const DEFAULT_TURN_PORT: u16 = 3478;

/// Port of TURN over TLS (RFC 8656 §5).
pub const DEFAULT_TURN_TLS_PORT: u16 = 5349;

/// STUN and TURN: where, for whom, to whom and how much. Default: on port 3478, if it is free, for the server's own
/// clients, with a secret that is new at every start.
#[derive(Clone, Debug)]
pub struct TurnConfig {
    /// Where clients come in over UDP and over TCP. Default: `[::]:3478`, if it is free.
    pub listen: TurnListen,
    /// Where clients come in over TLS; needs [`Self::tls`]. Empty: `[::]:5349` where there is a certificate.
    pub tls_listen: Vec<SocketAddr>,
    /// The certificate for TLS. Default: none, and no TLS.
    pub tls: Option<TlsFiles>,
    /// The realm of every credential (RFC 8489 §9.2). Default: `turn`. Each byte of it is in the answer to everybody who
    /// asks without credentials.
    pub realm: String,
    /// The addresses that relays get, at most one of each family for a client. Default, where empty: by interface, the first
    /// global address of each family; without a global one a private one; without that loopback.
    pub relay_addresses: Vec<RelayAddress>,
    /// The ports that relays get, chosen at random. Default: 49152 to 65535 (RFC 8656 §7.2).
    pub relay_ports: RangeInclusive<u16>,
    /// What time-limited credentials are derived from. Default: none, which is a random one at every start.
    pub secret: Option<Secret>,
    /// A secret whose credentials still count, while [`Self::secret`] replaces it.
    pub previous_secret: Option<Secret>,
    /// Users with passwords that do not expire, for software that knows no other kind. Default: none.
    pub users: Vec<StaticUser>,
    /// How long the credentials that clients get are good. Default 1 h; 1 min to 24 h.
    pub credential_lifetime: Duration,
    /// How long an allocation lives at most without being refreshed. Default 1 h.
    pub max_allocation_lifetime: Duration,
    /// Networks to which clients may relay although they are special or private. Default: none.
    pub allow_peers: Vec<IpNet>,
    /// Networks to which clients may not relay although they are public. Default: none.
    pub deny_peers: Vec<IpNet>,
    /// Whether clients may relay to loopback: for development and tests only. Default: no.
    pub allow_loopback_peers: bool,
    /// How much of everything.
    pub limits: TurnLimits,
    /// How many threads relay. Default, where none: one for each processor.
    pub workers: Option<NonZeroU8>,
    /// A second address for NAT detection (RFC 5780); its port is the alternate port of both addresses. Default: none, for it
    /// lets strangers have answers sent from elsewhere.
    pub nat_detection: Option<SocketAddr>,
    /// The weakest integrity that counts. Default: SHA-1, for browsers know no other.
    pub min_integrity: Integrity,
    /// Bearer tokens with which other software may ask for credentials over HTTP. Default: none.
    pub api_tokens: Vec<String>,
    /// Which system calls move packets.
    pub packet_io: PacketIo,
}

/// Where STUN and TURN over UDP and TCP are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnListen {
    /// There; a port in use is a warning, so that a second server on one machine starts without being configured.
    IfFree(SocketAddr),
    /// There, or the server does not start.
    At(Vec<SocketAddr>),
    /// Nowhere.
    Off,
}

/// A certificate with its key, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The key of the first certificate: PKCS#8, PKCS#1 or SEC1.
    pub private_key: PathBuf,
}

/// How much of TURN. Each limit protects the others from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnLimits {
    /// Allocations in all. Default 4,096: each is a socket; raise the process's limit of open files with it.
    pub allocations: u32,
    /// Allocations of one user. Default 256: a peer of a room has up to 31 connections, each with one for each protocol and
    /// family until it settles, and twice as many while it restarts.
    pub allocations_per_user: u32,
    /// Allocations of one IPv4 address or IPv6 /64. Default 1,024: households, schools and carrier-grade NATs share one.
    pub allocations_per_address: u32,
    /// Bytes a second for each allocation and direction. Default: none, the network is the limit.
    pub bytes_per_second: Option<u64>,
    /// TCP and TLS connections in all. Default 4,096.
    pub connections: u32,
    /// TCP and TLS connections of one IPv4 address or IPv6 /64. Default 1,024: as many as allocations.
    pub connections_per_address: u32,
    /// Bytes that wait for one TCP or TLS client to read them, beyond what the kernel holds; the oldest datagrams go first.
    /// Default 256 KiB: 100 ms of 20 Mbit/s.
    pub queue_bytes: usize,
    /// How old a datagram may get while it waits for a TCP or TLS client. Default 100 ms: later it is of no use to a call.
    pub queue_age: Duration,
    /// How long a TLS handshake may take. Default 5 s.
    pub handshake_timeout: Duration,
    /// How long a connection may take to send its first message. Default 10 s.
    pub greeting_timeout: Duration,
    /// How long a connection without an allocation may be idle. Default 30 s.
    pub idle_timeout: Duration,
}

/// Which system calls move packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PacketIo {
    /// What this system is best at: on Linux many packets in one call, elsewhere [`Self::Portable`].
    #[default]
    Native,
    /// One packet in one call, as every system can.
    Portable,
}

impl TurnConfig {
    /// Nowhere to listen.
    pub fn off() -> Self {
        Self { listen: TurnListen::Off, ..Self::default() }
    }
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            listen: TurnListen::IfFree(SocketAddr::from((Ipv6Addr::UNSPECIFIED, DEFAULT_TURN_PORT))),
            tls_listen: Vec::new(),
            tls: None,
            realm: "turn".to_owned(),
            relay_addresses: Vec::new(),
            relay_ports: 49_152..=65_535,
            secret: None,
            previous_secret: None,
            users: Vec::new(),
            credential_lifetime: Duration::from_secs(3600),
            max_allocation_lifetime: Duration::from_secs(3600),
            allow_peers: Vec::new(),
            deny_peers: Vec::new(),
            allow_loopback_peers: false,
            limits: TurnLimits::default(),
            workers: None,
            nat_detection: None,
            min_integrity: Integrity::Sha1,
            api_tokens: Vec::new(),
            packet_io: PacketIo::Native,
        }
    }
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self {
            allocations: 4_096,
            allocations_per_user: 256,
            allocations_per_address: 1_024,
            bytes_per_second: None,
            connections: 4_096,
            connections_per_address: 1_024,
            queue_bytes: 256 * 1024,
            queue_age: Duration::from_millis(100),
            handshake_timeout: Duration::from_secs(5),
            greeting_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
        }
    }
}
