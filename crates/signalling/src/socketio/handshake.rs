//! What comes before a session: the query of a request, the refusals of the original, the first packet.

use std::fmt;

use switchboard_wire::PeerId;

use super::limits::{MAX_PAYLOAD, PING_INTERVAL, PING_TIMEOUT};
use super::packet::Protocol;

/// Names a session in the query of its requests: 20 characters of base64url.
///
/// With Engine.IO 4 it is 120 random bits that only its client knows. With Engine.IO 3 it is the peer id, which others
/// know: see [`Session::binds_address`](super::Session::binds_address).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sid(PeerId);

impl Sid {
    /// Makes a session id from 15 random bytes.
    pub fn from_random(bytes: [u8; 15]) -> Self {
        Self(PeerId::from_random(bytes))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<PeerId> for Sid {
    fn from(id: PeerId) -> Self {
        Self(id)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Who knows the id of a session can speak for it.
        f.write_str("Sid(***)")
    }
}

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// HTTP requests: a GET waits for what the server says, POSTs carry what the client says.
    Polling,
    /// One WebSocket.
    WebSocket,
}

/// The answer to an HTTP request, for the shell to send with `Cache-Control: no-store`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`; none where the body is empty.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// An answer without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, content_type: None, body: Vec::new() }
    }
}

/// Why a request is refused before it reaches a session; codes and sentences are the original's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// `transport` is missing or unknown.
    #[error("Transport unknown")]
    UnknownTransport,
    /// No session has this `sid`, or has it any longer.
    #[error("Session ID unknown")]
    UnknownSession,
    /// A session begins with a GET.
    #[error("Bad handshake method")]
    BadMethod,
    /// The request does not fit its session or its transport.
    #[error("Bad request")]
    BadRequest,
    /// The operator does not admit the page's origin.
    #[error("Forbidden")]
    Forbidden,
    /// `EIO` is neither 3 nor 4.
    #[error("Unsupported protocol version")]
    UnsupportedVersion,
}

impl Fault {
    /// The original's number for it.
    pub fn code(self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSession => 1,
            Self::BadMethod => 2,
            Self::BadRequest => 3,
            Self::Forbidden => 4,
            Self::UnsupportedVersion => 5,
        }
    }

    /// The answer to the request, of a WebSocket too.
    pub fn reply(self) -> Reply {
        let status = match self {
            Self::Forbidden => 403,
            Self::UnknownTransport
            | Self::UnknownSession
            | Self::BadMethod
            | Self::BadRequest
            | Self::UnsupportedVersion => 400,
        };
        let body = format!(r#"{{"code":{},"message":"{self}"}}"#, self.code());
        Reply { status, content_type: Some("application/json"), body: body.into_bytes() }
    }
}

/// The query of a request to the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// `EIO`; none if it is missing or neither 3 nor 4.
    pub protocol: Option<Protocol>,
    /// `transport`.
    pub transport: Transport,
    /// `sid`; none for a request that begins a session.
    pub sid: Option<Sid>,
    /// `j`: the answer has to be a script that calls this callback.
    pub(super) script: Option<u32>,
}

impl Query {
    /// Reads the part of the URL behind the question mark. Of a parameter that stands twice, the last counts.
    ///
    /// # Errors
    /// `transport` or `sid` cannot be any that we know.
    pub fn parse(query: &str) -> Result<Self, Fault> {
        let value = |name: &str| {
            let matching = |pair: &&str| pair.split_once('=').is_some_and(|(key, _)| key == name);
            query.split('&').rfind(matching).map(|pair| &pair[name.len() + 1..])
        };
        let transport = match value("transport") {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::WebSocket,
            Some(_) | None => return Err(Fault::UnknownTransport),
        };
        let protocol = match value("EIO") {
            Some("4") => Some(Protocol::V4),
            Some("3") => Some(Protocol::V3),
            Some(_) | None => None,
        };
        let sid = match value("sid") {
            Some("") | None => None,
            Some(sid) => Some(Sid(sid.parse().map_err(|_| Fault::UnknownSession)?)),
        };
        // The original takes the digits out of any text; what follows them could else be a script of somebody's making.
        let script = value("j").map(|index| index.replace(|c: char| !c.is_ascii_digit(), "").parse().unwrap_or(0));
        Ok(Self { protocol, transport, sid, script })
    }

