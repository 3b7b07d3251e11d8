//! The engine, as strangers and as users meet it: one server on made-up sockets, in virtual time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use switchboard_turn::message::{
    Class, Integrity, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer, known,
};
use switchboard_turn::{
    Client, Credentials, Engine, HEADROOM, Host, NatDetection, Now, OpenError, Packet, PeerPolicy, QuotaLimits,
    RelayAddress, RelayId, Secret, Settings, Shared, StaticUser, TAILROOM, Verdict, Via, WorkerId,
};

use super::script::{Script, attributes, peer};

/// More would make a run slow without reaching anything new.
const STEPS: usize = 120;
/// The longest answer to who has shown no password: a challenge, with the fingerprint where the question had one.
const CHALLENGE: usize = 68 + 8;
/// Types of attributes that an answer of 420 repeats, and the head of these.
const UNKNOWN: usize = 4 + 2 * 96;

/// Plays `data` as datagrams and stream frames of somebody who knows no password, wherever they come from.
///
/// Nothing is kept of them and no socket is opened, whatever they send; only requests are answered, with messages that the
/// standard knows and that are no bait for forgers.
pub fn stranger(data: &[u8]) {
    let mut script = Script(data);
    let detects = data.first().is_some_and(|first| first & 0x80 != 0);
    let mut world = if detects { World::detecting() } else { World::new() };
    for step in 0..STEPS {
        if script.is_empty() {
            break;
        }
        let client = world.clients[usize::from(script.byte()) % CLIENTS];
        let packet = match script.byte() % 4 {
            0 => script.bytes().to_vec(),
            1 => channel_data(&mut script),
            kind => world.foreign_request(&mut script, kind == 2, step),
        };
        let event = world.client(client, &packet);
        world.check_stranger(client, &packet, &event);
        let later = world.now.instant + Duration::from_millis(script.byte().into());
        world.pass_until(later);
    }
    assert!(world.sockets.open.is_empty() && world.sockets.opened == 0, "a stranger opened a socket");
    assert_eq!(world.engine.poll_timeout(), None, "something waits for a stranger");
    assert!(world.clients.iter().all(|client| !world.engine.is_allocated(*client)));
}

/// Plays `data` as the packets of users with passwords, their peers, and time.
///
/// Each request is answered once, each answer is signed with the user's key, data goes only where the policy and a
/// permission allow it and arrives as it was sent, and when everything has expired nothing is left.
pub fn user(data: &[u8]) {
    let mut script = Script(data);
    let mut world = World::new();
    for step in 0..STEPS {
        if script.is_empty() {
            break;
        }
        world.step(&mut script, step);
        assert_eq!(world.sockets.open.len() as u64, world.engine.stats().living(), "sockets and allocations differ");
    }
    world.end();
}

const CLIENTS: usize = 4;

/// Who uses which client: two users over UDP, the first one over TCP, and over UDP with SHA-256.
pub(super) const USERS: [(&str, &str); CLIENTS] =
    [("ann", "correct horse"), ("ben", "better battery"), ("ann", "correct horse"), ("ann", "correct horse")];

pub(super) struct World {
    engine: Engine,
    sockets: Sockets,
    began: Instant,
    now: Now,
    pub(super) clients: [Client; CLIENTS],
    nonces: [String; CLIENTS],
    policy: Arc<PeerPolicy>,
    token: [u8; 8],
    /// The second address, where NATs are detected.
    detection: Option<NatDetection>,
    /// From which listener and to which address the last answer went, where RFC 5780 had it go elsewhere.
    elsewhere: Option<(SocketAddr, SocketAddr)>,
}

/// What an engine made of a packet.
pub(super) enum Event {
    Nothing,
    Reply(Vec<u8>),
    ToPeer(RelayId, SocketAddr, Vec<u8>),
    ToClient(Client, Vec<u8>),
}

#[derive(Default)]
struct Sockets {
    open: BTreeMap<u32, SocketAddr>,
    opened: u32,
    failing: Option<OpenError>,
}

impl Host for Sockets {
    fn open_relay(&mut self, bind: SocketAddr) -> Result<RelayId, OpenError> {
        if let Some(error) = self.failing.take() {
            return Err(error);
        }
        assert!(!self.open.values().any(|open| *open == bind), "a port has two owners");
        self.opened += 1;
        self.open.insert(self.opened, bind);
        Ok(RelayId(self.opened))
    }

