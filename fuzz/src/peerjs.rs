//! The PeerJS dialect: what clients say.

use crate::json;
use serde_json::Value;
use switchboard_wire::peerjs::{ClientMessage, Kind, Malformed, Notice, Relayed};

/// A name with everything that has to be escaped.
const SOURCE: &str = "a \"b\" \\ \u{1} \u{2028} ž";

/// Reads `data` as one frame of a client.
///
/// What another reader takes for an object is read, and means the same to both. What is passed on is an object with the true source
/// and the payload as it came, and would be passed on again unchanged.
pub fn message(data: &[u8]) {
    let decoded = ClientMessage::decode(data);
    if let Some(value) = json::read(data) {
        agree(&decoded, &value);
    }
    match decoded {
        Ok(ClientMessage::Relayed(message)) => pass_on(&message, data),
        Ok(ClientMessage::Unreachable { dst }) => {
            let mut told = Vec::new();
            Notice::Unreachable { from: dst.get(), to: SOURCE }.write_json(&mut told);
            // Numbers that are too large for this reader are JSON, too.
            let Ok(ClientMessage::Relayed(told)) = ClientMessage::decode(&told) else { panic!("not readable: {dst}") };
            assert_eq!((told.kind, &*told.dst), (Kind::Expire, SOURCE));
        }
        Ok(ClientMessage::Heartbeat | ClientMessage::Release | ClientMessage::Ignored) => {}
        Err(malformed) => assert!(malformed.to_string().ends_with('.'), "no sentence: {malformed}"),
    }
}

fn agree(decoded: &Result<ClientMessage<'_>, Malformed>, value: &Value) {
    let (kind, dst) = (value["type"].as_str(), value["dst"].as_str().unwrap_or_default());
    match decoded {
        Err(Malformed::NoObject) => assert!(!value.is_object(), "refused {value}"),
        Ok(ClientMessage::Heartbeat) => assert_eq!(kind, Some("HEARTBEAT")),
        Ok(ClientMessage::Release) => assert_eq!((kind, dst), (Some("LEAVE"), "")),
        Ok(ClientMessage::Relayed(message)) => assert_eq!((kind, dst), (Some(message.kind.as_str()), &*message.dst)),
        Ok(ClientMessage::Unreachable { .. }) => {
            assert!(matches!(kind, Some("OFFER" | "ANSWER")) && !value["dst"].is_string(), "{value}");
        }
        Ok(ClientMessage::Ignored) => {
            let relayed = [Kind::Offer, Kind::Answer, Kind::Candidate, Kind::Leave, Kind::Expire].map(Kind::as_str);
            assert!(value.is_object());
            assert!(
                kind != Some("HEARTBEAT") && (dst.is_empty() || kind.is_none_or(|kind| !relayed.contains(&kind))),
                "{value}"
            );
        }
    }
}

fn pass_on(message: &Relayed<'_>, data: &[u8]) {
    assert!(!message.dst.is_empty());
    let mut passed = Vec::new();
    message.write_json(SOURCE, &mut passed);
    if let Some(payload) = message.payload {
        let payload = payload.get().as_bytes();
        assert!(data.windows(payload.len()).any(|window| window == payload), "the payload was changed");
    }
    let Ok(ClientMessage::Relayed(again)) = ClientMessage::decode(&passed) else {
        panic!("not readable: {}", String::from_utf8_lossy(&passed))
    };
    assert_eq!((again.kind, &*again.dst), (message.kind, &*message.dst));
    let mut twice = Vec::new();
    again.write_json(SOURCE, &mut twice);
    assert_eq!(twice, passed);
    // Numbers that are too large and half characters may pass; who reads the payload decides what they are.
    if let Some(value) = json::read(&passed) {
        assert_eq!(value["src"], SOURCE);
        assert_eq!(value.as_object().map(|members| members.len()), Some(3 + usize::from(message.payload.is_some())));
    }
}
