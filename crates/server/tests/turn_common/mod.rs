//! A server that relays over loopback, and clients for each of its protocols.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::num::NonZeroU8;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use switchboard_server::config::{AdminListen, PacketIo, RelayAddress, Secret, TlsFiles, TurnConfig, TurnListen};
use switchboard_server::{Config, Server, SpawnError, TurnAddrs};
use switchboard_turn::client::{
    Allocated, Allocation, Event, Login, Options, RequestId, Strength, Transport, TurnClient,
};
use switchboard_turn::{Credentials, Issued};
use tokio::runtime::Runtime;

/// How long anything may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(10);

/// Both ways of moving packets.
pub const PATHS: [PacketIo; 2] = [PacketIo::Native, PacketIo::Portable];

/// Who allocates in these tests.
pub const USER: &str = "zelda";

pub const REALM: &str = "turn";

pub const SECRET: &[u8] = b"3f9a61b0c2d84e7795d1e0a8b47c6f21";

/// A server of one's own.
pub struct Relay {
    runtime: Runtime,
    server: Option<Server>,
    pub addrs: TurnAddrs,
    certificate: Option<CertificateDer<'static>>,
    _files: Option<tempfile::TempDir>,
}

/// A configuration for tests: every protocol on a free port of loopback, relays on loopback.
pub fn on_loopback() -> TurnConfig {
    let relay = |address| RelayAddress { bind: address, external: address };
    TurnConfig {
        listen: TurnListen::At(vec![
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        ]),
        relay_addresses: vec![relay(Ipv4Addr::LOCALHOST.into()), relay(Ipv6Addr::LOCALHOST.into())],
        // Peers have the relays' address here; their ports, which the kernel chooses, are no relays'.
        relay_ports: 61_000..=65_535,
        secret: Some(Secret::new(SECRET).expect("a strong secret")),
        allow_loopback_peers: true,
        realm: REALM.to_owned(),
        workers: NonZeroU8::new(2),
        ..TurnConfig::default()
    }
}

/// Writes a fresh certificate for `localhost` into a directory.
pub fn certificate(directory: &Path) -> (TlsFiles, CertificateDer<'static>) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
    let files = TlsFiles { certificate: directory.join("certificate.pem"), private_key: directory.join("key.pem") };
    std::fs::write(&files.certificate, pair.cert.pem()).expect("written");
    std::fs::write(&files.private_key, pair.signing_key.serialize_pem()).expect("written");
    (files, pair.cert.der().clone())
}

/// Starts a server with `turn`, or says why not.
pub fn try_spawn(turn: TurnConfig) -> (Runtime, Result<Server, SpawnError>) {
    let runtime = Runtime::new().expect("runtime");
    let admin_listen = AdminListen::At((Ipv4Addr::LOCALHOST, 0).into());
    let server = runtime.block_on(Server::spawn(Config { turn, admin_listen, ..Config::on_loopback() }));
    (runtime, server)
}

