//! The registry of connections, peers and rooms: one for all dialects.
//!
//! Inputs are the `handle_` methods; [`Core::poll_output`] is the one way out and is drained after each of them;
//! [`Core::poll_timeout`] says when [`Core::handle_timeout`] is due. The core knows neither frames nor queues: the shell
//! keeps a bounded queue per connection and reports one that overflows as [`Closing::Removed`].
//!
//! A **connection** is a socket, or what stands for one. A **peer** is who is behind it, and outlives it for the grace
//! period. The protocol is described in `docs/protocol/rooms.md`.

mod address;
mod admission;
mod config;
mod directory;
mod event;
mod greeting;
mod groups;
mod ice;
mod membership;
mod pace;
mod peer;
mod relay;
mod stats;
mod timers;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use switchboard_wire::rooms::{
    ClientMessage, DecodeError, Dialect, ErrorCode, GoodbyeCode, LeaveReason, Reference, Request, ServerMessage,
};
use switchboard_wire::{Instant, PeerId, RoomId};

pub use address::{AddressKey, ClientAddr};
pub use admission::Returning;
pub use config::{Config, Rate};
pub use directory::{DirectoryConfig, NameLimits, WaitingLimits};
pub use event::Event;
pub use ice::{Caller, FixedIce, HostName, IceGrant, IceRequest, IceSource};
pub use pace::Pace;
pub use stats::{ByDialect, Stats};

use address::Addresses;
use admission::Places;
use directory::{Directory, Holding};
use greeting::Hello;
use pace::Meter;
use peer::Peer;
use timers::{Timer, Timers};

/// What a message that could not be read costs, in messages: it is answered with a sentence, and floods of them should
/// slow down sooner than work does.
const MALFORMED_COST: u32 = 10;

/// How long a sender must keep within its rate before it is told again that it does not.
const SLOW_MEMORY: Duration = Duration::from_secs(10);

/// Most digests in one turn of [`Core::handle_timeout`], so that what comes in meanwhile waits no longer than it takes to
/// write these: a few milliseconds for 25 KiB each.
const DIGESTS_AT_ONCE: usize = 32;

/// A map whose keys the core gave out itself: nobody outside can choose keys that collide, so a quick hash will do.
pub type OwnKeys<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Names one connection for as long as the core lives; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(u64);

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Why a connection is not admitted: out of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This address has as many connections as one address may have.
    #[error("Too many connections from this address (the limit is {limit}); close some, or try again later.")]
    AddressFull {
        /// The limit.
        limit: u32,
    },
    /// The server has as many connections as it may have.
    #[error("The server is full ({limit} connections); try again later.")]
    ServerFull {
        /// The limit.
        limit: u32,
    },
    /// The server is about to stop.
    #[error("The server is shutting down; try again in a moment.")]
    Draining,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// In good order: the peer meant to leave.
    Left,
    /// By accident: it may come back.
    Lost,
    /// The server dropped it.
    Removed,
}

/// An effect that the shell carries out.
#[derive(Debug)]
pub enum Output {
    /// Encode this for the connection's dialect and queue it.
    Message {
        /// For whom.
        conn: ConnId,
        /// What.
        message: ServerMessage,
        /// The `ref` of the request that it answers.
        reference: Option<Reference>,
    },
    /// Encode this for the connection's dialect and queue it.
    Directory {
        /// For whom.
        conn: ConnId,
        /// What.
        message: switchboard_wire::directory::Message,
    },
    /// More waits for the client than it was given: call [`Core::handle_room`] when all that is queued for it is written.
    More {
        /// Whom.
        conn: ConnId,
    },
    /// Make the client show that it lives, and report it as [`Core::handle_alive`].
    Probe {
        /// Whom.
        conn: ConnId,
    },
    /// Write what is queued, then close; the core has forgotten the connection.
    Close {
        /// Which.
        conn: ConnId,
        /// The reason; dialects with rooms heard it in a goodbye before.
        code: GoodbyeCode,
    },
    /// Pass this on to the program around, if [`Config::events`] says that it listens.
    Event(Event),
}

