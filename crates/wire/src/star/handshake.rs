//! One object of the event `ss-handshake`, read in place: who it is from, for whom, and nothing else.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What `err` says to a sender whose addressee nobody has joined with. Clients show it to their users.
pub const UNAVAILABLE: &str = "peer is not available";

const BEFORE: &[u8] = b"42[\"ws-handshake\",";
const AFTER: &[u8] = b"]";

/// What one peer has to say to another, borrowed from the text that it came in.
///
/// The object is `{intentId, srcMultiaddr, dstMultiaddr, signal, answer}` and whatever else a client puts there. The source
/// is always who began the exchange, of an answer too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake<'a> {
    source: Cow<'a, str>,
    destination: Cow<'a, str>,
    answer: bool,
    object: &'a str,
}

/// Text that is no handshake: the client's fault. The original ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedHandshake {
    /// It is not JSON at all.
    #[error("the handshake is not JSON")]
    NotJson,
    /// It is other JSON than an object with the two addresses.
    #[error("a handshake is an object with the texts srcMultiaddr and dstMultiaddr")]
    NoAddresses,
}

impl<'a> Handshake<'a> {
    /// Reads the JSON of one object. Of a member that stands twice, the last counts, as in JavaScript.
    ///
    /// # Errors
    /// Text that is no JSON, which must not be passed on, and JSON that names no two peers.
    pub fn decode(json: &'a str) -> Result<Self, MalformedHandshake> {
        let object = json.trim_ascii();
        // Serde would read an array as the members in order.
        if !object.starts_with('{') {
            let known = serde_json::from_str::<IgnoredAny>(object).is_ok();
            return Err(if known { MalformedHandshake::NoAddresses } else { MalformedHandshake::NotJson });
        }
        let members: Members<'a> = serde_json::from_str(object).map_err(|_| MalformedHandshake::NotJson)?;
        let address = |raw: Option<&'a RawValue>| {
            raw.and_then(|raw| super::read_address(raw.get())).ok_or(MalformedHandshake::NoAddresses)
        };
        let (source, destination) = (address(members.source)?, address(members.destination)?);
        let answer = members.answer.is_some_and(|answer| answer.get() == "true");
        Ok(Self { source, destination, answer, object })
    }

    /// The address under which it is sent: the source's, or the destination's if it is an answer.
    pub fn from(&self) -> &str {
        if self.answer { &self.destination } else { &self.source }
    }

    /// The address to which it goes.
    pub fn to(&self) -> &str {
        if self.answer { &self.source } else { &self.destination }
    }

    /// As [`Self::to`], without a copy.
    pub fn into_to(self) -> Cow<'a, str> {
        if self.answer { self.source } else { self.destination }
    }

    /// Whether it is for who began the exchange. Nobody is told of an answer that cannot be delivered.
    pub fn is_answer(&self) -> bool {
        self.answer
    }

    /// The packet that its addressee gets: `42["ws-handshake",<the object as it came>]`.
    pub fn packet(&self) -> Vec<u8> {
        [BEFORE, self.object.as_bytes(), AFTER].concat()
    }
}

/// Appends what the sender of `packet` gets when it does not arrive: the same object, with `err`. Clients match it with what
/// they sent by the other members. Appends nothing for what [`Handshake::packet`] cannot have made.
pub fn write_failure(packet: &[u8], reason: &str, out: &mut Vec<u8>) {
    let object = packet.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix(AFTER));
    let Some(members) = object.and_then(|object| object.strip_suffix(b"}")) else { return };
    out.extend_from_slice(BEFORE);
    out.extend_from_slice(members);
    // Last, so that it counts whatever the sender put there. There are at least the addresses before it.
    out.extend_from_slice(b",\"err\":");
    out.extend_from_slice(serde_json::Value::from(reason).to_string().as_bytes());
    out.extend_from_slice(b"}");
    out.extend_from_slice(AFTER);
}

/// The members that matter; all others are skipped.
#[derive(Default)]
struct Members<'a> {
    source: Option<&'a RawValue>,
    destination: Option<&'a RawValue>,
    answer: Option<&'a RawValue>,
}

