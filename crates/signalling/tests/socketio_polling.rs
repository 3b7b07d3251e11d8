//! Sessions that poll: handshake, the room protocol, requests that overlap or fail, silence, slow readers.
#![allow(missing_docs)]

mod door;

use std::time::Duration;

use door::{Door, unknown_session};
use switchboard_signalling::socketio::limits::{PACKET_BYTES, WAITING_BYTES};
use switchboard_signalling::socketio::{CloseReason, Protocol};
use switchboard_wire::rooms::Dialect;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn version_4_gets_a_handshake_and_connects() {
    let mut door = Door::new();
    let tab = door.open_with("EIO=4&transport=polling&t=x");
    let sid = door.tabs[tab].session.sid();
    let expected = format!(
        r#"0{{"sid":"{sid}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
    );
    let reply = door.reply(tab).expect("answered");
    assert_eq!(reply.content_type, Some("text/plain; charset=UTF-8"));
    assert_eq!(String::from_utf8(reply.body).expect("text"), expected);
    let answer = door.post(tab, "40");
    assert_eq!((answer.content_type, answer.body.as_slice()), (Some("text/html"), b"ok".as_slice()));
    let welcome = door.get(tab);
    assert!(welcome.starts_with("40{\"sid\":\"") && !welcome.contains(sid.as_str()), "{welcome}");
    assert!(!door.tabs[tab].session.binds_address());
}

