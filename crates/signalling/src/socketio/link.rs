//! What a client says, packet by packet, whatever carries it: heartbeat, CONNECT, events.
//!
//! A session that begins as a WebSocket needs nothing else; one that begins with polling has a
//! [`Session`](super::Session) around its link.

use std::time::Duration;

use switchboard_wire::Instant;
use switchboard_wire::rooms::{ClientMessage, ErrorCode};

use super::event;
use super::handshake::{Sid, Transport, write_open};
use super::limits::{CONNECT_TIMEOUT, NAMESPACE_BYTES, PACKET_BYTES, PING_INTERVAL, PING_TIMEOUT};
use super::message::{Kind, Message};
use super::packet::{Packet, Protocol};
use super::{CloseReason, Delivery};

/// The state of a session that does not depend on its transport.
///
/// A shell that runs a WebSocket session keeps one of these and nothing else of this module for it: less than 64 bytes,
/// no heap. What the core says to the session goes past it, through [`encode`](super::encode).
#[derive(Clone, Debug)]
pub struct Link {
    protocol: Protocol,
    phase: Phase,
    heartbeat: Heartbeat,
}

/// Whether the client is in the namespace.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Its CONNECT is expected before `until`.
    Expected { until: Instant },
    /// It is.
    Connected,
}

/// Who asks for signs of life, and what is due when.
#[derive(Clone, Copy, Debug)]
enum Heartbeat {
    /// Engine.IO 3: the client asks; silence lasts at most `until`.
    Listening { until: Instant },
    /// Engine.IO 4: the server asks at `ping_at`.
    Resting { ping_at: Instant },
    /// Engine.IO 4: the server asked and waits for the answer `until`; other packets may put that off once.
    Asked { until: Instant, put_off: bool },
}

/// What begins a WebSocket session.
#[derive(Clone, Debug)]
pub enum Opening {
    /// The first frame, to be written (Engine.IO 4).
    Send(Vec<u8>),
    /// The hello to give to the core (Engine.IO 3): [`encode`](super::encode) turns the `Welcome` that answers it into the
    /// first frames.
    Greet(ClientMessage<'static>),
}

/// What one packet of the client comes to.
#[derive(Debug)]
pub enum Received<'a> {
    /// Nothing to do.
    Nothing,
    /// Something for the core.
    Deliver(Delivery<'a>),
    /// Something to write.
    Answer(Answer),
}

/// What the server writes of its own accord, one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer(Answered);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answered {
    Ping,
    Pong,
    PongProbe,
    InvalidNamespace(Box<str>),
}

impl Answer {
    /// Appends the packet, the text of one frame.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Answered::Ping => Packet::Ping("").write_to(out),
            Answered::Pong => Packet::Pong("").write_to(out),
            Answered::PongProbe => Packet::Pong("probe").write_to(out),
            Answered::InvalidNamespace(namespace) => {
                let data = r#"{"message":"Invalid namespace"}"#;
                let message = Message { kind: Kind::ConnectError, attachments: 0, namespace, id: None, data };
                Packet::Message(&message.to_string()).write_to(out);
            }
        }
    }
}

impl Link {
    /// Begins a session on a WebSocket; `sid` is for the client's information only.
    pub fn open(protocol: Protocol, sid: Sid, now: Instant) -> (Self, Opening) {
        let (link, hello) = Self::begin(protocol, now);
        let opening = match hello {
            Some(hello) => Opening::Greet(hello),
            None => {
                let mut frame = Vec::new();
                write_open(sid, Transport::WebSocket, &mut frame);
                Opening::Send(frame)
            }
        };
        (link, opening)
    }

    /// Begins a session on any transport; the hello is given to the core at once, if there is one.
    pub(super) fn begin(protocol: Protocol, now: Instant) -> (Self, Option<ClientMessage<'static>>) {
        match protocol {
            Protocol::V3 => {
                let heartbeat = Heartbeat::Listening { until: now + PING_INTERVAL + PING_TIMEOUT };
                // Clients of this version never ask to enter the one namespace: they are in it from the start.
                (Self { protocol, phase: Phase::Connected, heartbeat }, Some(event::hello()))
            }
            Protocol::V4 => {
                let phase = Phase::Expected { until: now + CONNECT_TIMEOUT };
                (Self { protocol, phase, heartbeat: Heartbeat::Resting { ping_at: now + PING_INTERVAL } }, None)
            }
        }
    }

