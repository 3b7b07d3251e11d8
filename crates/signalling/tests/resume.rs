//! Losing the socket, and coming back.
#![allow(missing_docs)]

mod world;

use std::time::Duration;

use switchboard_signalling::core::{Closing, Config};
use switchboard_wire::rooms::{ErrorCode, GoodbyeCode, ServerMessage};
use world::{World, json, offers, room};

#[test]
fn a_peer_resumes_with_its_id_its_rooms_and_what_waited_in_order() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    world.close(bob.conn, Closing::Lost);
    world.read(ann.conn);
    for n in 0..3 {
        world.offer(&ann, bob.id, &n.to_string());
    }
    let conn = world.resume(&bob.resume);
    let messages = world.read(conn);
    let ServerMessage::Welcome(welcome) = &messages[0] else { panic!("{messages:?}") };
    assert!(welcome.resumed);
    assert_eq!(welcome.id, bob.id);
    assert_eq!(welcome.rooms[0].members[0].id, ann.id);
    let waited: Vec<String> = offers(&messages[1..]).into_iter().map(|(_, data)| data).collect();
    assert_eq!(waited, ["0", "1", "2"]);
    assert_eq!(json(&[world.next(ann.conn)]), json(&[ServerMessage::PeerBack { room: room(), id: bob.id }]));
    world.pass(Duration::from_secs(600));
    world.assert_silent(ann.conn);
}

#[test]
fn a_resume_takes_over_from_a_socket_that_still_stands() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    let conn = world.resume(&bob.resume);
    assert!(world.welcome(conn).resumed);
    assert_eq!(world.closed.get(&bob.conn), Some(&GoodbyeCode::TakenOver));
    world.close(bob.conn, Closing::Lost);
    world.assert_silent(ann.conn);
    world.offer(&ann, bob.id, "1");
    assert_eq!(offers(&world.read(conn)).len(), 1);
}

#[test]
fn a_token_that_was_used_is_refused_once_the_new_one_is_known_to_have_arrived() {
    let mut world = World::new(Config::default());
    let bob = world.member();
    let second = world.resume(&bob.resume);
    world.welcome(second);
    world.say(second, r#"{"type":"ping"}"#);
    let replay = world.resume(&bob.resume);
    assert_eq!(world.error(replay), ErrorCode::ResumeRefused);
    assert!(!world.closed.contains_key(&second), "the owner keeps its socket");
    world.say(replay, r#"{"type":"hello","v":1}"#);
    assert_ne!(world.welcome(replay).id, bob.id);
}

#[test]
fn a_welcome_lost_on_its_way_costs_nothing() {
    let mut world = World::new(Config::default());
    let bob = world.member();
    let lost = world.resume(&bob.resume);
    world.read(lost);
    world.close(lost, Closing::Lost);
    let again = world.resume(&bob.resume);
    let welcome = world.welcome(again);
    assert!(welcome.resumed);
    assert_eq!(welcome.id, bob.id);
}

#[test]
fn a_restarted_server_gives_the_same_id_again() {
    let mut before = World::new(Config::default());
    let bob = before.member();
    let mut after = World::seeded(Config::default(), 8);
    let _stranger = after.member();
    let conn = after.resume(&bob.resume);
    let welcome = after.welcome(conn);
    assert!(!welcome.resumed);
    assert_eq!(welcome.id, bob.id);
    assert!(welcome.rooms.is_empty());
}

#[test]
fn after_the_grace_period_the_id_returns_but_not_the_place() {
    let mut world = World::new(Config::default());
    let bob = world.member();
    world.close(bob.conn, Closing::Lost);
    world.pass(Duration::from_secs(31));
    let conn = world.resume(&bob.resume);
    let welcome = world.welcome(conn);
    assert_eq!((welcome.resumed, welcome.id), (false, bob.id));
}

#[test]
fn a_forged_token_never_yields_another_peers_id() {
    let mut world = World::new(Config::default());
    let bob = world.member();
    let (key, token) = bob.resume.split_once('.').expect("two halves");
    let other_token = format!("{key}.{}", "A".repeat(22));
    let other_key = format!("{}.{token}", "A".repeat(22));
    let conn = world.resume(&other_token);
    assert_eq!(world.error(conn), ErrorCode::ResumeRefused);
    let conn = world.resume(&other_key);
    assert_ne!(world.welcome(conn).id, bob.id);
    for nonsense in ["", ".", "x", &"A".repeat(60), "a.b.c"] {
        let conn = world.resume(nonsense);
        assert_eq!(world.error(conn), ErrorCode::ResumeRefused, "{nonsense:?}");
    }
    assert!(world.closed.is_empty());
}

#[test]
fn what_waits_for_an_absent_peer_is_bounded_and_the_sender_is_told() {
    let config = Config { away_messages: 3, away_bytes: 1000, ..Config::default() };
    let mut world = World::new(config);
    let (ann, bob) = (world.member(), world.member());
    world.close(bob.conn, Closing::Lost);
    world.read(ann.conn);
    for _ in 0..3 {
        world.offer(&ann, bob.id, "1");
    }
    world.assert_silent(ann.conn);
    world.offer(&ann, bob.id, "1");
    assert_eq!(world.error(ann.conn), ErrorCode::PeerQueueFull);

    let conn = world.resume(&bob.resume);
    world.read(conn);
    world.close(conn, Closing::Lost);
    world.read(ann.conn);
    world.offer(&ann, bob.id, &format!("\"{}\"", "x".repeat(999)));
    assert_eq!(world.error(ann.conn), ErrorCode::PeerQueueFull);
}

#[test]
fn a_name_said_at_the_resume_is_told_and_silence_keeps_the_old_one() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.say(bob.conn, r#"{"type":"rename","name":"Bob"}"#);
    world.close(bob.conn, Closing::Lost);
    world.read(ann.conn);
    let conn = world.resume(&bob.resume);
    let bob = world.welcomed(conn);
    assert_eq!(world.read(ann.conn).len(), 1, "back, and no new name");
    world.close(conn, Closing::Lost);
    world.read(ann.conn);
    let conn = world.connect(switchboard_wire::rooms::Dialect::Switchboard).expect("admitted");
    world.say(conn, &format!(r#"{{"type":"hello","v":1,"resume":"{}","name":"Rob"}}"#, bob.resume));
    assert_eq!(world.read(ann.conn).len(), 2, "back, and a new name");
}

#[test]
fn a_drain_says_goodbye_to_all_and_admits_nobody() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    world.core.handle_drain(Duration::from_secs(1));
    world.deliver();
    for conn in [ann.conn, bob.conn] {
        assert_eq!(world.closed.get(&conn), Some(&GoodbyeCode::ShuttingDown));
        let ServerMessage::Goodbye { retry: Some(retry), .. } = world.next(conn) else { panic!("no goodbye") };
        assert!((Duration::from_secs(1)..=Duration::from_secs(2)).contains(&retry));
    }
    assert!(world.connect(switchboard_wire::rooms::Dialect::Switchboard).is_err());
    assert_eq!(world.core.room_count(), 0);
}

#[test]
fn what_a_departed_peer_had_sent_is_not_delivered_at_the_resume() {
    let mut world = World::new(Config::default());
    let (ann, bob, _cid) = (world.member(), world.member(), world.member());
    world.close(bob.conn, Closing::Lost);
    world.offer(&ann, bob.id, "1");
    world.close(ann.conn, Closing::Left);
    let conn = world.resume(&bob.resume);
    world.welcome(conn);
}
