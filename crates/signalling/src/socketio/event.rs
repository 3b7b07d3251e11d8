//! The rooms sample's events, to and from the core's vocabulary (`docs/protocol/socketio.md`); those of webrtc-star are
//! recognised here and read by [`super::star`].
//!
//! Payloads pass byte for byte: they are checked to be JSON, because broken JSON would break the receiver's session, and
//! not looked at otherwise.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use switchboard_wire::json::read_string;
use switchboard_wire::rooms::{
    ClientMessage, DecodeError, ErrorCode, GoodbyeCode, IfMissing, Request, ServerMessage, Signal, SignalKind,
};
use switchboard_wire::{PeerId, RoomId};

use super::handshake::{self, Sid};
use super::packet::Protocol;
use super::{Delivery, Transport, star};

/// Names that belong to the clients' own machinery; the original ends a session that sends one.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// What is said of an event that nobody handles.
pub(super) const UNKNOWN: &str = "There is no event of this name.";

/// What is said to a page that may speak webrtc-star alone.
pub(super) const NO_ROOMS: &str =
    "Pages of this origin may not use rooms here; the server's operator can list it under `origins`.";

/// JSON that is no event: the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no event: an array that begins with a name")]
pub struct MalformedEvent;

/// The event's name for what is relayed.
fn name(kind: SignalKind) -> &'static str {
    match kind {
        SignalKind::Offer => "rtc-offer",
        SignalKind::Answer => "rtc-answer",
        SignalKind::Candidate => "ice-candidate",
    }
}

/// Reads the JSON of an event packet.
///
/// Events that the sample does not know, and relayed ones without an addressee, come out as errors that [`encode`] keeps
/// to itself: the sample is silent about them, but they count against the client's rate.
///
/// # Errors
/// What is no event ends the session.
pub(super) fn decode(json: &str) -> Result<Delivery<'_>, MalformedEvent> {
    if let Some(request) = relayed(json) {
        return Ok(Delivery::Rooms(Ok(plain(request))));
    }
    match star::relayed(json) {
        Some(delivery) => Ok(delivery),
        None => Arguments::read(json)?.delivery(),
    }
}

/// The hot path: exactly `["<kind>","<peer id>",<one JSON value>]` without white space before the value. Everything else
/// takes the long way, to the same result.
fn relayed(json: &str) -> Option<Request<'_>> {
    let rest = json.strip_prefix("[\"")?;
    let (kind, rest) = [SignalKind::Candidate, SignalKind::Offer, SignalKind::Answer]
        .into_iter()
        .find_map(|kind| Some((kind, rest.strip_prefix(name(kind))?)))?;
    let rest = rest.strip_prefix("\",\"")?;
    let to = rest.get(..PeerId::LEN)?.parse().ok()?;
    let data = rest[PeerId::LEN..].strip_prefix("\",")?.strip_suffix(']')?;
    let data = serde_json::from_str(data).ok()?;
    Some(Request::Signal { kind, to, data })
}

/// Tells the core nothing but the request: this dialect has no references.
fn plain(request: Request<'_>) -> ClientMessage<'_> {
    ClientMessage { request, reference: None }
}

/// The hello that stands for the CONNECT packet.
pub(super) fn hello() -> ClientMessage<'static> {
    plain(Request::Hello { name: None, resume: None })
}

/// A packet that has no effect and is answered by the core.
pub(super) fn refused(code: ErrorCode, message: &'static str) -> Delivery<'static> {
    Delivery::Rooms(Err(DecodeError { code, message: Cow::Borrowed(message), reference: None }))
}

/// An event's name and its first two arguments; further ones are skipped, as the sample's handlers do.
struct Arguments<'a> {
    name: &'a RawValue,
    first: Option<&'a RawValue>,
    second: Option<&'a RawValue>,
}

impl<'a> Arguments<'a> {
    fn read(json: &'a str) -> Result<Self, MalformedEvent> {
        serde_json::from_str(json).map_err(|_| MalformedEvent)
    }

