//! Polling sessions in virtual time: heartbeats to the second, limits to the byte, WebSockets that fail, and what version 1
//! of the client writes.
#![allow(missing_docs)]

use std::time::Duration;

use switchboard_signalling::socketio::limits::{MAX_PAYLOAD, PACKET_BYTES, PACKETS_PER_PAYLOAD, WAITING_BYTES};
use switchboard_signalling::socketio::{
    CloseReason, Delivery, Fault, Output, Protocol, Query, Reply, Session, Sid, SocketId,
};
use switchboard_wire::rooms::{
    ClientMessage, ErrorCode, IceServers, Limits, Request, ServerMessage, Signal, SignalKind, Welcome,
};
use switchboard_wire::{Instant, PeerId};

const PEER: &str = "AAAAAAAAAAAAAAAAAAAA";

/// A session, its clock and what it did.
struct World {
    session: Session,
    now: Instant,
    start: Instant,
}

impl World {
    /// A session whose handshake is done; its effects are drained.
    fn open(protocol: Protocol) -> Self {
        let start = Instant::now();
        let query = Query::parse(match protocol {
            Protocol::V3 => "EIO=3&transport=polling",
            Protocol::V4 => "EIO=4&transport=polling",
        });
        let (session, hello) = Session::open(protocol, &query.expect("valid"), Sid::from_random([1; 15]), start);
        let mut world = Self { session, now: start, start };
        match protocol {
            Protocol::V3 => {
                assert!(matches!(hello.expect("a hello").request, Request::Hello { .. }));
                world.session.handle_message(&welcome());
                assert!(matches!(world.outputs().as_slice(), [Output::Opened(_), Output::Poll(_)]));
            }
            Protocol::V4 => {
                assert!(hello.is_none());
                assert!(world.answer().starts_with("0{"));
            }
        }
        world
    }

    /// A session that is in the namespace, with nothing waiting.
    fn connected(protocol: Protocol) -> Self {
        let mut world = Self::open(protocol);
        if protocol == Protocol::V4 {
            assert_eq!(world.post("40").0.status, 200);
            world.session.handle_message(&welcome());
        }
        world.poll();
        let body = world.answer();
        assert!(body.contains("40"), "{body}");
        world
    }

    /// A session that has moved to a WebSocket.
    fn upgraded() -> (Self, SocketId) {
        let mut world = Self::connected(Protocol::V4);
        let socket = world.upgrade();
        world.frame(socket, "2probe");
        world.frame(socket, "5");
        world.outputs();
        assert!(world.session.on_websocket());
        (world, socket)
    }

    fn pass(&mut self, seconds: u64) -> Vec<Output> {
        self.now += Duration::from_secs(seconds);
        self.tick()
    }

    /// Does what is due, no earlier.
    fn tick(&mut self) -> Vec<Output> {
        if self.session.poll_timeout().is_some_and(|due| due <= self.now) {
            self.session.handle_timeout(self.now);
        }
        self.outputs()
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.session.poll_output()).collect()
    }

    /// The body of the one answer to the GET that waited.
    fn answer(&mut self) -> String {
        match self.outputs().as_slice() {
            [Output::Poll(reply)] => body(reply),
            other => panic!("no single answer: {other:?}"),
        }
    }

    fn poll(&mut self) {
        self.session.handle_poll(self.now).expect("the GET may wait");
    }

    /// Posts a body; counts what came of it for the core, and whether each is in order.
    fn post(&mut self, body: impl AsRef<[u8]>) -> (Reply, Vec<Option<ErrorCode>>) {
        self.session.handle_post(false).expect("the POST is taken");
        let mut delivered = Vec::new();
        let reply = self.session.handle_body(body.as_ref(), self.now, |delivery| {
            let Delivery::Rooms(message) = delivery else { panic!("of another dialect: {delivery:?}") };
            delivered.push(message.err().map(|error| error.code));
        });
        (reply, delivered)
    }

    fn upgrade(&mut self) -> SocketId {
        self.session.handle_upgrade(self.now).expect("a WebSocket is welcome")
    }

    fn frame(&mut self, socket: SocketId, text: &str) -> bool {
        self.session.handle_frame(socket, text, self.now).is_some()
    }

    fn say(&mut self, number: usize) {
        let data = serde_json::value::to_raw_value(&number).expect("JSON");
        let from = PEER.parse().expect("valid");
        self.session.handle_message(&ServerMessage::Signal(Signal { kind: SignalKind::Candidate, from, data }));
    }
}

