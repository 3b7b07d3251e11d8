//! The move from polling to a WebSocket: in order, never in the way of what is said meanwhile, and harmless when it fails.
#![allow(missing_docs)]

mod door;

use std::time::Duration;

use door::{Door, T, query};
use proptest::prelude::*;
use switchboard_signalling::socketio::{
    CloseReason, Encoding, Fault, Packet, Packets, Protocol, Query, SocketId, Transport,
};

fn text(door: &mut Door, tab: T) -> String {
    door.tabs[tab].frames.pop_front().expect("a frame").1
}

/// Moves a session whose GET does not wait.
fn moved(door: &mut Door, tab: T) -> SocketId {
    let socket = door.upgrade(tab).expect("admitted");
    door.frame(tab, socket, "2probe");
    assert_eq!(text(door, tab), "3probe");
    door.frame(tab, socket, "5");
    socket
}

#[test]
fn a_probe_ends_the_get_that_waits() {
    for protocol in [Protocol::V3, Protocol::V4] {
        let mut door = Door::new();
        let (tab, _) = door.connected(protocol);
        door.poll(tab).expect("waits");
        let socket = door.upgrade(tab).expect("admitted");
        assert!(door.reply(tab).is_none());
        door.frame(tab, socket, "2probe");
        assert_eq!(door.tabs[tab].frames.pop_front(), Some((socket, "3probe".into())));
        assert!(door.answer(tab).ends_with('6'));
        // The answer to the GET may arrive first, so that the client polls again.
        door.poll(tab).expect("waits");
        assert!(door.reply(tab).is_none());
        door.advance(Duration::from_millis(25));
        assert!(door.answer(tab).ends_with('6'));
        door.frame(tab, socket, "5");
        assert!(door.tabs[tab].session.on_websocket());
        assert_eq!(door.tabs[tab].over, None);
    }
}