    /// The version that the client speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Takes one text frame of the client's.
    ///
    /// # Errors
    /// The session is over; a WebSocket is closed.
    pub fn handle_frame<'a>(&mut self, text: &'a str, now: Instant) -> Result<Received<'a>, CloseReason> {
        if text.len() > PACKET_BYTES {
            return Err(CloseReason::Malformed);
        }
        self.handle_packet(Packet::decode(text)?, now)
    }

    /// Takes one binary frame of the client's, which none of the protocols has: the core answers with an error.
    ///
    /// # Errors
    /// The session is over.
    pub fn handle_binary_frame(&mut self, now: Instant) -> Result<Received<'static>, CloseReason> {
        self.handle_packet(Packet::Binary(""), now)
    }

    /// Takes one packet of the client's.
    pub(super) fn handle_packet<'a>(&mut self, packet: Packet<'a>, now: Instant) -> Result<Received<'a>, CloseReason> {
        self.heartbeat.on_packet(now);
        match packet {
            Packet::Message(text) => self.handle_message(text),
            Packet::Ping(data) => match self.protocol {
                Protocol::V3 if data == "probe" => Ok(Received::Answer(Answer(Answered::PongProbe))),
                Protocol::V3 => Ok(Received::Answer(Answer(Answered::Pong))),
                Protocol::V4 => Err(CloseReason::Malformed),
            },
            Packet::Pong(_) => match self.protocol {
                Protocol::V3 => Err(CloseReason::Malformed),
                Protocol::V4 => {
                    self.heartbeat = Heartbeat::Resting { ping_at: now + PING_INTERVAL };
                    Ok(Received::Nothing)
                }
            },
            Packet::Binary(_) => self.binary(),
            Packet::Close => Err(CloseReason::Left),
            Packet::Open(_) | Packet::Upgrade | Packet::Noop => Ok(Received::Nothing),
        }
    }

    fn handle_message<'a>(&mut self, text: &'a str) -> Result<Received<'a>, CloseReason> {
        let message = Message::decode(text)?;
        match message.kind {
            Kind::Event => {
                self.entered(&message)?;
                Ok(Received::Deliver(event::decode(message.data)?))
            }
            Kind::Connect => self.connect(&message),
            Kind::Disconnect if message.is_root() => Err(CloseReason::Left),
            Kind::Disconnect | Kind::ConnectError => Err(CloseReason::Malformed),
            Kind::Ack => {
                self.entered(&message)?;
                // Nobody asked for it, so it is nobody's answer.
                Ok(Received::Nothing)
            }
            Kind::BinaryEvent | Kind::BinaryAck => {
                self.entered(&message)?;
                self.binary()
            }
        }
    }

    /// Admits packets that belong to a namespace once the client is in it, as the original does.
    fn entered(&self, message: &Message<'_>) -> Result<(), CloseReason> {
        match self.phase {
            Phase::Connected if message.is_root() => Ok(()),
            Phase::Connected | Phase::Expected { .. } => Err(CloseReason::Malformed),
        }
    }

    fn connect<'a>(&mut self, message: &Message<'a>) -> Result<Received<'a>, CloseReason> {
        // Credentials, an object if present, of a server that asks for none.
        if !message.data.is_empty() && !is_object(message.data) {
            return Err(CloseReason::Malformed);
        }
        if !message.is_root() {
            let namespace = message.path();
            if namespace.len() > NAMESPACE_BYTES {
                return Err(CloseReason::Malformed);
            }
            return Ok(Received::Answer(Answer(Answered::InvalidNamespace(namespace.into()))));
        }
        match (self.protocol, self.phase) {
            (Protocol::V4, Phase::Expected { .. }) => {
                self.phase = Phase::Connected;
                Ok(Received::Deliver(Delivery::Rooms(Ok(event::hello()))))
            }
            (Protocol::V4, Phase::Connected) => Err(CloseReason::Malformed),
            (Protocol::V3, Phase::Expected { .. } | Phase::Connected) => Ok(Received::Nothing),
        }
    }

    fn binary(&self) -> Result<Received<'static>, CloseReason> {
        match self.phase {
            Phase::Connected => Ok(Received::Deliver(event::refused(
                ErrorCode::BinaryFrame,
                "Binary data has no place here; send JSON.",
            ))),
            Phase::Expected { .. } => Err(CloseReason::Malformed),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Instant {
        match self.phase {
            Phase::Expected { until } => until.min(self.heartbeat.due()),
            Phase::Connected => self.heartbeat.due(),
        }
    }

    /// Does what is due: returns a ping to write, or that the client has been silent for too long.
    ///
    /// # Errors
    /// The session is over.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<Option<Answer>, CloseReason> {
        if let Phase::Expected { until } = self.phase
            && now >= until
        {
            return Err(CloseReason::ConnectTimeout);
        }
        if now < self.heartbeat.due() {
            return Ok(None);
        }
        match self.heartbeat {
            Heartbeat::Resting { .. } => {
                self.heartbeat = Heartbeat::Asked { until: now + PING_TIMEOUT, put_off: false };
                Ok(Some(Answer(Answered::Ping)))
            }
            Heartbeat::Listening { .. } | Heartbeat::Asked { .. } => Err(CloseReason::PingTimeout),
        }
    }
}

