//! Who is told of whom, and how often.
#![allow(missing_docs)]

mod world;

use std::time::Duration;

use switchboard_signalling::core::{Closing, Config};
use switchboard_wire::rooms::{Dialect, IfMissing, LeaveReason, Request, ServerMessage};
use world::{ROOM, World, json, room};

#[test]
fn members_hear_of_a_newcomer_and_it_learns_of_them_in_order() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    let cid = world.client();
    world.say(cid.conn, &format!(r#"{{"type":"join","room":"{ROOM}"}}"#));

    let ServerMessage::Joined { created: false, members, .. } = world.next(cid.conn) else { panic!("not joined") };
    assert_eq!(members.iter().map(|member| member.id).collect::<Vec<_>>(), [ann.id, bob.id]);
    for member in [&ann, &bob] {
        let ServerMessage::PeerJoined { peer, .. } = world.next(member.conn) else { panic!("not told") };
        assert_eq!(peer.id, cid.id);
    }
}

#[test]
fn joining_twice_tells_nobody() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    world.join(&bob, ROOM);
    world.assert_silent(ann.conn);
}

#[test]
fn a_socketio_user_that_joins_twice_is_announced_again_to_its_like_only() {
    let mut world = World::new(Config::default());
    let native = world.member();
    let (old, twice) = (world.client_of(Dialect::SocketIo), world.client_of(Dialect::SocketIo));
    world.join(&old, ROOM);
    world.join(&twice, ROOM);
    world.read(native.conn);
    world.read(old.conn);
    world.join(&twice, ROOM);
    world.assert_silent(native.conn);
    assert!(matches!(world.next(old.conn), ServerMessage::PeerJoined { .. }));
}

#[test]
fn a_departure_in_good_order_is_told_at_once_and_once() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    world.close(bob.conn, Closing::Left);
    world.close(bob.conn, Closing::Lost);
    world.pass(Duration::from_secs(600));
    let left = ServerMessage::PeerLeft { room: room(), id: bob.id, reason: LeaveReason::Left };
    assert_eq!(json(&world.read(ann.conn)), json(&[left]));
}

#[test]
fn bye_then_the_close_of_the_socket_is_one_departure() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    world.say(bob.conn, r#"{"type":"bye"}"#);
    world.close(bob.conn, Closing::Left);
    assert_eq!(world.read(ann.conn).len(), 1);
}

#[test]
fn leaving_then_closing_tells_one_departure() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    world.ask(bob.conn, Request::Leave { room: room() });
    world.close(bob.conn, Closing::Lost);
    assert_eq!(world.read(ann.conn).len(), 1);
}

#[test]
fn a_lost_peer_is_away_and_then_lost() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    world.close(bob.conn, Closing::Lost);
    let away = ServerMessage::PeerAway { room: room(), id: bob.id };
    assert_eq!(json(&[world.next(ann.conn)]), json(&[away]));
    world.pass(Duration::from_secs(29));
    world.assert_silent(ann.conn);
    world.pass(Duration::from_secs(1));
    let lost = ServerMessage::PeerLeft { room: room(), id: bob.id, reason: LeaveReason::Lost };
    assert_eq!(json(&[world.next(ann.conn)]), json(&[lost]));
    assert_eq!(world.core.peer_count(), 1);
}

#[test]
fn a_lost_socketio_socket_is_a_departure_at_once() {
    let mut world = World::new(Config::default());
    let ann = world.member();
    let bob = world.client_of(Dialect::SocketIo);
    world.join(&bob, ROOM);
    world.read(ann.conn);
    world.close(bob.conn, Closing::Lost);
    let lost = ServerMessage::PeerLeft { room: room(), id: bob.id, reason: LeaveReason::Lost };
    assert_eq!(json(&[world.next(ann.conn)]), json(&[lost]));
}

#[test]
fn a_newcomer_sees_who_is_away() {
    let mut world = World::new(Config::default());
    let (_ann, bob) = (world.member(), world.member());
    world.close(bob.conn, Closing::Lost);
    let cid = world.client();
    world.say(cid.conn, &format!(r#"{{"type":"join","room":"{ROOM}"}}"#));
    let ServerMessage::Joined { members, .. } = world.next(cid.conn) else { panic!("not joined") };
    assert_eq!(members.iter().map(|member| member.away).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_room_ends_with_its_last_member() {
    let mut world = World::new(Config::default());
    let ann = world.member();
    assert_eq!(world.core.room_count(), 1);
    world.close(ann.conn, Closing::Left);
    assert_eq!((world.core.room_count(), world.core.peer_count()), (0, 0));
}

#[test]
fn an_unknown_room_is_created_renamed_or_refused_as_asked() {
    let mut world = World::new(Config::default());
    let ann = world.client();
    let ask = |if_missing| Request::Join { room: Some(room()), if_missing };
    world.ask(ann.conn, ask(IfMissing::Refuse));
    assert_eq!(world.error(ann.conn).to_json(), "room-not-found");
    world.ask(ann.conn, ask(IfMissing::New));
    let ServerMessage::Joined { room: other, created: true, .. } = world.next(ann.conn) else { panic!("not joined") };
    assert_ne!(other, room());
    assert_eq!(other.as_str().len(), 10);
    world.ask(ann.conn, ask(IfMissing::Create));
    let ServerMessage::Joined { room: same, created: true, .. } = world.next(ann.conn) else { panic!("not joined") };
    assert_eq!(same, room());
}

#[test]
fn a_new_name_is_told_once_and_only_if_it_is_new() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    world.say(bob.conn, r#"{"type":"rename","name":"Bob"}"#);
    world.say(bob.conn, r#"{"type":"rename","name":"Bob"}"#);
    let told = json(&world.read(ann.conn));
    assert_eq!(told, [format!(r#"{{"type":"peer-renamed","room":"{ROOM}","id":"{}","name":"Bob"}}"#, bob.id)]);
}

trait ToJson {
    fn to_json(&self) -> String;
}

impl ToJson for switchboard_wire::rooms::ErrorCode {
    fn to_json(&self) -> String {
        serde_json::to_value(self).expect("a code").as_str().expect("a string").to_owned()
    }
}
