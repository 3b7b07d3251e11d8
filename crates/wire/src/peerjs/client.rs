//! What a client says, and the form in which it is passed on.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::directory::NAME_BYTES;
use crate::json::{read_string, write_string};

/// What a relayed message is for. All are passed on in the same way; they differ in what happens when nobody is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A session description that opens a negotiation.
    Offer,
    /// The one that answers it.
    Answer,
    /// An ICE candidate.
    Candidate,
    /// The sender is through with the addressee.
    Leave,
    /// What the addressee sent was not read in time.
    Expire,
}

impl Kind {
    /// The member `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offer => "OFFER",
            Self::Answer => "ANSWER",
            Self::Candidate => "CANDIDATE",
            Self::Leave => "LEAVE",
            Self::Expire => "EXPIRE",
        }
    }

    /// Whether it is kept for a while if the addressee is not there; the others mean nothing later.
    pub fn waits(self) -> bool {
        match self {
            Self::Offer | Self::Answer | Self::Candidate => true,
            Self::Leave | Self::Expire => false,
        }
    }
}

/// A message for another client.
#[derive(Clone, Debug)]
pub struct Relayed<'a> {
    /// What it is for.
    pub kind: Kind,
    /// The addressee; never empty.
    pub dst: Cow<'a, str>,
    /// Any JSON, unread; not every message has one.
    pub payload: Option<&'a RawValue>,
}

impl Relayed<'_> {
    /// Appends the message as its addressee gets it, from `src`: the members of the original in its order, and no others.
    pub fn write_json(&self, src: &str, out: &mut Vec<u8>) {
        let payload = self.payload.map_or("", RawValue::get);
        out.reserve(64 + src.len() + self.dst.len() + payload.len());
        out.extend_from_slice(b"{\"type\":\"");
        out.extend_from_slice(self.kind.as_str().as_bytes());
        out.extend_from_slice(b"\",\"src\":");
        write_string(src, out);
        out.extend_from_slice(b",\"dst\":");
        write_string(&self.dst, out);
        if self.payload.is_some() {
            out.extend_from_slice(b",\"payload\":");
            out.extend_from_slice(payload.as_bytes());
        }
        out.push(b'}');
    }
}

/// What a client says.
#[derive(Clone, Debug)]
pub enum ClientMessage<'a> {
    /// A sign of life.
    Heartbeat,
    /// For another client.
    Relayed(Relayed<'a>),
    /// `LEAVE` for nobody: the client gives its id up.
    Release,
    /// An offer or answer for what no client can be called, a number for instance: ids are texts. The answer to it is [`Notice::Expire`]
    /// with the same JSON, for an official client finds its connection only by that: to it, 7 and "7" are two peers.
    ///
    /// [`Notice::Expire`]: super::Notice::Expire
    Unreachable {
        /// What stands in the place of the id.
        dst: &'a RawValue,
    },
    /// Of a type that the original passes over in silence, or for nobody.
    Ignored,
}

/// A frame that cannot be read: the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, or not an object.
    #[error("A message is one JSON object; this one is not.")]
    NoObject,
}

impl<'a> ClientMessage<'a> {
    /// Reads one frame, text or binary. Nothing is copied; the payload stays a slice of `frame`.
    ///
    /// Of members that stand twice the last one counts, as in JavaScript.
    ///
    /// # Errors
    /// What made the original deaf.
    pub fn decode(frame: &'a [u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(frame).map_err(|_| Malformed::NoObject)?;
        let envelope: Envelope<'a> = serde_json::from_str(text).map_err(|_| Malformed::NoObject)?;
        let kind = match envelope.kind.map(|json| read_string(json.get())) {
            Some(Some(kind)) => kind,
            Some(None) | None => return Ok(Self::Ignored),
        };
        let kind = match &*kind {
            "HEARTBEAT" => return Ok(Self::Heartbeat),
            "OFFER" => Kind::Offer,
            "ANSWER" => Kind::Answer,
            "CANDIDATE" => Kind::Candidate,
            "LEAVE" => Kind::Leave,
            "EXPIRE" => Kind::Expire,
            _ => return Ok(Self::Ignored),
        };
        let dst = match envelope.dst.filter(|dst| dst.get() != "null") {
            None => Cow::Borrowed(""),
            Some(json) => match read_string(json.get()) {
                Some(dst) => dst,
                None => return Ok(Self::for_no_id(kind, json)),
            },
        };
        Ok(match (kind, dst.is_empty()) {
            (_, false) => Self::Relayed(Relayed { kind, dst, payload: envelope.payload }),
            (Kind::Leave, true) => Self::Release,
            (Kind::Offer | Kind::Answer | Kind::Candidate | Kind::Expire, true) => Self::Ignored,
        })
    }

