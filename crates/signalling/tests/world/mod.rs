//! A core with clients on a virtual network in virtual time.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use switchboard_signalling::core::{ClientAddr, Closing, Config, ConnId, Core, Event, Output, Refusal};
use switchboard_wire::rooms::{
    ClientMessage, Dialect, ErrorCode, GoodbyeCode, Request, ServerMessage, SignalKind, Welcome,
};
use switchboard_wire::{PeerId, RoomId};

pub const ROOM: &str = "aUa62LD8NZ";

pub struct World {
    pub core: Core,
    pub now: Instant,
    inboxes: HashMap<ConnId, Vec<ServerMessage>>,
    pub closed: HashMap<ConnId, GoodbyeCode>,
    /// Who is in which room, by what the host is told.
    pub told: HashSet<(PeerId, RoomId)>,
}

/// A client as its test sees it.
#[derive(Clone, Debug)]
pub struct Client {
    pub conn: ConnId,
    pub id: PeerId,
    pub resume: String,
}

pub fn address(last: u8) -> ClientAddr {
    ClientAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
}

impl World {
    pub fn new(config: Config) -> Self {
        Self::seeded(config, 7)
    }

    pub fn seeded(config: Config, seed: u64) -> Self {
        let core = Core::new(config, StdRng::seed_from_u64(seed));
        Self { core, now: Instant::now(), inboxes: HashMap::new(), closed: HashMap::new(), told: HashSet::new() }
    }

    pub fn connect(&mut self, dialect: Dialect) -> Result<ConnId, Refusal> {
        self.core.handle_connect(address(1), dialect, self.now)
    }

    /// Connects and says hello.
    pub fn client(&mut self) -> Client {
        self.client_of(Dialect::Switchboard)
    }

    pub fn client_of(&mut self, dialect: Dialect) -> Client {
        self.client_from(address(1), dialect)
    }

    pub fn client_from(&mut self, from: ClientAddr, dialect: Dialect) -> Client {
        let conn = self.core.handle_connect(from, dialect, self.now).expect("admitted");
        self.say(conn, r#"{"type":"hello","v":1}"#);
        self.welcomed(conn)
    }

    /// Connects and says hello with a resume token.
    pub fn resume(&mut self, token: &str) -> ConnId {
        let conn = self.connect(Dialect::Switchboard).expect("admitted");
        self.say(conn, &format!(r#"{{"type":"hello","v":1,"resume":"{token}"}}"#));
        conn
    }

    pub fn welcomed(&mut self, conn: ConnId) -> Client {
        let welcome = self.welcome(conn);
        Client { conn, id: welcome.id, resume: welcome.resume }
    }

    pub fn welcome(&mut self, conn: ConnId) -> Welcome {
        match self.next(conn) {
            ServerMessage::Welcome(welcome) => *welcome,
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// A client that is in [`ROOM`], its own `joined` read.
    pub fn member(&mut self) -> Client {
        let client = self.client();
        self.join(&client, ROOM);
        client
    }

    pub fn join(&mut self, client: &Client, room: &str) {
        self.say(client.conn, &format!(r#"{{"type":"join","room":"{room}"}}"#));
        match self.next(client.conn) {
            ServerMessage::Joined { .. } => {}
            other => panic!("not joined but {other:?}"),
        }
    }

    /// Sends one frame; returns when the next may be read.
    pub fn say(&mut self, conn: ConnId, text: &str) -> Option<Instant> {
        let pace = self.core.handle_message(conn, ClientMessage::decode(text), self.now);
        self.deliver();
        pace.resume_at
    }

    pub fn ask(&mut self, conn: ConnId, request: Request<'_>) {
        let _ = self.core.handle_message(conn, Ok(ClientMessage { request, reference: None }), self.now);
        self.deliver();
    }

    pub fn offer(&mut self, from: &Client, to: PeerId, data: &str) -> Option<Instant> {
        self.say(from.conn, &format!(r#"{{"type":"offer","to":"{to}","data":{data}}}"#))
    }

    pub fn close(&mut self, conn: ConnId, closing: Closing) {
        self.core.handle_close(conn, closing, self.now);
        self.deliver();
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
                    assert!(!self.closed.contains_key(&conn), "a message after the close: {message:?}");
                    self.inboxes.entry(conn).or_default().push(message);
                }
                Output::Directory { conn, message } => panic!("{conn:?} holds no name: {message:?}"),
                Output::More { conn } => panic!("{conn:?} holds no name"),
                Output::Probe { conn } => panic!("{conn:?} holds no name"),
                Output::Close { conn, code } => assert_eq!(self.closed.insert(conn, code), None, "closed twice"),
                Output::Event(event) => self.learn(event),
            }
        }
    }

    fn learn(&mut self, event: Event) {
        match event {
            Event::Joined { peer, room, .. } => assert!(self.told.insert((peer, room)), "told twice"),
            Event::Left { peer, room, .. } => assert!(self.told.remove(&(peer, room)), "left without joining"),
            Event::Named { .. } | Event::Unnamed { .. } => {}
        }
    }

    /// Takes everything that waits for the connection.
    pub fn read(&mut self, conn: ConnId) -> Vec<ServerMessage> {
        self.inboxes.remove(&conn).unwrap_or_default()
    }

    /// Takes the one message that waits for the connection.
    pub fn next(&mut self, conn: ConnId) -> ServerMessage {
        let mut messages = self.read(conn);
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.remove(0)
    }

    pub fn error(&mut self, conn: ConnId) -> ErrorCode {
        match self.next(conn) {
            ServerMessage::Error { code, .. } => code,
            other => panic!("no error but {other:?}"),
        }
    }

    pub fn assert_silent(&mut self, conn: ConnId) {
        let messages = self.read(conn);
        assert!(messages.is_empty(), "{messages:?}");
    }
}

pub fn room() -> RoomId {
    ROOM.parse().expect("a room id")
}

/// Each message as JSON, to compare whole conversations at a glance.
pub fn json(messages: &[ServerMessage]) -> Vec<String> {
    let text = |message: &ServerMessage| {
        let mut out = Vec::new();
        message.write_json(None, &mut out);
        String::from_utf8(out).expect("UTF-8")
    };
    messages.iter().map(text).collect()
}

/// The payloads of the offers among `messages`, with their senders.
pub fn offers(messages: &[ServerMessage]) -> Vec<(PeerId, String)> {
    let offer = |message: &ServerMessage| match message {
        ServerMessage::Signal(signal) if signal.kind == SignalKind::Offer => {
            Some((signal.from, signal.data.get().to_owned()))
        }
        _ => None,
    };
    messages.iter().filter_map(offer).collect()
}
