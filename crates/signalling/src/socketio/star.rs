//! The events of webrtc-star, to and from the requests and messages of the core's directory
//! (`docs/protocol/webrtc-star.md`).
//!
//! An address is a name that is held by as many sockets as come, for pages of 2021 open two under one.

use std::borrow::Cow;

use serde_json::value::RawValue;
use switchboard_wire::directory::{
    Absent, Claim, Malformed, Message, Name, Namespace, Recipients, Refusal, Request, Send,
};
use switchboard_wire::star::{self, Handshake};

use super::Delivery;

/// The hot path: exactly `["ss-handshake",<object>]`. Everything else takes the long way, to the same result.
pub(super) fn relayed(json: &str) -> Option<Delivery<'_>> {
    let object = json.strip_prefix("[\"ss-handshake\",")?.strip_suffix(']')?;
    Some(Delivery::Star(send(Handshake::decode(object).ok()?)))
}

/// Reads an event by its name and its first argument; none if it is not one of webrtc-star's. Further arguments are skipped,
/// as in the original.
pub(super) fn read<'a>(name: &str, argument: Option<&'a RawValue>) -> Option<Delivery<'a>> {
    let json = argument.map_or("null", RawValue::get);
    let request = match name {
        star::HANDSHAKE => match Handshake::decode(json) {
            Ok(handshake) => send(handshake),
            Err(error) => Err(Malformed(Cow::Owned(format!("This is no handshake: {error}.")))),
        },
        star::JOIN => match star::read_address(json) {
            Some(address) => {
                name_of(&address).map(|name| Request::Claim { namespace: Namespace::Star, name, claim: Claim::Shared })
            }
            None => Err(Malformed(Cow::Borrowed("Join with an address: the text of a multiaddr."))),
        },
        // The oldest clients name no address. One that was never joined with is none of theirs to leave.
        star::LEAVE => match star::read_address(json) {
            Some(address) => name_of(&address).map(|name| release(Some(name))),
            None => Ok(release(None)),
        },
        _ => return None,
    };
    Some(Delivery::Star(request))
}

fn release(name: Option<Name>) -> Request<'static> {
    Request::Release { namespace: Namespace::Star, name }
}

fn name_of(address: &str) -> Result<Name, Malformed> {
    Name::new(address).map_err(Malformed::from)
}

