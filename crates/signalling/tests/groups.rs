//! Groups of matchbox: who is put together, and that nobody else ever joins them.
#![allow(missing_docs)]

mod world;

use std::collections::HashMap;

use proptest::prelude::*;
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

/// What a plain list would make of it: who waits for a group of each size, and the rooms that groups have.
#[derive(Default)]
struct Lists {
    waiting: HashMap<usize, (usize, Vec<Client>)>,
    rooms: Vec<RoomId>,
}

impl Lists {
    fn come(&mut self, size: usize, client: Client, room: RoomId) {
        let begun = self.rooms.len();
        let (group, waiting) = self.waiting.entry(size).or_insert((begun, Vec::new()));
        if *group == begun {
            assert!(!self.rooms.contains(&room), "a room of others");
            self.rooms.push(room);
        } else {
            assert_eq!(self.rooms[*group], room, "not the group that gathers");
        }
        waiting.push(client);
        if waiting.len() == size {
            self.waiting.remove(&size);
        }
    }

    fn go(&mut self, client: &Client) {
        for (_, waiting) in self.waiting.values_mut() {
            waiting.retain(|waits| waits.conn != client.conn);
        }
        self.waiting.retain(|_, (_, waiting)| !waiting.is_empty());
    }
}

proptest! {
    #[test]
    fn groups_are_those_that_a_plain_list_makes(
        steps in proptest::collection::vec((1usize..4, prop::option::of(any::<prop::sample::Index>())), 1..60),
    ) {
        let mut world = World::new(Config::default());
        let (mut lists, mut there) = (Lists::default(), Vec::new());
        for (size, goes) in steps {
            match goes {
                Some(at) if !there.is_empty() => {
                    let client: Client = there.swap_remove(at.index(there.len()));
                    world.close(client.conn, Closing::Lost);
                    lists.go(&client);
                }
                Some(_) | None => {
                    let (client, room) = comer(&mut world, &format!("next={size}"));
                    lists.come(size, client.clone(), room);
                    there.push(client);
                }
            }
        }
        for client in there {
            world.close(client.conn, Closing::Left);
        }
        prop_assert_eq!((world.core.room_count(), world.core.peer_count()), (0, 0));
        let next = comer(&mut world, "next=3").1;
        prop_assert!(!lists.rooms.contains(&next), "somebody waits though nobody is there");
    }
}
