//! What the server says.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::ser::Serializer;
use serde_json::value::RawValue;

use super::{ErrorCode, GoodbyeCode, Reference, SignalKind};
use crate::{PeerId, PeerName, RoomId};

/// The protocol that a peer speaks with the server; tells others how to open a channel to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Dialect {
    /// The rooms protocol.
    #[serde(rename = "switchboard")]
    Switchboard,
    /// The rooms sample over Socket.IO.
    #[serde(rename = "socket.io")]
    SocketIo,
    /// PeerJS; its clients hold names and are in no room.
    #[serde(rename = "peerjs")]
    PeerJs,
    /// The relay of topics; its clients hold names and are in no room.
    #[serde(rename = "relay")]
    Relay,
    /// matchbox; its clients are in one room each, among themselves.
    #[serde(rename = "matchbox")]
    Matchbox,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Switchboard, Self::SocketIo, Self::PeerJs, Self::Relay, Self::Matchbox];

    /// The dialect as clients and operators read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Switchboard => "switchboard",
            Self::SocketIo => "socket.io",
            Self::PeerJs => "peerjs",
            Self::Relay => "relay",
            Self::Matchbox => "matchbox",
        }
    }

    /// Whether its clients say hello and hear the rooms' messages; others only hold names of the directory.
    pub fn has_rooms(self) -> bool {
        match self {
            Self::Switchboard | Self::SocketIo | Self::Matchbox => true,
            Self::PeerJs | Self::Relay => false,
        }
    }
}

/// Why a peer is no longer in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaveReason {
    /// It said so, or closed its socket in good order.
    Left,
    /// Its socket vanished and the grace period passed.
    Lost,
    /// The server dropped it.
    Removed,
}

/// Another member of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Who it is.
    pub id: PeerId,
    /// What it calls itself.
    pub name: PeerName,
    /// What it speaks.
    pub dialect: Dialect,
    /// Whether its socket is lost and its place held.
    pub away: bool,
}

/// A room as it is now, seen by one of its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomSnapshot {
    /// Which room.
    pub room: RoomId,
    /// The others in it, in the order they came.
    pub members: Vec<Member>,
    /// What to give to the connections of this room.
    pub ice_servers: IceServers,
    /// How long they are good; none if they do not expire.
    #[serde(rename = "iceLifetimeMs", skip_serializing_if = "Option::is_none", serialize_with = "as_optional_millis")]
    pub ice_lifetime: Option<Duration>,
}

/// `RTCIceServer` objects (W3C WebRTC §4.2.5) as a JSON array; shared, and never printed, for there are credentials in it.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct IceServers(Arc<RawValue>);

impl IceServers {
    /// Wraps a JSON array.
    pub fn new(servers: Box<RawValue>) -> Self {
        Self(servers.into())
    }

    /// The JSON array.
    pub fn as_json(&self) -> &str {
        self.0.get()
    }
}

impl Default for IceServers {
    /// None: peers find each other where no NAT is between them.
    fn default() -> Self {
        Self::new(RawValue::from_string("[]".to_owned()).unwrap_or_default())
    }
}

impl PartialEq for IceServers {
    fn eq(&self, other: &Self) -> bool {
        self.as_json() == other.as_json()
    }
}

impl Eq for IceServers {}

impl fmt::Debug for IceServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IceServers(***)")
    }
}

/// The limits that a client should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Largest frame in bytes.
    pub message_bytes: usize,
    /// Longest name in characters.
    pub name_chars: usize,
    /// Most members of a room, oneself included.
    pub room_members: usize,
    /// Most rooms that one peer can be in.
    pub rooms_per_peer: usize,
    /// How long a lost peer keeps its place.
    #[serde(rename = "graceMs", serialize_with = "as_millis")]
    pub grace: Duration,
    /// How long a socket may be silent before the server pings it.
    #[serde(rename = "heartbeatMs", serialize_with = "as_millis")]
    pub heartbeat: Duration,
}

/// The answer to `hello`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    /// The protocol version.
    pub v: u32,
    /// Who one is.
    pub id: PeerId,
    /// The token for the next `hello`.
    pub resume: String,
    /// Whether the server still held one's place.
    pub resumed: bool,
    /// The rooms that one is in, after a resume.
    pub rooms: Vec<RoomSnapshot>,
    /// What to give to connections of no room in particular.
    pub ice_servers: IceServers,
    /// How long they are good; none if they do not expire.
    #[serde(rename = "iceLifetimeMs", skip_serializing_if = "Option::is_none", serialize_with = "as_optional_millis")]
    pub ice_lifetime: Option<Duration>,
    /// What one must keep to.
    pub limits: Limits,
    /// Name and version of the server.
    pub server: Cow<'static, str>,
}