    /// Checks a request without `sid`, in the original's order: `get` for the method, `upgrade` if it asks for a
    /// WebSocket. Says in which version the session begins.
    pub fn opening(&self, get: bool, upgrade: bool) -> Result<Protocol, Fault> {
        if !get {
            return Err(Fault::BadMethod);
        }
        match (self.transport, upgrade) {
            (Transport::WebSocket, true) | (Transport::Polling, false) => {}
            (Transport::WebSocket, false) | (Transport::Polling, true) => return Err(Fault::BadRequest),
        }
        self.protocol.ok_or(Fault::UnsupportedVersion)
    }
}

/// Appends the first packet of a session.
pub(super) fn write_open(sid: Sid, transport: Transport, out: &mut Vec<u8>) {
    let upgrades = match transport {
        Transport::Polling => r#"["websocket"]"#,
        Transport::WebSocket => "[]",
    };
    let (interval, timeout) = (PING_INTERVAL.as_millis(), PING_TIMEOUT.as_millis());
    let packet = format!(
        r#"0{{"sid":"{sid}","upgrades":{upgrades},"pingInterval":{interval},"pingTimeout":{timeout},"maxPayload":{MAX_PAYLOAD}}}"#
    );
    out.extend_from_slice(packet.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SID: &str = "9eMY5hyQgZZA7TN_AABK";

    #[test]
    fn reads_what_clients_send() {
        let query = Query::parse("EIO=4&transport=polling&t=PGmVgKy&sid=9eMY5hyQgZZA7TN_AABK").expect("valid");
        assert_eq!((query.protocol, query.transport), (Some(Protocol::V4), Transport::Polling));
        assert_eq!(query.sid.expect("sid").as_str(), SID);
        let query = Query::parse("EIO=3&transport=websocket").expect("valid");
        assert_eq!((query.protocol, query.transport, query.sid), (Some(Protocol::V3), Transport::WebSocket, None));
        assert_eq!(Query::parse("transport=polling&j=7&sid=").expect("valid").script, Some(7));
    }

    #[test]
    fn refuses_in_the_originals_words() {
        assert_eq!(Query::parse(""), Err(Fault::UnknownTransport));
        assert_eq!(Query::parse("EIO=4&transport=webtransport"), Err(Fault::UnknownTransport));
        assert_eq!(Query::parse("EIO=4&transport=polling&sid=x"), Err(Fault::UnknownSession));
        let opening = |query, get, upgrade| Query::parse(query).and_then(|query| query.opening(get, upgrade));
        assert_eq!(opening("EIO=4&transport=polling", true, false), Ok(Protocol::V4));
        assert_eq!(opening("EIO=4&transport=polling", false, false), Err(Fault::BadMethod));
        assert_eq!(opening("EIO=4&transport=websocket", true, false), Err(Fault::BadRequest));
        assert_eq!(opening("EIO=5&transport=websocket", true, true), Err(Fault::UnsupportedVersion));
        assert_eq!(opening("transport=polling", true, false), Err(Fault::UnsupportedVersion));
        let reply = Fault::UnknownSession.reply();
        assert_eq!(
            (reply.status, reply.body.as_slice()),
            (400, br#"{"code":1,"message":"Session ID unknown"}"#.as_slice())
        );
        assert_eq!(Fault::Forbidden.reply().status, 403);
    }

    #[test]
    fn writes_the_originals_first_packet() {
        let mut out = Vec::new();
        write_open(Sid(SID.parse().expect("valid")), Transport::Polling, &mut out);
        let expected = r#"0{"sid":"9eMY5hyQgZZA7TN_AABK","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn hides_the_session_id_from_debug_output() {
        assert!(!format!("{:?}", Sid::from_random([7; 15])).contains("Bwc"));
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(query in "\\PC*|((EIO|transport|sid|j)?=?[a-z0-9%]{0,9}&?){0,6}") {
            let _ = Query::parse(&query);
        }
    }
}