impl Relay {
    pub fn spawn() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut TurnConfig)) -> Self {
        let mut config = on_loopback();
        change(&mut config);
        Self::start(config, None, None)
    }

    pub fn with_io(io: PacketIo) -> Self {
        Self::with(|config| config.packet_io = io)
    }

    /// With TLS too.
    pub fn with_tls(change: impl FnOnce(&mut TurnConfig)) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let (files, certificate) = certificate(directory.path());
        let mut config = on_loopback();
        config.tls = Some(files);
        config.tls_listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        change(&mut config);
        Self::start(config, Some(certificate), Some(directory))
    }

    fn start(
        config: TurnConfig,
        certificate: Option<CertificateDer<'static>>,
        files: Option<tempfile::TempDir>,
    ) -> Self {
        let (runtime, server) = try_spawn(config);
        let server = server.expect("the server starts");
        let addrs = server.turn_addrs().clone();
        Self { runtime, server: Some(server), addrs, certificate, _files: files }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("running")
    }

    /// Shuts the server down and waits for its end.
    pub fn stop(mut self) -> Runtime {
        let server = self.server.take().expect("running");
        server.shutdown();
        self.runtime.block_on(async { tokio::time::timeout(SOON, server.join()).await.expect("the end") });
        self.runtime
    }

    /// What the operator sees.
    pub fn metrics(&self) -> String {
        let admin = self.server().admin_addr().expect("a listener for the operator");
        let mut stream = TcpStream::connect(admin).expect("connected");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Drops the server without a word.
    pub fn drop_server(&mut self) {
        let server = self.server.take();
        self.runtime.block_on(async { drop(server) });
    }

    pub fn udp(&self) -> Caller {
        Caller::udp(self.addrs.udp[0])
    }

    pub fn udp6(&self) -> Caller {
        Caller::udp(self.addrs.udp[1])
    }

    pub fn tcp(&self) -> Caller {
        Caller::tcp(self.addrs.tcp[0])
    }

    pub fn tls(&self) -> Caller {
        let certificate = self.certificate.clone().expect("TLS is on");
        Caller::new(Pipe::tls(self.addrs.tls[0], certificate), self.addrs.tls[0], Transport::Stream)
    }
}

/// Credentials as a page gets them.
pub fn credentials(user: &str) -> Issued {
    let secret = Secret::new(SECRET).expect("a strong secret");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let credentials = Credentials::new(REALM, secret, None, Vec::new()).expect("credentials");
    credentials.issue(user, now.as_secs() + 3600).expect("a name")
}

/// What carries a client's packets.
pub enum Pipe {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Pipe {
    pub fn udp(server: SocketAddr) -> Self {
        let any: SocketAddr =
            if server.is_ipv4() { (Ipv4Addr::LOCALHOST, 0).into() } else { (Ipv6Addr::LOCALHOST, 0).into() };
        Self::Udp(UdpSocket::bind(any).expect("socket"))
    }

    pub fn tcp(server: SocketAddr) -> Self {
        Self::Tcp(TcpStream::connect(server).expect("connected"))
    }

    fn tls(server: SocketAddr, certificate: CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("connection");
        Self::Tls(Box::new(StreamOwned::new(connection, TcpStream::connect(server).expect("connected"))))
    }

