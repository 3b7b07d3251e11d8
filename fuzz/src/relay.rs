//! The relay of topics: what its clients say.

use crate::json;
use serde_json::Value;
use switchboard_wire::directory::{Name, Request};
use switchboard_wire::relay::{ClientMessage, write_error};

/// Reads `data` as one frame of a client.
///
/// What is read means the same to another reader. Subscribers get an object of two members with the topic and the payload as it came, and
/// what is refused is refused with a sentence that is JSON.
pub fn message(data: &[u8]) {
    let mut text = Vec::new();
    let message = match ClientMessage::decode(data) {
        Ok(message) => message,
        Err(malformed) => {
            let sentence = malformed.to_string();
            assert!(sentence.ends_with('.'), "no sentence: {sentence}");
            write_error(&sentence, &mut text);
            let told: Value = serde_json::from_slice(&text).expect("JSON");
            assert_eq!(told["error"], sentence);
            return;
        }
    };
    // Numbers that are too large, deep nesting and half characters may pass in payloads and members that nobody reads.
    let value = json::read(data);
    let said = |member: &str| value.as_ref().map(|value| value[member].clone());
    match message.into_request(&mut text) {
        Request::Claim { name, .. } => agree(&said, "subscribe", &name),
        Request::Release { name, .. } => agree(&said, "unsubscribe", &name.expect("one topic")),
        Request::Send(send) => {
            if let Some(kind) = said("type") {
                assert_eq!((kind, said("topic")), ("publish".into(), Some(send.to.as_ref().into())));
            }
            let Some(passed) = json::read(&send.text) else { return };
            assert_eq!(passed["topic"], *send.to);
            assert_eq!(passed.as_object().map(|members| members.len()), Some(2));
            if let Some(payload) = said("payload") {
                assert_eq!(passed["payload"], payload);
            }
        }
        Request::Alive => panic!("no message says so"),
    }
}

fn agree(said: &impl Fn(&str) -> Option<Value>, kind: &str, topic: &Name) {
    if let Some(value) = said("type") {
        assert_eq!((value, said("topic")), (kind.into(), Some(topic.as_str().into())));
    }
}
