//! The list of settings: names, documentation, types with their ranges, flags and defaults.
//!
//! The doc comments are the operator's documentation: they become the comments of `switchboard config`, the help of the
//! flags (their first sentence) and the pages of `docs/config.md`.

use std::net::{Ipv6Addr, SocketAddr};

use switchboard_server::config::{AdminListen, DEFAULT_TURN_TLS_PORT, IceServer, Origins, TurnListen};

use super::ice::{Credential, IceEntry};
use super::keys::settings;
use super::log::{LogFilter, LogFormat};
use super::net::{Addr, AdminAddr, ListenAddr, Network, PageOrigin, PublicUrl, TurnAddr, TurnTlsAddr};
use super::peerjs::{Mount, PeerKey};
use super::secrets::{FilePath, Hidden, TurnUser};
use super::turn::{MinIntegrity, PortRange, Realm, RelaySource};
use super::units::{Count, Size, Span};
use super::value::Setting;

/// A day, in milliseconds.
const DAY: u64 = 86_400_000;
/// How long credentials may be good: a day at most, for who has them can use them so long.
pub(crate) type Lifetime = Span<60_000, DAY>;
/// The largest size: 1 GiB, which no single client should be granted.
const GIB: u64 = 1 << 30;
/// The largest number of things that are counted one by one.
const MANY: u64 = 10_000_000;