    pub fn local(&self) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr(),
            Self::Tcp(stream) => stream.local_addr(),
            Self::Tls(stream) => stream.sock.local_addr(),
        }
        .expect("bound")
    }

    pub fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        match self {
            Self::Udp(socket) => socket.send_to(bytes, to).map(|_| ()),
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
        .expect("sent");
    }

    /// None after `timeout`.
    fn receive(&mut self, timeout: Duration) -> io::Result<Option<(SocketAddr, Vec<u8>)>> {
        let mut buffer = vec![0; 70_000];
        let timeout = Some(timeout.max(Duration::from_millis(1)));
        let received = match self {
            Self::Udp(socket) => {
                socket.set_read_timeout(timeout)?;
                socket.recv_from(&mut buffer)
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(timeout)?;
                let from = stream.peer_addr()?;
                stream.read(&mut buffer).map(|length| (length, from))
            }
            Self::Tls(stream) => {
                stream.sock.set_read_timeout(timeout)?;
                let from = stream.sock.peer_addr()?;
                stream.read(&mut buffer).map(|length| (length, from))
            }
        };
        match received {
            Ok((0, _)) if !matches!(self, Self::Udp(_)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((length, from)) => {
                buffer.truncate(length);
                Ok(Some((from, buffer)))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A client.
pub struct Caller {
    pub pipe: Pipe,
    pub turn: TurnClient,
    /// Whether the server has closed the connection.
    pub closed: bool,
    /// Data that came while something else was waited for.
    early: Vec<(SocketAddr, Option<u16>, Vec<u8>)>,
    /// The first relayed address of the last allocation.
    relayed: Option<SocketAddr>,
}

impl Caller {
    pub fn udp(server: SocketAddr) -> Self {
        Self::new(Pipe::udp(server), server, Transport::Datagram)
    }

    pub fn tcp(server: SocketAddr) -> Self {
        Self::new(Pipe::tcp(server), server, Transport::Stream)
    }

    pub fn new(pipe: Pipe, server: SocketAddr, transport: Transport) -> Self {
        let issued = credentials(USER);
        Self::with_login(pipe, server, transport, &issued.username, &issued.password)
    }

    /// With credentials that came from somewhere else.
    pub fn with_login(pipe: Pipe, server: SocketAddr, transport: Transport, username: &str, password: &str) -> Self {
        let login = Login::new(username, password, Strength::AsBrowsers).expect("a login");
        let options = Options { login: Some(login), ..Options::new(server, transport) };
        Self { pipe, turn: TurnClient::new(options, rand::random()), closed: false, early: Vec::new(), relayed: None }
    }

    /// Sends what waits.
    pub fn flush(&mut self) {
        while let Some(transmit) = self.turn.poll_transmit() {
            self.pipe.send(transmit.to, &transmit.payload);
        }
    }

    /// The next event; none when nothing comes for `timeout`.
    pub fn next_event(&mut self, timeout: Duration) -> Option<Event> {
        let until = Instant::now() + timeout;
        loop {
            self.flush();
            if let Some(event) = self.turn.poll_event() {
                return Some(event);
            }
            let now = Instant::now();
            if now >= until {
                return None;
            }
            let next = self.turn.poll_timeout().unwrap_or(until).min(until);
            match self.pipe.receive(next.saturating_duration_since(now)) {
                Ok(Some((from, bytes))) => self.turn.handle_input(from, &bytes, Instant::now()),
                Ok(None) => self.turn.handle_timeout(Instant::now()),
                Err(_) => {
                    self.closed = true;
                    self.turn.handle_closed();
                    return self.turn.poll_event();
                }
            }
        }
    }

    /// Waits until the server closes the connection; panics if anything else happens.
    pub fn end(&mut self) {
        let event = self.next_event(SOON);
        assert!(event.is_none() && self.closed, "{event:?}");
    }

    /// The answer to a request; panics if it failed.
    pub fn answer(&mut self, request: RequestId) -> Event {
        loop {
            match self.next_event(SOON).expect("an answer") {
                Event::Failed { request: failed, error } if failed == request => panic!("{error}"),
                Event::Data { peer, channel, payload } => self.early.push((peer, channel, payload)),
                Event::Failed { error, .. } => panic!("another request failed: {error}"),
                event => return event,
            }
        }
    }

    pub fn allocate(&mut self, allocation: Allocation) -> Allocated {
        let request = self.turn.allocate(allocation, Instant::now());
        match self.answer(request) {
            Event::Allocated { allocated, .. } => {
                self.relayed = allocated.relayed.first().copied();
                allocated
            }
            event => panic!("{event:?}"),
        }
    }

    /// The relayed address, of an allocation that is made where there is none.
    pub fn relayed(&mut self) -> SocketAddr {
        if self.relayed.is_none() {
            self.allocate(Allocation::default());
        }
        self.relayed.expect("an allocation has an address")
    }

    pub fn permit(&mut self, peers: &[SocketAddr]) {
        let request = self.turn.create_permission(peers, Instant::now());
        assert!(matches!(self.answer(request), Event::Permitted { .. }));
    }

    pub fn channel(&mut self, peer: SocketAddr) -> u16 {
        let request = self.turn.bind_channel(peer, Instant::now());
        match self.answer(request) {
            Event::ChannelBound { channel, .. } => channel,
            event => panic!("{event:?}"),
        }
    }

    pub fn send(&mut self, peer: SocketAddr, payload: &[u8]) {
        self.turn.send(peer, payload).expect("not too large");
        self.flush();
    }

    /// The next datagram from a peer.
    pub fn data(&mut self) -> (SocketAddr, Option<u16>, Vec<u8>) {
        self.data_within(SOON).expect("data")
    }

    /// The next datagram from a peer, if it comes in time.
    pub fn data_within(&mut self, patience: Duration) -> Option<(SocketAddr, Option<u16>, Vec<u8>)> {
        if !self.early.is_empty() {
            return Some(self.early.remove(0));
        }
        match self.next_event(patience)? {
            Event::Data { peer, channel, payload } => Some((peer, channel, payload)),
            event => panic!("{event:?}"),
        }
    }
}

/// A peer on loopback.
pub struct Peer {
    pub socket: UdpSocket,
    pub address: SocketAddr,
}

impl Peer {
    pub fn v4() -> Self {
        Self::bind((Ipv4Addr::LOCALHOST, 0).into())
    }

    pub fn v6() -> Self {
        Self::bind((Ipv6Addr::LOCALHOST, 0).into())
    }

    fn bind(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).expect("socket");
        socket.set_read_timeout(Some(SOON)).expect("timeout");
        let address = socket.local_addr().expect("bound");
        Self { socket, address }
    }

    pub fn receive(&self) -> (SocketAddr, Vec<u8>) {
        let mut buffer = vec![0; 70_000];
        let (length, from) = self.socket.recv_from(&mut buffer).expect("a datagram");
        buffer.truncate(length);
        (from, buffer)
    }

    pub fn send(&self, to: SocketAddr, payload: &[u8]) {
        self.socket.send_to(payload, to).expect("sent");
    }
}

/// Gives a client an allocation, and a channel to a peer of its own: the client, its relayed address, the peer.
pub fn call(mut caller: Caller) -> (Caller, SocketAddr, Peer) {
    let peer = Peer::v4();
    let relayed = caller.allocate(Allocation::default()).relayed[0];
    caller.channel(peer.address);
    (caller, relayed, peer)
}

/// Sends both ways between a client with an allocation and a peer, and checks every byte.
pub fn echo(caller: &mut Caller, relayed: SocketAddr, peer: &Peer) {
    for length in [1, 3, 160, 1200, 1500, 4000] {
        let payload: Vec<u8> = (0..length).map(|index: u32| (index ^ length) as u8).collect();
        caller.send(peer.address, &payload);
        assert_eq!(peer.receive(), (relayed, payload.clone()), "{length} bytes to the peer");
        peer.send(relayed, &payload);
        let (from, _, bytes) = caller.data();
        assert_eq!((from, bytes), (peer.address, payload), "{length} bytes to the client");
    }
}

/// Sends bursts both ways, each of 50 datagrams, and checks order and every byte. `length` gives the length of a datagram
/// by its number.
pub fn bursts(caller: &mut Caller, relayed: SocketAddr, peer: &Peer, rounds: u32, length: fn(u32) -> usize) {
    let payload = |index: u32| [&index.to_be_bytes()[..], &vec![index as u8; length(index)]].concat();
    for round in 0..rounds {
        let batch = round * 50..(round + 1) * 50;
        for index in batch.clone() {
            caller.turn.send(peer.address, &payload(index)).expect("not too large");
        }
        caller.flush();
        for index in batch.clone() {
            assert_eq!(peer.receive(), (relayed, payload(index)));
        }
        for index in batch.clone() {
            peer.send(relayed, &payload(index));
        }
        for index in batch {
            assert_eq!(caller.data().2, payload(index));
        }
    }
}

/// Gives every client an allocation, and has each send to each, to itself too. With channels where `bound` says so.
pub fn each_to_each(callers: &mut [Caller], bound: bool) {
    let relayed: Vec<SocketAddr> = callers.iter_mut().map(Caller::relayed).collect();
    for caller in &mut *callers {
        caller.permit(&relayed);
        for peer in relayed.iter().filter(|_| bound) {
            caller.channel(*peer);
        }
    }
    for from in 0..callers.len() {
        for to in 0..callers.len() {
            let payload = vec![from as u8; 5 + to];
            callers[from].send(relayed[to], &payload);
            let (peer, _, bytes) = callers[to].data();
            assert_eq!((peer, bytes), (relayed[from], payload));
        }
    }
}