fn peer() -> PeerId {
    PEER.parse().expect("valid")
}

/// The core's answer to the hello.
fn welcome() -> ServerMessage {
    ServerMessage::Welcome(Box::new(Welcome {
        v: 1,
        id: peer(),
        resume: String::new(),
        resumed: false,
        rooms: Vec::new(),
        ice_servers: IceServers::default(),
        ice_lifetime: None,
        limits: Limits {
            message_bytes: PACKET_BYTES,
            name_chars: 40,
            room_members: 32,
            rooms_per_peer: 8,
            grace: Duration::from_secs(30),
            heartbeat: Duration::from_secs(25),
        },
        server: "switchboard".into(),
    }))
}

fn event(number: usize) -> String {
    format!(r#"42["ice-candidate","{PEER}",{number}]"#)
}

fn body(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).expect("text")
}

fn poll(text: &str) -> Output {
    let content_type = Some("text/plain; charset=UTF-8");
    Output::Poll(Reply { status: 200, content_type, body: text.into() })
}

fn frame(socket: SocketId, text: &str) -> Output {
    Output::Frame { socket, text: text.into() }
}

#[test]
fn server_pings_version_4_at_25_seconds_and_gives_up_20_seconds_later() {
    let mut world = World::connected(Protocol::V4);
    world.poll();
    assert_eq!(world.pass(24), []);
    assert_eq!(world.pass(1), [poll("2")]);
    assert_eq!(world.post("3").0.status, 200);
    world.poll();
    assert_eq!(world.pass(25), [poll("2")]);
    world.poll();
    assert_eq!(world.pass(19), []);
    assert_eq!(world.pass(1), [poll("1"), Output::Closed(CloseReason::PingTimeout)]);
    assert_eq!(world.session.poll_timeout(), None);
}

#[test]
fn version_3_pings_and_is_given_up_after_45_silent_seconds() {
    let mut world = World::connected(Protocol::V3);
    for _ in 0..3 {
        assert_eq!(world.pass(44), []);
        world.poll();
        assert_eq!(world.post("1:2").0.status, 200);
        assert_eq!(world.outputs(), [poll("1:3")]);
    }
    assert_eq!(world.pass(44), []);
    assert_eq!(world.pass(1), [Output::Closed(CloseReason::PingTimeout)]);
}

#[test]
fn who_never_enters_the_namespace_is_given_up_after_45_seconds() {
    let mut world = World::open(Protocol::V4);
    world.poll();
    assert_eq!(world.pass(25), [poll("2")]);
    assert_eq!(world.post("3").0.status, 200);
    assert_eq!(world.pass(19), []);
    assert_eq!(world.pass(1), [Output::Closed(CloseReason::ConnectTimeout)]);
}

#[test]
fn a_poll_that_crosses_the_answer_to_the_probe_is_ended_soon() {
    let mut world = World::connected(Protocol::V4);
    let socket = world.upgrade();
    world.frame(socket, "2probe");
    assert_eq!(world.outputs(), [frame(socket, "3probe")]);
    world.poll();
    assert_eq!(world.outputs(), []);
    world.now = world.session.poll_timeout().expect("a time");
    assert!(world.now - world.start < Duration::from_millis(100));
    assert_eq!(world.tick(), [poll("6")]);
    world.frame(socket, "5");
    assert!(world.session.on_websocket());
}

