//! Texts for names that nobody holds yet.

mod names;

use std::borrow::Cow;
use std::time::Duration;

use names::{Names, PEERJS, call, expired, handshake, held, name, publish, text, unlimited};
use switchboard_signalling::core::{Closing, Config, WaitingLimits};
use switchboard_wire::Dialect;
use switchboard_wire::directory::{Absent, Message, Send};

const SECOND: Duration = Duration::from_secs(1);

/// A core where only `limit` may wait, by the measure that `set` sets.
fn world_with(set: impl FnOnce(&mut switchboard_signalling::core::DirectoryConfig)) -> Names {
    let mut config = unlimited();
    set(&mut config.directory);
    Names::new(config)
}

#[test]
fn texts_wait_for_a_late_comer_in_the_order_of_their_senders() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.peer("alice"), world.peer("bob"));
    for (conn, from, said) in [(alice, "alice", "a1"), (bob, "bob", "b1"), (alice, "alice", "a2"), (bob, "bob", "b2")] {
        world.send(conn, call(from, "carol", said));
        world.pass(SECOND);
    }
    let carol = world.connect(Dialect::PeerJs);
    world.claim(carol, "carol", "secret");
    world.send(alice, call("alice", "carol", "a3"));
    assert_eq!(world.read(carol), [held("carol"), text("a1"), text("b1"), text("a2"), text("b2"), text("a3")]);
    world.pass(10 * SECOND);
    assert!(world.read(alice).is_empty() && world.read(bob).is_empty(), "nothing expires any more");
    assert_eq!((world.core.waiting_count(), world.core.poll_timeout()), (0, None));
}

#[test]
fn each_pair_expires_once_and_five_seconds_after_its_first_text() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.peer("alice"), world.peer("bob"));
    for _ in 0..3 {
        world.send(alice, call("alice", "carol", "hello"));
        world.pass(SECOND);
    }
    world.send(bob, call("bob", "carol", "hello"));
    world.send(alice, call("alice", "dave", "hello"));
    world.pass(Duration::from_millis(1_999));
    assert!(world.read(alice).is_empty());
    world.pass(Duration::from_millis(1));
    assert_eq!((world.read(alice), world.read(bob)), (vec![expired("alice", "carol")], vec![]));
    world.pass(3 * SECOND);
    assert_eq!((world.read(alice), world.read(bob)), (vec![expired("alice", "dave")], vec![expired("bob", "carol")]));
    assert_eq!((world.core.waiting_count(), world.core.poll_timeout()), (0, None));
}

#[test]
fn a_name_that_cannot_exist_expires_at_once() {
    let mut world = Names::new(Config::default());
    let alice = world.peer("alice");
    let (long, empty) = ("x".repeat(10_000), "");
    world.send(alice, call("alice", &long, "hello"));
    world.send(alice, call("alice", empty, "hello"));
    assert_eq!(world.read(alice), [expired("alice", &long), expired("alice", empty)]);
}

#[test]
fn without_a_waiting_time_texts_expire_at_once() {
    let mut world = world_with(|directory| directory.wait = Duration::ZERO);
    let alice = world.peer("alice");
    world.send(alice, call("alice", "carol", "hello"));
    assert_eq!(world.read(alice), [expired("alice", "carol")]);
}

#[test]
fn an_expiry_finds_a_sender_that_has_changed_its_socket() {
    let mut world = Names::new(Config::default());
    let old = world.peer("alice");
    world.send(old, call("alice", "carol", "hello"));
    world.close(old, Closing::Lost);
    let new = world.peer("alice");
    world.send(new, call("alice", "carol", "again"));
    world.pass(5 * SECOND);
    assert_eq!(world.read(new), [expired("alice", "carol")]);
}

#[test]
fn what_a_gone_sender_left_is_delivered_or_forgotten() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.peer("alice"), world.peer("bob"));
    world.send(alice, call("alice", "carol", "from the past"));
    world.send(bob, call("bob", "dave", "for nobody"));
    world.close(alice, Closing::Left);
    world.close(bob, Closing::Left);
    let carol = world.connect(Dialect::PeerJs);
    world.claim(carol, "carol", "secret");
    assert_eq!(world.read(carol), [held("carol"), text("from the past")]);
    world.pass(5 * SECOND);
    assert_eq!((world.core.waiting_count(), world.core.poll_timeout()), (0, None));
}

