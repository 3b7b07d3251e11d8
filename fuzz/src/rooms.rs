//! The rooms protocol: its messages, and the core behind them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use switchboard_signalling::core::{ClientAddr, Closing, Config, ConnId, Core, Output};
use switchboard_wire::limits::{NAME_BYTES, NAME_CHARS, REFERENCE_BYTES, RESUME_BYTES};
use switchboard_wire::rooms::{ClientMessage, DecodeError, Dialect, Reference, Request};

/// Reads `data` as one text frame of a client.
///
/// What is read keeps the limits and is JSON that can be passed on; what is refused is refused with a sentence that does
/// not quote the input at length.
pub fn message(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ClientMessage::decode(text) {
        Ok(ClientMessage { request, reference }) => {
            check_reference(reference.as_ref());
            check_request(&request, text);
        }
        Err(DecodeError { message, reference, .. }) => {
            check_reference(reference.as_ref());
            assert!(message.ends_with('.'), "no sentence: {message}");
            assert!(message.len() < 300, "a sentence of {} bytes", message.len());
        }
    }
}

fn check_reference(reference: Option<&Reference>) {
    let Some(reference) = reference else { return };
    let json = reference.as_json();
    match (reference, serde_json::from_str(&json).expect("a reference is JSON")) {
        (Reference::Integer(number), Value::Number(read)) => assert_eq!(read.as_i64(), Some(*number)),
        (Reference::Text(text), Value::String(read)) => {
            assert_eq!(read, **text);
            assert!(text.len() <= REFERENCE_BYTES);
        }
        (reference, json) => panic!("{reference:?} became {json}"),
    }
}

fn check_request(request: &Request<'_>, text: &str) {
    match request {
        Request::Signal { data, .. } => {
            assert!(text.contains(data.get()), "the payload was changed");
            // Deep nesting may pass through us; who reads it decides how deep to go.
            assert!(data.get().len() <= text.len());
        }
        Request::Hello { name, resume } => {
            assert!(resume.as_ref().is_none_or(|token| token.len() <= RESUME_BYTES));
            if let Some(name) = name {
                check_name(name.as_str());
            }
        }
        Request::Rename { name } => check_name(name.as_str()),
        Request::JoinGroup { .. } => panic!("only matchbox has words for groups"),
        Request::Join { .. } | Request::Leave { .. } | Request::Ping | Request::Bye => {}
    }
}

fn check_name(name: &str) {
    assert!(name.len() <= NAME_BYTES && name.chars().count() <= NAME_CHARS);
    assert!(!name.chars().any(char::is_control));
}

/// Plays `data` to the core as what sockets do, one step a line: the first byte names the socket and what happens, the
/// rest is the message.
///
/// Every message that comes out is JSON for a socket that stands, nobody hears of a departure of somebody unknown, and
/// when all sockets are gone nothing is left behind.
pub fn session(data: &[u8]) {
    let mut session = Session::new();
    for line in data.split(|byte| *byte == b'\n').take(STEPS) {
        session.step(line);
    }
    session.end();
}

/// More would make a run slow without reaching anything new.
const STEPS: usize = 200;
/// Sockets at once: enough for a room, a stranger and a resume.
const SOCKETS: usize = 4;

/// A core and the sockets that stand.
struct Session {
    core: Core,
    now: Instant,
    sockets: [Option<ConnId>; SOCKETS],
    standing: BTreeSet<ConnId>,
    /// The last resume token that each slot was given: fuzzers guess no 128 bits.
    tokens: [Option<String>; SOCKETS],
    ids: [Option<String>; SOCKETS],
}

impl Session {
    fn new() -> Self {
        let config = Config { rooms: 3, room_members: 3, rooms_per_peer: 2, away_messages: 4, ..Config::default() };
        Self {
            core: Core::new(config, StdRng::seed_from_u64(1)),
            now: Instant::now(),
            sockets: [None; SOCKETS],
            standing: BTreeSet::new(),
            tokens: Default::default(),
            ids: Default::default(),
        }
    }

