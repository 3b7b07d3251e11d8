//! Groups of matchbox: who is put together, and that nobody else ever joins them.
#![allow(missing_docs)]

mod world;

use switchboard_signalling::core::{Closing, Config};
use switchboard_wire::RoomId;
use switchboard_wire::matchbox::Wanted;
use switchboard_wire::rooms::{Dialect, ErrorCode, ServerMessage};
use world::{Client, World};

/// A client that asked for `lobby` with this query, and the room that it is in.
fn comer(world: &mut World, query: &str) -> (Client, RoomId) {
    let client = world.client_of(Dialect::Matchbox);
    let wanted = Wanted::parse("lobby", Some(query), 32).expect("a room");
    world.ask(client.conn, wanted.into_request());
    match world.next(client.conn) {
        ServerMessage::Joined { room, .. } => (client, room),
        other => panic!("not joined but {other:?}"),
    }
}

fn rooms_of(world: &mut World, query: &str, comers: usize) -> Vec<RoomId> {
    (0..comers).map(|_| comer(world, query).1).collect()
}

#[test]
fn so_many_as_come_first_are_one_room_and_then_the_next_begins() {
    let mut world = World::new(Config::default());
    let pairs = rooms_of(&mut world, "next=2", 5);
    assert_eq!((&pairs[0], &pairs[2]), (&pairs[1], &pairs[3]));
    assert!(pairs[0] != pairs[2] && pairs[2] != pairs[4]);
    let threes = rooms_of(&mut world, "next=3", 4);
    assert!(threes[..3].iter().all(|room| *room == threes[0]) && threes[3] != threes[0]);
    assert!(!threes.contains(&pairs[4]), "groups of another size are others");
    let alone = rooms_of(&mut world, "next=1", 2);
    assert_ne!(alone[0], alone[1]);
    let open = rooms_of(&mut world, "", 3);
    assert!(open.iter().all(|room| *room == open[0]) && open[0] != pairs[4]);
}

#[test]
fn who_leaves_early_makes_room_and_who_leaves_late_does_not() {
    let mut world = World::new(Config::default());
    let (early, first) = comer(&mut world, "next=3");
    let (_, second) = comer(&mut world, "next=3");
    assert_eq!(first, second);
    world.close(early.conn, Closing::Lost);
    let (late, third) = comer(&mut world, "next=3");
    assert_eq!(third, first);
    let (_, fourth) = comer(&mut world, "next=3");
    assert_eq!(fourth, first, "three are there, of the four who came");
    world.close(late.conn, Closing::Left);
    let (_, fifth) = comer(&mut world, "next=3");
    assert_ne!(fifth, first, "the group was complete");
}

#[test]
fn a_group_that_nobody_waits_for_leaves_nothing_behind() {
    let mut world = World::new(Config { rooms: 1, ..Config::default() });
    for _ in 0..3 {
        let (alone, _) = comer(&mut world, "next=2");
        world.close(alone.conn, Closing::Lost);
        assert_eq!((world.core.room_count(), world.core.peer_count()), (0, 0));
    }
    let (waiting, first) = comer(&mut world, "next=2");
    let late = world.client_of(Dialect::Matchbox);
    world.ask(late.conn, Wanted::parse("other", Some("next=2"), 32).expect("a room").into_request());
    assert!(matches!(world.next(late.conn), ServerMessage::Error { code: ErrorCode::ServerFull, .. }));
    let (_, second) = comer(&mut world, "next=2");
    assert_eq!(first, second, "a group goes on where no new one can begin");
    assert!(matches!(world.next(waiting.conn), ServerMessage::PeerJoined { .. }));
}

#[test]
fn a_group_is_complete_when_its_room_is_full() {
    let mut world = World::new(Config { room_members: 2, ..Config::default() });
    let rooms = rooms_of(&mut world, "next=9", 4);
    assert!(rooms[0] == rooms[1] && rooms[1] != rooms[2] && rooms[2] == rooms[3]);
}
