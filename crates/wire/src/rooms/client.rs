//! What a client says, and how it is read.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ErrorCode, SignalKind, VERSION};
use crate::json::read_string;
use crate::limits::{REFERENCE_BYTES, RESUME_BYTES};
use crate::{PeerId, PeerName, RoomId};

/// What the client wants echoed in the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// An integer.
    Integer(i64),
    /// A string of at most [`REFERENCE_BYTES`].
    Text(Box<str>),
}

impl Reference {
    /// The reference as a JSON value.
    pub fn as_json(&self) -> Cow<'_, str> {
        match self {
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Text(text) => Cow::Owned(serde_json::Value::from(&**text).to_string()),
        }
    }
}

/// What to do when the room to join does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfMissing {
    /// Make it under that id.
    #[default]
    Create,
    /// Make one under a fresh id, as the rooms sample does.
    New,
    /// Answer `room-not-found`.
    Refuse,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    /// The first message.
    Hello {
        /// What others see, if it is said.
        name: Option<PeerName>,
        /// The token of the last `welcome`, unread.
        resume: Option<Cow<'a, str>>,
    },
    /// Enter a room, or a new one.
    Join {
        /// Which; none for a fresh id.
        room: Option<RoomId>,
        /// What to do when it does not exist.
        if_missing: IfMissing,
    },
    /// Enter the group that gathers under this id: the first `size` who come are one room, then the next begins. Only matchbox
    /// has words for it.
    JoinGroup {
        /// Under which id they gather; their room has one of its own.
        room: RoomId,
        /// How many are complete.
        size: usize,
    },
    /// Leave a room.
    Leave {
        /// Which.
        room: RoomId,
    },
    /// Pass something on.
    Signal {
        /// What it is for.
        kind: SignalKind,
        /// The addressee.
        to: PeerId,
        /// The payload, unread.
        data: &'a RawValue,
    },
    /// Change one's name.
    Rename {
        /// The new one.
        name: PeerName,
    },
    /// Ask for a sign of life.
    Ping,
    /// Leave everything.
    Bye,
}

/// A request with the reference that its answer carries.
#[derive(Clone, Debug)]
pub struct ClientMessage<'a> {
    /// What is asked.
    pub request: Request<'a>,
    /// What to echo.
    pub reference: Option<Reference>,
}

/// A message that cannot be acted on: the peer's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: Cow<'static, str>,
    /// What to echo, as far as the message could be read.
    pub reference: Option<Reference>,
}

/// Every member that some message has; unknown ones are skipped.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "ref")]
    reference: Option<&'a RawValue>,
    #[serde(borrow, default)]
    v: Option<&'a RawValue>,
    #[serde(borrow, default)]
    room: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    resume: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "ifMissing")]
    if_missing: Option<&'a RawValue>,
    #[serde(borrow, default)]
    to: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

/// Reads any value, `null` too, as present.
pub(crate) fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A failure before the reference is attached.
struct Failure {
    code: ErrorCode,
    message: Cow<'static, str>,
}

impl Failure {
    fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }
}

impl<'a> ClientMessage<'a> {
    /// Reads one text frame.
    ///
    /// Nothing is copied but names and ids; `data` stays a slice of `text`.
    ///
    /// # Errors
    /// Says by code and sentence what is wrong with the message; the connection can go on.
    pub fn decode(text: &'a str) -> Result<Self, DecodeError> {
        let bad_json = |why: &str| DecodeError {
            code: ErrorCode::BadJson,
            message: Cow::Owned(format!("A message is one JSON object; this one is not: {why}.")),
            reference: None,
        };
        // Serde would read an array as the members in order.
        if !text.trim_start().starts_with('{') {
            return Err(bad_json("it does not begin with a brace"));
        }
        let envelope: Envelope<'a> = serde_json::from_str(text).map_err(|error| bad_json(&brief(&error)))?;
        let attach =
            |failure: Failure, reference| DecodeError { code: failure.code, message: failure.message, reference };
        let reference = envelope.reference().map_err(|failure| attach(failure, None))?;
        match envelope.request() {
            Ok(request) => Ok(Self { request, reference }),
            Err(failure) => Err(attach(failure, reference)),
        }
    }
}