settings! {
    /// Where the server is, and whom it trusts.
    struct Main as main, "" {
        /// Where people connect. A port alone means every address of this machine, IPv6 and IPv4; port 0 takes a free one.
        listen (flag "listen"): Vec<ListenAddr> = |server| server.listen.iter().copied().map(Addr).collect();

        /// Where the operator reads `/metrics`, `/healthz` and `/readyz`. Never put it where strangers reach it. A port
        /// alone means loopback. The default gives way if another program has the port; a configured address must be free.
        admin_listen (flag "admin-listen"): Option<AdminAddr> = |server| match server.admin_listen {
            AdminListen::IfFree(address) | AdminListen::At(address) => Some(Addr(address)),
            AdminListen::Off => None,
        };

        /// The URL under which people reach the server, if a proxy stands in front of it. It is printed at the start, and
        /// its origin counts as the server's own.
        public_url (flag "public-url"): Option<PublicUrl> = |server| server.public_url.clone().map(PublicUrl);

        /// Which pages of other origins may use the server: a list such as `["https://example.org"]`, or `"*"` for all.
        /// Programs that are no browsers are always admitted, for they can claim any origin.
        origins (flag "origin"): Vec<PageOrigin> = |server| page_origins(&server.origins);

        /// Proxies whose word on the client's address (`X-Forwarded-For`) is taken. Limits by address count that one.
        trusted_proxies (flag "trusted-proxy"): Vec<Network> =
            |server| server.trusted_proxies.iter().copied().map(Network).collect();

        /// How long the server waits, when it is told to stop, for clients to take their leave. Service managers kill
        /// after 90 s (systemd) or 10 s (Docker), unless they are told otherwise.
        drain_timeout (flag "drain-timeout"): Span<0, 3_600_000> = |server| Span(server.drain_timeout);

        /// QR code of the link for other devices, shown at the start on a terminal that has room for it.
        qr (off "no-qr"): bool = |_| true;

        /// The STUN and TURN servers that pages use to find each other. In the file, one `[[ice_servers]]` table each, at
        /// its end, is easier to read than an array: `urls` (a list), `username`, and `credential` or `credential_file` (the
        /// file's first line). Every client gets to see the credential.
        ice_servers: Vec<IceEntry> = |server| server.ice_servers.iter().map(ice_entry).collect();
    }

    /// STUN and TURN: pages that cannot reach each other directly are relayed. Clients get credentials by themselves; nothing
    /// here has to be set for that, but a firewall may have to let them in (see deploy.md).
    struct Turn as turn, "turn" {
        /// Where STUN and TURN are served, over UDP and TCP alike; `"none"` is nowhere. A port alone means every address of this
        /// machine. The default gives way if another program has the port; a configured address must be free.
        listen (flag "turn-listen"): Option<Vec<TurnAddr>> = |server| match &server.turn.listen {
            TurnListen::IfFree(address) => Some(vec![Addr(*address)]),
            TurnListen::At(addresses) => Some(addresses.iter().copied().map(Addr).collect()),
            TurnListen::Off => None,
        };

        /// Where TURN over TLS is served, if there is a certificate. Networks that let only TLS out often let it out on port 443
        /// alone.
        tls_listen (flag "turn-tls-listen"): Vec<TurnTlsAddr> = |_| vec![Addr(default_tls_addr())];

        /// The certificate for TURN over TLS: a PEM file, the server's own certificate first, then what leads to a root. It has to
        /// be good for the name under which people reach the server.
        certificate (flag "turn-certificate"): Option<FilePath> =
            |server| server.turn.tls.as_ref().map(|tls| FilePath(tls.certificate.clone()));

        /// The private key of the certificate: a PEM file.
        private_key (flag "turn-private-key"): Option<FilePath> =
            |server| server.turn.tls.as_ref().map(|tls| FilePath(tls.private_key.clone()));

        /// The realm of all credentials (RFC 8489). Who uses credentials of the users below may have to type it; changing it
        /// invalidates nothing else. It is in the answer to whoever asks without credentials, also under a forged address: that has
        /// 68 bytes with the default, 76 if asked with FINGERPRINT, and up to 136 with the longest realm, 64 bytes.
        realm: Realm = |server| Realm(server.turn.realm.clone());

        /// The addresses under which relayed clients are reached, at most one of each family for a client. Behind a 1:1 NAT (many
        /// clouds) the public one, a slash, and the machine's own: `"203.0.113.7/10.0.0.4"`. An interface such as `"eth0"` stands for its
        /// addresses. Empty: by itself, the first public address of each family, else a private one, else loopback.
        relay_addresses: Vec<RelaySource> =
            |server| server.turn.relay_addresses.iter().copied().map(RelaySource::Address).collect();

        /// The UDP ports under which relayed clients are reached, one for each allocation.
        relay_ports: PortRange = |server| PortRange(server.turn.relay_ports.clone());

        /// What credentials are signed with: the same on every server that is to accept them, and on coturn
        /// `static-auth-secret`. `"none"` makes a random one at each start, so that a restart invalidates credentials. SIGHUP
        /// reads this setting again; what the last secret signed is then good until it expires.
        secret: Option<Hidden> = |_| None;

        /// A file that holds the secret in its first line, instead of `turn.secret`.
        secret_file: Option<FilePath> = |_| None;

        /// The secret before this one: what it signed is accepted until it expires. Set it for a day when you change the
        /// secret by a restart.
        previous_secret: Option<Hidden> = |_| None;

        /// A file that holds the previous secret in its first line, instead of `turn.previous_secret`.
        previous_secret_file: Option<FilePath> = |_| None;

        /// Users with passwords that do not expire, for software that knows no other kind: `[{ name = "ann", password = "…" }]`.
        users: Vec<TurnUser> = |_| Vec::new();

        /// How long the credentials are good that clients get. Fresh ones come to members of a room well before.
        credential_lifetime: Lifetime = |server| Span(server.turn.credential_lifetime);

        /// How long an allocation lives at most without being refreshed.
        max_allocation_lifetime: Span<600_000, DAY> = |server| Span(server.turn.max_allocation_lifetime);

        /// Networks to which clients may relay although they are special, such as a private one where other servers are.
        /// By default only public addresses are reached, and none of this machine. Ports 0, 19, 53, 123, 161 and 389 are refused
        /// at every address, for services there amplify; 1900 (SSDP) and 11211 (memcached) are not, for a NAT may give these to a peer.
        allow_peers: Vec<Network> = |server| server.turn.allow_peers.iter().copied().map(Network).collect();

        /// Networks to which clients may not relay although they are public.
        deny_peers: Vec<Network> = |server| server.turn.deny_peers.iter().copied().map(Network).collect();

        /// Whether clients may relay to loopback, where the machine's own services are: for development and tests only.
        allow_loopback_peers: bool = |server| server.turn.allow_loopback_peers;

        /// Allocations in all. Each needs a port and an open file.
        allocations: Count<1, MANY> = |server| count(server.turn.limits.allocations);

        /// Allocations of one user; each peer is one user in each room.
        allocations_per_user: Count<1, MANY> = |server| count(server.turn.limits.allocations_per_user);

        /// Allocations of one IPv4 address or IPv6 /64 network. Households, schools and carrier-grade NATs share one.
        allocations_per_address: Count<1, MANY> = |server| count(server.turn.limits.allocations_per_address);

        /// Bytes a second for each allocation and direction; `"none"` is no limit but the network.
        bandwidth: Option<Size<1_024, { 1 << 40 }>> = |server| server.turn.limits.bytes_per_second.map(Size);

        /// Threads that relay; `"none"` is one for each processor.
        workers: Option<Count<1, 64>> = |server| server.turn.workers.map(|workers| Count(workers.get().into()));

        /// A second address, by which clients can find out what kind of NAT they are behind (RFC 5780). Off by default, for it
        /// makes the server answer from where nobody asked, and to ports of a client that did not ask. Pages are told of it as a
        /// second STUN server, so that `/diagnostics` can tell how a router maps ports.
        nat_detection: Option<TurnAddr> = |server| server.turn.nat_detection.map(Addr);

        /// The weakest integrity of messages that is accepted. Browsers know SHA-1 alone.
        min_integrity: MinIntegrity = |server| MinIntegrity(server.turn.min_integrity);

        /// Tokens with which other software may ask for credentials at `/ice` (see protocol/ice.md).
        api_tokens: Vec<Hidden> = |_| Vec::new();
    }

    /// Clients of PeerServer, that is npm `peerjs`: give them this server's `host` and `port`, and `path: "/"` (see
    /// protocol/peerjs.md).
    struct PeerJs as peerjs, "peerjs" {
        /// Where PeerJS clients are served: what they give as `path`. `"/"` leaves the page and everything else where it is. An empty
        /// list is nowhere.
        paths (flag "peerjs-path"): Vec<Mount> = |server| server.peerjs.paths.iter().cloned().map(Mount).collect();

        /// Which keys clients may give. Those of different keys do not meet.
        keys (flag "peerjs-key"): Vec<PeerKey> = |server| server.peerjs.keys.iter().cloned().map(PeerKey).collect();

        /// Whether `listAllPeers()` tells every client the ids of all others with its key.
        allow_discovery: bool = |server| server.peerjs.allow_discovery;

        /// Which pages may be introduced to each other: a list of origins, or `"*"` for all. Those that are listed by name also get
        /// credentials for STUN and TURN at `/ice`; `"*"` here opens no relay.
        origins (flag "peerjs-origin"): Vec<PageOrigin> = |server| page_origins(&server.peerjs.origins);

        /// How long messages wait for a client that is not there, before they are sent back.
        expire_timeout: Span<100, 60_000> = |server| Span(server.peerjs.expire_timeout);

        /// How long a client may give no sign of life before it is dropped.
        alive_timeout: Span<200, DAY> = |server| Span(server.peerjs.alive_timeout);

        /// PeerJS clients of each key at once; `"none"` is no limit but `limits.connections`.
        concurrent_limit: Option<Count<1, MANY>> = |server| server.peerjs.concurrent_limit.map(count);
    }

    /// webrtc-star, the signalling of js-ipfs and js-libp2p pages, at `/socket.io` and `/socket.io-next` (see
    /// protocol/webrtc-star.md).
    struct Star as star, "star" {
        /// Whether it is spoken here.
        enabled: bool = |server| server.star.enabled;

        /// Which pages may speak it, beside those of `origins`: a list, or `"*"` for all.
        origins: Vec<PageOrigin> = |server| page_origins(&server.star.origins);

        /// How often a peer is told of others. Each is told at another moment.
        announce_interval: Span<100, DAY> = |server| Span(server.star.announce_interval);

        /// Addresses that a peer is told at a time, and peers that hear of a newcomer at once. Among more, each gets those that
        /// are new to it and a random choice of the rest.
        announce_most: Count<1, 10_000> = |server| size(server.star.announce_most);

        /// Addresses that a peer is told again, if there are so many that it has heard of already: messages get lost, and
        /// clients forget.
        announce_again: Count<0, 10_000> = |server| size(server.star.announce_again);

        /// Announcements of newcomers a second that are made at once, in all; the others wait for the next interval. 0 is no
        /// limit.
        announce_rate: Count<0, MANY> = |server| count(server.star.announce_rate);

        /// Addresses in all.
        addresses: Count<1, MANY> = |server| size(server.star.addresses);

        /// Addresses of one socket.
        addresses_per_socket: Count<1, 1_000> = |server| size(server.star.addresses_per_socket);

        /// Sockets of one address. One more takes the place of the oldest.
        sockets_per_address: Count<1, 1_000> = |server| size(server.star.sockets_per_address);
    }

    /// Topics for clients of Trystero's WebSocket relay (see protocol/ws-relay.md); no relay of packets, that is `turn`.
    struct Relay as relay, "relay" {
        /// Where it is: what clients give among `relayConfig.urls`. An empty list is nowhere.
        paths (flag "relay-path"): Vec<Mount> = |server| server.relay.paths.iter().cloned().map(Mount).collect();

        /// Which pages may use it: a list of origins, or `"*"` for all.
        origins: Vec<PageOrigin> = |server| page_origins(&server.relay.origins);

        /// Topics in all.
        topics: Count<1, MANY> = |server| size(server.relay.topics);

        /// Topics of one client; each room takes two.
        topics_per_client: Count<1, 10_000> = |server| size(server.relay.topics_per_client);

        /// Subscribers of one topic.
        subscribers: Count<1, 10_000> = |server| size(server.relay.subscribers);
    }

    /// Rooms for clients of matchbox (see protocol/matchbox.md). How many, and how large, is in `limits`.
    struct Matchbox as matchbox, "matchbox" {
        /// Where it is: the name of the room is the next part of the path. `"/"` leaves the page and everything else where it is. An
        /// empty list is nowhere.
        paths (flag "matchbox-path"): Vec<Mount> = |server| server.matchbox.paths.iter().cloned().map(Mount).collect();

        /// Which pages may use it: a list of origins, or `"*"` for all.
        origins: Vec<PageOrigin> = |server| page_origins(&server.matchbox.origins);
    }

    /// What is logged, to standard error. Messages of peers, session descriptions and credentials never are.
    struct Log as log, "log" {
        /// The shape of log lines: `auto` is text on a terminal and JSON elsewhere.
        format (flag "log-format"): LogFormat = |_| LogFormat::Auto;

        /// Which log lines appear: a level, and levels of single modules after commas, as in `RUST_LOG`. SIGHUP reads this
        /// setting again.
        filter (flag "log-filter"): LogFilter = |_| LogFilter::info();
    }

    /// How much of everything. Each limit protects the others from one.
    struct Limits as limits, "limits" {
        /// Sockets in all. 20,000 idle ones cost about 50 MB. Each needs an open file.
        connections: Count<1, MANY> = |server| count(server.limits.connections);

        /// Sockets of one IPv4 address or IPv6 /64 network. Households, schools and carrier-grade NATs share one.
        connections_per_address: Count<1, MANY> = |server| count(server.limits.connections_per_address);

        /// Rooms in all.
        rooms: Count<1, MANY> = |server| size(server.limits.rooms);

        /// Rooms that were made from one IPv4 address or IPv6 /64 network, as long as somebody is in them.
        rooms_per_address: Count<1, MANY> = |server| count(server.limits.rooms_per_address);

        /// Members of one room. In a full mesh each has a connection to every other: 32 make 496.
        room_members: Count<2, 1_000> = |server| size(server.limits.room_members);

        /// Rooms that one peer can be in at a time.
        rooms_per_peer: Count<1, 1_000> = |server| size(server.limits.rooms_per_peer);

        /// Messages a second of one connection; 0 is no limit. Faster senders are read more slowly, nothing is lost.
        messages_per_connection: Count<0, MANY> = |server| count(server.limits.messages_per_connection.per_second);

        /// Messages of one connection at once, before it is slowed down. A negotiation with 31 others is about 400 messages
        /// in its first seconds.
        burst_per_connection: Count<0, MANY> = |server| count(server.limits.messages_per_connection.burst);

        /// Messages a second of one address; 0 is no limit.
        messages_per_address: Count<0, MANY> = |server| count(server.limits.messages_per_address.per_second);

        /// Messages of one address at once, before it is slowed down.
        burst_per_address: Count<0, MANY> = |server| count(server.limits.messages_per_address.burst);

        /// Messages a second in all; 0 is no limit but the processor.
        messages_in_all: Count<0, MANY> = |server| count(server.limits.messages_in_all.per_second);

        /// Messages at once in all.
        burst_in_all: Count<0, MANY> = |server| count(server.limits.messages_in_all.burst);

        /// Bytes that wait for one client to read them. Who lets more wait is dropped. At least one message of the largest
        /// size must fit.
        queue_bytes: Size<65_536, GIB> = |server| Size(server.limits.queue_bytes as u64);

        /// Messages that wait for a peer whose socket is lost.
        away_messages: Count<0, 100_000> = |server| size(server.limits.away_messages);

        /// Bytes that wait for a peer whose socket is lost.
        away_bytes: Size<0, GIB> = |server| Size(server.limits.away_bytes as u64);

        /// How long a peer whose socket is lost keeps its place: a change of network, a tunnel.
        grace: Span<0, DAY> = |server| Span(server.limits.grace);

        /// How long a client of the rooms protocol may take to say hello.
        greeting_timeout: Span<100, 600_000> = |server| Span(server.limits.greeting_timeout);

        /// How long a Socket.IO client may take to connect to the namespace.
        socketio_greeting_timeout: Span<100, 600_000> = |server| Span(server.limits.socketio_greeting_timeout);

        /// How long a socket may be silent before it is pinged. Home routers forget idle connections after 30 s at the
        /// earliest.
        heartbeat: Span<100, DAY> = |server| Span(server.limits.heartbeat);

        /// How long the answer to a ping may take before the socket counts as lost.
        heartbeat_timeout: Span<100, DAY> = |server| Span(server.limits.heartbeat_timeout);

        /// How long a client may take to send the head of a request: slow senders must not hold sockets.
        header_timeout: Span<100, 600_000> = |server| Span(server.limits.header_timeout);

        /// How long a client may take to send the body of a request, or to read an answer.
        body_timeout: Span<100, 3_600_000> = |server| Span(server.limits.body_timeout);
    }
}

