//! A core with clients that hold names, on a virtual network in virtual time.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use switchboard_signalling::core::{ClientAddr, Closing, Config, ConnId, Core, Event, Output, Rate};
use switchboard_wire::Dialect;
use switchboard_wire::directory::{
    Absent, Claim, Malformed, Message, Name, Namespace, Recipients, Request, Secret, Send,
};
use switchboard_wire::rooms::{ClientMessage, GoodbyeCode};

pub const PEERJS: Namespace = Namespace::PeerJs(0);

pub struct Names {
    pub core: Core,
    pub now: Instant,
    inboxes: HashMap<ConnId, Vec<Message>>,
    pub closed: HashMap<ConnId, GoodbyeCode>,
    pub probed: Vec<ConnId>,
    /// Everything told so far, by count.
    pub told: usize,
    /// Clients that do not read, and whether more waits for them.
    slow: HashMap<ConnId, bool>,
    /// Clients of dialects that have no rooms.
    roomless: HashSet<ConnId>,
    /// Who holds what, by what the host is told.
    pub held: HashSet<(ConnId, Namespace, Name)>,
}

pub fn address(last: u8) -> ClientAddr {
    ClientAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
}

pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub fn unlimited() -> Config {
    let rate = Rate { per_second: 0, burst: 0 };
    Config {
        connections: u32::MAX,
        connections_per_address: u32::MAX,
        per_connection: rate,
        per_address: rate,
        in_all: rate,
        ..Config::default()
    }
}

/// A text from one PeerJS client to another.
pub fn call<'a>(from: &str, to: &'a str, text: &'a str) -> Send<'a> {
    Send {
        namespace: PEERJS,
        from: Some(name(from)),
        to: Cow::Borrowed(to),
        text: Cow::Borrowed(text.as_bytes()),
        recipients: Recipients::Latest,
        absent: Absent::Wait,
    }
}

/// A handshake from one webrtc-star peer to another.
pub fn handshake<'a>(from: &str, to: &'a str, text: &'a str) -> Send<'a> {
    Send { namespace: Namespace::Star, absent: Absent::Tell, ..call(from, to, text) }
}

/// A text for all who hold a topic.
pub fn publish<'a>(to: &'a str, text: &'a str) -> Send<'a> {
    Send {
        namespace: Namespace::Topics,
        from: None,
        recipients: Recipients::All,
        absent: Absent::Drop,
        ..call("-", to, text)
    }
}

pub fn held(text: &str) -> Message {
    Message::Held { name: name(text) }
}

pub fn text(text: &str) -> Message {
    Message::Text(Cow::Borrowed(text.as_bytes()).into())
}

pub fn expired(from: &str, to: &str) -> Message {
    Message::Expired { to: to.into(), from: Some(name(from)) }
}

impl Names {
    pub fn new(config: Config) -> Self {
        Self::seeded(config, 7)
    }

    pub fn seeded(config: Config, seed: u64) -> Self {
        let core = Core::new(Config { events: true, ..config }, StdRng::seed_from_u64(seed));
        let (inboxes, closed, probed, slow, roomless, held) = Default::default();
        Self { core, now: Instant::now(), inboxes, closed, probed, told: 0, slow, roomless, held }
    }

    pub fn connect(&mut self, dialect: Dialect) -> ConnId {
        self.connect_from(1, dialect)
    }