#[test]
fn what_is_said_meanwhile_goes_by_polling_and_the_rest_by_websocket() {
    let mut door = Door::new();
    let (ann, ann_id) = door.connected(Protocol::V4);
    let (bob, bob_id) = door.connected(Protocol::V4);
    door.share_room(ann, &[bob]);
    door.get(ann);
    let socket = door.upgrade(bob).expect("admitted");
    door.frame(bob, socket, "2probe");
    assert_eq!(text(&mut door, bob), "3probe");
    door.say(bob, &format!(r#"42["ice-candidate","{ann_id}",1]"#));
    assert_eq!(door.get(ann), format!(r#"42["ice-candidate","{bob_id}",1]"#));
    door.say(ann, &format!(r#"42["ice-candidate","{bob_id}",1]"#));
    assert_eq!(door.get(bob), format!(r#"42["ice-candidate","{ann_id}",1]"#));
    door.say(ann, &format!(r#"42["ice-candidate","{bob_id}",2]"#));
    door.say(ann, &format!(r#"42["ice-candidate","{bob_id}",3]"#));
    assert!(door.tabs[bob].frames.is_empty());
    door.frame(bob, socket, "5");
    door.say(ann, &format!(r#"42["ice-candidate","{bob_id}",4]"#));
    for number in 2..5 {
        assert_eq!(text(&mut door, bob), format!(r#"42["ice-candidate","{ann_id}",{number}]"#));
    }
    door.frame(bob, socket, &format!(r#"42["ice-candidate","{ann_id}",2]"#));
    assert_eq!(door.get(ann), format!(r#"42["ice-candidate","{bob_id}",2]"#));
}

#[test]
fn a_websocket_that_proves_nothing_is_given_up_after_ten_seconds() {
    let mut door = Door::new();
    let (tab, _) = door.connected(Protocol::V4);
    let socket = door.upgrade(tab).expect("admitted");
    door.frame(tab, socket, "2probe");
    assert_eq!(text(&mut door, tab), "3probe");
    door.advance(Duration::from_millis(9_999));
    assert!(door.tabs[tab].closed_sockets.is_empty());
    door.advance(Duration::from_millis(1));
    assert_eq!(door.tabs[tab].closed_sockets, [socket]);
    door.lose_socket(tab, socket, true);
    door.say(tab, r#"42["create-room"]"#);
    assert!(door.get(tab).contains("room-created"));
    let again = moved(&mut door, tab);
    door.frame(tab, socket, "garbage of the first");
    door.frame(tab, again, "42[\"create-room\"]");
    assert!(text(&mut door, tab).contains("room-created"));
}

#[test]
fn a_websocket_that_fails_leaves_the_session_with_polling() {
    let mut door = Door::new();
    let (tab, _) = door.connected(Protocol::V4);
    for garbage in ["garbage", "", "42[\"create-room\"]", "2", "3probe"] {
        let socket = door.upgrade(tab).expect("admitted");
        door.frame(tab, socket, garbage);
        assert_eq!(door.tabs[tab].closed_sockets.pop(), Some(socket), "{garbage:?}");
    }
    let lost = door.upgrade(tab).expect("admitted");
    door.frame(tab, lost, "2probe");
    assert_eq!(text(&mut door, tab), "3probe");
    door.lose_socket(tab, lost, false);
    assert!(door.tabs[tab].closed_sockets.is_empty());
    door.say(tab, r#"42["create-room"]"#);
    assert!(door.get(tab).contains("room-created"));
    assert_eq!(door.tabs[tab].over, None);
}

#[test]
fn one_websocket_at_a_time() {
    let mut door = Door::new();
    let (tab, _) = door.connected(Protocol::V4);
    let socket = door.upgrade(tab).expect("admitted");
    assert_eq!(door.upgrade(tab), Err(Fault::BadRequest));
    door.frame(tab, socket, "2probe");
    door.frame(tab, socket, "5");
    assert_eq!(door.upgrade(tab), Err(Fault::BadRequest));
    assert_eq!(door.poll(tab), Err(Fault::BadRequest.reply()));
    assert_eq!(door.post(tab, "2"), Fault::BadRequest.reply());
    door.lose_socket(tab, socket, true);
    assert_eq!(door.upgrade(tab), Err(Fault::UnknownSession));
}

#[test]
fn requests_have_to_fit_their_session() {
    let mut door = Door::new();
    let (tab, _) = door.connected(Protocol::V4);
    let polling = query(Protocol::V4, Transport::Polling);
    let socket = query(Protocol::V4, Transport::WebSocket);
    let check = |door: &Door, query: &Query, upgrade| door.tabs[tab].session.check(query, upgrade);
    assert_eq!(check(&door, &polling, false), Ok(()));
    assert_eq!(check(&door, &socket, true), Ok(()));
    assert_eq!(check(&door, &socket, false), Err(Fault::BadRequest));
    assert_eq!(check(&door, &polling, true), Err(Fault::BadRequest));
    assert_eq!(check(&door, &query(Protocol::V3, Transport::Polling), false), Err(Fault::BadRequest));
    moved(&mut door, tab);
    assert_eq!(check(&door, &polling, false), Err(Fault::BadRequest));
    assert_eq!(check(&door, &socket, false), Err(Fault::BadRequest));
}

#[test]
fn a_moved_session_ends_with_its_websocket() {
    for (orderly, reason) in [(true, CloseReason::Left), (false, CloseReason::TransportLost)] {
        let mut door = Door::new();
        let (ann, _) = door.connected(Protocol::V4);
        let (bob, bob_id) = door.connected(Protocol::V4);
        door.share_room(ann, &[bob]);
        door.get(ann);
        let socket = moved(&mut door, bob);
        door.lose_socket(bob, socket, orderly);
        assert_eq!(door.tabs[bob].over, Some(reason));
        assert_eq!(door.get(ann), format!(r#"42["user-disconnected","{bob_id}"]"#));
    }
}

#[test]
fn a_moved_session_is_pinged_on_its_websocket() {
    let mut door = Door::new();
    let (tab, _) = door.connected(Protocol::V4);
    let socket = moved(&mut door, tab);
    door.advance(Duration::from_secs(25));
    assert_eq!(text(&mut door, tab), "2");
    door.advance(Duration::from_secs(20));
    assert_eq!(door.tabs[tab].over, Some(CloseReason::PingTimeout));
    assert_eq!(door.tabs[tab].closed_sockets, [socket]);
}

/// What may happen between two clients, one of which moves.
#[derive(Clone, Copy, Debug)]
enum Step {
    AnnSays,
    BobSays,
    BobPolls,
    BobUpgrades,
    BobProbes,
    BobMoves,
    BobLosesSocket,
    TimePasses,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::{AnnSays, BobLosesSocket, BobMoves, BobPolls, BobProbes, BobSays, BobUpgrades, TimePasses};
    let step = prop_oneof![
        4 => Just(AnnSays), 3 => Just(BobSays), 4 => Just(BobPolls), 1 => Just(BobUpgrades),
        2 => Just(BobProbes), 1 => Just(BobMoves), 1 => Just(BobLosesSocket), 1 => Just(TimePasses),
    ];
    prop::collection::vec(step, 1..80)
}

/// Bob's side: at most one GET at a time, and what he heard so far.
struct Bob {
    tab: T,
    polling: bool,
    socket: Option<SocketId>,
    probed: bool,
    moved: bool,
    heard: Vec<u32>,
}

impl Bob {
    fn listen(&mut self, door: &mut Door) {
        while let Some(reply) = door.reply(self.tab) {
            self.polling = false;
            let encoding = match door.tabs[self.tab].session.protocol() {
                Protocol::V3 => Encoding::Counted,
                Protocol::V4 => Encoding::Separated,
            };
            for packet in Packets::decode(encoding, &reply.body) {
                if let Packet::Message(message) = packet.expect("a payload") {
                    self.hear(message);
                }
            }
        }
        while let Some((_, packet)) = door.tabs[self.tab].frames.pop_front() {
            self.hear(packet.strip_prefix('4').unwrap_or_default());
        }
    }

    /// Takes the text of a message.
    fn hear(&mut self, packet: &str) {
        if packet.starts_with("2[\"ice-candidate\"") {
            let number = packet.rsplit(',').next().expect("an argument").trim_end_matches(']');
            self.heard.push(number.parse().expect("a number"));
        }
    }
}

proptest! {
    #[test]
    fn order_survives_every_interleaving(steps in steps(), protocol in prop_oneof![Just(Protocol::V3), Just(Protocol::V4)]) {
        let mut door = Door::new();
        let (ann, ann_id) = door.connected(Protocol::V4);
        let (tab, bob_id) = door.connected(protocol);
        door.share_room(ann, &[tab]);
        door.get(ann);
        let mut bob = Bob { tab, polling: false, socket: None, probed: false, moved: false, heard: Vec::new() };
        let (mut ann_said, mut bob_said, mut ann_heard) = (0, 0, 0);
        for step in steps {
            match step {
                Step::AnnSays => {
                    door.say(ann, &format!(r#"42["ice-candidate","{bob_id}",{ann_said}]"#));
                    ann_said += 1;
                }
                Step::BobSays => {
                    let packet = format!(r#"42["ice-candidate","{ann_id}",{bob_said}]"#);
                    match bob.socket {
                        Some(socket) if bob.moved => door.frame(tab, socket, &packet),
                        _ => door.say(tab, &packet),
                    }
                    bob_said += 1;
                }
                Step::BobPolls if !bob.polling && !bob.moved => {
                    bob.polling = true;
                    prop_assert_eq!(door.poll(tab), Ok(()));
                }
                Step::BobUpgrades if bob.socket.is_none() => bob.socket = door.upgrade(tab).ok(),
                Step::BobProbes if !bob.moved => {
                    if let Some(socket) = bob.socket {
                        door.frame(tab, socket, "2probe");
                        bob.probed = true;
                    }
                }
                // The client moves once its GET has ended.
                Step::BobMoves if bob.probed && !bob.polling && !bob.moved => {
                    if let Some(socket) = bob.socket {
                        door.frame(tab, socket, "5");
                        bob.moved = true;
                    }
                }
                Step::BobLosesSocket if !bob.moved => {
                    if let Some(socket) = bob.socket.take() {
                        door.lose_socket(tab, socket, false);
                        bob.probed = false;
                    }
                }
                Step::TimePasses => door.advance(Duration::from_millis(25)),
                Step::BobPolls | Step::BobUpgrades | Step::BobProbes | Step::BobMoves | Step::BobLosesSocket => {}
            }
            bob.listen(&mut door);
        }
        prop_assert_eq!(door.tabs[tab].over, None);
        if !bob.polling && !bob.moved {
            prop_assert_eq!(door.poll(tab), Ok(()));
            bob.listen(&mut door);
        }
        prop_assert_eq!(bob.heard, (0..ann_said).collect::<Vec<_>>());
        if bob_said > 0 {
            for packet in door.get(ann).split('\u{1e}') {
                prop_assert_eq!(packet, format!(r#"42["ice-candidate","{bob_id}",{ann_heard}]"#));
                ann_heard += 1;
            }
        }
        prop_assert_eq!(ann_heard, bob_said);
    }
}