    fn close_relay(&mut self, relay: RelayId) {
        assert!(self.open.remove(&relay.0).is_some(), "a socket was closed twice");
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(None)
    }

    /// With a second address, by which strangers detect NATs.
    fn detecting() -> Self {
        let at = |text: &str| text.parse().expect("an address");
        Self::with(Some(NatDetection::new(at("198.41.0.4:3478"), at("198.41.0.5:3479")).expect("two addresses")))
    }

    fn with(detection: Option<NatDetection>) -> Self {
        let ip = |text: &str| text.parse().expect("an address");
        let (v4, v6) = (ip("198.41.0.4"), ip("2a00:1450::7"));
        let policy = PeerPolicy::new(Vec::new(), Vec::new(), vec![v4, v6], false).expect("a policy");
        let policy = Arc::new(policy);
        let secret: Secret = "a secret that has some thirty characters".parse().expect("a secret");
        let users = USERS[..2].iter().map(|(name, password)| StaticUser::new(name, password).expect("a user"));
        let credentials = Credentials::new("turn", secret, None, users.collect()).expect("credentials");
        let relay = |ip| RelayAddress { bind: ip, external: ip };
        let settings = Settings {
            relay_addresses: vec![relay(v4), relay(v6)],
            // So few that they are used up.
            relay_ports: 49_152..=49_157,
            quotas: QuotaLimits { per_user: 3, ..QuotaLimits::default() },
            alternate: detection,
            ..Settings::new(Arc::new(credentials), Arc::clone(&policy))
        };
        let client = |via, remote: &str| Client { via, remote: remote.parse().expect("an address") };
        let began = Instant::now();
        let mut world = Self {
            began,
            engine: Engine::new(WorkerId(0), Shared::new(settings, [1; 32]), [2; 32]),
            sockets: Sockets::default(),
            now: Now { instant: began, unix: Duration::from_secs(1_700_000_000) },
            clients: [
                client(Via::Udp(0), "93.184.216.40:1000"),
                client(Via::Udp(0), "93.184.216.41:1000"),
                client(Via::Tcp(1), "93.184.216.40:1000"),
                client(Via::Udp(1), "[2606:2800::9]:1000"),
            ],
            nonces: Default::default(),
            policy,
            token: [9; 8],
            detection,
            elsewhere: None,
        };
        for slot in 0..CLIENTS {
            world.learn_nonce(slot);
        }
        world
    }

    pub(super) fn learn_nonce(&mut self, slot: usize) {
        let mut packet = Vec::new();
        Writer::new(&mut packet, Class::Request, Method::Refresh, TransactionId([0xee; 12]));
        if let Event::Reply(reply) = self.client(self.clients[slot], &packet) {
            let message = Message::parse(&reply).expect("a message");
            self.nonces[slot] = message.nonce().expect("a nonce").expect("text").to_owned();
        }
    }

    /// A packet of a client. Where there is no second address, answers come from where they were asked for.
    pub(super) fn client(&mut self, client: Client, bytes: &[u8]) -> Event {
        let local = "198.41.0.4:3478".parse().expect("an address");
        self.run(bytes, |world, packet| {
            world.engine.handle_client(client, local, packet, world.now, &mut world.sockets)
        })
    }

    fn run(&mut self, bytes: &[u8], handle: impl FnOnce(&mut Self, &mut Packet<'_>) -> Verdict) -> Event {
        let mut buffer = vec![0xaa; HEADROOM + bytes.len() + TAILROOM];
        let range = HEADROOM..HEADROOM + bytes.len();
        buffer[range.clone()].copy_from_slice(bytes);
        let verdict = handle(self, &mut Packet { buffer: &mut buffer, range: range.clone() });
        match verdict {
            Verdict::Drop => Event::Nothing,
            Verdict::Reply => Event::Reply(self.engine.reply().to_vec()),
            Verdict::ToPeer { relay, peer, payload, .. } => {
                assert!(range.start <= payload.start && payload.end <= range.end, "more than was sent");
                Event::ToPeer(relay, peer, buffer[payload].to_vec())
            }
            Verdict::ToClient { client, packet, .. } => Event::ToClient(client, buffer[packet].to_vec()),
            Verdict::ReplyFrom { local, to } => {
                self.elsewhere = Some((local, to));
                Event::Reply(self.engine.reply().to_vec())
            }
            Verdict::ToWorker { .. } => panic!("there is no second worker"),
        }
    }

    pub(super) fn pass_until(&mut self, end: Instant) {
        while let Some(due) = self.engine.poll_timeout().filter(|due| *due <= end) {
            self.set_time(due);
            self.engine.handle_timeout(self.now, &mut self.sockets);
            assert!(self.engine.poll_timeout().is_none_or(|next| next > due), "something due was not done");
        }
        self.set_time(end);
    }

    /// When the world began.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn nonce(&self, slot: usize) -> &str {
        &self.nonces[slot]
    }

