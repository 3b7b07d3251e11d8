//! Engine.IO and Socket.IO: packets, payloads, queries, and a whole session in front of the core.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use switchboard_signalling::core::{ClientAddr, Config, ConnId, Core};
use switchboard_signalling::socketio::limits::{PACKET_BYTES, PACKETS_PER_PAYLOAD};
use switchboard_signalling::socketio::{
    Encoding, Message, Output, Packet, Packets, Protocol, Query, Reply, Session, Sid, SocketId,
};
use switchboard_wire::rooms::{ClientMessage, Dialect};

/// Reads `data` as one packet, and as the Socket.IO packet in it: what was read can be written again and says the same.
pub fn packet(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(packet) = Packet::decode(text) {
        let mut written = Vec::new();
        packet.write_to(&mut written);
        let written = String::from_utf8(written).expect("a packet is text");
        assert_eq!(Packet::decode(&written), Ok(packet));
        assert!(text.starts_with(&written), "something was made up");
    }
    if let Ok(message) = Message::decode(text) {
        let written = message.to_string();
        assert_eq!(Message::decode(&written), Ok(message), "{written}");
        assert!(text.ends_with(message.data));
    }
}

/// Reads `data` as a body; the first byte says in which encoding. The packets are bounded in number and size, and joined
/// again in the encoding of Engine.IO 4 they are the same.
pub fn payload(data: &[u8]) {
    let Some((&first, body)) = data.split_first() else { return };
    let encoding = match first % 3 {
        0 => Encoding::Separated,
        1 => Encoding::Counted,
        _ => Encoding::Framed,
    };
    let (mut packets, mut failed) = (Vec::new(), false);
    for packet in Packets::decode(encoding, body) {
        assert!(!failed, "a packet after an error");
        match packet {
            Ok(packet) => packets.push(packet),
            Err(_) => failed = true,
        }
    }
    assert!(packets.len() <= PACKETS_PER_PAYLOAD);
    assert!(packets.len() + usize::from(failed) > 0, "an empty body is an error");

    let mut joined = Vec::new();
    for packet in &packets {
        if !joined.is_empty() {
            joined.push(0x1e);
        }
        let before = joined.len();
        packet.write_to(&mut joined);
        assert!(joined.len() - before <= PACKET_BYTES);
    }
    // Text that holds the separator of the other version cannot be joined with it.
    if !packets.is_empty() && !body.contains(&0x1e) {
        let again: Vec<_> = Packets::decode(Encoding::Separated, &joined).map_while(Result::ok).collect();
        assert_eq!(again, packets);
    }
}

/// Reads `data` as the query of a request.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Query::parse(text) {
        Ok(query) => {
            let known = query.sid.map(|sid| sid.as_str().to_owned());
            assert!(known.is_none_or(|sid| text.contains(&sid)));
            for (get, upgrade) in [(true, true), (true, false), (false, false)] {
                if let Err(fault) = query.opening(get, upgrade) {
                    check_reply(&fault.reply());
                }
            }
        }
        Err(fault) => check_reply(&fault.reply()),
    }
}

fn check_reply(reply: &Reply) {
    assert!([200, 400, 403, 413].contains(&reply.status), "status {}", reply.status);
    if reply.content_type == Some("application/json") {
        serde_json::from_slice::<Value>(&reply.body).expect("JSON that is no JSON");
    }
}

/// Plays `data` to a session as what requests and sockets do, one step a line: the first byte of a line says what
/// happens, the rest is the body or the frame. `|` stands for U+001E.
///
/// A GET is answered only if one waits; frames go to sockets that stand; the session ends once and says nothing after;
/// when its client falls silent it ends by itself, and the core forgets it.
pub fn session(data: &[u8]) {
    let Some((&first, steps)) = data.split_first() else { return };
    let mut run = Run::new(if first % 2 == 0 { Protocol::V4 } else { Protocol::V3 }, first % 4 > 1);
    for line in steps.split(|byte| *byte == b'\n').take(STEPS) {
        if run.closed {
            break;
        }
        run.step(line);
    }
    run.fall_silent();
}

