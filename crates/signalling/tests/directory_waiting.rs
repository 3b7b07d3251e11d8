//! Texts for names that nobody holds yet.

mod names;

use std::borrow::Cow;
use std::time::Duration;

use names::{Names, PEERJS, call, expired, handshake, held, name, publish, text, unlimited};
use switchboard_signalling::core::{Closing, Config, ConnId, WaitingLimits};
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

/// A PeerJS client of its own address.
fn peer_from(world: &mut Names, last: u8, id: &str) -> ConnId {
    let conn = world.connect_from(last, Dialect::PeerJs);
    world.claim(conn, id, id);
    assert_eq!(world.read(conn), [held(id)]);
    conn
}

#[test]
fn a_pair_that_found_no_room_leaves_no_gap() {
    let mut world = world_with(|directory| {
        directory.waiting_from_connection = WaitingLimits { messages: 3, bytes: 1000 };
    });
    let alice = world.peer("alice");
    world.send(alice, call("alice", "dave", "d1"));
    for said in ["offer", "c1", "c2", "c3"] {
        world.send(alice, call("alice", "carol", said));
    }
    assert_eq!(world.read(alice), vec![expired("alice", "carol"); 2], "all up to the third, and the last");
    world.send(alice, call("alice", "dave", "d2"));
    assert_eq!((world.read(alice), world.core.waiting_count()), (vec![], 2), "what waits elsewhere goes on");
    let carol = world.connect(Dialect::PeerJs);
    world.claim(carol, "carol", "secret");
    assert_eq!(world.read(carol), [held("carol")]);
    world.send(alice, call("alice", "carol", "again"));
    assert_eq!(world.read(carol), [text("again")], "who is there hears at once");
    world.pass(5 * SECOND);
    assert_eq!(world.read(alice), [expired("alice", "dave")]);
    world.send(alice, call("alice", "erin", "hello"));
    assert!(world.read(alice).is_empty(), "it is over");
}

#[test]
fn who_fills_a_name_gives_way_to_others() {
    let mut world = world_with(|directory| directory.waiting_for_name = WaitingLimits { messages: 100, bytes: 1000 });
    let mallory = peer_from(&mut world, 66, "mallory");
    let minion = peer_from(&mut world, 66, "minion");
    let alice = peer_from(&mut world, 1, "alice");
    let flood = "x".repeat(450);
    world.send(mallory, call("mallory", "host", &flood));
    world.send(minion, call("minion", "host", &flood));
    world.send(alice, call("alice", "host", "a1"));
    world.send(minion, call("minion", "host", &flood));
    assert_eq!((world.read(mallory), world.read(minion)), (vec![], vec![expired("minion", "host")]));
    world.send(alice, call("alice", "host", &"y".repeat(100)));
    assert_eq!((world.read(alice), world.read(minion)), (vec![], vec![]));
    world.send(alice, call("alice", "host", &"z".repeat(449)));
    assert_eq!(
        (world.read(alice), world.read(mallory)),
        (vec![expired("alice", "host")], vec![]),
        "now it would take most"
    );
    let host = world.connect(Dialect::PeerJs);
    world.claim(host, "host", "secret");
    assert_eq!(world.read(host), [held("host"), text(&flood)]);
}

#[test]
fn who_fills_the_server_gives_way_to_others() {
    let mut world = world_with(|directory| directory.waiting_in_all = WaitingLimits { messages: 10, bytes: 10_000 });
    let mallory = peer_from(&mut world, 66, "mallory");
    let alice = peer_from(&mut world, 1, "alice");
    for number in 0..10 {
        world.send(mallory, call("mallory", &format!("nobody{number}"), "hello"));
    }
    for number in 0..7 {
        world.send(alice, call("alice", &format!("friend{number}"), "hello"));
    }
    assert_eq!((world.read(mallory).len(), world.read(alice).len(), world.core.waiting_count()), (5, 2, 10));
    world.pass(5 * SECOND);
    assert_eq!((world.read(mallory).len(), world.read(alice).len()), (5, 5));
    assert_eq!((world.core.waiting_count(), world.core.poll_timeout()), (0, None));
}