    fn delivery(&self) -> Result<Delivery<'a>, MalformedEvent> {
        // Numbers are names too, of events that nobody handles.
        let number = self.name.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
        let name = if number { Cow::Borrowed("") } else { read_string(self.name.get()).ok_or(MalformedEvent)? };
        match &*name {
            "rtc-offer" => Ok(self.signal(SignalKind::Offer)),
            "rtc-answer" => Ok(self.signal(SignalKind::Answer)),
            "ice-candidate" => Ok(self.signal(SignalKind::Candidate)),
            "create-room" => Ok(self.join(None)),
            "join-room" => {
                Ok(self.join(self.first.and_then(|json| read_string(json.get())).and_then(|room| room.parse().ok())))
            }
            reserved if RESERVED.contains(&reserved) => Err(MalformedEvent),
            other => Ok(star::read(other, self.first).unwrap_or_else(|| refused(ErrorCode::UnknownType, UNKNOWN))),
        }
    }

    fn join(&self, room: Option<RoomId>) -> Delivery<'a> {
        Delivery::Rooms(Ok(plain(Request::Join { room, if_missing: IfMissing::New })))
    }

    fn signal(&self, kind: SignalKind) -> Delivery<'a> {
        let to = self.first.and_then(|json| read_string(json.get())).and_then(|to| to.parse().ok());
        match to {
            Some(to) => {
                let data = self.second.unwrap_or(RawValue::NULL);
                Delivery::Rooms(Ok(plain(Request::Signal { kind, to, data })))
            }
            None => refused(ErrorCode::BadMessage, "The event's first argument is the addressee's socket id."),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Arguments<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;

        impl<'de> Visitor<'de> for Array {
            type Value = Arguments<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array that begins with a name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
                let name = array.next_element()?.ok_or_else(|| serde::de::Error::invalid_length(0, &self))?;
                let (first, second) = (array.next_element()?, array.next_element()?);
                while array.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Arguments { name, first, second })
            }
        }

        deserializer.deserialize_seq(Array)
    }
}

/// What [`encode`] appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// Nothing: this dialect has no such message.
    Nothing,
    /// The text of one frame.
    Frame,
    /// The texts of two frames.
    TwoFrames {
        /// Length of the first frame's text in bytes.
        first: usize,
    },
}

/// Appends what the core says as the text of WebSocket frames, for a session that is on a WebSocket.
///
/// It needs no session, so that a shell can encode where the core runs and queue bytes. The two frames are the
/// handshake of Engine.IO 3, whose session id is the peer id, and the CONNECT that follows it unasked.
pub fn encode(message: &ServerMessage, protocol: Protocol, out: &mut Vec<u8>) -> Encoded {
    match (message, protocol) {
        (ServerMessage::Welcome(welcome), Protocol::V3) => {
            let start = out.len();
            handshake::write_open(Sid::from(welcome.id), Transport::WebSocket, out);
            let first = out.len() - start;
            out.extend_from_slice(b"40");
            Encoded::TwoFrames { first }
        }
        (ServerMessage::Welcome(welcome), Protocol::V4) => {
            out.extend_from_slice(b"40{\"sid\":\"");
            out.extend_from_slice(welcome.id.as_str().as_bytes());
            out.extend_from_slice(b"\"}");
            Encoded::Frame
        }
        (ServerMessage::Signal(signal), _) => {
            write_signal(signal, out);
            Encoded::Frame
        }
        (ServerMessage::Joined { room, created: true, .. }, _) => id_event("room-created", room.as_str(), out),
        (ServerMessage::PeerJoined { peer, .. }, _) => id_event("new-user-joined", peer.id.as_str(), out),
        (ServerMessage::PeerLeft { id, .. }, _) => id_event("user-disconnected", id.as_str(), out),
        (ServerMessage::Error { code, message }, _) => write_error(*code, message, out),
        (ServerMessage::Goodbye { code, .. }, _) => write_goodbye(*code, out),
        (ServerMessage::Joined { created: false, .. }, _)
        | (ServerMessage::Left { .. }, _)
        | (ServerMessage::Renamed { .. }, _)
        | (ServerMessage::PeerAway { .. }, _)
        | (ServerMessage::PeerBack { .. }, _)
        | (ServerMessage::PeerRenamed { .. }, _)
        | (ServerMessage::IceServers { .. }, _)
        | (ServerMessage::Pong, _) => Encoded::Nothing,
    }
}