    /// Nobody can be meant. The sender is told once, not again for each candidate; and not with all of a text that no id is as long as.
    fn for_no_id(kind: Kind, dst: &'a RawValue) -> Self {
        match kind {
            Kind::Offer | Kind::Answer if dst.get().len() <= NAME_BYTES => Self::Unreachable { dst },
            Kind::Offer | Kind::Answer | Kind::Candidate | Kind::Leave | Kind::Expire => Self::Ignored,
        }
    }
}

/// The members that have a meaning; others are skipped.
#[derive(Default)]
struct Envelope<'a> {
    kind: Option<&'a RawValue>,
    dst: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(name) = map.next_key::<&'de RawValue>()? {
            let value = map.next_value::<&'de RawValue>()?;
            match read_string(name.get()).as_deref() {
                Some("type") => envelope.kind = Some(value),
                Some("dst") => envelope.dst = Some(value),
                Some("payload") => envelope.payload = Some(value),
                Some(_) | None => {}
            }
        }
        Ok(envelope)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn relayed(frame: &str, src: &str) -> String {
        let Ok(ClientMessage::Relayed(message)) = ClientMessage::decode(frame.as_bytes()) else { panic!("{frame}") };
        let mut out = Vec::new();
        message.write_json(src, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn rebuilds_a_message_with_the_true_source_and_the_originals_order() {
        let frame =
            r#" {"payload":{"sdp" : "v=0\r\n","z":1,"a":2.0},"extra":1,"dst":"ben","src":"forged","type":"OFFER"} "#;
        let passed = r#"{"type":"OFFER","src":"ann","dst":"ben","payload":{"sdp" : "v=0\r\n","z":1,"a":2.0}}"#;
        assert_eq!(relayed(frame, "ann"), passed);
    }

    #[test]
    fn leaves_a_payload_out_that_was_not_sent() {
        assert_eq!(relayed(r#"{"type":"LEAVE","dst":"b"}"#, "a"), r#"{"type":"LEAVE","src":"a","dst":"b"}"#);
        let null = r#"{"type":"CANDIDATE","src":"a","dst":"b","payload":null}"#;
        assert_eq!(relayed(r#"{"type":"CANDIDATE","dst":"b","payload":null}"#, "a"), null);
    }

    #[test]
    fn of_members_that_stand_twice_the_last_counts() {
        let frame = r#"{"type":"OFFER","dst":"x","payload":1,"dst":"y","payload":2,"type":"ANSWER"}"#;
        assert_eq!(relayed(frame, "a"), r#"{"type":"ANSWER","src":"a","dst":"y","payload":2}"#);
    }

    #[test]
    fn escapes_are_read_in_names_and_values() {
        let frame = r#"{"\u0074ype":"\u004fFFER","dst":"\"\u00e4"}"#;
        assert_eq!(relayed(frame, "q\"\u{1}\\"), r#"{"type":"OFFER","src":"q\"\u0001\\","dst":"\"ä"}"#);
    }

    #[test]
    fn what_the_original_passes_over_is_passed_over() {
        for frame in [
            "{}",
            r#"{"type":7}"#,
            r#"{"type":null}"#,
            r#"{"type":"OPEN"}"#,
            r#"{"type":"offer","dst":"b"}"#,
            r#"{"type":"OFFER"}"#,
            r#"{"type":"OFFER","dst":null}"#,
            r#"{"type":"OFFER","dst":""}"#,
            r#"{"type":"EXPIRE"}"#,
            r#"{"type":"CANDIDATE","dst":7}"#,
            r#"{"type":"LEAVE","dst":7}"#,
            r#"{"type":"EXPIRE","dst":[]}"#,
        ] {
            assert!(matches!(ClientMessage::decode(frame.as_bytes()), Ok(ClientMessage::Ignored)), "{frame}");
        }
        let decoded = |frame: &'static str| ClientMessage::decode(frame.as_bytes());
        assert!(matches!(decoded(r#"{"type":"HEARTBEAT"}"#), Ok(ClientMessage::Heartbeat)));
        assert!(matches!(decoded(r#"{"type":"LEAVE"}"#), Ok(ClientMessage::Release)));
    }

    #[test]
    fn what_made_the_original_deaf_is_refused() {
        for frame in ["", "junk", "null", "1", "\"text\"", "[1]", "{\"type\":", "{} {}", "{\"type\":\"OFFER\",}"] {
            assert_eq!(ClientMessage::decode(frame.as_bytes()).expect_err(frame), Malformed::NoObject);
        }
        assert_eq!(ClientMessage::decode(b"{\"type\":\"\xff\"}").expect_err("no UTF-8"), Malformed::NoObject);
    }

    #[test]
    fn what_is_no_text_is_nobodys_id_and_is_told_as_it_came() {
        for dst in ["7", "-1.50e3", "{}", "[\"b\"]", "true"] {
            for kind in ["OFFER", "ANSWER"] {
                let frame = format!(r#"{{"type":"{kind}","dst": {dst} }}"#);
                match ClientMessage::decode(frame.as_bytes()) {
                    Ok(ClientMessage::Unreachable { dst: told }) => assert_eq!(told.get(), dst),
                    other => panic!("{frame} is {other:?}"),
                }
            }
        }
        let long = format!(r#"{{"type":"OFFER","dst":[{}1]}}"#, "1,".repeat(256));
        assert!(matches!(ClientMessage::decode(long.as_bytes()), Ok(ClientMessage::Ignored)));
    }

    #[test]
    fn nesting_costs_no_stack() {
        let deep = "[".repeat(30_000) + &"]".repeat(30_000);
        let frame = format!(r#"{{"type":"OFFER","dst":"b","payload":{deep}}}"#);
        assert!(relayed(&frame, "a").ends_with(&format!("{deep}}}")));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((".{0,4}", inner), 0..4).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    fn any_kind() -> impl Strategy<Value = Kind> {
        prop::sample::select(vec![Kind::Offer, Kind::Answer, Kind::Candidate, Kind::Leave, Kind::Expire])
    }

    proptest! {
        #[test]
        fn what_is_passed_on_says_what_was_sent(
            kind in any_kind(), src in ".{1,20}", dst in ".{1,20}", payload in proptest::option::of(any_json()), forged in any_json(),
        ) {
            let mut sent = json!({ "type": kind.as_str(), "dst": dst, "src": forged });
            let mut expected = json!({ "type": kind.as_str(), "src": src, "dst": dst });
            if let Some(payload) = &payload {
                sent["payload"] = payload.clone();
                expected["payload"] = payload.clone();
            }
            let passed = relayed(&sent.to_string(), &src);
            // Numbers as this reader reads them.
            let read = |json: &str| serde_json::from_str::<Value>(json).expect("JSON");
            prop_assert_eq!(read(&passed), read(&expected.to_string()));
            // A second server on the way would pass it on as it is.
            prop_assert_eq!(relayed(&passed, &src), passed);
        }

        #[test]
        fn any_bytes_are_read_or_refused(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ClientMessage::decode(&frame);
        }

        #[test]
        fn a_damaged_message_is_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut frame = br#"{"type":"OFFER","dst":"ben\u00e4","payload":{"sdp":"v=0\r\n"}}"#.to_vec();
            let at = at.index(frame.len());
            frame[at] = byte;
            if let Ok(ClientMessage::Relayed(message)) = ClientMessage::decode(&frame) {
                let mut out = Vec::new();
                message.write_json("ann", &mut out);
                prop_assert!(serde_json::from_slice::<Value>(&out).is_ok(), "{}", String::from_utf8_lossy(&out));
            }
        }
    }
}
