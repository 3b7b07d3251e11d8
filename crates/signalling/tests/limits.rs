//! Everything bounded, each bound reached.
#![allow(missing_docs)]

mod world;

use std::net::IpAddr;
use std::time::Duration;

use switchboard_signalling::core::{ClientAddr, Closing, Config, Rate, Refusal};
use switchboard_wire::rooms::{Dialect, ErrorCode, GoodbyeCode, ServerMessage};
use world::{ROOM, World, address, offers};

#[test]
fn ten_thousand_connections_from_one_address_stop_at_its_limit_and_others_still_get_in() {
    let mut world = World::new(Config::default());
    let admitted = (0..10_000).filter(|_| world.connect(Dialect::Switchboard).is_ok()).count();
    assert_eq!(admitted, 256);
    assert_eq!(world.core.stats().refused_address_full_total, 10_000 - 256);
    assert!(world.core.handle_connect(address(2), Dialect::SocketIo, world.now).is_ok());
}

#[test]
fn one_ipv6_subscriber_counts_as_one_address() {
    let mut world = World::new(Config { connections_per_address: 2, ..Config::default() });
    let mut connect = |text: &str| {
        let address: IpAddr = text.parse().expect("an address");
        world.core.handle_connect(ClientAddr::new(address), Dialect::Switchboard, world.now).is_ok()
    };
    assert!(connect("2001:db8:0:1::1"));
    assert!(connect("2001:db8:0:1:ffff::2"));
    assert!(!connect("2001:db8:0:1::3"));
    assert!(connect("2001:db8:0:2::1"));
}

#[test]
fn a_closed_connection_frees_its_place() {
    let mut world = World::new(Config { connections_per_address: 1, connections: 1, ..Config::default() });
    let conn = world.connect(Dialect::Switchboard).expect("admitted");
    assert_eq!(world.connect(Dialect::Switchboard), Err(Refusal::ServerFull { limit: 1 }));
    world.close(conn, Closing::Lost);
    assert!(world.connect(Dialect::Switchboard).is_ok());
}