    /// The relay sockets that are open.
    pub(super) fn relayed(&self) -> Vec<(RelayId, SocketAddr)> {
        self.sockets.open.iter().map(|(id, address)| (RelayId(*id), *address)).collect()
    }

    /// A datagram that comes to a relay socket.
    pub(super) fn arrive(&mut self, relay: RelayId, from: SocketAddr, payload: &[u8]) -> Event {
        self.run(payload, |world, packet| world.engine.handle_peer(relay, from, packet, world.now))
    }

    fn set_time(&mut self, instant: Instant) {
        self.now.unix += instant.saturating_duration_since(self.now.instant);
        self.now.instant = self.now.instant.max(instant);
    }

    /// A request without a signature, or with one that no user makes.
    fn foreign_request(&mut self, script: &mut Script<'_>, signed: bool, step: usize) -> Vec<u8> {
        let mut packet = Vec::new();
        let (class, method) = (script.of(&CLASSES), script.of(&METHODS));
        let mut writer = Writer::new(&mut packet, class, method, transaction(step));
        attributes(script, &mut writer, self.token);
        if signed {
            let claim = script.byte();
            let name = if claim & 1 == 0 { "ann" } else { "2000000000:ann" };
            writer.attribute(known::USERNAME, name.as_bytes()).attribute(known::REALM, b"turn");
            writer.attribute(known::NONCE, self.nonces[usize::from(claim >> 6)].as_bytes());
            let key = Key::long_term(PasswordAlgorithm::Md5, name, "turn", "wrong horse");
            writer.integrity(if claim & 2 == 0 { Integrity::Sha1 } else { Integrity::Sha256 }, &key);
        }
        if script.byte() & 1 != 0 {
            writer.fingerprint();
        }
        packet
    }

    /// Whether the last answer went where RFC 5780 lets it: from one of the server's addresses to one of the client's ports.
    fn check_elsewhere(&mut self, client: Client) {
        let Some((local, to)) = self.elsewhere.take() else { return };
        let detection = self.detection.expect("only with a second address");
        assert!(detection.listeners().contains(&local), "an answer from {local}");
        assert_eq!(to.ip(), client.remote.ip(), "an answer to somebody else");
        assert!(to.port() >= 1024 || to == client.remote, "an answer to a service");
        assert!(matches!(client.via, Via::Udp(_)), "a stream went elsewhere");
    }

    fn check_stranger(&mut self, client: Client, packet: &[u8], event: &Event) {
        self.check_elsewhere(client);
        // RESPONSE-ORIGIN and OTHER-ADDRESS, and as much padding as there was.
        let told = if self.detection.is_some() { 24 + packet.len() } else { 0 };
        match event {
            Event::Nothing => {}
            Event::Reply(reply) => {
                let (request, reply_message) = check_answer(packet, reply);
                let (code, length) = (reply_message.error_code(), reply.len());
                assert!(reply_message.integrity().is_none(), "an answer signed for a stranger");
                match reply_message.class() {
                    Class::Success => assert!(request.method() == Method::Binding && length <= 44 + 8 + told),
                    _ if code == Some(420) => {
                        assert!(length <= CHALLENGE + UNKNOWN && length <= 28 + 8 + 4 + packet.len())
                    }
                    _ => assert!(length <= CHALLENGE, "{length} bytes for {} of a stranger", packet.len()),
                }
            }
            Event::ToPeer(..) | Event::ToClient(..) => panic!("data of a stranger was relayed"),
        }
    }

