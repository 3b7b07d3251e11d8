//! The messages of matchbox (`docs/protocol/matchbox.md`): clients of one room hear of each other and pass signals on, as in the rooms
//! protocol, into whose vocabulary this is translated.
//!
//! A payload is never looked into: it is passed on as it came.

mod id;
mod room;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use room::{InvalidRoom, NAME_BYTES, Wanted};

use crate::PeerId;
use crate::rooms::{self, DecodeError, ErrorCode, Request, ServerMessage, Signal, SignalKind};

/// What a client says, as serde writes a Rust enum.
#[derive(Clone, Debug, Deserialize)]
enum Said<'a> {
    Signal {
        #[serde(borrow)]
        receiver: Cow<'a, str>,
        #[serde(borrow)]
        data: &'a RawValue,
    },
    KeepAlive,
}

/// Reads one text frame. Nothing is copied; the payload stays a slice of `text`.
///
/// # Errors
/// Says by code and sentence what is wrong with the message; the connection can go on.
pub fn decode(text: &str) -> Result<rooms::ClientMessage<'_>, DecodeError> {
    let said = serde_json::from_str(text).map_err(|_| {
        let sentence = "A message is \"KeepAlive\" or {\"Signal\":{\"receiver\":ID,\"data\":JSON}}.";
        mistake(ErrorCode::BadMessage, sentence)
    })?;
    let request = match said {
        // The kind is part of the payload, and no receiver is told another one.
        Said::Signal { receiver, data } => {
            Request::Signal { kind: SignalKind::Candidate, to: read_id(&receiver)?, data }
        }
        Said::KeepAlive => Request::Ping,
    };
    Ok(rooms::ClientMessage { request, reference: None })
}

/// What is wrong with a binary frame.
pub fn binary() -> DecodeError {
    mistake(ErrorCode::BinaryFrame, "Messages are text frames; this one was binary.")
}

fn read_id(receiver: &str) -> Result<PeerId, DecodeError> {
    let uuid = id::parse_uuid(receiver)
        .ok_or_else(|| mistake(ErrorCode::BadMessage, "A \"receiver\" is a UUID, as \"NewPeer\" tells it."))?;
    id::from_uuid(uuid).ok_or_else(|| mistake(ErrorCode::PeerNotFound, "No peer of this server has that id."))
}

fn mistake(code: ErrorCode, sentence: &'static str) -> DecodeError {
    DecodeError { code, message: Cow::Borrowed(sentence), reference: None }
}

/// Writes what a client is told; `false`, and nothing written, if matchbox has no word for it.
pub fn write(message: &ServerMessage, out: &mut Vec<u8>) -> bool {
    match message {
        ServerMessage::Welcome(welcome) => write_event("IdAssigned", welcome.id, out),
        ServerMessage::PeerJoined { peer, .. } => write_event("NewPeer", peer.id, out),
        ServerMessage::PeerLeft { id, .. } => write_event("PeerLeft", *id, out),
        ServerMessage::Signal(signal) => write_signal(signal, out),
        ServerMessage::Error { code, message } if is_mistake(*code) => write_error(message, out),
        // Who was there before calls the newcomer, so that one learns of the others by their offers.
        ServerMessage::Joined { .. }
        | ServerMessage::Error { .. }
        | ServerMessage::IceServers { .. }
        | ServerMessage::Left { .. }
        | ServerMessage::Renamed { .. }
        | ServerMessage::PeerAway { .. }
        | ServerMessage::PeerBack { .. }
        | ServerMessage::PeerRenamed { .. }
        | ServerMessage::Pong
        | ServerMessage::Goodbye { .. } => return false,
    }
    true
}

/// Whether only a client that is wrong can have caused it. Of the rest it is not told: older official clients end at a message that
/// they do not know, and a signal to somebody who has just left is no mistake.
fn is_mistake(code: ErrorCode) -> bool {
    match code {
        ErrorCode::BadJson | ErrorCode::BadMessage | ErrorCode::UnknownType | ErrorCode::BinaryFrame => true,
        ErrorCode::UnsupportedVersion
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
        | ErrorCode::PeerNotFound
        | ErrorCode::PeerQueueFull
        | ErrorCode::SlowDown => false,
    }
}

fn write_event(name: &str, id: PeerId, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    id::write_uuid(id, out);
    out.extend_from_slice(b"\"}");
}