#[test]
fn silent_texts_and_texts_that_come_back_do_not_wait() {
    let mut world = Names::new(Config::default());
    let (alice, star) = (world.peer("alice"), world.star("/star/1"));
    world.send(alice, Send { absent: Absent::Drop, ..call("alice", "carol", "bye") });
    world.send(star, handshake("/star/1", "/star/2", "offer"));
    assert!(world.read(alice).is_empty());
    let back = Cow::Borrowed("offer".as_bytes()).into();
    assert_eq!(world.read(star), [Message::Absent { to: "/star/2".into(), from: Some(name("/star/1")), text: back }]);
    assert_eq!(world.core.waiting_count(), 0);
    assert_eq!(world.core.stats().undelivered_total[Dialect::PeerJs], 1);
    assert_eq!(world.core.stats().undelivered_total[Dialect::SocketIo], 1);
}

#[test]
fn a_name_full_of_waiting_texts_expires_the_pair_whose_text_does_not_fit() {
    let mut world = world_with(|directory| directory.waiting_for_name = WaitingLimits { messages: 3, bytes: 100 });
    let (alice, bob) = (world.peer("alice"), world.peer("bob"));
    world.send(bob, call("bob", "carol", "b1"));
    world.send(alice, call("alice", "carol", "a1"));
    world.send(bob, call("bob", "carol", "b2"));
    world.send(bob, call("bob", "carol", "b3"));
    assert_eq!((world.read(alice), world.read(bob)), (vec![], vec![expired("bob", "carol")]));
    world.send(bob, call("bob", "carol", &"x".repeat(99)));
    assert_eq!(world.read(bob), [expired("bob", "carol")]);
    let carol = world.connect(Dialect::PeerJs);
    world.claim(carol, "carol", "secret");
    assert_eq!(world.read(carol), [held("carol"), text("a1")]);
}

#[test]
fn a_connection_and_an_address_can_only_make_so_much_wait() {
    let mut world = world_with(|directory| {
        directory.waiting_from_connection = WaitingLimits { messages: 2, bytes: 1000 };
        directory.waiting_from_address = WaitingLimits { messages: 3, bytes: 1000 };
    });
    let (alice, bob) = (world.peer("alice"), world.peer("bob"));
    for to in ["1", "2", "3"] {
        world.send(alice, call("alice", to, "hello"));
    }
    assert_eq!(world.read(alice), [expired("alice", "3")]);
    world.send(bob, call("bob", "1", "hello"));
    world.send(bob, call("bob", "2", "hello"));
    assert_eq!(world.read(bob), [expired("bob", "2")]);
    let neighbour = world.connect_from(2, Dialect::PeerJs);
    world.claim(neighbour, "neighbour", "secret");
    world.read(neighbour);
    world.send(neighbour, call("neighbour", "1", "hello"));
    assert!(world.read(neighbour).is_empty(), "another address is not harmed");
    world.pass(5 * SECOND);
    world.read(alice);
    world.send(alice, call("alice", "1", "hello"));
    assert!(world.read(alice).is_empty(), "what expired makes room");
}

#[test]
fn only_so_much_waits_in_all() {
    let mut world = world_with(|directory| directory.waiting_in_all = WaitingLimits { messages: 100, bytes: 50 });
    let alice = world.peer("alice");
    for number in 0..10 {
        world.send(alice, call("alice", &number.to_string(), "ten bytes."));
    }
    assert_eq!((world.core.waiting_count(), world.read(alice).len()), (5, 5));
}

#[test]
fn ten_thousand_texts_for_nobody_leave_nothing_behind() {
    let mut world = Names::new(unlimited());
    let alice = world.peer("alice");
    for number in 0..10_000 {
        world.send(alice, call("alice", &format!("nobody{number}"), "hello"));
    }
    assert_eq!(world.core.waiting_count(), 128);
    world.pass(5 * SECOND);
    assert_eq!(world.read(alice).len(), 10_000);
    assert_eq!((world.core.waiting_count(), world.core.name_count(PEERJS)), (0, 1));
}

#[test]
fn a_topic_without_subscribers_drops_what_is_published() {
    let mut world = Names::new(Config::default());
    let alice = world.subscriber("a");
    world.send(alice, publish("b", "news"));
    assert_eq!((world.read(alice), world.core.waiting_count()), (vec![], 0));
}