/// The name of a member, as far as it matters.
enum Key {
    Source,
    Destination,
    Answer,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(match name {
                    "srcMultiaddr" => Key::Source,
                    "dstMultiaddr" => Key::Destination,
                    "answer" => Key::Answer,
                    _ => Key::Other,
                })
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
                let mut members = Members::default();
                while let Some(key) = object.next_key()? {
                    match key {
                        Key::Source => members.source = Some(object.next_value()?),
                        Key::Destination => members.destination = Some(object.next_value()?),
                        Key::Answer => members.answer = Some(object.next_value()?),
                        Key::Other => {
                            object.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// What a client of 2021 sends, with the line breaks of a session description.
    const OFFER: &str =
        r#"{"intentId":"8c1z", "srcMultiaddr":"/a","dstMultiaddr":"/b","signal":{"type":"offer","sdp":"v=0\r\n"}}"#;

    fn text(packet: Vec<u8>) -> String {
        String::from_utf8(packet).expect("text")
    }

    #[test]
    fn an_offer_goes_to_the_destination_as_it_came() {
        let offer = Handshake::decode(OFFER).expect("an offer");
        assert_eq!((offer.from(), offer.to(), offer.is_answer()), ("/a", "/b", false));
        assert_eq!(text(offer.packet()), format!(r#"42["ws-handshake",{OFFER}]"#));
        assert!(matches!(offer.source, Cow::Borrowed(_)), "nothing is copied");
    }

    #[test]
    fn an_answer_goes_back_to_the_source() {
        let json = r#" {"answer":true,"srcMultiaddr":"/a","dstMultiaddr":"\/b","x":[{"answer":false}]} "#;
        let answer = Handshake::decode(json).expect("an answer");
        assert_eq!((answer.from(), answer.to(), answer.is_answer()), ("/b", "/a", true));
    }

    #[test]
    fn only_true_makes_an_answer() {
        for value in ["1", "\"true\"", "false", "null", "[]", "{\"answer\":true}"] {
            let json = format!(r#"{{"srcMultiaddr":"/a","dstMultiaddr":"/b","answer":{value}}}"#);
            assert!(!Handshake::decode(&json).expect("a handshake").is_answer(), "{value}");
        }
    }

    #[test]
    fn of_a_member_that_stands_twice_the_last_counts() {
        let json = r#"{"answer":true,"srcMultiaddr":7,"dstMultiaddr":"/b","srcMultiaddr":"/a","answer":null}"#;
        let offer = Handshake::decode(json).expect("an offer");
        assert_eq!((offer.from(), offer.to()), ("/a", "/b"));
    }

    #[test]
    fn what_names_no_two_peers_is_refused() {
        let objects = [r#"{}"#, r#"{"srcMultiaddr":"/a"}"#, r#"{"srcMultiaddr":"/a","dstMultiaddr":null}"#];
        let more = [r#"{"srcMultiaddr":"","dstMultiaddr":"/b"}"#, r#"{"srcMultiaddr":["/a"],"dstMultiaddr":"/b"}"#];
        for json in objects.into_iter().chain(more).chain(["[]", "null", "7", "\"x\"", "[{\"srcMultiaddr\":\"/a\"}]"]) {
            assert_eq!(Handshake::decode(json), Err(MalformedHandshake::NoAddresses), "{json}");
        }
        for json in ["", "{", "{bad", r#"{"srcMultiaddr":"/a","dstMultiaddr":"/b"}}"#, "{\"a\":\"\n\"}"] {
            assert_eq!(Handshake::decode(json), Err(MalformedHandshake::NotJson), "{json}");
        }
    }

    #[test]
    fn a_failure_is_the_same_object_with_a_reason() {
        let mut out = Vec::new();
        write_failure(&Handshake::decode(OFFER).expect("an offer").packet(), UNAVAILABLE, &mut out);
        let members = OFFER.strip_suffix('}').expect("an object");
        assert_eq!(text(out), format!(r#"42["ws-handshake",{members},"err":"peer is not available"}}]"#));
    }

    #[test]
    fn a_reason_of_the_senders_own_does_not_count() {
        let json = r#"{"err":"mine","srcMultiaddr":"/a","dstMultiaddr":"/b"}"#;
        let mut out = Vec::new();
        write_failure(&Handshake::decode(json).expect("an offer").packet(), UNAVAILABLE, &mut out);
        let event: Value = serde_json::from_slice(&out[2..]).expect("JSON");
        assert_eq!(event[1]["err"], UNAVAILABLE);
    }

    #[test]
    fn a_failure_of_nothing_is_nothing() {
        for packet in [&b""[..], b"42[\"ws-handshake\",", b"42[\"ws-handshake\",7]", b"42[\"ws-peer\",{}]"] {
            let mut out = Vec::new();
            write_failure(packet, UNAVAILABLE, &mut out);
            assert!(out.is_empty());
        }
    }

    #[test]
    fn survives_deep_nesting() {
        let deep = format!(
            r#"{{"signal":{}1{},"srcMultiaddr":"/a","dstMultiaddr":"/b"}}"#,
            "[".repeat(30_000),
            "]".repeat(30_000)
        );
        let _ = Handshake::decode(&deep);
    }

    /// Any JSON, for members that nobody looks at.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn handshakes_pass_as_they_came_and_fail_with_a_reason(
            source in "\\PC{1,40}", destination in "\\PC{1,40}", answer: bool, intent: String, signal in any_json(),
        ) {
            let object = json!({
                "intentId": intent, "srcMultiaddr": source, "dstMultiaddr": destination, "signal": signal, "answer": answer,
            });
            let json = object.to_string();
            let handshake = Handshake::decode(&json).expect("a handshake");
            let (from, to) = if answer { (&destination, &source) } else { (&source, &destination) };
            prop_assert_eq!((handshake.from(), handshake.to()), (from.as_str(), to.as_str()));
            let packet = handshake.packet();
            prop_assert_eq!(text(packet.clone()), format!("42[\"ws-handshake\",{json}]"));
            let mut failure = Vec::new();
            write_failure(&packet, UNAVAILABLE, &mut failure);
            let mut expected = object;
            expected["err"] = UNAVAILABLE.into();
            let told: Value = serde_json::from_slice(&failure[2..]).expect("JSON");
            prop_assert_eq!(told, json!(["ws-handshake", expected]));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC*|[{}\\[\\]\",:a-z0-9 ]{0,40}") {
            let _ = Handshake::decode(&text);
        }

        #[test]
        fn perturbed_handshakes_never_break_what_is_passed_on(at in 0_usize..120, byte: u8) {
            let mut bytes = OFFER.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(text) = std::str::from_utf8(&bytes)
                && let Ok(handshake) = Handshake::decode(text)
            {
                prop_assert!(serde_json::from_slice::<IgnoredAny>(&handshake.packet()[2..]).is_ok());
            }
        }
    }
}