/// Used only where there is a certificate.
fn default_tls_addr() -> SocketAddr {
    SocketAddr::from((Ipv6Addr::UNSPECIFIED, DEFAULT_TURN_TLS_PORT))
}

fn page_origins(origins: &Origins) -> Vec<PageOrigin> {
    match origins {
        Origins::Listed(origins) => origins.iter().cloned().map(PageOrigin).collect(),
        Origins::Any => vec![PageOrigin(PageOrigin::ANY.to_owned())],
    }
}

fn count<const MIN: u64>(value: u32) -> Count<MIN, MANY> {
    Count(value.into())
}

fn size<const MIN: u64, const MAX: u64>(value: usize) -> Count<MIN, MAX> {
    Count(value as u64)
}

fn ice_entry(server: &IceServer) -> IceEntry {
    IceEntry {
        urls: server.urls.clone(),
        username: server.username.clone(),
        credential: server.credential.clone().map(Credential::Inline),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::keys::Flag;
    use super::super::value::Secrets;
    use super::*;

    #[test]
    fn defaults_obey_their_own_rules() {
        for key in KEYS {
            let mut raw = Raw::default();
            let shown = (key.show)(&raw, Secrets::Show);
            let value = toml::de::DeValue::parse(&shown).expect("valid TOML");
            assert_eq!((key.set_toml)(&mut raw, &value), Ok(()), "{}", key.path());
            assert_eq!(raw, Raw::default(), "{}", key.path());
        }
    }

    #[test]
    fn names_are_unique() {
        let unique = |names: Vec<String>| {
            let count = names.len();
            assert_eq!(names.into_iter().collect::<BTreeSet<_>>().len(), count);
        };
        unique(KEYS.iter().map(|key| key.path()).collect());
        unique(KEYS.iter().map(|key| key.env()).collect());
        unique(KEYS.iter().filter(|key| key.flag != Flag::None).map(|key| key.usage()).collect());
    }
}
