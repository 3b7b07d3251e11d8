//! A server of one or more workers on a virtual network in virtual time, and clients that write their own requests: what the
//! tests of the engine share.

#![allow(dead_code, unreachable_pub, reason = "each test file uses another part")]

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use switchboard_turn::message::{
    Class, Family, Integrity, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer, known,
};
use switchboard_turn::{
    Client, Credentials, Engine, HEADROOM, Host, Now, OpenError, Packet, PeerPolicy, RelayAddress, RelayId, Secret,
    Settings, Shared, StaticUser, TAILROOM, Verdict, Via, WorkerId,
};

pub const RELAY_V4: &str = "203.0.113.7";
pub const RELAY_V6: &str = "2a00:1450::7";
pub const USER: &str = "ann";
pub const PASSWORD: &str = "correct horse battery";
/// Begins in 2023.
pub const EPOCH: u64 = 1_700_000_000;

pub fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub fn udp(remote: &str) -> Client {
    Client { via: Via::Udp(0), remote: at(remote) }
}

/// The sockets of one worker.
#[derive(Default)]
pub struct Sockets {
    next: u32,
    pub open: HashMap<RelayId, SocketAddr>,
    /// Ports that another program has.
    pub taken: HashSet<u16>,
    /// What the next openings fail with.
    pub failing: Option<OpenError>,
    pub opened: Vec<SocketAddr>,
    /// Openings, whatever came of them.
    pub tried: usize,
}

impl Host for Sockets {
    fn open_relay(&mut self, bind: SocketAddr) -> Result<RelayId, OpenError> {
        self.tried += 1;
        if let Some(error) = self.failing {
            return Err(error);
        }
        if self.taken.contains(&bind.port()) || self.open.values().any(|open| *open == bind) {
            return Err(OpenError::InUse);
        }
        let id = RelayId(self.next);
        self.next += 1;
        self.open.insert(id, bind);
        self.opened.push(bind);
        Ok(id)
    }

    fn close_relay(&mut self, relay: RelayId) {
        assert!(self.open.remove(&relay).is_some(), "closed twice: {relay:?}");
    }
}

/// What came out of a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    Nothing,
    Reply(Vec<u8>),
    /// From this listener, to this address.
    ReplyFrom(SocketAddr, SocketAddr, Vec<u8>),
    ToPeer {
        relay: RelayId,
        peer: SocketAddr,
        payload: Vec<u8>,
        dont_fragment: bool,
    },
    ToClient {
        client: Client,
        local: SocketAddr,
        packet: Vec<u8>,
    },
    ToWorker {
        worker: WorkerId,
        relayed: SocketAddr,
        from: SocketAddr,
        payload: Vec<u8>,
    },
}

impl Event {
    /// The answer.
    pub fn reply(self) -> Answer {
        match self {
            Self::Reply(bytes) => Answer(bytes),
            other => panic!("no answer: {other:?}"),
        }
    }

    pub fn into_packet(self) -> Vec<u8> {
        match self {
            Self::ToClient { packet, .. } => packet,
            other => panic!("nothing for a client: {other:?}"),
        }
    }
}

/// An answer, as a client reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer(pub Vec<u8>);

impl Answer {
    pub fn message(&self) -> Message<'_> {
        Message::parse(&self.0).expect("a message")
    }

    /// 0 for success.
    pub fn code(&self) -> u16 {
        match self.message().class() {
            Class::Success => 0,
            Class::Error => self.message().error_code().expect("a code"),
            other => panic!("no answer: {other:?}"),
        }
    }

    pub fn relayed(&self) -> SocketAddr {
        self.message().relayed().next().expect("a relayed address")
    }

    pub fn lifetime(&self) -> u32 {
        self.message().lifetime().expect("a lifetime").expect("four bytes")
    }

    pub fn nonce(&self) -> String {
        self.message().nonce().expect("a nonce").expect("text").to_owned()
    }
}

/// One worker and its sockets.
pub struct Worker {
    pub engine: Engine,
    pub sockets: Sockets,
}