/// The error without the part of the input that some of serde's messages quote.
fn brief(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends early",
        serde_json::error::Category::Syntax => "syntax error",
        serde_json::error::Category::Data => "a member stands twice",
        serde_json::error::Category::Io => "unreadable",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

impl<'a> Envelope<'a> {
    fn reference(&self) -> Result<Option<Reference>, Failure> {
        let Some(raw) = self.reference else { return Ok(None) };
        let bad = || {
            let message = format!("\"ref\" is an integer or a string of at most {REFERENCE_BYTES} bytes.");
            Failure::new(ErrorCode::BadMessage, message)
        };
        if let Ok(number) = serde_json::from_str::<i64>(raw.get()) {
            return Ok(Some(Reference::Integer(number)));
        }
        let text = read_string(raw.get()).ok_or_else(bad)?;
        if text.len() > REFERENCE_BYTES { Err(bad()) } else { Ok(Some(Reference::Text(text.into()))) }
    }

    fn request(&self) -> Result<Request<'a>, Failure> {
        let kind = self.required("type", self.kind)?;
        match &*kind {
            "offer" => self.signal(SignalKind::Offer),
            "answer" => self.signal(SignalKind::Answer),
            "candidate" => self.signal(SignalKind::Candidate),
            "hello" => self.hello(),
            "join" => Ok(Request::Join { room: self.optional_room()?, if_missing: self.if_missing()? }),
            "leave" => match self.optional_room()? {
                Some(room) => Ok(Request::Leave { room }),
                None => Err(missing("room")),
            },
            "rename" => match self.name()? {
                Some(name) => Ok(Request::Rename { name }),
                None => Err(missing("name")),
            },
            "ping" => Ok(Request::Ping),
            "bye" => Ok(Request::Bye),
            _ => Err(Failure::new(
                ErrorCode::UnknownType,
                "There is no message of this type; known are hello, join, leave, offer, answer, candidate, rename, ping \
                 and bye.",
            )),
        }
    }

    fn hello(&self) -> Result<Request<'a>, Failure> {
        let version = self.v.ok_or_else(|| missing("v"))?;
        if serde_json::from_str::<u32>(version.get()).ok() != Some(VERSION) {
            let message = format!("This server speaks version {VERSION}; send \"v\":{VERSION}.");
            return Err(Failure::new(ErrorCode::UnsupportedVersion, message));
        }
        let resume = self.resume.map(|raw| member("resume", raw)).transpose()?;
        if resume.as_ref().is_some_and(|token| token.len() > RESUME_BYTES) {
            return Err(Failure::new(
                ErrorCode::ResumeRefused,
                "That is no resume token of this server; say hello without it.",
            ));
        }
        Ok(Request::Hello { name: self.name()?, resume })
    }

    fn signal(&self, kind: SignalKind) -> Result<Request<'a>, Failure> {
        let to = self.required("to", self.to)?;
        let to = to.parse().map_err(|error: crate::InvalidPeerId| {
            Failure::new(ErrorCode::BadMessage, format!("\"to\" is no peer id: {error}."))
        })?;
        let data = self.data.ok_or_else(|| missing("data"))?;
        Ok(Request::Signal { kind, to, data })
    }

    fn optional_room(&self) -> Result<Option<RoomId>, Failure> {
        let Some(raw) = self.room else { return Ok(None) };
        let text = member("room", raw)?;
        let room = text.parse().map_err(|error: crate::InvalidRoomId| {
            Failure::new(ErrorCode::BadRoom, format!("This is no room id: {error}."))
        })?;
        Ok(Some(room))
    }

    fn name(&self) -> Result<Option<PeerName>, Failure> {
        let Some(raw) = self.name else { return Ok(None) };
        let text = member("name", raw)?;
        let name = PeerName::parse(&text)
            .map_err(|error| Failure::new(ErrorCode::BadName, format!("This name cannot be used: {error}.")))?;
        Ok(Some(name))
    }

    fn if_missing(&self) -> Result<IfMissing, Failure> {
        let Some(raw) = self.if_missing else { return Ok(IfMissing::default()) };
        match &*member("ifMissing", raw)? {
            "create" => Ok(IfMissing::Create),
            "new" => Ok(IfMissing::New),
            "refuse" => Ok(IfMissing::Refuse),
            _ => Err(Failure::new(ErrorCode::BadMessage, "\"ifMissing\" is \"create\", \"new\" or \"refuse\".")),
        }
    }

    fn required(&self, name: &'static str, raw: Option<&'a RawValue>) -> Result<Cow<'a, str>, Failure> {
        member(name, raw.ok_or_else(|| missing(name))?)
    }
}

fn missing(name: &'static str) -> Failure {
    Failure::new(ErrorCode::BadMessage, format!("The member \"{name}\" is missing."))
}

