//! matchbox: what its clients say, and the rooms that they ask for.

use crate::json;
use serde_json::Value;
use switchboard_wire::PeerId;
use switchboard_wire::matchbox::{NAME_BYTES, Wanted, decode, write};
use switchboard_wire::rooms::{ErrorCode, IfMissing, Member, Request, ServerMessage, Signal};
use switchboard_wire::{Dialect, PeerName, RoomId};

/// Most members of a group.
const MOST: usize = 32;

/// Reads `data` as one frame of a client.
///
/// What is read means the same to another reader. The addressee gets an object with the true sender and the payload as it came, and what is
/// refused is refused with a sentence that is JSON.
pub fn message(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Numbers that are too large, deep nesting and half characters may pass in payloads and members that nobody reads.
    let value = json::read(data);
    let mut out = Vec::new();
    match decode(text).map(|message| message.request) {
        Ok(Request::Ping) => {
            if let Some(value) = value {
                assert!(value == "KeepAlive" || value.get("KeepAlive").is_some_and(Value::is_null), "{value}");
            }
        }
        Ok(Request::Signal { kind, to, data }) => {
            if let Some(Value::String(receiver)) = value.as_ref().and_then(|value| value.pointer("/Signal/receiver")) {
                assert!(as_uuid(to).eq_ignore_ascii_case(receiver), "{receiver}");
            }
            let from = PeerId::from_random([0xa5; 15]);
            assert!(write(&ServerMessage::Signal(Signal { kind, from, data: data.to_owned() }), &mut out));
            let Some(told) = json::read(&out) else { return };
            assert_eq!(told["Signal"].as_object().map(|members| members.len()), Some(2));
            assert_eq!(told["Signal"]["sender"], as_uuid(from));
            if let Some(payload) = value.as_ref().and_then(|value| value.pointer("/Signal/data")) {
                assert_eq!(told["Signal"]["data"], *payload);
            }
        }
        Ok(other) => panic!("no message says {other:?}"),
        Err(error) => {
            assert!(error.message.ends_with('.'), "no sentence: {}", error.message);
            let told = write(&ServerMessage::error(error.code, error.message.clone()), &mut out);
            assert_eq!(told, error.code == ErrorCode::BadMessage);
            if told {
                assert_eq!(serde_json::from_slice::<Value>(&out).expect("JSON")["Error"], *error.message);
            }
        }
    }
}

/// The id as the clients of its room read it.
fn as_uuid(id: PeerId) -> String {
    let room = RoomId::from_random([0; 10]);
    let peer = Member { id, name: PeerName::default(), dialect: Dialect::Matchbox, away: false };
    let mut out = Vec::new();
    assert!(write(&ServerMessage::PeerJoined { room, peer }, &mut out));
    let told: Value = serde_json::from_slice(&out).expect("JSON");
    told["NewPeer"].as_str().expect("an id").to_owned()
}

/// Reads `data` as what follows the door's path in a URL.
///
/// The room has a bounded name without control characters that no other dialect can say, and groups are no larger than rooms.
pub fn room(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (part, query) = text.split_once('?').map_or((text, None), |(part, query)| (part, Some(query)));
    let wanted = match Wanted::parse(part, query, MOST) {
        Ok(wanted) => wanted,
        Err(invalid) => return assert!(invalid.to_string().ends_with('.'), "no sentence: {invalid}"),
    };
    let room = match wanted.into_request() {
        Request::Join { room: Some(room), if_missing: IfMissing::Create } => room,
        Request::JoinGroup { room, size } => {
            assert!((1..=MOST).contains(&size) && room.as_str().starts_with(&format!("matchbox:{size}:")));
            room
        }
        other => panic!("no URL says {other:?}"),
    };
    let name = room.as_str().splitn(3, ':').nth(2).expect("a name");
    assert!(name.len() <= NAME_BYTES && !name.contains(char::is_control), "{name:?}");
    assert!(room.as_str().parse::<RoomId>().is_err());
}