/// More would make a run slow without reaching anything new.
const STEPS: usize = 100;

/// A session, the core behind it, a peer in the core that talks to it, and what the outside knows of it.
struct Run {
    core: Core,
    session: Session,
    conn: ConnId,
    other: ConnId,
    now: Instant,
    waiting: bool,
    posting: bool,
    sockets: Vec<SocketId>,
    closed: bool,
    id: Option<String>,
    room: Option<String>,
}

impl Run {
    fn new(protocol: Protocol, script: bool) -> Self {
        let now = Instant::now();
        let mut core = Core::new(Config::default(), StdRng::seed_from_u64(1));
        let from = |last| ClientAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        let other = core.handle_connect(from(1), Dialect::Switchboard, now).expect("there is room");
        let conn = core.handle_connect(from(2), Dialect::SocketIo, now).expect("there is room");
        let query = if script { "EIO=3&transport=polling&j=0" } else { "EIO=4&transport=polling" };
        let query = Query::parse(query).expect("a query");
        let (session, hello) = Session::open(protocol, &query, Sid::from_random([7; 15]), now);
        let mut run = Self {
            core,
            session,
            conn,
            other,
            now,
            // The GET that begins the session.
            waiting: true,
            posting: false,
            sockets: Vec::new(),
            closed: false,
            id: None,
            room: None,
        };
        run.other_says(r#"{"type":"hello","v":1}"#);
        run.other_says(r#"{"type":"join","room":"abcd"}"#);
        if let Some(hello) = hello {
            // A fuzzer takes no account of the pace.
            let _ = run.core.handle_message(conn, Ok(hello), now);
        }
        run.settle();
        run
    }

    fn step(&mut self, line: &[u8]) {
        let Some((&action, rest)) = line.split_first() else { return };
        match action % 16 {
            0 | 1 => self.get(),
            2..=5 => self.post(rest, action % 16 == 5),
            6 => self.upgrade(),
            7..=9 => self.frame(rest),
            10 => self.socket_closed(rest.is_empty()),
            11 => self.pass_time(Duration::from_millis(40 * rest.len() as u64)),
            12 => self.pass_time(Duration::from_secs(rest.len() as u64)),
            13 => self.other_signals(),
            14 => self.lose(rest.is_empty()),
            _ => self.core.handle_close(self.other, switchboard_signalling::core::Closing::Left, self.now),
        }
        self.settle();
    }

    fn get(&mut self) {
        match self.session.handle_poll(self.now) {
            Ok(()) => {
                assert!(!self.waiting, "two requests wait");
                self.waiting = true;
            }
            Err(reply) => check_reply(&reply),
        }
    }

    fn post(&mut self, body: &[u8], binary: bool) {
        if let Err(reply) = self.session.handle_post(binary) {
            return check_reply(&reply);
        }
        self.posting = true;
        if body == b"..." {
            // The body is still on its way.
            return;
        }
        let body: Vec<u8> = body.iter().map(|byte| if *byte == b'|' { 0x1e } else { *byte }).collect();
        let body = self.fill_in(&body);
        let (core, conn, now) = (&mut self.core, self.conn, self.now);
        let reply = self.session.handle_body(&body, now, |delivery| {
            let _ = delivery.deliver(core, conn, now);
        });
        self.posting = false;
        check_reply(&reply);
    }

    fn upgrade(&mut self) {
        match self.session.handle_upgrade(self.now) {
            Ok(socket) => self.sockets.push(socket),
            Err(fault) => check_reply(&fault.reply()),
        }
    }

    fn frame(&mut self, text: &[u8]) {
        let Some(socket) = self.sockets.last().copied() else { return };
        let text = self.fill_in(text);
        let delivery = match std::str::from_utf8(&text) {
            Ok(text) => self.session.handle_frame(socket, text, self.now),
            Err(_) => self.session.handle_binary_frame(socket, self.now),
        };
        if let Some(delivery) = delivery {
            let _ = delivery.deliver(&mut self.core, self.conn, self.now);
        }
    }

    /// Puts the id of the peer that is there for `@`, and the room that was made for `#`.
    fn fill_in(&self, text: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(text) else { return text.to_vec() };
        let text = text.replace('@', self.id.as_deref().unwrap_or("@"));
        text.replace('#', self.room.as_deref().unwrap_or("abcd")).into_bytes()
    }

    fn socket_closed(&mut self, orderly: bool) {
        if let Some(socket) = self.sockets.pop() {
            self.session.handle_socket_closed(socket, orderly);
        }
    }

    fn lose(&mut self, poll: bool) {
        if poll && self.waiting {
            self.waiting = false;
            self.session.handle_poll_lost();
        } else if self.posting {
            self.posting = false;
            self.session.handle_post_lost();
        }
    }

    fn pass_time(&mut self, time: Duration) {
        self.now += time;
        self.core.handle_timeout(self.now);
        self.session.handle_timeout(self.now);
    }

    fn other_says(&mut self, text: &str) {
        let _ = self.core.handle_message(self.other, ClientMessage::decode(text), self.now);
        self.settle();
    }

    /// The peer that is there offers to everybody whose id it has seen.
    fn other_signals(&mut self) {
        if let Some(id) = self.room.clone().filter(|id| id.len() == 20) {
            self.other_says(&format!(r#"{{"type":"offer","to":"{id}","data":{{"sdp":"v=0"}}}}"#));
        }
    }

    /// Carries what comes out of the core and the session to where it belongs, until nothing does.
    fn settle(&mut self) {
        loop {
            while let Some(output) = self.session.poll_output() {
                self.check(output);
            }
            let Some(output) = self.core.poll_output() else { return };
            match output {
                switchboard_signalling::core::Output::Message { conn, message, .. } if conn == self.conn => {
                    self.session.handle_message(&message);
                }
                switchboard_signalling::core::Output::Directory { conn, message } => {
                    assert_eq!(conn, self.conn, "who holds no name is told of none");
                    self.session.handle_directory(&message);
                }
                switchboard_signalling::core::Output::Probe { .. } => panic!("no name is contested"),
                switchboard_signalling::core::Output::More { .. } => panic!("nothing waits for a name"),
                switchboard_signalling::core::Output::Message { message, .. } => {
                    let mut json = Vec::new();
                    message.write_json(None, &mut json);
                    self.learn(&json);
                }
                switchboard_signalling::core::Output::Event(_) => {}
                switchboard_signalling::core::Output::Close { conn, .. } => {
                    if conn == self.conn {
                        self.session.handle_dismissed(self.now);
                    }
                }
            }
        }
    }

    /// Takes note of the ids that the other peer is told.
    fn learn(&mut self, json: &[u8]) {
        let Ok(json) = serde_json::from_slice::<Value>(json) else { return };
        match json["type"].as_str() {
            Some("welcome") => self.id = json["id"].as_str().map(str::to_owned),
            Some("peer-joined") => self.room = json["peer"]["id"].as_str().map(str::to_owned),
            Some(_) | None => {}
        }
    }

    fn check(&mut self, output: Output) {
        assert!(!self.closed, "{output:?} after the end");
        match output {
            Output::Opened(sid) => assert_eq!(sid, self.session.sid()),
            Output::Poll(reply) => {
                assert!(std::mem::take(&mut self.waiting), "an answer to no request");
                check_reply(&reply);
            }
            Output::Frame { text, .. } => assert!(std::str::from_utf8(&text).is_ok(), "a text frame that is no text"),
            Output::CloseSocket { socket } => self.sockets.retain(|known| *known != socket),
            Output::Closed(reason) => {
                self.closed = true;
                self.core.handle_close(self.conn, reason.closing(), self.now);
            }
        }
    }

    fn fall_silent(&mut self) {
        for _ in 0..10 {
            self.pass_time(Duration::from_secs(60));
            self.settle();
        }
        assert!(self.closed, "the session outlives its client");
        assert!(!self.waiting, "a request was never answered");
        assert!(self.session.poll_timeout().is_none(), "a timer outlives its session");
    }
}