#[test]
fn a_websocket_that_proves_nothing_is_given_up_after_10_seconds_and_polling_goes_on() {
    let mut world = World::connected(Protocol::V4);
    let socket = world.upgrade();
    assert_eq!(world.session.handle_upgrade(world.now), Err(Fault::BadRequest), "one at a time");
    assert_eq!(world.pass(9), []);
    assert_eq!(world.pass(1), [Output::CloseSocket { socket }]);
    world.say(1);
    world.poll();
    assert_eq!(world.answer(), event(1));
    assert_eq!(world.post(event(2)).1, [None]);
    // What the one that was given up still says is nobody's.
    world.frame(socket, "2probe");
    world.frame(socket, "5");
    assert!(!world.frame(socket, &event(3)));
    assert_eq!(world.outputs(), []);
    assert!(!world.session.on_websocket());
    assert_ne!(world.upgrade(), socket, "another may try");
}

#[test]
fn a_websocket_that_says_something_else_is_given_up_and_polling_goes_on() {
    for text in ["2", "40", "garbage", "", r#"42["create-room"]"#, "6", "1", "3probe"] {
        let mut world = World::connected(Protocol::V4);
        let socket = world.upgrade();
        assert!(!world.frame(socket, text), "{text}");
        assert_eq!(world.outputs(), [Output::CloseSocket { socket }], "{text}");
        world.poll();
        world.say(1);
        assert_eq!(world.answer(), event(1));
    }
}

#[test]
fn a_websocket_that_is_lost_while_it_proves_itself_loses_nothing() {
    for probed in [false, true] {
        for orderly in [false, true] {
            let mut world = World::connected(Protocol::V4);
            let socket = world.upgrade();
            if probed {
                world.frame(socket, "2probe");
                world.outputs();
            }
            world.say(1);
            world.session.handle_socket_closed(socket, orderly);
            assert_eq!(world.outputs(), []);
            world.poll();
            assert_eq!(world.answer(), event(1));
        }
    }
}

#[test]
fn the_end_of_the_websocket_is_the_end_of_the_session() {
    for (orderly, reason) in [(true, CloseReason::Left), (false, CloseReason::TransportLost)] {
        let (mut world, socket) = World::upgraded();
        world.session.handle_socket_closed(socket, orderly);
        assert_eq!(world.outputs(), [Output::Closed(reason)]);
        world.session.handle_socket_closed(socket, orderly);
        assert_eq!(world.outputs(), []);
    }
}

#[test]
fn a_get_and_a_post_at_once_are_as_it_should_be() {
    let mut world = World::connected(Protocol::V4);
    world.session.handle_post(false).expect("a POST");
    world.poll();
    world.say(1);
    assert_eq!(world.answer(), event(1));
    let reply = world.session.handle_body(b"3", world.now, |_| {});
    assert_eq!((reply.status, body(&reply)), (200, "ok".into()));
}

#[test]
fn malformed_packets_end_the_session_after_what_came_before_them() {
    let room = r#"42["create-room"]"#;
    for garbage in ["garbage", "", "4", "42{bad", "42[", "42[]", "9", "\u{1e}", "42[\"disconnect\"]"] {
        let mut world = World::connected(Protocol::V4);
        world.poll();
        let (reply, delivered) = world.post(format!("{room}\u{1e}{garbage}\u{1e}{room}"));
        assert_eq!((reply.status, delivered.len()), (400, 1), "{garbage:?}");
        assert_eq!(world.outputs(), [poll("1"), Output::Closed(CloseReason::Malformed)], "{garbage:?}");
    }
    let mut world = World::connected(Protocol::V4);
    assert_eq!(world.post([b'4', 0xff]).0.status, 400);
    let mut world = World::connected(Protocol::V3);
    assert_eq!(world.post("7:42[]").0.status, 400);
}

#[test]
fn version_4_has_no_binary_bodies() {
    let mut world = World::connected(Protocol::V4);
    assert_eq!(world.session.handle_post(true).expect_err("binary").status, 400);
    assert_eq!(world.outputs(), [Output::Closed(CloseReason::Malformed)]);
}