/// A server.
pub struct World {
    pub shared: Arc<Shared>,
    pub workers: Vec<Worker>,
    pub now: Now,
    next_id: u64,
    pub local: SocketAddr,
}

pub fn credentials() -> Arc<Credentials> {
    let secret: Secret = "a secret that has some thirty characters".parse().expect("a strong secret");
    let users = vec![
        StaticUser::new(USER, PASSWORD).expect("a user"),
        StaticUser::new("ben", "another good password").expect("a user"),
    ];
    Arc::new(Credentials::new("turn", secret, None, users).expect("credentials"))
}

pub fn settings() -> Settings {
    let own = vec![at("203.0.113.7:0").ip(), at("[2a00:1450::7]:0").ip()];
    let policy = PeerPolicy::new(Vec::new(), Vec::new(), own, false).expect("a policy");
    let relay = |ip: &str| {
        let ip = ip.parse().expect("an address");
        RelayAddress { bind: ip, external: ip }
    };
    Settings { relay_addresses: vec![relay(RELAY_V4), relay(RELAY_V6)], ..Settings::new(credentials(), policy) }
}

impl World {
    pub fn new() -> Self {
        Self::with(settings())
    }

    pub fn with(settings: Settings) -> Self {
        Self::seeded(7, settings)
    }

    /// With a seed of its own, from which ports and tokens are drawn.
    pub fn seeded(seed: u16, settings: Settings) -> Self {
        let count = settings.workers;
        let [high, low] = seed.to_be_bytes();
        let shared = Shared::new(settings, std::array::from_fn(|place| if place == 0 { high } else { low }));
        let worker = |index| Worker {
            engine: Engine::new(WorkerId(index), Arc::clone(&shared), [index; 32]),
            sockets: Sockets::default(),
        };
        let now = Now { instant: Instant::now(), unix: Duration::from_secs(EPOCH) };
        let workers = (0..count).map(worker).collect();
        Self { shared, workers, now, next_id: 0, local: at("203.0.113.7:3478") }
    }

    pub fn engine(&self) -> &Engine {
        &self.workers[0].engine
    }

    pub fn sockets(&mut self) -> &mut Sockets {
        &mut self.workers[0].sockets
    }

    /// Lets time pass; timers run when they are due, as a shell would run them.
    pub fn pass(&mut self, seconds: u64) {
        let end = self.now.instant + Duration::from_secs(seconds);
        loop {
            let next = self.workers.iter().filter_map(|worker| worker.engine.poll_timeout()).min();
            let next = next.filter(|next| *next <= end).unwrap_or(end).max(self.now.instant);
            self.now.unix += next - self.now.instant;
            self.now.instant = next;
            let mut due = false;
            for worker in &mut self.workers {
                if worker.engine.poll_timeout().is_some_and(|at| at <= next) {
                    worker.engine.handle_timeout(self.now, &mut worker.sockets);
                    due = true;
                }
            }
            if next == end && !due {
                break;
            }
        }
    }

