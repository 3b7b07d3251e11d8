//! Who can send what to whom.
#![allow(missing_docs)]

mod world;

use switchboard_signalling::core::Config;
use switchboard_wire::rooms::{ErrorCode, ServerMessage};
use world::{ROOM, World, json, offers};

#[test]
fn payloads_pass_untouched_under_the_true_sender() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    for payload in [r#"{"z":1, "a":[ 1.0,null ]}"#, r#"{"candidate":""}"#, "null", "\"\""] {
        let to = bob.id;
        let from = bob.id;
        world.say(ann.conn, &format!(r#"{{"type":"offer","from":"{from}","to":"{to}","data":{payload}}}"#));
        assert_eq!(offers(&world.read(bob.conn)), [(ann.id, payload.to_owned())]);
    }
}

#[test]
fn strangers_absent_peers_and_oneself_cannot_be_reached() {
    let mut world = World::new(Config::default());
    let (ann, bob, stranger) = (world.member(), world.client(), world.client());
    world.join(&bob, "another");
    for to in [bob.id, stranger.id, ann.id, "AAAAAAAAAAAAAAAAAAAA".parse().expect("an id")] {
        world.offer(&ann, to, "1");
        assert_eq!(world.error(ann.conn), ErrorCode::PeerNotFound);
    }
    world.assert_silent(bob.conn);
    world.assert_silent(stranger.conn);
}

#[test]
fn who_left_the_room_can_neither_send_nor_receive() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    world.say(bob.conn, &format!(r#"{{"type":"leave","room":"{ROOM}"}}"#));
    world.read(ann.conn);
    world.read(bob.conn);
    world.offer(&bob, ann.id, "1");
    assert_eq!(world.error(bob.conn), ErrorCode::PeerNotFound);
    world.offer(&ann, bob.id, "1");
    assert_eq!(world.error(ann.conn), ErrorCode::PeerNotFound);
}

#[test]
fn nothing_happens_before_hello_and_hello_happens_once() {
    let mut world = World::new(Config::default());
    let conn = world.connect(switchboard_wire::rooms::Dialect::Switchboard).expect("admitted");
    world.say(conn, &format!(r#"{{"type":"join","room":"{ROOM}"}}"#));
    assert_eq!(world.error(conn), ErrorCode::HelloFirst);
    world.say(conn, r#"{"type":"hello","v":1}"#);
    let me = world.welcomed(conn);
    world.say(conn, r#"{"type":"hello","v":1}"#);
    assert_eq!(world.error(conn), ErrorCode::AlreadyGreeted);
    world.join(&me, ROOM);
}

#[test]
fn the_reference_of_a_request_stays_with_its_answer() {
    let mut world = World::new(Config::default());
    let ann = world.client();
    world.say(ann.conn, r#"{"type":"ping","ref":5}"#);
    assert_eq!(json(&world.read(ann.conn)), [r#"{"type":"pong"}"#]);
}

#[test]
fn messages_of_a_connection_that_is_gone_are_ignored() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    world.say(bob.conn, r#"{"type":"bye"}"#);
    let farewell = world.read(bob.conn);
    assert!(matches!(farewell.as_slice(), [ServerMessage::Goodbye { .. }]));
    world.read(ann.conn);
    world.offer(&bob, ann.id, "1");
    world.say(bob.conn, "garbage");
    world.assert_silent(ann.conn);
    world.assert_silent(bob.conn);
}