    fn step(&mut self, script: &mut Script<'_>, step: usize) {
        let slot = usize::from(script.byte()) % CLIENTS;
        let client = self.clients[slot];
        match script.byte() % 12 {
            0 => self.pass_until(self.now.instant + Duration::from_secs(u64::from(script.byte()) * 10)),
            1 => self.engine.handle_disconnect(client, self.now, &mut self.sockets),
            2 => self.learn_nonce(slot),
            3 => self.sockets.failing = script.of(&[Some(OpenError::InUse), Some(OpenError::Exhausted), None]),
            4 | 5 => {
                let packet =
                    if script.byte().is_multiple_of(2) { channel_data(script) } else { send(script, step, self.token) };
                let event = self.client(client, &packet);
                self.check_data(&packet, &event);
            }
            6 => {
                let sockets: Vec<u32> = self.sockets.open.keys().copied().collect();
                if !sockets.is_empty() {
                    let (relay, from) = (RelayId(script.of(&sockets)), peer(script));
                    let payload = script.bytes().to_vec();
                    let event = self.arrive(relay, from, &payload);
                    self.check_arrival(&payload, &event);
                }
            }
            _ => self.request(script, slot, step),
        }
    }

    fn request(&mut self, script: &mut Script<'_>, slot: usize, step: usize) {
        let (name, password) = USERS[slot];
        let method = script.of(&METHODS[1..5]);
        let mut packet = Vec::new();
        let mut writer = Writer::new(&mut packet, Class::Request, method, transaction(step));
        // Most requests shall be right, or nothing is reached.
        let kind = script.byte();
        if kind & 1 == 0 {
            right_attributes(script, method, &mut writer);
        }
        if kind & 2 != 0 {
            attributes(script, &mut writer, self.token);
        }
        writer.attribute(known::USERNAME, name.as_bytes()).attribute(known::REALM, b"turn");
        writer.attribute(known::NONCE, self.nonces[slot].as_bytes());
        let (algorithm, integrity) = match slot {
            3 => (PasswordAlgorithm::Sha256, Integrity::Sha256),
            _ => (PasswordAlgorithm::Md5, Integrity::Sha1),
        };
        if algorithm == PasswordAlgorithm::Sha256 {
            writer
                .attribute(known::PASSWORD_ALGORITHMS, &[0, 2, 0, 0])
                .attribute(known::PASSWORD_ALGORITHM, &[0, 2, 0, 0]);
        }
        let key = Key::long_term(algorithm, name, "turn", password);
        writer.integrity(integrity, &key);
        if kind & 4 != 0 {
            writer.fingerprint();
        }
        match self.client(self.clients[slot], &packet) {
            Event::Reply(reply) => {
                let (_, message) = check_answer(&packet, &reply);
                let signed = [Integrity::Sha1, Integrity::Sha256].into_iter().any(|kind| message.verify(kind, &key));
                let unsigned = matches!(message.error_code(), Some(400 | 401 | 438));
                assert!(signed || unsigned, "an answer without a signature: {:?}", message.error_code());
                if let Some(Ok(token)) = message.reservation_token() {
                    self.token = token;
                }
            }
            // The copies of attributes that a fuzzer adds can make the message malformed.
            Event::Nothing => assert!(Message::parse(&packet).is_err(), "a request without an answer"),
            Event::ToPeer(..) | Event::ToClient(..) => panic!("a request was relayed"),
        }
    }

    fn check_data(&self, packet: &[u8], event: &Event) {
        match event {
            Event::Nothing => {}
            Event::Reply(_) => panic!("data was answered"),
            Event::ToPeer(relay, peer, payload) => {
                assert!(self.sockets.open.contains_key(&relay.0), "data through a socket that is closed");
                assert!(self.policy.permits_peer(*peer), "data for {peer}");
                assert!(packet.windows(payload.len().max(1)).any(|part| part == &payload[..]) || payload.is_empty());
            }
            Event::ToClient(client, framed) => {
                let payload = self.unframe(*client, framed);
                assert!(packet.windows(payload.len().max(1)).any(|part| part == &payload[..]) || payload.is_empty());
            }
        }
    }