    fn run(
        &mut self,
        worker: usize,
        bytes: &[u8],
        f: impl FnOnce(&mut Worker, &mut Packet<'_>, Now) -> Verdict,
    ) -> Event {
        let mut buffer = vec![0xaa; HEADROOM + bytes.len() + TAILROOM];
        let range = HEADROOM..HEADROOM + bytes.len();
        buffer[range.clone()].copy_from_slice(bytes);
        let mut packet = Packet { buffer: &mut buffer, range };
        let verdict = f(&mut self.workers[worker], &mut packet, self.now);
        match verdict {
            Verdict::Drop => Event::Nothing,
            Verdict::Reply => Event::Reply(self.workers[worker].engine.reply().to_vec()),
            Verdict::ReplyFrom { local, to } => {
                Event::ReplyFrom(local, to, self.workers[worker].engine.reply().to_vec())
            }
            Verdict::ToPeer { relay, peer, payload, dont_fragment } => {
                Event::ToPeer { relay, peer, payload: buffer[payload].to_vec(), dont_fragment }
            }
            Verdict::ToClient { client, local, packet } => {
                Event::ToClient { client, local, packet: buffer[packet].to_vec() }
            }
            Verdict::ToWorker { worker, relayed, from, payload } => {
                Event::ToWorker { worker, relayed, from, payload: buffer[payload].to_vec() }
            }
        }
    }

    /// A packet of a client to the first worker.
    pub fn client(&mut self, client: Client, bytes: &[u8]) -> Event {
        self.client_of(0, client, bytes)
    }

    pub fn client_of(&mut self, worker: usize, client: Client, bytes: &[u8]) -> Event {
        let local = self.local;
        self.run(worker, bytes, |worker, packet, now| {
            worker.engine.handle_client(client, local, packet, now, &mut worker.sockets)
        })
    }

    /// A datagram that comes to a relayed address of the first worker from outside.
    pub fn peer(&mut self, relayed: SocketAddr, peer: &str, bytes: &[u8]) -> Event {
        self.peer_of(0, relayed, peer, bytes)
    }

    pub fn peer_of(&mut self, worker: usize, relayed: SocketAddr, peer: &str, bytes: &[u8]) -> Event {
        let socket = self.workers[worker].sockets.open.iter().find(|(_, bound)| bound.port() == relayed.port());
        let relay = *socket.expect("a relay socket").0;
        let peer = at(peer);
        self.run(worker, bytes, |worker, packet, now| worker.engine.handle_peer(relay, peer, packet, now))
    }

    pub fn hairpin_of(&mut self, worker: usize, relayed: SocketAddr, from: SocketAddr, bytes: &[u8]) -> Event {
        self.run(worker, bytes, |worker, packet, now| worker.engine.handle_hairpin(relayed, from, packet, now))
    }

    pub fn disconnect(&mut self, client: Client) {
        let now = self.now;
        let worker = &mut self.workers[0];
        worker.engine.handle_disconnect(client, now, &mut worker.sockets);
    }

    pub fn id(&mut self) -> TransactionId {
        self.next_id += 1;
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.next_id.to_be_bytes());
        TransactionId(id)
    }

    /// A request without authentication.
    pub fn plain(&mut self, method: Method, fill: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        let id = self.id();
        fill(&mut Writer::new(&mut bytes, Class::Request, method, id));
        bytes
    }

    /// Logs a client in at the first worker: the 401 gives it realm and nonce.
    pub fn log_in(&mut self, client: Client) -> Login {
        self.log_in_at(0, client)
    }

    pub fn log_in_at(&mut self, worker: usize, client: Client) -> Login {
        let request = self.plain(Method::Allocate, |writer| {
            writer.attribute(known::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
        });
        let nonce = self.client_of(worker, client, &request).reply().nonce();
        Login::new(worker, client, nonce)
    }

    /// An allocation of the first worker, with its login.
    /// The first worker begins anew, as after a fault.
    pub fn renew(&mut self) {
        let worker = self.workers.remove(0);
        let engine = worker.engine.renew([9; 32], self.now.instant);
        self.workers.insert(0, Worker { engine, sockets: Sockets::default() });
    }

    pub fn allocate(&mut self, client: Client) -> (Login, SocketAddr) {
        self.allocate_at(0, client)
    }

    pub fn allocate_at(&mut self, worker: usize, client: Client) -> (Login, SocketAddr) {
        let login = self.log_in_at(worker, client);
        let answer = login.allocate(self, |_| {});
        assert_eq!(answer.code(), 0, "{answer:?}");
        let relayed = answer.relayed();
        (login, relayed)
    }
}

/// What a client knows after its first request, and how it signs.
#[derive(Clone)]
pub struct Login {
    pub worker: usize,
    pub client: Client,
    pub nonce: String,
    pub username: String,
    pub realm: String,
    pub password: String,
    pub integrity: Integrity,
    pub algorithm: Option<PasswordAlgorithm>,
}

impl Login {
    pub fn new(worker: usize, client: Client, nonce: String) -> Self {
        Self {
            worker,
            client,
            nonce,
            username: USER.to_owned(),
            realm: "turn".to_owned(),
            password: PASSWORD.to_owned(),
            integrity: Integrity::Sha1,
            algorithm: None,
        }
    }