/// One message from the server to one client.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum ServerMessage {
    /// The answer to `hello`.
    Welcome(Box<Welcome>),
    /// The answer to `join`.
    Joined {
        /// Which room.
        room: RoomId,
        /// Whether it was made by this join.
        created: bool,
        /// The others in it, in the order they came.
        members: Vec<Member>,
        /// What to give to the connections of this room.
        ice_servers: IceServers,
        /// How long they are good; none if they do not expire.
        #[serde(
            rename = "iceLifetimeMs",
            skip_serializing_if = "Option::is_none",
            serialize_with = "as_optional_millis"
        )]
        ice_lifetime: Option<Duration>,
    },
    /// Fresh credentials, well before the last ones expire.
    IceServers {
        /// For the connections of which room.
        room: RoomId,
        /// What to give to them from now on.
        ice_servers: IceServers,
        /// How long they are good.
        #[serde(rename = "lifetimeMs", serialize_with = "as_millis")]
        lifetime: Duration,
    },
    /// The answer to `leave`.
    Left {
        /// Which room.
        room: RoomId,
    },
    /// The answer to `rename`.
    Renamed {
        /// The name as the server keeps it.
        name: PeerName,
    },
    /// Somebody came.
    PeerJoined {
        /// Into which room.
        room: RoomId,
        /// Who.
        peer: Member,
    },
    /// Somebody is gone for good.
    PeerLeft {
        /// From which room.
        room: RoomId,
        /// Who.
        id: PeerId,
        /// Why.
        reason: LeaveReason,
    },
    /// Somebody's socket vanished; its place is held.
    PeerAway {
        /// In which room.
        room: RoomId,
        /// Who.
        id: PeerId,
    },
    /// Somebody resumed.
    PeerBack {
        /// In which room.
        room: RoomId,
        /// Who.
        id: PeerId,
    },
    /// Somebody has another name.
    PeerRenamed {
        /// In which room.
        room: RoomId,
        /// Who.
        id: PeerId,
        /// The new name.
        name: PeerName,
    },
    /// The answer to `ping`.
    Pong,
    /// A request had no effect.
    Error {
        /// For programs.
        code: ErrorCode,
        /// For people: what is wrong and what to do.
        message: Cow<'static, str>,
    },
    /// The socket closes next.
    Goodbye {
        /// For programs.
        code: GoodbyeCode,
        /// For people.
        message: Cow<'static, str>,
        /// When to come back.
        #[serde(rename = "retryMs", skip_serializing_if = "Option::is_none", serialize_with = "as_optional_millis")]
        retry: Option<Duration>,
    },
    /// An offer, answer or candidate from another member.
    #[serde(untagged)]
    Signal(Signal),
}

/// What one member sends to another through the server, which does not read it.
#[derive(Clone, Debug, Serialize)]
pub struct Signal {
    /// Offer, answer or candidate.
    #[serde(rename = "type")]
    pub kind: SignalKind,
    /// The true sender.
    pub from: PeerId,
    /// The payload as it came, byte for byte.
    pub data: Box<RawValue>,
}

impl ServerMessage {
    /// The error `code` with its own sentence.
    pub fn error(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Error { code, message: message.into() }
    }

    /// The goodbye `code` with the sentence that belongs to it.
    pub fn goodbye(code: GoodbyeCode, retry: Option<Duration>) -> Self {
        Self::Goodbye { code, message: Cow::Borrowed(code.sentence()), retry }
    }

    /// Appends the message as one JSON object, with the `ref` of the request that it answers.
    pub fn write_json(&self, reference: Option<&Reference>, out: &mut Vec<u8>) {
        let start = out.len();
        match self {
            Self::Signal(signal) => signal.write_json(out),
            other => {
                // Serialising our own types into memory has no way to fail: string keys only, no IO.
                if serde_json::to_writer(&mut *out, other).is_err() {
                    out.truncate(start);
                }
            }
        }
        if let Some(reference) = reference
            && out.pop_if(|last| *last == b'}').is_some()
        {
            out.extend_from_slice(b",\"ref\":");
            out.extend_from_slice(reference.as_json().as_bytes());
            out.push(b'}');
        }
    }
}