impl Heartbeat {
    fn due(&self) -> Instant {
        match self {
            Self::Listening { until } | Self::Asked { until, .. } => *until,
            Self::Resting { ping_at } => *ping_at,
        }
    }

    /// Counts any packet as a sign of life, as the original does: once while it waits for an answer, so that a client
    /// that talks but never answers is not kept for ever.
    fn on_packet(&mut self, now: Instant) {
        const SILENCE: Duration = PING_INTERVAL.saturating_add(PING_TIMEOUT);
        match self {
            Self::Listening { until } => *until = now + SILENCE,
            Self::Asked { until, put_off: put_off @ false } => {
                *until = now + PING_TIMEOUT;
                *put_off = true;
            }
            Self::Asked { put_off: true, .. } | Self::Resting { .. } => {}
        }
    }
}

fn is_object(json: &str) -> bool {
    json.trim_ascii_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok()
}

#[cfg(test)]
mod tests {
    use switchboard_wire::rooms::{IfMissing, Request};

    use super::*;

    fn sid() -> Sid {
        Sid::from_random([1; 15])
    }

    fn connected(now: Instant) -> Link {
        let (mut link, _) = Link::open(Protocol::V4, sid(), now);
        assert!(matches!(link.handle_frame("40", now), Ok(Received::Deliver(Delivery::Rooms(Ok(_))))));
        link
    }

    fn answer(received: Result<Received<'_>, CloseReason>) -> String {
        let Ok(Received::Answer(answer)) = received else { panic!("no answer: {received:?}") };
        let mut out = Vec::new();
        answer.write_to(&mut out);
        String::from_utf8(out).expect("text")
    }

    fn ends(protocol: Protocol, frames: &[&str], reason: CloseReason) {
        let now = Instant::now();
        let (mut link, _) = Link::open(protocol, sid(), now);
        let (last, before) = frames.split_last().expect("frames");
        for frame in before {
            assert!(link.handle_frame(frame, now).is_ok(), "{frame}");
        }
        assert_eq!(link.handle_frame(last, now).expect_err(last), reason, "{frames:?}");
    }

    #[test]
    fn is_small_enough_for_a_hundred_thousand() {
        assert!(size_of::<Link>() <= 64, "{}", size_of::<Link>());
    }

