//! The events of webrtc-star, the signalling of js-ipfs and js-libp2p pages (`docs/protocol/webrtc-star.md`).
//!
//! Peers are known by multiaddrs, which are exact strings here: a client that writes its own address in two ways has two
//! names. What one peer signals to another is found, not understood: the object passes byte for byte.
//!
//! What the server says is written as whole Engine.IO packets (`4`, a message; `2`, an event), which are the same in every
//! version of Socket.IO, so that one text serves all recipients.

mod handshake;

pub use handshake::{Handshake, MalformedHandshake, UNAVAILABLE, write_failure};

use std::borrow::Cow;

use crate::json::read_string;

/// The event by which a client claims an address: `["ss-join", <multiaddr>]`.
pub const JOIN: &str = "ss-join";

/// The event by which a client gives up the address that it names, or all that it has: `["ss-leave", <multiaddr>?]`.
pub const LEAVE: &str = "ss-leave";

/// The event that carries an offer, an answer or a candidate to the server: `["ss-handshake", <object>]`.
pub const HANDSHAKE: &str = "ss-handshake";

/// Reads the address of a join or a leave, without a copy where it has no escapes; none for what is no name: other JSON, or
/// nothing between the quotation marks, which the original takes for nothing as well.
pub fn read_address(json: &str) -> Option<Cow<'_, str>> {
    read_string(json).filter(|address| !address.is_empty())
}

/// Appends the packet that tells of a peer: `42["ws-peer",<multiaddr>]`.
pub fn write_peer(address: &str, out: &mut Vec<u8>) {
    const BEFORE: &[u8] = b"42[\"ws-peer\",\"";
    const AFTER: &[u8] = b"\"]";
    // Thousands are written a second, and no multiaddr of a real client needs an escape.
    if address.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.reserve(BEFORE.len() + address.len() + AFTER.len());
        out.extend_from_slice(BEFORE);
        out.extend_from_slice(address.as_bytes());
        out.extend_from_slice(AFTER);
    } else {
        let event = serde_json::json!(["ws-peer", address]);
        out.extend_from_slice(format!("42{event}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(address: &str) -> String {
        let mut out = Vec::new();
        write_peer(address, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn tells_of_a_peer_as_the_original_does() {
        let address = "/dns4/star.example.org/tcp/443/wss/p2p-webrtc-star/p2p/QmTestPeer";
        assert_eq!(peer(address), format!(r#"42["ws-peer","{address}"]"#));
        assert_eq!(peer("/\"\\\n"), r#"42["ws-peer","/\"\\\n"]"#);
    }

    #[test]
    fn an_address_is_a_string_with_something_in_it() {
        assert_eq!(read_address(r#""/ip4/127.0.0.1""#).as_deref(), Some("/ip4/127.0.0.1"));
        assert_eq!(read_address(r#""\/ip4\u002f1""#).as_deref(), Some("/ip4/1"));
        for json in ["null", "7", "\"\"", "\"", "", "[\"/ip4\"]", "{}", r#""\ud800""#] {
            assert_eq!(read_address(json), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn addresses_survive_the_way_to_a_client(address in "\\PC{1,64}|[\\x00-\\x7f]{1,64}") {
            let packet = peer(&address);
            let event: serde_json::Value = serde_json::from_str(packet.strip_prefix("42").expect("an event")).expect("JSON");
            prop_assert_eq!(event, serde_json::json!(["ws-peer", address]));
        }

        #[test]
        fn addresses_survive_the_way_from_a_client(address in "\\PC{1,64}|[\\x00-\\x7f]{1,64}") {
            let json = serde_json::Value::from(address.as_str()).to_string();
            let read = read_address(&json);
            prop_assert_eq!(read.as_deref(), Some(address.as_str()));
        }

        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = read_address(&text);
        }
    }
}