/// An offer is for one socket, for each that gets it answers it. An answer is for all that hold the address: a page of 2021
/// waits for it on one of its two sockets, which need not be the one that joined last, and the other ignores it.
fn send(handshake: Handshake<'_>) -> Result<Request<'_>, Malformed> {
    let (recipients, absent) = match handshake.is_answer() {
        true => (Recipients::All, Absent::Drop),
        false => (Recipients::Latest, Absent::Tell),
    };
    let from = Some(name_of(handshake.from())?);
    let text = Cow::Owned(handshake.packet());
    let to = handshake.into_to();
    Ok(Request::Send(Send { namespace: Namespace::Star, from, to, text, recipients, absent }))
}

/// Turns what the directory says into packets, in order, each whole; `write` is called for each of them.
///
/// They are the same for every version and transport.
pub fn encode_directory(message: &Message, mut write: impl FnMut(&[u8])) {
    match message {
        Message::Text(text) => write(text),
        Message::Absent { text, .. } => {
            let mut packet = Vec::with_capacity(text.len() + 32);
            star::write_failure(text, star::UNAVAILABLE, &mut packet);
            if !packet.is_empty() {
                write(&packet);
            }
        }
        Message::Known(names) => {
            let mut packet = Vec::new();
            for name in names.iter() {
                packet.clear();
                star::write_peer(name, &mut packet);
                write(&packet);
            }
        }
        Message::Refused(refusal) => {
            let error = serde_json::json!({ "code": code(refusal), "message": sentence(refusal) });
            let event = serde_json::json!(["switchboard-error", error]);
            write(format!("42{event}").as_bytes());
        }
        // The original is silent about a join that worked, and nothing ever waits.
        Message::Held { .. } | Message::Expired { .. } => {}
    }
}

/// A refusal in the words of the protocol, in which names are addresses.
fn sentence(refusal: &Refusal) -> String {
    match refusal {
        Refusal::TooManyNames { limit } => {
            format!("A socket may join with {limit} addresses and no more; leave with one first (ss-leave).")
        }
        Refusal::Full { limit } => format!("The server holds {limit} addresses and can take no more; try again later."),
        Refusal::NameTaken { .. } | Refusal::TooManyHolders { .. } | Refusal::NotYours | Refusal::Malformed(_) => {
            refusal.to_string()
        }
    }
}

/// For programs, as the rooms protocol has them.
fn code(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NameTaken { .. } => "name-taken",
        Refusal::TooManyNames { .. } => "too-many-names",
        Refusal::TooManyHolders { .. } => "too-many-holders",
        Refusal::Full { .. } => "server-full",
        Refusal::NotYours => "not-yours",
        Refusal::Malformed(_) => "bad-message",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use switchboard_wire::directory::Text;

    use super::super::event::decode;
    use super::*;

    fn request(json: &str) -> Result<Request<'_>, Malformed> {
        match decode(json) {
            Ok(Delivery::Star(request)) => request,
            other => panic!("{json}: {other:?}"),
        }
    }

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn packets(message: &Message) -> Vec<String> {
        let mut packets = Vec::new();
        encode_directory(message, |packet| packets.push(String::from_utf8(packet.to_vec()).expect("text")));
        packets
    }

    #[test]
    fn joins_share_an_address() {
        let claim = |text| Request::Claim { namespace: Namespace::Star, name: name(text), claim: Claim::Shared };
        assert_eq!(request(r#"["ss-join","/ip4/1"]"#), Ok(claim("/ip4/1")));
        assert_eq!(request(r#" [ "ss\u002djoin" , "\/ip4" , 7 ] "#), Ok(claim("/ip4")));
        for argument in ["", ",null", ",7", ",\"\"", ",{}"] {
            assert!(request(&format!("[\"ss-join\"{argument}]")).is_err(), "{argument}");
        }
        let long = format!(r#"["ss-join","{}"]"#, "x".repeat(513));
        assert_eq!(request(&long), Err(Malformed("A name has at most 512 bytes.".into())));
    }

    #[test]
    fn leaving_names_one_address_or_means_all() {
        assert_eq!(request(r#"["ss-leave","/ip4/1"]"#), Ok(release(Some(name("/ip4/1")))));
        for argument in ["", ",null", ",7", ",\"\""] {
            assert_eq!(request(&format!("[\"ss-leave\"{argument}]")), Ok(release(None)), "{argument}");
        }
    }

    #[test]
    fn offers_are_for_the_latest_and_answers_for_all() {
        let object = r#"{"srcMultiaddr":"/a","dstMultiaddr":"/b","signal":{}}"#;
        let json = format!(r#"["ss-handshake",{object}]"#);
        let Ok(Request::Send(offer)) = request(&json) else { panic!("an offer") };
        assert_eq!((offer.from, &*offer.to), (Some(name("/a")), "/b"));
        assert_eq!((offer.recipients, offer.absent), (Recipients::Latest, Absent::Tell));
        assert_eq!(&*offer.text, format!(r#"42["ws-handshake",{object}]"#).as_bytes());
        let json = r#"["ss-handshake",{"srcMultiaddr":"/a","dstMultiaddr":"/b","answer":true}]"#;
        let Ok(Request::Send(answer)) = request(json) else { panic!("an answer") };
        assert_eq!((answer.from, &*answer.to), (Some(name("/b")), "/a"));
        assert_eq!((answer.recipients, answer.absent), (Recipients::All, Absent::Drop));
    }

    #[test]
    fn handshakes_that_name_no_peers_have_no_effect() {
        for argument in ["", ",null", ",[]", ",{}", ",7", ",\"x\"", r#",{"srcMultiaddr":"/a"}"#] {
            assert!(request(&format!("[\"ss-handshake\"{argument}]")).is_err(), "{argument}");
        }
        let long = format!(r#"["ss-handshake",{{"srcMultiaddr":"{}","dstMultiaddr":"/b"}}]"#, "x".repeat(513));
        assert!(request(&long).is_err());
    }

    #[test]
    fn broken_json_ends_the_session() {
        for json in [r#"["ss-handshake",{bad]"#, r#"["ss-join","/a]"#, r#"["ss-handshake",{"a":1}}]"#] {
            assert!(decode(json).is_err(), "{json}");
        }
    }

    #[test]
    fn says_what_the_original_says() {
        let known: Arc<[Name]> = [name("/a"), name("/\"b")].into();
        assert_eq!(packets(&Message::Known(known)), [r#"42["ws-peer","/a"]"#, r#"42["ws-peer","/\"b"]"#]);
        let text = br#"42["ws-handshake",{"srcMultiaddr":"/a","dstMultiaddr":"/b"}]"#;
        let text = Text::from(Cow::Borrowed(&text[..]));
        let absent = Message::Absent { to: "/b".into(), from: Some(name("/a")), text: text.clone() };
        let failure = r#"42["ws-handshake",{"srcMultiaddr":"/a","dstMultiaddr":"/b","err":"peer is not available"}]"#;
        assert_eq!(packets(&absent), [failure]);
        assert_eq!(packets(&Message::Text(text)).len(), 1);
        assert!(packets(&Message::Held { name: name("/a") }).is_empty());
    }

    #[test]
    fn says_what_the_original_has_no_words_for_by_an_event_of_its_own() {
        let full = packets(&Message::Refused(Refusal::TooManyNames { limit: 4 }));
        assert!(full[0].contains("4 addresses and no more"), "in words of the protocol: {full:?}");
        let refused = packets(&Message::Refused(Refusal::NotYours));
        let message = "This text is sent under a name that the sender does not hold; claim it first.";
        let expected = format!(r#"42["switchboard-error",{{"code":"not-yours","message":"{message}"}}]"#);
        assert_eq!(refused, [expected]);
    }

    proptest! {
        #[test]
        fn the_short_way_and_the_long_way_agree(object in "\\{[\\[\\]{}\",:0-9a-z ]{0,12}\\}", answer: bool) {
            let more = object.trim_start_matches('{').trim_end_matches('}');
            let comma = if more.is_empty() { "" } else { "," };
            let object = format!(r#"{{"srcMultiaddr":"/a","dstMultiaddr":"/b","answer":{answer}{comma}{more}}}"#);
            let short = format!("[\"ss-handshake\",{object}]");
            let long = format!("[ \"ss-handshake\",{object}]");
            match (decode(&short), decode(&long)) {
                (Ok(Delivery::Star(short)), Ok(Delivery::Star(long))) => prop_assert_eq!(short, long),
                (Err(short), Err(long)) => prop_assert_eq!(short, long),
                other => panic!("{object}: {other:?}"),
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\[\"ss-(join|leave|handshake)\"[,\"\\[\\]{}a-z0-9\\\\]{0,30}") {
            let _ = decode(&text);
        }
    }
}