fn member<'a>(name: &'static str, raw: &'a RawValue) -> Result<Cow<'a, str>, Failure> {
    read_string(raw.get())
        .ok_or_else(|| Failure::new(ErrorCode::BadMessage, format!("The member \"{name}\" must be a string.")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> ErrorCode {
        ClientMessage::decode(text).expect_err(text).code
    }

    #[test]
    fn reads_a_relayed_message_without_touching_its_payload() {
        let text =
            r#"{"data":{"sdp":"v=0\r\n" , "z":1,"a":2.0},"to":"AAAAAAAAAAAAAAAAAAAA","type":"offer","from":"forged"}"#;
        let message = ClientMessage::decode(text).expect("valid");
        let Request::Signal { kind, to, data } = message.request else { panic!("not a signal") };
        assert_eq!((kind, to.as_str()), (SignalKind::Offer, "AAAAAAAAAAAAAAAAAAAA"));
        assert_eq!(data.get(), r#"{"sdp":"v=0\r\n" , "z":1,"a":2.0}"#);
    }

    #[test]
    fn passes_null_and_empty_payloads() {
        for payload in ["null", "\"\"", r#"{"candidate":""}"#] {
            let text = format!(r#"{{"type":"candidate","to":"AAAAAAAAAAAAAAAAAAAA","data":{payload}}}"#);
            let Ok(ClientMessage { request: Request::Signal { data, .. }, .. }) = ClientMessage::decode(&text) else {
                panic!("{text}")
            };
            assert_eq!(data.get(), payload);
        }
    }

    #[test]
    fn names_what_is_wrong() {
        assert_eq!(code("garbage"), ErrorCode::BadJson);
        assert_eq!(code("[1]"), ErrorCode::BadJson);
        assert_eq!(code("null"), ErrorCode::BadJson);
        assert_eq!(code("{}"), ErrorCode::BadMessage);
        assert_eq!(code(r#"{"type":7}"#), ErrorCode::BadMessage);
        assert_eq!(code(r#"{"type":"dance"}"#), ErrorCode::UnknownType);
        assert_eq!(code(r#"{"type":"hello","v":2}"#), ErrorCode::UnsupportedVersion);
        assert_eq!(code(r#"{"type":"hello","v":1,"name":"a\nb"}"#), ErrorCode::BadName);
        assert_eq!(code(r#"{"type":"join","room":"a b"}"#), ErrorCode::BadRoom);
        assert_eq!(code(r#"{"type":"join","room":5}"#), ErrorCode::BadMessage);
        assert_eq!(code(r#"{"type":"join","ifMissing":"maybe"}"#), ErrorCode::BadMessage);
        assert_eq!(code(r#"{"type":"leave"}"#), ErrorCode::BadMessage);
        assert_eq!(code(r#"{"type":"offer","to":"x","data":1}"#), ErrorCode::BadMessage);
        assert_eq!(code(r#"{"type":"offer","to":"AAAAAAAAAAAAAAAAAAAA"}"#), ErrorCode::BadMessage);
    }

    #[test]
    fn keeps_the_reference_of_a_refused_message() {
        let error = ClientMessage::decode(r#"{"type":"join","room":"!","ref":"r-1"}"#).expect_err("bad room");
        assert_eq!(error.reference, Some(Reference::Text("r-1".into())));
        assert_eq!(code(&format!(r#"{{"type":"ping","ref":"{}"}}"#, "x".repeat(65))), ErrorCode::BadMessage);
        assert_eq!(code(r#"{"type":"ping","ref":[1]}"#), ErrorCode::BadMessage);
    }

    #[test]
    fn reads_escaped_text() {
        let message = ClientMessage::decode(r#"{"type":"\u0068ello","v":1,"name":"A\u006en"}"#).expect("valid");
        let Request::Hello { name, .. } = message.request else { panic!("not hello") };
        assert_eq!(name.map(|name| name.to_string()), Some("Ann".to_owned()));
    }

    #[test]
    fn survives_deep_nesting() {
        let deep = format!(
            r#"{{"type":"offer","to":"AAAAAAAAAAAAAAAAAAAA","data":{}1{}}}"#,
            "[".repeat(30_000),
            "]".repeat(30_000)
        );
        let _ = ClientMessage::decode(&deep);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = ClientMessage::decode(&text);
        }

        #[test]
        fn perturbed_messages_never_panic(at in 0usize..90, byte: u8) {
            let mut bytes = br#"{"type":"join","room":"aUa62LD8NZ","ifMissing":"new","ref":"7","name":"Ann","v":1,"x":[{}]}"#.to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(text) = std::str::from_utf8(&bytes) {
                let _ = ClientMessage::decode(text);
            }
        }

        #[test]
        fn references_come_back_as_they_were(text in "\\PC{0,16}") {
            let json = Reference::Text(text.as_str().into()).as_json().into_owned();
            let message = format!(r#"{{"type":"ping","ref":{json}}}"#);
            let decoded = ClientMessage::decode(&message).map(|m| m.reference);
            prop_assert_eq!(decoded, Ok(Some(Reference::Text(text.into()))));
        }
    }
}