/// One socket, or what stands for one.
#[derive(Debug)]
struct Connection {
    address: AddressKey,
    /// It has a place of its own; otherwise one that came back has it.
    counted: bool,
    /// By which name it reached the server.
    host: Option<HostName>,
    dialect: Dialect,
    meter: Meter,
    /// Until when the peer is known to have been too fast; it is told so once for each such time.
    slow_until: Option<Instant>,
    state: Standing,
    /// Its names.
    holding: Holding,
}

/// Whether a connection has said who it is.
#[derive(Clone, Copy, Debug)]
enum Standing {
    /// It must say hello before `deadline`.
    Expected { deadline: Instant },
    /// It holds names, or did, or passed texts on, and need not say hello.
    Introduced,
    /// It speaks for `peer`.
    Greeted {
        peer: PeerId,
        /// The peer was just resumed here and has not yet shown that it received the new token.
        unconfirmed: bool,
    },
}

/// A room that has members.
#[derive(Debug)]
struct Room {
    /// Against whose limit it counts: the address of the peer that made it, whether that one stays or not.
    charged: AddressKey,
    /// In the order they came.
    members: Vec<PeerId>,
    /// Under which id it gathers members, until it is complete; none if it is no group.
    gathers: Option<RoomId>,
}

/// The signalling core.
#[derive(Debug)]
pub struct Core {
    config: Config,
    rng: StdRng,
    next_conn: u64,
    draining: bool,
    connections: OwnKeys<ConnId, Connection>,
    addresses: Addresses,
    places: Places,
    peers: OwnKeys<PeerId, Peer>,
    rooms: HashMap<RoomId, Room>,
    /// The groups that are not complete, by the id under which they gather; each is among `rooms`.
    gathering: HashMap<RoomId, RoomId>,
    directory: Directory,
    meter: Meter,
    timers: Timers,
    outputs: VecDeque<Output>,
    stats: Stats,
}