/// Appends an event whose one argument is an id, which needs no escapes.
fn id_event(name: &str, id: &str, out: &mut Vec<u8>) -> Encoded {
    for part in ["42[\"", name, "\",\"", id, "\"]"] {
        out.extend_from_slice(part.as_bytes());
    }
    Encoded::Frame
}

fn write_signal(signal: &Signal, out: &mut Vec<u8>) {
    let data = signal.data.get();
    out.reserve(data.len() + 48);
    for part in ["42[\"", name(signal.kind), "\",\"", signal.from.as_str(), "\",", data, "]"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Tells what the sample has no words for by an event that its clients ignore; is silent where the sample is.
fn write_error(code: ErrorCode, message: &str, out: &mut Vec<u8>) -> Encoded {
    match code {
        ErrorCode::PeerNotFound | ErrorCode::UnknownType | ErrorCode::BadMessage => Encoded::Nothing,
        ErrorCode::BadJson
        | ErrorCode::BinaryFrame
        | ErrorCode::UnsupportedVersion
        | ErrorCode::HelloFirst
        | ErrorCode::AlreadyGreeted
        | ErrorCode::ResumeRefused
        | ErrorCode::BadRoom
        | ErrorCode::BadName
        | ErrorCode::RoomNotFound
        | ErrorCode::RoomFull
        | ErrorCode::TooManyRooms
        | ErrorCode::AddressFull
        | ErrorCode::ServerFull
        | ErrorCode::NotInRoom
        | ErrorCode::PeerQueueFull
        | ErrorCode::SlowDown => own_event(code, message, out),
    }
}

fn own_event(code: impl Serialize, message: &str, out: &mut Vec<u8>) -> Encoded {
    let event = serde_json::json!(["switchboard-error", { "code": code, "message": message }]);
    out.extend_from_slice(format!("42{event}").as_bytes());
    Encoded::Frame
}

/// A DISCONNECT where the client is not to come back by itself, for it makes the official clients give up. A restart only
/// closes, as the original does, and they reconnect; a client that never connected would not understand one. Who did not read
/// is told so, and may come back.
fn write_goodbye(code: GoodbyeCode, out: &mut Vec<u8>) -> Encoded {
    match code {
        GoodbyeCode::HelloTimeout | GoodbyeCode::ShuttingDown => Encoded::Nothing,
        GoodbyeCode::TooSlow => own_event(code, code.sentence(), out),
        GoodbyeCode::Bye | GoodbyeCode::TakenOver | GoodbyeCode::IdleTimeout => {
            out.extend_from_slice(b"41");
            Encoded::Frame
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use switchboard_wire::rooms::{Dialect, IceServers, LeaveReason, Member};

    use super::*;

    const PEER: &str = "AAAAAAAAAAAAAAAAAAAA";

    fn peer() -> PeerId {
        PEER.parse().expect("valid")
    }

    fn signal(json: &str) -> (SignalKind, String) {
        match decode(json) {
            Ok(Delivery::Rooms(Ok(ClientMessage { request: Request::Signal { kind, to, data }, reference: None }))) => {
                assert_eq!(to, peer());
                (kind, data.get().to_owned())
            }
            other => panic!("{json}: {other:?}"),
        }
    }

    fn room(json: &str) -> Option<RoomId> {
        match decode(json) {
            Ok(Delivery::Rooms(Ok(ClientMessage {
                request: Request::Join { room, if_missing: IfMissing::New },
                ..
            }))) => room,
            other => panic!("{json}: {other:?}"),
        }
    }

    fn text(message: &ServerMessage, protocol: Protocol) -> String {
        let mut out = Vec::new();
        let encoded = encode(message, protocol, &mut out);
        assert_eq!(out.is_empty(), encoded == Encoded::Nothing);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn passes_payloads_byte_for_byte() {
        for payload in [r#"{"sdp":"v=0\r\n" , "z":1,"a":2.0, "é":[1e3]}"#, "null", r#"{"candidate":""}"#, "\"\"", "[]"]
        {
            let kind = SignalKind::Offer;
            assert_eq!(signal(&format!(r#"["rtc-offer","{PEER}",{payload}]"#)), (kind, payload.to_owned()));
            assert_eq!(signal(&format!(r#" [ "rtc-offer" , "{PEER}" , {payload} , 5 ] "#)), (kind, payload.to_owned()));
        }
    }

    #[test]
    fn takes_what_the_sample_takes() {
        assert_eq!(signal(&format!(r#"["rtc-answer","{PEER}"]"#)), (SignalKind::Answer, "null".into()));
        assert_eq!(signal(&format!(r#"["ice-candidate","{PEER}",1,{{}},3]"#)), (SignalKind::Candidate, "1".into()));
        assert_eq!(signal(&format!(r#"["ice\u002dcandidate","{PEER}",1]"#)), (SignalKind::Candidate, "1".into()));
        assert_eq!(room(r#"["create-room"]"#), None);
        assert_eq!(room(r#"["create-room","aUa62LD8NZ"]"#), None);
        assert_eq!(room(r#"["join-room","aUa62LD8NZ"]"#), "aUa62LD8NZ".parse().ok());
        for arguments in ["", ",null", ",1234567890", ",\"\"", ",\"a b c d\"", ",{}", ",[\"aUa62LD8NZ\"]"] {
            assert_eq!(room(&format!(r#"["join-room"{arguments}]"#)), None, "{arguments}");
        }
    }

    #[test]
    fn has_no_effect_for_unknown_events_and_missing_addressees() {
        let code = |json: &str| match decode(json) {
            Ok(Delivery::Rooms(Err(error))) => error.code,
            other => panic!("{json}: {other:?}"),
        };
        assert_eq!(code(r#"["dance",{"a":1}]"#), ErrorCode::UnknownType);
        assert_eq!(code("[7,1]"), ErrorCode::UnknownType);
        assert_eq!(code(r#"["rtc-offer"]"#), ErrorCode::BadMessage);
        assert_eq!(code(r#"["rtc-offer",null,{}]"#), ErrorCode::BadMessage);
        assert_eq!(code(r#"["rtc-offer","chat-room/aUa62LD8NZ",{}]"#), ErrorCode::BadMessage);
    }

    #[test]
    fn refuses_broken_payloads_rather_than_pass_them() {
        for json in ["", "[", "{}", "[]", "[null]", "[{}]", r#"["disconnect"]"#, "\"rtc-offer\""] {
            assert!(decode(json).is_err(), "{json}");
        }
        for payload in ["{bad", "{\"a\":1}}", "\"a\nb\"", "1 2", "\"\u{1e}\"", ""] {
            assert!(decode(&format!(r#"["rtc-offer","{PEER}",{payload}]"#)).is_err(), "{payload}");
        }
    }

    #[test]
    fn says_what_the_sample_says() {
        let room: RoomId = "aUa62LD8NZ".parse().expect("valid");
        let member = Member { id: peer(), name: Default::default(), dialect: Dialect::Switchboard, away: false };
        let joined = |created| {
            let (room, members, ice_servers) = (room.clone(), vec![member.clone()], IceServers::default());
            ServerMessage::Joined { room, created, members, ice_servers, ice_lifetime: None }
        };
        assert_eq!(text(&joined(true), Protocol::V4), r#"42["room-created","aUa62LD8NZ"]"#);
        assert_eq!(text(&joined(false), Protocol::V4), "");
        let came = ServerMessage::PeerJoined { room: room.clone(), peer: member.clone() };
        assert_eq!(text(&came, Protocol::V3), format!(r#"42["new-user-joined","{PEER}"]"#));
        let left = ServerMessage::PeerLeft { room: room.clone(), id: peer(), reason: LeaveReason::Lost };
        assert_eq!(text(&left, Protocol::V4), format!(r#"42["user-disconnected","{PEER}"]"#));
        assert_eq!(text(&ServerMessage::PeerAway { room: room.clone(), id: peer() }, Protocol::V4), "");
        let ice_servers = IceServers::default();
        let fresh = ServerMessage::IceServers { room, ice_servers, lifetime: std::time::Duration::from_secs(60) };
        assert_eq!(text(&fresh, Protocol::V4), "");
        let data = RawValue::from_string(r#"{ "b":1.0 ,"a":"é"}"#.into()).expect("JSON");
        let signal = ServerMessage::Signal(Signal { kind: SignalKind::Candidate, from: peer(), data });
        let expected = format!(r#"42["ice-candidate","{PEER}",{{ "b":1.0 ,"a":"é"}}]"#);
        assert_eq!(text(&signal, Protocol::V4), expected);
        assert_eq!(text(&ServerMessage::goodbye(GoodbyeCode::TakenOver, None), Protocol::V4), "41");
        let slow = text(&ServerMessage::goodbye(GoodbyeCode::TooSlow, None), Protocol::V4);
        assert!(slow.starts_with(r#"42["switchboard-error",{"code":"too-slow","#), "{slow}");
        assert_eq!(text(&ServerMessage::goodbye(GoodbyeCode::ShuttingDown, None), Protocol::V4), "");
    }

    #[test]
    fn tells_only_errors_that_the_sample_does_not_swallow() {
        let error = |code| text(&ServerMessage::error(code, "Say \"no\"."), Protocol::V4);
        assert_eq!(error(ErrorCode::PeerNotFound), "");
        assert_eq!(error(ErrorCode::UnknownType), "");
        let expected = r#"42["switchboard-error",{"code":"room-full","message":"Say \"no\"."}]"#;
        assert_eq!(error(ErrorCode::RoomFull), expected);
    }

    /// JSON text of any shape, with white space that a relay has to keep.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| n.to_string()),
            any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[ {}]", items.join(" ,"))),
                prop::collection::vec((any::<String>(), inner), 0..4).prop_map(|members| {
                    let members: Vec<_> = members
                        .iter()
                        .map(|(k, v)| format!("{} :\n{v}", serde_json::Value::from(k.as_str())))
                        .collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn relayed_payloads_arrive_as_they_were_sent(payload in json()) {
            let event = format!(r#"["ice-candidate","{PEER}",{payload}]"#);
            let (kind, data) = signal(&event);
            prop_assert_eq!(&data, &payload);
            let data = RawValue::from_string(data).expect("JSON");
            let out = text(&ServerMessage::Signal(Signal { kind, from: peer(), data }), Protocol::V4);
            prop_assert_eq!(out, format!("42{event}"));
        }

        #[test]
        fn the_short_way_and_the_long_way_agree(payload in "\\PC{0,12}|[\\[\\]{}\",:0-9a-z ]{0,12}") {
            let event = format!(r#"["rtc-offer","{PEER}",{payload}]"#);
            let long = Arguments::read(&event).and_then(|arguments| arguments.delivery());
            if let Some(Request::Signal { data, .. }) = relayed(&event) {
                let Ok(Delivery::Rooms(Ok(ClientMessage { request: Request::Signal { data: by_serde, .. }, .. }))) = long else {
                    panic!("{event}")
                };
                prop_assert_eq!(data.get(), by_serde.get());
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC*|\\[\"(rtc-offer|join-room)\"[,\"\\[\\]{}a-z0-9\\\\]{0,20}") {
            let _ = decode(&text);
        }
    }
}
