//! The messages of Trystero's WebSocket relay (`docs/protocol/ws-relay.md`): whoever subscribed to a topic gets what is published
//! under it, its publisher too.
//!
//! A payload is never looked into: it is passed on as it came, and is encrypted where Trystero has a password.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::directory::{Absent, Claim, Malformed, Name, Namespace, Recipients, Request, Send};
use crate::json::write_string;
use crate::rooms::present;

/// What a client says.
#[derive(Clone, Debug)]
pub enum ClientMessage<'a> {
    /// Wants what is published under the topic.
    Subscribe(Name),
    /// Wants it no more.
    Unsubscribe(Name),
    /// For all who want it.
    Publish {
        /// Under which topic.
        topic: Cow<'a, str>,
        /// Any JSON, unread.
        payload: &'a RawValue,
    },
}

/// Every member that some message has; others are skipped.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
}

impl<'a> ClientMessage<'a> {
    /// Reads one frame, text or binary. Nothing is copied but names; the payload stays a slice of `frame`.
    ///
    /// # Errors
    /// Says what is wrong with it, where the original passes over it in silence.
    pub fn decode(frame: &'a [u8]) -> Result<Self, Malformed> {
        let malformed = |sentence: &'static str| Malformed(Cow::Borrowed(sentence));
        let text = std::str::from_utf8(frame).map_err(|_| malformed("A message is JSON in UTF-8."))?;
        // Serde would read an array as the members in order.
        let object = Some(text).filter(|text| text.trim_start().starts_with('{'));
        let envelope = object.and_then(|text| serde_json::from_str::<Envelope<'a>>(text).ok());
        let Envelope { kind, topic, payload } = envelope
            .ok_or_else(|| malformed("A message is one JSON object with the strings \"type\" and \"topic\"."))?;
        match &*kind {
            "subscribe" => Ok(Self::Subscribe(Name::new(&topic)?)),
            "unsubscribe" => Ok(Self::Unsubscribe(Name::new(&topic)?)),
            "publish" => payload
                .map(|payload| Self::Publish { topic, payload })
                .ok_or_else(|| malformed("To publish is to give a \"payload\".")),
            _ => Err(malformed("The \"type\" is \"subscribe\", \"unsubscribe\" or \"publish\".")),
        }
    }

    /// What it asks of the directory. What subscribers get is written to `text`.
    pub fn into_request<'t>(self, text: &'t mut Vec<u8>) -> Request<'t>
    where
        'a: 't,
    {
        let namespace = Namespace::Topics;
        match self {
            Self::Subscribe(name) => Request::Claim { namespace, name, claim: Claim::Shared },
            Self::Unsubscribe(name) => Request::Release { namespace, name: Some(name) },
            Self::Publish { topic, payload } => {
                write_published(&topic, payload, text);
                let (recipients, absent) = (Recipients::All, Absent::Drop);
                Request::Send(Send { namespace, from: None, to: topic, text: Cow::Borrowed(text), recipients, absent })
            }
        }
    }
}

/// Writes a message as its subscribers get it.
pub fn write_published(topic: &str, payload: &RawValue, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"topic\":");
    write_string(topic, out);
    out.extend_from_slice(b",\"payload\":");
    out.extend_from_slice(payload.get().as_bytes());
    out.push(b'}');
}

/// Writes what is wrong with a client's message; it has no topic, so that the official client passes over it.
pub fn write_error(sentence: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"error\":");
    write_string(sentence, out);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::directory::NAME_BYTES;

    fn request(frame: &str) -> Result<String, String> {
        let mut text = Vec::new();
        let message = ClientMessage::decode(frame.as_bytes()).map_err(|error| error.to_string())?;
        Ok(match message.into_request(&mut text) {
            Request::Claim { namespace: Namespace::Topics, name, claim: Claim::Shared } => format!("+{name}"),
            Request::Release { namespace: Namespace::Topics, name: Some(name) } => format!("-{name}"),
            Request::Send(send) => {
                assert_eq!((send.recipients, send.absent, send.from), (Recipients::All, Absent::Drop, None));
                format!("{}: {}", send.to, String::from_utf8_lossy(&send.text))
            }
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn says_what_is_subscribed_and_published() {
        assert_eq!(request(r#"{"type":"subscribe","topic":"a"}"#).as_deref(), Ok("+a"));
        assert_eq!(request(r#"{"topic":"\u00e4\"","type":"unsubscribe","x":[1]}"#).as_deref(), Ok("-ä\""));
        let publish = r#"{"type":"publish","topic":"\u00e4","payload":{"z" : 1.0,"a":"\u00e4"}}"#;
        let published = r#"ä: {"topic":"ä","payload":{"z" : 1.0,"a":"\u00e4"}}"#;
        assert_eq!(request(publish).as_deref(), Ok(published));
        let null = r#"{"type":"publish","topic":"t","payload":null}"#;
        assert_eq!(request(null).as_deref(), Ok(r#"t: {"topic":"t","payload":null}"#), "null is a payload");
    }

    #[test]
    fn what_the_original_passes_over_is_refused_with_a_sentence() {
        for frame in [
            "",
            "junk",
            "null",
            r#"["subscribe","t"]"#,
            "{}",
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","topic":7}"#,
            r#"{"type":7,"topic":"t"}"#,
            r#"{"type":"subscribe","topic":""}"#,
            r#"{"type":"announce","topic":"t"}"#,
            r#"{"type":"publish","topic":"t"}"#,
            r#"{"type":"subscribe","topic":"t"} {}"#,
        ] {
            assert!(request(frame).expect_err(frame).ends_with('.'));
        }
        assert!(ClientMessage::decode(b"{\"type\":\"\xff\"}").is_err());
        let topic = |bytes| json!({ "type": "subscribe", "topic": "t".repeat(bytes) }).to_string();
        assert!(request(&topic(NAME_BYTES)).is_ok());
        assert!(request(&topic(NAME_BYTES + 1)).is_err());
    }

    #[test]
    fn a_mistake_is_told_in_a_message_without_a_topic() {
        let mut out = Vec::new();
        write_error("Not \"so\".", &mut out);
        let read: Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(read, json!({ "error": "Not \"so\"." }));
    }

    proptest! {
        #[test]
        fn subscribers_get_what_was_published(topic in ".{1,20}", payload in ".{0,40}") {
            let frame = json!({ "type": "publish", "topic": topic, "payload": { "p": payload } }).to_string();
            let mut text = Vec::new();
            let Ok(message) = ClientMessage::decode(frame.as_bytes()) else { panic!("{frame}") };
            let Request::Send(send) = message.into_request(&mut text) else { panic!("{frame}") };
            let read: Value = serde_json::from_slice(&send.text).expect("JSON");
            prop_assert_eq!(read, json!({ "topic": topic, "payload": { "p": payload } }));
        }

        #[test]
        fn any_bytes_are_read_or_refused(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ClientMessage::decode(&frame);
        }

        #[test]
        fn a_damaged_message_is_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut frame = br#"{"type":"publish","topic":"a\u00e4","payload":{"sdp":"v=0\r\n"}}"#.to_vec();
            let at = at.index(frame.len());
            frame[at] = byte;
            let mut text = Vec::new();
            if let Ok(Request::Send(send)) = ClientMessage::decode(&frame).map(|message| message.into_request(&mut text)) {
                prop_assert!(serde_json::from_slice::<Value>(&send.text).is_ok());
            }
        }
    }
}