    /// Connects from 192.0.2.`last`; who has to say hello does.
    pub fn connect_from(&mut self, last: u8, dialect: Dialect) -> ConnId {
        let conn = self.core.handle_connect(address(last), dialect, self.now).expect("admitted");
        if dialect.has_rooms() {
            let hello = ClientMessage::decode(r#"{"type":"hello","v":1}"#);
            let _ = self.core.handle_message(conn, hello, self.now);
            self.deliver();
        } else {
            self.roomless.insert(conn);
        }
        conn
    }

    /// Does one request; returns when the next may be read.
    pub fn ask(&mut self, conn: ConnId, request: Request<'_>) -> Option<Instant> {
        let pace = self.core.handle_directory(conn, Ok(request), self.now);
        self.deliver();
        pace.resume_at
    }

    pub fn mumble(&mut self, conn: ConnId) -> Option<Instant> {
        let pace = self.core.handle_directory(conn, Err(Malformed("This is no JSON.".into())), self.now);
        self.deliver();
        pace.resume_at
    }

    pub fn claim(&mut self, conn: ConnId, text: &str, secret: &str) {
        let claim = Claim::Exclusive { secret: Secret::new(secret) };
        self.ask(conn, Request::Claim { namespace: PEERJS, name: name(text), claim });
    }

    pub fn share(&mut self, conn: ConnId, namespace: Namespace, text: &str) -> Option<Instant> {
        self.ask(conn, Request::Claim { namespace, name: name(text), claim: Claim::Shared })
    }

    pub fn release(&mut self, conn: ConnId, namespace: Namespace, text: Option<&str>) {
        self.ask(conn, Request::Release { namespace, name: text.map(name) });
    }

    pub fn send(&mut self, conn: ConnId, send: Send<'_>) -> Option<Instant> {
        self.ask(conn, Request::Send(send))
    }

    /// A PeerJS client that holds `id`, its `Held` read.
    pub fn peer(&mut self, id: &str) -> ConnId {
        let conn = self.connect(Dialect::PeerJs);
        self.claim(conn, id, id);
        assert_eq!(self.read(conn), [held(id)]);
        conn
    }

    /// A webrtc-star peer that joined under `address`, its `Held` read.
    pub fn star(&mut self, address: &str) -> ConnId {
        self.star_from(1, address)
    }

    pub fn star_from(&mut self, last: u8, address: &str) -> ConnId {
        let conn = self.connect_from(last, Dialect::SocketIo);
        self.share(conn, Namespace::Star, address);
        assert_eq!(self.read(conn), [held(address)]);
        conn
    }

    /// A client of the relay that subscribed to `topic`, its `Held` read.
    pub fn subscriber(&mut self, topic: &str) -> ConnId {
        let conn = self.connect(Dialect::Relay);
        self.share(conn, Namespace::Topics, topic);
        assert_eq!(self.read(conn), [held(topic)]);
        conn
    }

    pub fn close(&mut self, conn: ConnId, closing: Closing) {
        self.core.handle_close(conn, closing, self.now);
        self.deliver();
    }

    pub fn alive(&mut self, conn: ConnId) {
        self.core.handle_alive(conn);
        self.deliver();
    }

    /// The client reads nothing from now on: what is put out for it stays unwritten.
    pub fn hang(&mut self, conn: ConnId) {
        self.slow.entry(conn).or_default();
    }

    /// The client reads again.
    pub fn go_on(&mut self, conn: ConnId) {
        if self.slow.remove(&conn) == Some(true) {
            self.core.handle_room(conn);
            self.deliver();
        }
    }

    /// Lets time pass, carrying out what falls due at its time.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.core.handle_timeout(self.now);
            self.deliver();
        }
        self.now = end;
    }

    pub fn deliver(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Message { conn, message, .. } => {
                    assert!(
                        !self.roomless.contains(&conn),
                        "a message of rooms for a client that has none: {message:?}"
                    );
                }
                Output::Directory { conn, message } => {
                    assert!(!self.closed.contains_key(&conn), "a message after the close: {message:?}");
                    self.told += 1;
                    self.inboxes.entry(conn).or_default().push(message);
                }
                Output::More { conn } => {
                    assert!(!self.closed.contains_key(&conn), "more after the close");
                    match self.slow.get_mut(&conn) {
                        Some(more) => *more = true,
                        None => self.core.handle_room(conn),
                    }
                }
                Output::Probe { conn } => {
                    assert!(!self.closed.contains_key(&conn), "a probe after the close");
                    self.probed.push(conn);
                }
                Output::Close { conn, code } => assert_eq!(self.closed.insert(conn, code), None, "closed twice"),
                Output::Event(Event::Named { conn, namespace, name }) => {
                    assert!(self.held.insert((conn, namespace, name)), "told twice of one name");
                }
                Output::Event(Event::Unnamed { conn, namespace, name }) => {
                    assert!(self.held.remove(&(conn, namespace, name)), "told of the end of a name without its begin");
                }
                Output::Event(Event::Joined { .. } | Event::Left { .. }) => {}
            }
        }
    }

    /// Takes everything that waits for the connection.
    pub fn read(&mut self, conn: ConnId) -> Vec<Message> {
        self.inboxes.remove(&conn).unwrap_or_default()
    }

    /// Takes the names that the connection was told of, each as often as it was.
    pub fn known(&mut self, conn: ConnId) -> Vec<String> {
        let known = |message: Message| match message {
            Message::Known(names) => names.iter().map(Name::to_string).collect::<Vec<_>>(),
            other => panic!("no names but {other:?}"),
        };
        self.read(conn).into_iter().flat_map(known).collect()
    }

    /// Whether the connection was told of the name; forgets what else it was told.
    pub fn heard_of(&mut self, conn: ConnId, name: &str) -> bool {
        let told = |message: &Message| matches!(message, Message::Known(names) if names.iter().any(|n| &**n == name));
        self.read(conn).iter().any(told)
    }

    /// Forgets everything that was told.
    pub fn forget(&mut self) {
        self.inboxes.clear();
        self.told = 0;
    }
}