#[test]
fn a_returned_host_gets_all_in_portions_as_it_reads() {
    let mut world = world_with(|directory| directory.portion = WaitingLimits { messages: 3, bytes: 1000 });
    let alice = world.peer("alice");
    let all: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    let texts = |range: std::ops::Range<usize>| all[range].iter().map(|said| text(said)).collect::<Vec<_>>();
    for said in &all[..5] {
        world.send(alice, call("alice", "host", said));
    }
    let host = world.connect(Dialect::PeerJs);
    world.hang(host);
    world.claim(host, "host", "secret");
    world.send(alice, call("alice", "host", &all[5]));
    assert_eq!(world.read(host), [vec![held("host")], texts(0..3)].concat(), "what comes meanwhile comes after");
    world.go_on(host);
    assert_eq!(world.read(host), texts(3..6));
    world.send(alice, Send { absent: Absent::Drop, ..call("alice", "host", &all[6]) });
    world.send(alice, call("alice", "host", &all[7]));
    assert_eq!(world.read(host), texts(6..8));
    assert_eq!((world.core.waiting_count(), world.core.poll_timeout(), world.read(alice)), (0, None, vec![]));
}

#[test]
fn what_a_holder_does_not_take_expires_or_goes_to_the_next() {
    let mut world = world_with(|directory| directory.portion = WaitingLimits { messages: 1, bytes: 1000 });
    let (alice, bob) = (world.peer("alice"), world.peer("bob"));
    for said in ["a1", "a2"] {
        world.send(alice, call("alice", "host", said));
    }
    world.pass(SECOND);
    world.send(bob, call("bob", "host", "b1"));
    let host = world.connect(Dialect::PeerJs);
    world.hang(host);
    world.claim(host, "host", "secret");
    assert_eq!(world.read(host), [held("host"), text("a1")]);
    world.pass(4 * SECOND);
    assert_eq!((world.read(alice), world.read(bob)), (vec![expired("alice", "host")], vec![]));
    let other = world.connect(Dialect::PeerJs);
    world.claim(other, "host", "secret");
    world.go_on(host);
    assert_eq!((world.read(host), world.read(other)), (vec![], vec![held("host"), text("b1")]));
    assert_eq!((world.core.waiting_count(), world.core.poll_timeout()), (0, None));
}

#[test]
fn a_text_that_is_no_portion_does_not_wait() {
    let mut world = world_with(|directory| directory.portion.bytes = 10);
    let alice = world.peer("alice");
    world.send(alice, call("alice", "host", "eleven byte"));
    assert_eq!((world.read(alice), world.core.waiting_count()), (vec![expired("alice", "host")], 0));
}

#[test]
fn a_contest_costs_a_full_holder_nothing() {
    let mut world = world_with(|directory| {
        directory.waiting_from_connection = WaitingLimits { messages: 2, bytes: 1000 };
    });
    let (alice, host) = (world.peer("alice"), world.peer("host"));
    let mallory = world.connect(Dialect::PeerJs);
    world.claim(mallory, "host", "guess");
    for said in ["1", "2", "3", "4"] {
        world.send(alice, call("alice", "host", said));
    }
    assert_eq!(world.read(host), ["1", "2", "3"].map(text));
    world.alive(host);
    assert_eq!((world.read(host), world.read(alice)), (vec![text("4")], vec![]));
}

#[test]
fn forty_callers_of_a_host_that_is_briefly_away_all_reach_it() {
    for shared in [true, false] {
        let mut world = Names::new(Config::default());
        let guests: Vec<ConnId> = (0..40)
            .map(|number| peer_from(&mut world, if shared { 1 } else { number + 1 }, &format!("guest{number}")))
            .collect();
        let (offer, candidate) = ("o".repeat(3000), "c".repeat(250));
        for (number, guest) in guests.iter().enumerate() {
            let id = format!("guest{number}");
            world.send(*guest, call(&id, "host", &offer));
            for _ in 0..12 {
                world.send(*guest, call(&id, "host", &candidate));
            }
        }
        world.pass(2 * SECOND);
        let host = world.connect(Dialect::PeerJs);
        world.claim(host, "host", "secret");
        assert_eq!(world.read(host).len(), 1 + 40 * 13);
        assert!(guests.iter().all(|guest| world.read(*guest).is_empty()));
    }
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
    assert_eq!(world.core.waiting_count(), 256);
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