    #[test]
    fn delivers_events_after_connect() {
        let now = Instant::now();
        let mut link = connected(now);
        let received = link.handle_frame(r#"420["join-room","aUa62LD8NZ",7]"#, now);
        let Ok(Received::Deliver(Delivery::Rooms(Ok(ClientMessage { request, .. })))) = received else {
            panic!("{received:?}")
        };
        let Request::Join { room: Some(room), if_missing: IfMissing::New } = request else { panic!("{request:?}") };
        assert_eq!(room.as_str(), "aUa62LD8NZ");
        assert!(matches!(
            link.handle_frame(r#"42/,["create-room"]"#, now),
            Ok(Received::Deliver(Delivery::Rooms(Ok(_))))
        ));
        assert!(matches!(link.handle_frame("431[]", now), Ok(Received::Nothing)));
    }

    #[test]
    fn ends_sessions_that_send_garbage() {
        for frame in
            ["", "garbage", "4", "49", "42", "42{bad", "42{}", "42[]", "42[null]", "42[\"connect\"]", "2", "40"]
        {
            ends(Protocol::V4, &["40", frame], CloseReason::Malformed);
        }
        for frame in ["3", "42[", "42/x,[\"a\"]", "44{}", "41/x,"] {
            ends(Protocol::V3, &[frame], CloseReason::Malformed);
        }
        ends(Protocol::V4, &["42[\"create-room\"]"], CloseReason::Malformed);
        ends(Protocol::V4, &["40[]"], CloseReason::Malformed);
        ends(Protocol::V4, &["40/x,", &format!("40/{},", "x".repeat(NAMESPACE_BYTES))], CloseReason::Malformed);
        ends(Protocol::V4, &["40", &format!("42[\"a\",\"{}\"]", "x".repeat(PACKET_BYTES))], CloseReason::Malformed);
        ends(Protocol::V4, &["40", "41"], CloseReason::Left);
        ends(Protocol::V4, &["1"], CloseReason::Left);
        ends(Protocol::V3, &["41"], CloseReason::Left);
    }

    #[test]
    fn refuses_other_namespaces_by_name() {
        let now = Instant::now();
        let (mut link, _) = Link::open(Protocol::V4, sid(), now);
        let expected = r#"44/admin,{"message":"Invalid namespace"}"#;
        assert_eq!(answer(link.handle_frame("40/admin,{\"token\":1}", now)), expected);
        assert_eq!(answer(link.handle_frame("40/admin?a=b", now)), expected);
        assert_eq!(link.handle_timeout(now + CONNECT_TIMEOUT), Err(CloseReason::ConnectTimeout));
    }

    #[test]
    fn refuses_binary_data_without_ending_the_session() {
        let now = Instant::now();
        let mut link = connected(now);
        let refused = |received: Result<Received<'_>, CloseReason>| match received {
            Ok(Received::Deliver(Delivery::Rooms(Err(error)))) => error.code,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(link.handle_binary_frame(now)), ErrorCode::BinaryFrame);
        assert_eq!(refused(link.handle_frame("bAAAA", now)), ErrorCode::BinaryFrame);
        assert_eq!(refused(link.handle_frame("451-[\"a\",{}]", now)), ErrorCode::BinaryFrame);
    }

    #[test]
    fn server_pings_version_4_and_waits_20_seconds() {
        let start = Instant::now();
        let mut link = connected(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(link.poll_timeout(), at(25));
        assert_eq!(link.handle_timeout(at(24)), Ok(None));
        assert_eq!(link.handle_timeout(at(25)), Ok(Some(Answer(Answered::Ping))));
        assert!(matches!(link.handle_frame("3", at(30)), Ok(Received::Nothing)));
        assert_eq!(link.poll_timeout(), at(55));
        assert_eq!(link.handle_timeout(at(55)), Ok(Some(Answer(Answered::Ping))));
        assert!(link.handle_frame("42[\"x\"]", at(65)).is_ok());
        assert!(link.handle_frame("42[\"x\"]", at(75)).is_ok());
        assert_eq!(link.handle_timeout(at(84)), Ok(None));
        assert_eq!(link.handle_timeout(at(85)), Err(CloseReason::PingTimeout));
    }

    #[test]
    fn version_3_pings_and_may_be_silent_for_45_seconds() {
        let start = Instant::now();
        let (mut link, opening) = Link::open(Protocol::V3, sid(), start);
        assert!(matches!(opening, Opening::Greet(_)));
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(answer(link.handle_frame("2", at(25))), "3");
        assert_eq!(answer(link.handle_frame("2probe", at(26))), "3probe");
        assert_eq!(link.handle_timeout(at(70)), Ok(None));
        assert_eq!(link.handle_timeout(at(71)), Err(CloseReason::PingTimeout));
    }
}