impl Signal {
    /// Appends the JSON object; written out because every relayed message passes here (a third of serde's time).
    fn write_json(&self, out: &mut Vec<u8>) {
        let data = self.data.get().as_bytes();
        out.reserve(data.len() + 64);
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(self.kind.as_str().as_bytes());
        out.extend_from_slice(b"\",\"from\":\"");
        out.extend_from_slice(self.from.as_str().as_bytes());
        out.extend_from_slice(b"\",\"data\":");
        out.extend_from_slice(data);
        out.push(b'}');
    }
}

fn as_millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(duration.as_millis())
}

fn as_optional_millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => as_millis(duration, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(message: &ServerMessage, reference: Option<&Reference>) -> String {
        let mut out = Vec::new();
        message.write_json(reference, &mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    fn peer() -> PeerId {
        PeerId::from_random([0; 15])
    }

    #[test]
    fn writes_the_documented_members() {
        let room: RoomId = "aUa62LD8NZ".parse().expect("valid");
        let member = Member { id: peer(), name: PeerName::default(), dialect: Dialect::SocketIo, away: false };
        assert_eq!(
            json(&ServerMessage::PeerJoined { room: room.clone(), peer: member }, None),
            r#"{"type":"peer-joined","room":"aUa62LD8NZ","peer":{"id":"AAAAAAAAAAAAAAAAAAAA","name":"","dialect":"socket.io","away":false}}"#
        );
        assert_eq!(
            json(&ServerMessage::PeerLeft { room, id: peer(), reason: LeaveReason::Lost }, None),
            r#"{"type":"peer-left","room":"aUa62LD8NZ","id":"AAAAAAAAAAAAAAAAAAAA","reason":"lost"}"#
        );
        assert_eq!(
            json(&ServerMessage::goodbye(GoodbyeCode::ShuttingDown, Some(Duration::from_millis(1500))), None),
            r#"{"type":"goodbye","code":"shutting-down","message":"The server is shutting down; connect again in a moment.","retryMs":1500}"#
        );
    }

    #[test]
    fn writes_ice_servers_and_how_long_they_are_good() {
        let room: RoomId = "aUa62LD8NZ".parse().expect("valid");
        let servers = RawValue::from_string(r#"[{"urls":["stun:a.example"]}]"#.to_owned()).expect("JSON");
        let ice_servers = IceServers::new(servers);
        let joined = |ice_lifetime| {
            let (room, ice_servers) = (room.clone(), ice_servers.clone());
            json(&ServerMessage::Joined { room, created: true, members: vec![], ice_servers, ice_lifetime }, None)
        };
        assert_eq!(
            joined(Some(Duration::from_secs(60))),
            r#"{"type":"joined","room":"aUa62LD8NZ","created":true,"members":[],"iceServers":[{"urls":["stun:a.example"]}],"iceLifetimeMs":60000}"#
        );
        assert!(!joined(None).contains("iceLifetimeMs"));
        let lifetime = Duration::from_secs(60);
        assert_eq!(
            json(&ServerMessage::IceServers { room: room.clone(), ice_servers: IceServers::default(), lifetime }, None),
            r#"{"type":"ice-servers","room":"aUa62LD8NZ","iceServers":[],"lifetimeMs":60000}"#
        );
        let snapshot = RoomSnapshot { room, members: vec![], ice_servers, ice_lifetime: Some(lifetime) };
        assert_eq!(
            serde_json::to_string(&snapshot).expect("serialises"),
            r#"{"room":"aUa62LD8NZ","members":[],"iceServers":[{"urls":["stun:a.example"]}],"iceLifetimeMs":60000}"#
        );
    }

    #[test]
    fn hides_ice_servers_from_debug_output() {
        let secret = RawValue::from_string(r#"[{"credential":"hunter2"}]"#.to_owned()).expect("JSON");
        assert!(!format!("{:?}", IceServers::new(secret)).contains("hunter2"));
    }

    #[test]
    fn passes_the_payload_byte_for_byte() {
        let payload = r#"{ "sdp":"v=0\r\n", "b":1.0, "a" : null }"#;
        let data = RawValue::from_string(payload.to_owned()).expect("JSON");
        let signal = ServerMessage::Signal(Signal { kind: SignalKind::Offer, from: peer(), data });
        let text = json(&signal, None);
        assert_eq!(text, format!(r#"{{"type":"offer","from":"AAAAAAAAAAAAAAAAAAAA","data":{payload}}}"#));
        let by_serde = serde_json::to_string(&signal).expect("serialises");
        assert_eq!(text, by_serde);
    }

    #[test]
    fn echoes_the_reference_of_the_request() {
        assert_eq!(json(&ServerMessage::Pong, Some(&Reference::Integer(-7))), r#"{"type":"pong","ref":-7}"#);
    }
}