    pub fn named(mut self, username: &str, password: &str) -> Self {
        self.username = username.to_owned();
        self.password = password.to_owned();
        self
    }

    pub fn key(&self) -> Key {
        let algorithm = self.algorithm.unwrap_or(PasswordAlgorithm::Md5);
        Key::long_term(algorithm, &self.username, &self.realm, &self.password)
    }

    /// A signed request.
    pub fn request(&self, id: TransactionId, method: Method, fill: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, Class::Request, method, id);
        fill(&mut writer);
        writer.attribute(known::USERNAME, self.username.as_bytes());
        writer.attribute(known::REALM, self.realm.as_bytes());
        writer.attribute(known::NONCE, self.nonce.as_bytes());
        if let Some(algorithm) = self.algorithm {
            writer.attribute(known::PASSWORD_ALGORITHMS, &[0, 2, 0, 0]);
            writer.attribute(known::PASSWORD_ALGORITHM, &algorithm.value());
        }
        writer.integrity(self.integrity, &self.key());
        bytes
    }

    /// Sends a signed request; a signed answer must be signed with the same key.
    pub fn ask(&self, world: &mut World, method: Method, fill: impl Fn(&mut Writer<'_>)) -> Answer {
        let id = world.id();
        self.ask_as(world, id, method, fill)
    }

    pub fn ask_as(
        &self,
        world: &mut World,
        id: TransactionId,
        method: Method,
        fill: impl Fn(&mut Writer<'_>),
    ) -> Answer {
        let request = self.request(id, method, fill);
        let answer = world.client_of(self.worker, self.client, &request).reply();
        let message = answer.message();
        assert_eq!((message.transaction(), message.method()), (id, method));
        if let Some(kind) = message.integrity() {
            assert_eq!(kind, self.integrity);
            assert!(message.verify(kind, &self.key()), "the answer is signed with another key");
        }
        answer
    }

    pub fn allocate(&self, world: &mut World, fill: impl Fn(&mut Writer<'_>)) -> Answer {
        self.ask(world, Method::Allocate, |writer| {
            writer.attribute(known::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
            fill(writer);
        })
    }

    pub fn refresh(&self, world: &mut World, lifetime: u32) -> Answer {
        self.ask(world, Method::Refresh, |writer| {
            writer.lifetime(lifetime);
        })
    }

    pub fn permit(&self, world: &mut World, peers: &[&str]) -> Answer {
        self.ask(world, Method::CreatePermission, |writer| {
            for peer in peers {
                writer.peer(at(peer));
            }
        })
    }

    pub fn bind(&self, world: &mut World, number: u16, peer: &str) -> Answer {
        self.ask(world, Method::ChannelBind, |writer| {
            let [high, low] = number.to_be_bytes();
            writer.attribute(known::CHANNEL_NUMBER, &[high, low, 0, 0]);
            writer.peer(at(peer));
        })
    }

    /// Sends ChannelData.
    pub fn channel_data(&self, world: &mut World, number: u16, data: &[u8]) -> Event {
        world.client_of(self.worker, self.client, &channel_data(number, data))
    }

    /// Sends a Send indication.
    pub fn send(&self, world: &mut World, peer: &str, data: &[u8]) -> Event {
        let mut bytes = Vec::new();
        let id = world.id();
        let mut writer = Writer::new(&mut bytes, Class::Indication, Method::Send, id);
        writer.peer(at(peer));
        writer.attribute(known::DATA, data);
        world.client_of(self.worker, self.client, &bytes)
    }
}

pub fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

pub fn family(family: Family) -> [u8; 4] {
    [family.code(), 0, 0, 0]
}

/// Peer and data of a Data indication.
pub fn indicated(packet: &[u8]) -> (SocketAddr, Vec<u8>) {
    let message = Message::parse(packet).expect("a message");
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::Data));
    let peer = message.peer().expect("a peer").expect("an address");
    (peer, message.attribute(known::DATA).expect("data").to_vec())
}