#[test]
fn version_3_is_connected_unasked_under_its_session_id() {
    let mut door = Door::new();
    let (ann, _) = door.connected(Protocol::V4);
    let tab = door.open_with("EIO=3&transport=polling&b64=1");
    let sid = door.tabs[tab].session.sid().to_string();
    let opening = door.answer(tab);
    assert!(opening.starts_with("118:0{") && opening.contains(&sid), "{opening}");
    assert_eq!(door.get(tab), "2:40");
    assert!(door.tabs[tab].session.binds_address());
    door.share_room(ann, &[tab]);
    assert_eq!(door.get(ann), format!(r#"42["new-user-joined","{sid}"]"#));
}

#[test]
fn members_are_introduced_and_told_of_departures() {
    let mut door = Door::new();
    let (ann, ann_id) = door.connected(Protocol::V4);
    let (bob, bob_id) = door.connected(Protocol::V3);
    door.share_room(ann, &[bob]);
    assert_eq!(door.get(ann), format!(r#"42["new-user-joined","{bob_id}"]"#));
    door.say(ann, &format!(r#"42["rtc-offer","{bob_id}",{{"sdp":"v=0\r\n", "a":1.0}}]"#));
    let packet = format!(r#"42["rtc-offer","{ann_id}",{{"sdp":"v=0\r\n", "a":1.0}}]"#);
    assert_eq!(door.get(bob), format!("{}:{packet}", packet.len()));
    door.say(bob, r#"42["ice-candidate"]"#);
    door.say(bob, r#"42["rtc-answer","chat-room/aUa62LD8NZ",{}]"#);
    door.say(bob, &format!(r#"4217["ice-candidate","{ann_id}"]"#));
    assert_eq!(door.get(ann), format!(r#"42["ice-candidate","{bob_id}",null]"#));
    door.say(bob, "41");
    assert_eq!(door.tabs[bob].over, Some(CloseReason::Left));
    assert_eq!(door.get(ann), format!(r#"42["user-disconnected","{bob_id}"]"#));
}

#[test]
fn one_body_may_hold_many_packets_in_order() {
    let mut door = Door::new();
    let (ann, ann_id) = door.connected(Protocol::V4);
    let (bob, bob_id) = door.connected(Protocol::V4);
    door.share_room(ann, &[bob]);
    door.get(ann);
    let packets: Vec<_> = (0..500).map(|n| format!(r#"42["ice-candidate","{bob_id}",{n}]"#)).collect();
    assert_eq!(door.post(ann, &packets.join("\u{1e}")).body, b"ok");
    let expected: Vec<_> = (0..500).map(|n| format!(r#"42["ice-candidate","{ann_id}",{n}]"#)).collect();
    assert_eq!(door.get(bob), expected.join("\u{1e}"));
}

#[test]
fn text_beyond_ascii_reaches_version_3_as_escapes() {
    let mut door = Door::new();
    let (ann, _) = door.connected(Protocol::V4);
    let (bob, bob_id) = door.connected(Protocol::V3);
    door.share_room(ann, &[bob]);
    door.get(ann);
    door.say(ann, &format!(r#"42["rtc-offer","{bob_id}","é😀"]"#));
    assert!(door.get(bob).ends_with(r#","\u00e9\ud83d\ude00"]"#));
    let id = door.tabs[ann].session.sid();
    assert_ne!(id.as_str(), bob_id);
    // And in the other direction, counted in UTF-16 code units.
    door.say(bob, r#"42["é😀"]"#);
}

#[test]
fn browsers_of_version_3_may_send_framed_bytes() {
    let mut door = Door::new();
    let (tab, _) = door.connected(Protocol::V3);
    let mut body = b"\x00\x01\x07\xff".to_vec();
    body.extend_from_slice(br#"42["create-room"]"#);
    assert_eq!(door.post_bytes(tab, true, &body).body, b"ok");
    assert!(door.get(tab).contains("room-created"));
}

#[test]
fn scripts_carry_sessions_too() {
    let mut door = Door::new();
    let tab = door.open_with("EIO=3&transport=polling&j=2&b64=1");
    let reply = door.reply(tab).expect("answered");
    assert_eq!(reply.content_type, Some("text/javascript; charset=UTF-8"));
    assert!(reply.body.starts_with(b"___eio[2](\"118:0{\\\"sid") && reply.body.ends_with(b"\");"));
    assert_eq!(door.get(tab), "___eio[2](\"2:40\");");
    assert_eq!(door.post(tab, "d=17%3A42%5B%22create-room%22%5D").body, b"ok");
    assert!(door.get(tab).contains("room-created"));
    assert_eq!(door.post(tab, "e=1").status, 400);
}

#[test]
fn a_second_get_ends_the_session() {
    let mut door = Door::new();
    let (ann, _) = door.connected(Protocol::V4);
    let (bob, bob_id) = door.connected(Protocol::V4);
    door.share_room(ann, &[bob]);
    door.get(ann);
    door.poll(bob).expect("waits");
    let refused = door.poll(bob).expect_err("overlaps");
    assert_eq!((refused.status, refused.body.len()), (400, 0));
    assert_eq!(door.answer(bob), "1");
    assert_eq!(door.tabs[bob].over, Some(CloseReason::Overlap));
    assert_eq!(door.poll(bob), Err(unknown_session()));
    assert_eq!(door.get(ann), format!(r#"42["user-disconnected","{bob_id}"]"#));
}

#[test]
fn a_second_post_ends_the_session() {
    let mut door = Door::new();
    let (tab, _) = door.connected(Protocol::V4);
    door.poll(tab).expect("waits");
    assert_eq!(door.tabs[tab].session.handle_post(false), Ok(()));
    assert_eq!(door.post(tab, "2").status, 400);
    assert_eq!(door.answer(tab), "1");
    let first = door.tabs[tab].session.handle_body(b"42[\"create-room\"]", door.now, |_| panic!("the session is over"));
    assert_eq!(first, unknown_session());
}

#[test]
fn a_close_packet_releases_the_get_that_waits() {
    let mut door = Door::new();
    let (tab, _) = door.connected(Protocol::V4);
    door.poll(tab).expect("waits");
    assert_eq!(door.post(tab, "1\u{1e}42[\"create-room\"]").body, b"ok");
    assert_eq!(door.answer(tab), "6");
    assert_eq!(door.tabs[tab].over, Some(CloseReason::Left));
    assert_eq!(door.poll(tab), Err(unknown_session()));
    assert_eq!(door.post(tab, "1"), unknown_session());
}

#[test]
fn garbage_ends_the_session_that_sent_it_and_no_other() {
    let mut door = Door::new();
    let (ann, _) = door.connected(Protocol::V4);
    for body in ["garbage", "", "42{bad", "2", "40", "44{}", "\u{1e}", "42[\"x\"]\u{1e}", "b!"] {
        let (tab, id) = door.connected(Protocol::V4);
        door.poll(tab).expect("waits");
        let reply = door.post(tab, body);
        if body == "b!" {
            assert_eq!(reply.body, b"ok");
            continue;
        }
        assert_eq!(reply.status, 400, "{body:?} from {id}");
        assert_eq!(door.answer(tab), "1", "{body:?}");
        assert_eq!(door.tabs[tab].over, Some(CloseReason::Malformed), "{body:?}");
    }
    let large = format!("42[\"x\",\"{}\"]", "x".repeat(PACKET_BYTES));
    let (tab, _) = door.connected(Protocol::V4);
    assert_eq!(door.post(tab, &large).status, 400);
    let (tab, _) = door.connected(Protocol::V4);
    assert_eq!(door.post_bytes(tab, true, b"40").status, 400);
    assert_eq!(door.tabs[tab].over, Some(CloseReason::Malformed));
    door.say(ann, r#"42["create-room"]"#);
    assert!(door.get(ann).contains("room-created"));
}

#[test]
fn a_body_that_is_too_large_costs_only_itself() {
    let mut door = Door::new();
    let (tab, _) = door.connected(Protocol::V4);
    assert_eq!(door.tabs[tab].session.handle_post(false), Ok(()));
    assert_eq!(door.tabs[tab].session.handle_body_too_large().status, 413);
    door.say(tab, r#"42["create-room"]"#);
    assert!(door.get(tab).contains("room-created"));
}

#[test]
fn a_request_that_the_client_drops_ends_the_session() {
    let mut door = Door::new();
    let (ann, _) = door.connected(Protocol::V4);
    let (bob, bob_id) = door.connected(Protocol::V4);
    let (eve, eve_id) = door.connected(Protocol::V4);
    door.share_room(ann, &[bob, eve]);
    door.get(ann);
    door.get(bob);
    door.tabs[bob].session.handle_poll_lost();
    assert_eq!(door.tabs[bob].over, None, "no GET waits");
    door.poll(bob).expect("waits");
    door.tabs[bob].session.handle_poll_lost();
    door.drain();
    assert_eq!(door.tabs[bob].over, Some(CloseReason::TransportLost));
    assert_eq!(door.tabs[eve].session.handle_post(false), Ok(()));
    door.tabs[eve].session.handle_post_lost();
    door.drain();
    let [bob_left, eve_left] = [bob_id, eve_id].map(|id| format!(r#"42["user-disconnected","{id}"]"#));
    assert_eq!(door.get(ann), format!("{bob_left}\u{1e}{eve_left}"));
}

#[test]
fn a_client_that_answers_pings_stays() {
    let mut door = Door::new();
    let (tab, _) = door.connected(Protocol::V4);
    for _ in 0..10 {
        door.poll(tab).expect("waits");
        door.advance(24 * SECOND);
        assert!(door.reply(tab).is_none());
        door.advance(SECOND);
        assert_eq!(door.answer(tab), "2");
        door.say(tab, "3");
    }
}

#[test]
fn sessions_that_nobody_continues_are_forgotten() {
    let mut door = Door::new();
    let (ann, _) = door.connected(Protocol::V4);
    let (bob, _) = door.connected(Protocol::V3);
    let greeted = door.open_with("EIO=4&transport=polling");
    let idle = door.open_with("EIO=4&transport=polling");
    door.advance(25 * SECOND);
    // This one answers every ping and never enters the namespace.
    door.say(idle, "3");
    door.advance(19 * SECOND);
    assert!(door.tabs.iter().all(|tab| tab.over.is_none()));
    door.advance(SECOND);
    let reasons = [ann, bob, greeted, idle].map(|tab| door.tabs[tab].over.expect("over"));
    assert_eq!(&reasons[..2], [CloseReason::PingTimeout; 2]);
    assert_eq!(reasons[3], CloseReason::ConnectTimeout);
    assert!(door.tabs.iter().all(|tab| tab.session.poll_timeout().is_none()));
    assert_eq!(door.core.stats().connections[Dialect::SocketIo], 0);
}

#[test]
fn what_waits_for_a_client_that_does_not_poll_is_bounded() {
    let mut door = Door::new();
    let (ann, _) = door.connected(Protocol::V4);
    let (bob, bob_id) = door.connected(Protocol::V4);
    door.share_room(ann, &[bob]);
    door.get(ann);
    let event = format!(r#"42["rtc-offer","{bob_id}","{}"]"#, "x".repeat(32 * 1024));
    for _ in 0..WAITING_BYTES / event.len() {
        door.say(ann, &event);
    }
    assert_eq!(door.tabs[bob].over, None);
    door.say(ann, &event);
    assert_eq!(door.tabs[bob].over, Some(CloseReason::TooSlow));
    assert_eq!(door.get(ann), format!(r#"42["user-disconnected","{bob_id}"]"#));
}

#[test]
fn a_drain_ends_sessions_at_their_next_get() {
    let mut door = Door::new();
    let (waiting, _) = door.connected(Protocol::V4);
    let (later, _) = door.connected(Protocol::V4);
    let (never, _) = door.connected(Protocol::V4);
    door.poll(waiting).expect("waits");
    door.core.handle_drain(SECOND);
    door.drain();
    assert_eq!(door.answer(waiting), "1");
    assert_eq!(door.tabs[waiting].over, Some(CloseReason::Dismissed));
    assert_eq!(door.get(later), "1");
    assert_eq!(door.post(never, "2"), unknown_session());
    door.advance(30 * SECOND);
    assert!(door.tabs.iter().all(|tab| tab.over.is_some()));
}