impl Core {
    /// Makes an empty core; `rng` must be seeded from the operating system in production, for ids and tokens come from
    /// it.
    pub fn new(config: Config, rng: StdRng) -> Self {
        Self {
            config,
            rng,
            next_conn: 0,
            draining: false,
            connections: OwnKeys::default(),
            addresses: Addresses::default(),
            places: Places::default(),
            peers: OwnKeys::default(),
            rooms: HashMap::new(),
            gathering: HashMap::new(),
            directory: Directory::default(),
            meter: Meter::default(),
            timers: Timers::default(),
            outputs: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Acts on one message, or answers that it could not be read; unknown connections are ignored.
    ///
    /// Returns when the next message of this connection may be read: one that sends too much is read more slowly, so that
    /// nothing of it is lost and others are not harmed.
    pub fn handle_message(
        &mut self,
        conn: ConnId,
        message: Result<ClientMessage<'_>, DecodeError>,
        now: Instant,
    ) -> Pace {
        let cost = if message.is_ok() { 1 } else { MALFORMED_COST };
        let pace = self.charge(conn, cost, now);
        match message {
            Ok(ClientMessage { request, reference }) => self.handle_request(conn, request, reference, now),
            Err(error) => self.refuse(conn, error.code, error.message, error.reference),
        }
        pace
    }

    fn handle_request(&mut self, conn: ConnId, request: Request<'_>, reference: Option<Reference>, now: Instant) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let from = connection.address;
        let peer = match &mut connection.state {
            Standing::Greeted { peer, unconfirmed } => {
                let peer = *peer;
                if std::mem::take(unconfirmed)
                    && let Some(peer) = self.peers.get_mut(&peer)
                {
                    peer.previous_token = None;
                }
                peer
            }
            // Its dialect has no such requests.
            Standing::Introduced => return,
            Standing::Expected { deadline } => {
                let deadline = *deadline;
                match request {
                    Request::Hello { name, resume } => {
                        let hello = Hello { conn, deadline, reference, now };
                        self.greet(hello, name, resume.as_deref());
                    }
                    Request::Ping => self.send(conn, ServerMessage::Pong, reference),
                    Request::Bye => self.dismiss(conn, GoodbyeCode::Bye, None),
                    Request::Join { .. }
                    | Request::JoinGroup { .. }
                    | Request::Leave { .. }
                    | Request::Signal { .. }
                    | Request::Rename { .. } => {
                        let message = "Say hello first: {\"type\":\"hello\",\"v\":1}.";
                        self.refuse(conn, ErrorCode::HelloFirst, message, reference);
                    }
                }
                return;
            }
        };
        match request {
            Request::Hello { .. } => {
                let message = "This socket has said hello already; open another one to be another peer.";
                self.refuse(conn, ErrorCode::AlreadyGreeted, message, reference);
            }
            Request::Join { room, if_missing } => {
                let entered = self.enter(peer, from, room, if_missing);
                self.answer_join(conn, peer, entered, reference, now);
            }
            Request::JoinGroup { room, size } => {
                let entered = self.enter_group(peer, from, room, size);
                self.answer_join(conn, peer, entered, reference, now);
            }
            Request::Leave { room } => self.leave(conn, peer, &room, reference),
            Request::Signal { kind, to, data } => self.relay(conn, peer, kind, to, data, reference),
            Request::Rename { name } => self.rename(conn, peer, name, reference),
            Request::Ping => self.send(conn, ServerMessage::Pong, reference),
            Request::Bye => {
                self.depart(peer, LeaveReason::Left);
                self.dismiss(conn, GoodbyeCode::Bye, None);
            }
        }
    }

    /// Takes note that a connection ended; unknown ones, which the core closed itself, are ignored.
    pub fn handle_close(&mut self, conn: ConnId, closing: Closing, now: Instant) {
        let Some(connection) = self.forget(conn, now) else { return };
        let Standing::Greeted { peer, .. } = connection.state else { return };
        match (closing, connection.dialect) {
            (Closing::Left, _) => self.depart(peer, LeaveReason::Left),
            (Closing::Removed, _) => self.depart(peer, LeaveReason::Removed),
            // The rooms sample and matchbox have no way back: a new socket is a new user.
            (Closing::Lost, Dialect::SocketIo | Dialect::PeerJs | Dialect::Relay | Dialect::Matchbox) => {
                self.depart(peer, LeaveReason::Lost);
            }
            (Closing::Lost, Dialect::Switchboard) => self.hold_place(peer, now),
        }
    }

    /// Does what is due: places held too long, hellos that never came, credentials that age, names told and texts
    /// expired; not everything at once if that is a lot, and then [`Self::poll_timeout`] is due still.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut digests = 0;
        while digests < DIGESTS_AT_ONCE
            && let Some(timer) = self.timers.pop_due(now)
        {
            match timer {
                Timer::Greeting(conn) => self.end_greeting(conn, now),
                Timer::Grace(peer) => self.depart(peer, LeaveReason::Lost),
                Timer::Renewal(peer) => self.renew(peer, now),
                Timer::Contest(namespace, name) => self.end_contest(namespace, &name),
                Timer::Expiry(namespace, name) => self.expire(namespace, &name),
                Timer::Digest(conn) => {
                    digests += 1;
                    self.send_digest(conn, now);
                }
                Timer::Address(address) => self.addresses.forget_idle(address, now, &mut self.timers),
            }
        }
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next effect; call until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Says goodbye to everybody and admits nobody any more.
    ///
    /// Clients are told to come back after `retry` to twice that, each another time, so that they do not return as one.
    pub fn handle_drain(&mut self, retry: Duration) {
        use rand::Rng as _;

        self.draining = true;
        self.directory.clear();
        (self.stats.star_peers, self.stats.names) = (0, ByDialect::default());
        let connections: Vec<ConnId> = self.connections.keys().copied().collect();
        for conn in connections {
            let retry = retry + retry.mul_f64(self.rng.random::<f64>());
            self.dismiss(conn, GoodbyeCode::ShuttingDown, Some(retry));
        }
        self.peers.clear();
        self.rooms.clear();
        self.gathering.clear();
        self.addresses.clear();
        self.timers.clear();
    }

    /// The counters so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How many rooms have members.
    pub fn room_count(&self) -> usize {
        self.rooms.len()
    }

    /// How many peers there are, the ones away included.
    pub fn peer_count(&self) -> usize {
        self.peers.len()
    }

    /// Counts a message against the connection, its address and the server; the slowest of the three decides.
    fn charge(&mut self, conn: ConnId, cost: u32, now: Instant) -> Pace {
        let Some(connection) = self.connections.get_mut(&conn) else { return Pace::default() };
        let mut pace = connection.meter.charge(self.config.per_connection, cost, now);
        pace = pace.or_later(self.addresses.charge(connection.address, self.config.per_address, cost, now));
        pace = pace.or_later(self.meter.charge(self.config.in_all, cost, now));
        let newly_slow = pace.resume_at.is_some() && connection.slow_until.is_none_or(|until| until < now);
        if let Some(resume_at) = pace.resume_at {
            connection.slow_until = Some(resume_at + SLOW_MEMORY);
        }
        if newly_slow {
            self.stats.slowed_total += 1;
            if connection.dialect.has_rooms() {
                let message = "Messages come faster than this server allows; it reads on more slowly and loses none.";
                self.refuse(conn, ErrorCode::SlowDown, message, None);
            }
        }
        pace
    }

    fn send(&mut self, conn: ConnId, message: ServerMessage, reference: Option<Reference>) {
        self.outputs.push_back(Output::Message { conn, message, reference });
    }

    fn refuse(
        &mut self,
        conn: ConnId,
        code: ErrorCode,
        message: impl Into<Cow<'static, str>>,
        reference: Option<Reference>,
    ) {
        if self.connections.contains_key(&conn) {
            self.stats.errors_total += 1;
            self.send(conn, ServerMessage::error(code, message), reference);
        }
    }

    /// Says goodbye and closes; a peer behind the connection is the caller's business.
    fn dismiss(&mut self, conn: ConnId, code: GoodbyeCode, retry: Option<Duration>) {
        let Some(mut connection) = self.connections.remove(&conn) else { return };
        self.release(conn, &mut connection, None);
        if connection.dialect.has_rooms() {
            self.send(conn, ServerMessage::goodbye(code, retry), None);
        }
        self.outputs.push_back(Output::Close { conn, code });
    }

    fn forget(&mut self, conn: ConnId, now: Instant) -> Option<Connection> {
        let mut connection = self.connections.remove(&conn)?;
        self.release(conn, &mut connection, Some(now));
        Some(connection)
    }

    /// Gives up a connection that has not said who it is, unless it waits for a name: then it gets the same time again.
    fn end_greeting(&mut self, conn: ConnId, now: Instant) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if connection.holding.awaits_name() {
            let deadline = now + self.config.greeting_timeout(connection.dialect);
            connection.state = Standing::Expected { deadline };
            self.timers.set(deadline, Timer::Greeting(conn));
        } else {
            self.dismiss(conn, GoodbyeCode::HelloTimeout, None);
        }
    }

    /// Gives back what a connection that was just removed held.
    fn release(&mut self, conn: ConnId, connection: &mut Connection, now: Option<Instant>) {
        self.stats.connections[connection.dialect] -= 1;
        if let Standing::Expected { deadline } = connection.state {
            self.timers.unset(deadline, Timer::Greeting(conn));
        }
        self.release_place(conn, connection, now);
        self.release_holding(conn, std::mem::take(&mut connection.holding));
    }
}