fn write_signal(signal: &Signal, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"Signal\":{\"sender\":\"");
    id::write_uuid(signal.from, out);
    out.extend_from_slice(b"\",\"data\":");
    out.extend_from_slice(signal.data.get().as_bytes());
    out.extend_from_slice(b"}}");
}

fn write_error(sentence: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"Error\":");
    // Writing a string to memory has no way to fail.
    let _ = serde_json::to_writer(&mut *out, sentence);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::rooms::GoodbyeCode;

    fn uuid(id: PeerId) -> String {
        let mut out = Vec::new();
        id::write_uuid(id, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    fn told(message: &ServerMessage) -> Option<Value> {
        let mut out = Vec::new();
        let written = write(message, &mut out);
        assert_eq!(written, !out.is_empty());
        written.then(|| serde_json::from_slice(&out).expect("JSON"))
    }

    #[test]
    fn reads_what_clients_say_and_leaves_the_payload_as_it_came() {
        let to = PeerId::from_random([7; 15]);
        let frame = format!(r#"{{"Signal":{{"receiver":"{}","data": {{"Offer" : "v=0\r\n"}} }}}}"#, uuid(to));
        let Ok(rooms::ClientMessage { request: Request::Signal { to: read, data, .. }, .. }) = decode(&frame) else {
            panic!("{frame}");
        };
        assert_eq!((read, data.get()), (to, r#"{"Offer" : "v=0\r\n"}"#));
        for frame in [r#""KeepAlive""#, r#" {"KeepAlive":null} "#] {
            assert!(matches!(decode(frame).expect("read").request, Request::Ping), "{frame}");
        }
    }

    #[test]
    fn what_it_does_not_know_is_refused_with_a_sentence() {
        let id = uuid(PeerId::from_random([7; 15]));
        for frame in [
            String::new(),
            "junk".to_owned(),
            "null".to_owned(),
            "{}".to_owned(),
            r#""Signal""#.to_owned(),
            r#"{"IdAssigned":"x"}"#.to_owned(),
            r#"{"Signal":{}}"#.to_owned(),
            format!(r#"{{"Signal":{{"receiver":"{id}"}}}}"#),
            r#"{"Signal":{"receiver":7,"data":1}}"#.to_owned(),
            r#"{"Signal":{"receiver":"me","data":1}}"#.to_owned(),
            format!(r#"{{"Signal":{{"receiver":"{id}","data":1}}}} x"#),
        ] {
            let error = decode(&frame).expect_err(&frame);
            assert_eq!(error.code, ErrorCode::BadMessage, "{frame}");
            assert!(error.message.ends_with('.'));
        }
        let strange = r#"{"Signal":{"receiver":"00000000-0000-0000-0000-000000000000","data":1}}"#;
        assert_eq!(decode(strange).expect_err("nobody").code, ErrorCode::PeerNotFound);
    }

    #[test]
    fn tells_what_matchbox_has_words_for_and_nothing_else() {
        let from = PeerId::from_random([255; 15]);
        let data = RawValue::from_string(r#"{"Answer":"v=0"}"#.to_owned()).expect("JSON");
        let signal = ServerMessage::Signal(Signal { kind: SignalKind::Candidate, from, data });
        let expected = json!({"Signal": {"sender": uuid(from), "data": {"Answer": "v=0"}}});
        assert_eq!(told(&signal), Some(expected));
        let error = ServerMessage::error(ErrorCode::BadMessage, "Not \"so\".");
        assert_eq!(told(&error), Some(json!({"Error": "Not \"so\"."})));
        assert_eq!(told(&ServerMessage::error(ErrorCode::PeerNotFound, "Gone.")), None);
        assert_eq!(told(&ServerMessage::Pong), None);
        assert_eq!(told(&ServerMessage::goodbye(GoodbyeCode::ShuttingDown, None)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = decode(&text);
        }

        #[test]
        fn a_damaged_message_is_read_or_refused(at in any::<prop::sample::Index>(), byte in 0u8..128) {
            let frame = format!(r#"{{"Signal":{{"receiver":"{}","data":{{"Offer":"v=0\r\n"}}}}}}"#, uuid(PeerId::from_random([9; 15])));
            let mut frame = frame.into_bytes();
            let at = at.index(frame.len());
            frame[at] = byte;
            let _ = decode(std::str::from_utf8(&frame).expect("ASCII"));
        }
    }
}