#[test]
fn rooms_members_and_rooms_per_peer_have_limits() {
    let mut world = World::new(Config { rooms: 2, room_members: 2, rooms_per_peer: 1, ..Config::default() });
    let (ann, bob, cid, dan) = (world.member(), world.member(), world.client(), world.client());
    world.read(ann.conn);
    world.say(cid.conn, &format!(r#"{{"type":"join","room":"{ROOM}"}}"#));
    assert_eq!(world.error(cid.conn), ErrorCode::RoomFull);
    world.say(bob.conn, r#"{"type":"join","room":"another"}"#);
    assert_eq!(world.error(bob.conn), ErrorCode::TooManyRooms);
    world.join(&cid, "another");
    world.say(dan.conn, r#"{"type":"join","room":"third"}"#);
    assert_eq!(world.error(dan.conn), ErrorCode::ServerFull);
    world.assert_silent(ann.conn);
}

#[test]
fn rooms_of_one_address_have_a_limit_until_they_are_gone_whoever_is_in_them() {
    let mut world = World::new(Config { rooms_per_address: 2, ..Config::default() });
    let (ann, bob) = (world.client(), world.client());
    world.join(&ann, "first");
    world.join(&bob, "first");
    world.read(ann.conn);
    world.join(&ann, "second");
    // Its socket is lost and frees its place, but its rooms stay.
    world.close(ann.conn, Closing::Lost);
    world.read(bob.conn);
    world.say(bob.conn, r#"{"type":"join","room":"third"}"#);
    match world.next(bob.conn) {
        ServerMessage::Error { code: ErrorCode::AddressFull, message } => {
            assert!(message.contains("the limit is 2") && message.contains("leave some"), "{message}");
        }
        other => panic!("no such error but {other:?}"),
    }
    assert_eq!(world.core.stats().join_refused_total[Dialect::Switchboard], 1);
    // Others are not concerned, and whoever enters what is there makes no room.
    let neighbour = world.client_from(address(2), Dialect::Switchboard);
    world.join(&neighbour, "third");
    world.join(&bob, "third");
    // The second room ends with the place that was held in it; the first goes on without who made it.
    world.pass(Duration::from_secs(30));
    world.read(bob.conn);
    world.join(&bob, "fourth");
    world.say(bob.conn, r#"{"type":"join","room":"fifth"}"#);
    assert_eq!(world.error(bob.conn), ErrorCode::AddressFull);
    world.say(bob.conn, r#"{"type":"leave","room":"first"}"#);
    world.read(bob.conn);
    world.join(&bob, "fifth");
}

#[test]
fn rooms_of_one_ipv6_subscriber_count_as_of_one_address() {
    let mut world = World::new(Config { rooms_per_address: 1, ..Config::default() });
    let mut member = |text: &str, room: &str| {
        let from: IpAddr = text.parse().expect("an address");
        let client = world.client_from(ClientAddr::new(from), Dialect::SocketIo);
        world.say(client.conn, &format!(r#"{{"type":"join","room":"{room}"}}"#));
        matches!(world.next(client.conn), ServerMessage::Joined { .. })
    };
    assert!(member("2001:db8:0:1::1", "first"));
    assert!(!member("2001:db8:0:1:ffff::2", "second"));
    assert!(member("2001:db8:0:2::1", "second"));
}

#[test]
fn a_flood_of_all_together_slows_everybody_and_loses_nothing() {
    let mut world = World::new(Config { in_all: Rate { per_second: 10, burst: 20 }, ..Config::default() });
    let ann = world.client();
    let other = world.client_from(address(2), Dialect::Switchboard);
    let mut slowest = Duration::ZERO;
    for n in 0..100 {
        let who = if n % 2 == 0 { &ann } else { &other };
        if let Some(at) = world.say(who.conn, r#"{"type":"ping"}"#) {
            slowest = slowest.max(at - world.now);
        }
    }
    // Two hellos came before; (102 - 20) at 10 a second are worked off in 8.2 s, whoever sent them.
    assert_eq!(slowest, Duration::from_millis(8_200));
    for conn in [ann.conn, other.conn] {
        let pongs = world.read(conn).into_iter().filter(|message| matches!(message, ServerMessage::Pong));
        assert_eq!(pongs.count(), 50);
    }
}

#[test]
fn a_flood_is_slowed_loses_nothing_and_is_told_once() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    let mut slowest = Duration::ZERO;
    for n in 0..1_000 {
        if let Some(at) = world.offer(&ann, bob.id, &n.to_string()) {
            slowest = slowest.max(at - world.now);
        }
    }
    let received: Vec<String> = offers(&world.read(bob.conn)).into_iter().map(|(_, data)| data).collect();
    assert_eq!(received, (0..1_000).map(|n| n.to_string()).collect::<Vec<_>>());
    // Two messages came before the flood; (1002 - 200) at 50 a second are worked off in 16.04 s.
    assert_eq!(slowest, Duration::from_millis(16_040));
    assert_eq!(world.error(ann.conn), ErrorCode::SlowDown);
}

#[test]
fn a_sender_at_the_edge_of_its_rate_is_told_once_and_again_after_a_rest() {
    let mut world = World::new(Config::default());
    let (ann, bob) = (world.member(), world.member());
    world.read(ann.conn);
    let flood = |world: &mut World| {
        for _ in 0..400 {
            if let Some(at) = world.offer(&ann, bob.id, "1") {
                world.pass(at - world.now);
            }
        }
        world.read(ann.conn).len()
    };
    assert_eq!(flood(&mut world), 1);
    world.pass(Duration::from_secs(20));
    assert_eq!(flood(&mut world), 1);
}

#[test]
fn a_flooding_address_slows_itself_and_not_another() {
    let slow = Rate { per_second: 10, burst: 10 };
    let mut world = World::new(Config { per_address: slow, ..Config::default() });
    let (ann, bob) = (world.member(), world.member());
    for _ in 0..50 {
        world.offer(&ann, bob.id, "1");
    }
    assert!(world.say(bob.conn, r#"{"type":"ping"}"#).is_some(), "the neighbour behind the same address");
    let other = world.core.handle_connect(address(2), Dialect::Switchboard, world.now).expect("admitted");
    assert_eq!(world.say(other, r#"{"type":"hello","v":1}"#), None);
}

#[test]
fn nonsense_costs_more_than_work() {
    let mut world = World::new(Config::default());
    let ann = world.client();
    let paused = (0..30).map(|_| world.say(ann.conn, "garbage")).filter(|pace| pace.is_some()).count();
    assert!(paused > 5);
    let errors = world
        .read(ann.conn)
        .into_iter()
        .filter(|message| matches!(message, ServerMessage::Error { code: ErrorCode::BadJson, .. }));
    assert_eq!(errors.count(), 30);
}

#[test]
fn a_connection_that_never_says_hello_is_closed() {
    let mut world = World::new(Config::default());
    let conn = world.connect(Dialect::Switchboard).expect("admitted");
    let sample = world.connect(Dialect::SocketIo).expect("admitted");
    world.say(conn, r#"{"type":"ping"}"#);
    world.read(conn);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.closed.get(&conn), Some(&GoodbyeCode::HelloTimeout));
    assert!(!world.closed.contains_key(&sample));
    world.pass(Duration::from_secs(35));
    assert_eq!(world.closed.get(&sample), Some(&GoodbyeCode::HelloTimeout));
}