    fn check_arrival(&self, payload: &[u8], event: &Event) {
        match event {
            Event::Nothing => {}
            Event::ToClient(client, framed) => assert_eq!(self.unframe(*client, framed), payload),
            Event::Reply(_) | Event::ToPeer(..) => panic!("a peer's datagram went astray"),
        }
    }

    /// The payload of what a client is sent.
    fn unframe(&self, client: Client, framed: &[u8]) -> Vec<u8> {
        assert!(self.engine.is_allocated(client), "data for a client without an allocation");
        assert!(!client.via.is_stream() || framed.len().is_multiple_of(4), "a frame that is not padded");
        match Message::parse(framed) {
            Ok(message) => {
                assert_eq!((message.class(), message.method()), (Class::Indication, Method::Data));
                assert!(message.peer().is_some_and(|peer| peer.is_ok()));
                message.attribute(known::DATA).expect("the data").to_vec()
            }
            Err(_) => {
                let (_, range) = switchboard_turn::channel_data::parse(framed).expect("ChannelData");
                framed[range].to_vec()
            }
        }
    }

    fn end(mut self) {
        for client in self.clients.into_iter().filter(|client| client.via.is_stream()) {
            self.engine.handle_disconnect(client, self.now, &mut self.sockets);
        }
        // Longer than any allocation.
        self.pass_until(self.now.instant + Duration::from_secs(7_200));
        assert!(self.sockets.open.is_empty(), "sockets stayed open");
        assert_eq!((self.engine.stats().living(), self.engine.poll_timeout()), (0, None), "something stayed behind");
    }
}

const METHODS: [Method; 7] = [
    Method::Binding,
    Method::Allocate,
    Method::CreatePermission,
    Method::ChannelBind,
    Method::Refresh,
    Method::Send,
    Method::Data,
];
const CLASSES: [Class; 6] =
    [Class::Request, Class::Request, Class::Request, Class::Indication, Class::Success, Class::Error];

fn transaction(step: usize) -> TransactionId {
    TransactionId([step as u8; 12])
}

/// An answer that belongs to the request, as the standard has it.
fn check_answer<'a>(packet: &'a [u8], reply: &'a [u8]) -> (Message<'a>, Message<'a>) {
    let request = Message::parse(packet).expect("an answer to something that is no message");
    let answer = Message::parse(reply).expect("an answer that is no message");
    stun_types::message::Message::from_bytes(reply).expect("an answer for other codecs too");
    assert_eq!(request.class(), Class::Request, "an answer to what is no request");
    assert_eq!((answer.method(), answer.transaction()), (request.method(), request.transaction()));
    assert!(matches!(answer.class(), Class::Success | Class::Error));
    assert_eq!(answer.class() == Class::Error, answer.error_code().is_some());
    assert_eq!(answer.has_fingerprint(), request.has_fingerprint());
    (request, answer)
}

fn channel_data(script: &mut Script<'_>) -> Vec<u8> {
    let [number, length]: [u16; 2] = [script.of(&[0x4000, 0x4001, 0x4fff, 0x5000]), script.byte().into()];
    let payload = script.bytes();
    // Mostly the right length.
    let length = if length < 8 { length } else { payload.len() as u16 };
    let mut packet = switchboard_turn::channel_data::header(number, length).to_vec();
    packet.extend(payload);
    packet
}

fn send(script: &mut Script<'_>, step: usize, token: [u8; 8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let mut writer = Writer::new(&mut packet, Class::Indication, Method::Send, transaction(step));
    writer.peer(peer(script)).attribute(known::DATA, script.bytes());
    attributes(script, &mut writer, token);
    packet
}

/// What a request of this kind must have.
pub(super) fn right_attributes(script: &mut Script<'_>, method: Method, writer: &mut Writer<'_>) {
    match method {
        Method::Allocate => {
            writer.attribute(known::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
        }
        Method::CreatePermission => {
            writer.peer(peer(script));
        }
        Method::ChannelBind => {
            let number: u16 = script.of(&[0x4000, 0x4001, 0x4fff]);
            let [high, low] = number.to_be_bytes();
            writer.attribute(known::CHANNEL_NUMBER, &[high, low, 0, 0]).peer(peer(script));
        }
        Method::Binding | Method::Refresh | Method::Send | Method::Data => {}
    }
}