#[test]
fn a_packet_of_the_largest_size_passes_and_a_larger_one_ends_the_session() {
    let padded = |bytes: usize| {
        let frame = format!(r#"42["ice-candidate","{PEER}",""]"#);
        frame.replace("\"\"]", &format!("\"{}\"]", "x".repeat(bytes - frame.len())))
    };
    let mut world = World::connected(Protocol::V4);
    assert_eq!(world.post(padded(PACKET_BYTES)).1, [None]);
    assert_eq!(world.post(padded(PACKET_BYTES + 1)).0.status, 400);
    assert_eq!(world.outputs(), [Output::Closed(CloseReason::Malformed)]);
    // As many of them as fit into a body are no fault.
    let mut world = World::connected(Protocol::V4);
    let packets = vec![padded(PACKET_BYTES); MAX_PAYLOAD / (PACKET_BYTES + 1)];
    assert_eq!(world.post(packets.join("\u{1e}")).1.len(), packets.len());
}

#[test]
fn a_body_has_at_most_20_000_packets() {
    let mut world = World::connected(Protocol::V4);
    assert_eq!(world.post(vec!["3"; PACKETS_PER_PAYLOAD].join("\u{1e}")).0.status, 200);
    assert_eq!(world.post(vec!["3"; PACKETS_PER_PAYLOAD + 1].join("\u{1e}")).0.status, 400);
    assert_eq!(world.outputs(), [Output::Closed(CloseReason::Malformed)]);
}

#[test]
fn who_does_not_fetch_what_waits_is_given_up() {
    let mut world = World::connected(Protocol::V4);
    let mut waiting = 0;
    let outputs = loop {
        world.say(1);
        match world.outputs() {
            outputs if outputs.is_empty() => waiting += event(1).len(),
            outputs => break outputs,
        }
        assert!(waiting <= WAITING_BYTES);
    };
    assert_eq!(outputs, [Output::Closed(CloseReason::TooSlow)]);
    assert!(waiting + event(1).len() > WAITING_BYTES || waiting / event(1).len() >= 8_192, "{waiting}");
    // The same in many polls is nothing.
    let mut world = World::connected(Protocol::V4);
    for _ in 0..10 {
        for number in 0..1_000 {
            world.say(number);
        }
        world.poll();
        assert_eq!(world.answer().split('\u{1e}').count(), 1_000);
    }
}

#[test]
fn a_dismissed_client_still_fetches_its_last_words() {
    let mut world = World::connected(Protocol::V4);
    world.say(1);
    world.session.handle_dismissed(world.now);
    assert_eq!(world.outputs(), []);
    world.poll();
    let ended = [poll(&format!("{}\u{1e}1", event(1))), Output::Closed(CloseReason::Dismissed)];
    assert_eq!(world.outputs(), ended);
    // Nobody comes for them: they are kept for 30 seconds.
    let mut world = World::connected(Protocol::V4);
    world.session.handle_dismissed(world.now);
    assert_eq!(world.pass(29), []);
    assert_eq!(world.pass(1), [Output::Closed(CloseReason::Dismissed)]);
}

#[test]
fn version_1_on_polling_is_understood_beyond_ascii() {
    let packet = format!(r#"42["rtc-offer","{PEER}","Žluťoučký 😀"]"#);
    let twice: String = packet.bytes().map(char::from).collect();
    for text in [packet, twice] {
        let mut world = World::connected(Protocol::V3);
        world.session.handle_post(false).expect("a POST");
        let mut heard = Vec::new();
        let body = format!("{}:{text}", text.encode_utf16().count());
        world.session.handle_body(body.as_bytes(), world.now, |delivery| match delivery {
            Delivery::Rooms(Ok(ClientMessage { request: Request::Signal { data, .. }, .. })) => {
                heard.push(data.get().to_owned());
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(heard, ["\"Žluťoučký 😀\""]);
    }
}