    fn step(&mut self, line: &[u8]) {
        let Some((&head, rest)) = line.split_first() else { return };
        let slot = usize::from(head) % SOCKETS;
        match head / 4 % 8 {
            0 => self.pass_time(Duration::from_secs(rest.len() as u64)),
            1 => self.close(slot, Closing::Lost),
            2 => self.close(slot, Closing::Left),
            3 => self.close(slot, Closing::Removed),
            4 if rest.len() > 40 => self.core.handle_drain(Duration::from_secs(1)),
            _ => self.say(slot, rest),
        }
        self.listen();
    }

    fn say(&mut self, slot: usize, text: &[u8]) {
        let Some(conn) = self.socket(slot) else { return };
        let Ok(text) = std::str::from_utf8(text) else { return };
        // `$0` stands for the token of slot 0, `@0` for its id.
        let mut text = text.to_owned();
        for slot in 0..SOCKETS {
            text = text.replace(&format!("${slot}"), self.tokens[slot].as_deref().unwrap_or("$"));
            text = text.replace(&format!("@{slot}"), self.ids[slot].as_deref().unwrap_or("@"));
        }
        let pace = self.core.handle_message(conn, ClientMessage::decode(&text), self.now);
        if let Some(resume_at) = pace.resume_at {
            self.now = self.now.max(resume_at);
        }
    }

    /// The socket of a slot, opened if there is none.
    fn socket(&mut self, slot: usize) -> Option<ConnId> {
        if self.sockets[slot].is_none() {
            let from = ClientAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, slot as u8)));
            let dialect = if slot == 3 { Dialect::SocketIo } else { Dialect::Switchboard };
            let conn = self.core.handle_connect(from, dialect, self.now).ok()?;
            self.standing.insert(conn);
            self.sockets[slot] = Some(conn);
        }
        self.sockets[slot]
    }

    fn close(&mut self, slot: usize, closing: Closing) {
        if let Some(conn) = self.sockets[slot].take() {
            self.standing.remove(&conn);
            self.core.handle_close(conn, closing, self.now);
        }
    }

    fn pass_time(&mut self, time: Duration) {
        self.now += time;
        self.core.handle_timeout(self.now);
        assert!(self.core.poll_timeout().is_none_or(|due| due > self.now), "a timer that is due was not handled");
    }

    fn listen(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Message { conn, message, reference } => {
                    assert!(self.standing.contains(&conn), "a message for a socket that is gone");
                    let mut json = Vec::new();
                    message.write_json(reference.as_ref(), &mut json);
                    let json: Value = match serde_json::from_slice(&json) {
                        Ok(json) => json,
                        // A payload may be nested deeper than this reader goes.
                        Err(error) if error.to_string().contains("recursion limit") => continue,
                        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&json)),
                    };
                    self.learn(conn, &json);
                }
                Output::Directory { .. } | Output::Probe { .. } | Output::More { .. } => {
                    unreachable!("nobody here holds names");
                }
                Output::Close { conn, .. } => {
                    assert!(self.standing.remove(&conn), "a socket was closed twice");
                    for socket in &mut self.sockets {
                        if *socket == Some(conn) {
                            *socket = None;
                        }
                    }
                }
                Output::Event(_) => {}
            }
        }
    }

    fn learn(&mut self, conn: ConnId, json: &Value) {
        let Some(slot) = self.sockets.iter().position(|socket| *socket == Some(conn)) else { return };
        if json["type"] == "welcome" {
            self.tokens[slot] = json["resume"].as_str().map(str::to_owned);
            self.ids[slot] = json["id"].as_str().map(str::to_owned);
        }
    }

    fn end(&mut self) {
        for slot in 0..SOCKETS {
            self.close(slot, Closing::Lost);
            self.listen();
        }
        // Longer than any grace period, greeting or debt.
        self.pass_time(Duration::from_secs(3_600));
        self.listen();
        assert_eq!((self.core.room_count(), self.core.peer_count()), (0, 0), "something stayed behind");
    }
}
