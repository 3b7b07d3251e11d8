//! What clients of the directory may take, and what happens beyond.

mod names;

use std::time::Duration;

use names::{Names, PEERJS, call, held, name, publish, text, unlimited};
use switchboard_signalling::core::{Closing, Config, Rate};
use switchboard_wire::Dialect;
use switchboard_wire::directory::{Message, Namespace, Refusal, Request};

#[test]
fn a_connection_holds_only_so_many_names() {
    let mut world = Names::new(unlimited());
    let alice = world.peer("alice");
    world.claim(alice, "alias", "alice");
    assert_eq!(world.read(alice), [Message::Refused(Refusal::TooManyNames { limit: 1 })]);
    let reader = world.connect(Dialect::Relay);
    for number in 0..65 {
        world.share(reader, Namespace::Topics, &format!("topic{number}"));
    }
    assert_eq!(world.read(reader).last(), Some(&Message::Refused(Refusal::TooManyNames { limit: 64 })));
    world.release(reader, Namespace::Topics, Some("topic3"));
    world.share(reader, Namespace::Topics, "topic64");
    assert_eq!(world.read(reader), [held("topic64")]);
    assert_eq!(world.core.name_count(Namespace::Topics), 64);
}

#[test]
fn who_waits_for_a_contested_name_claims_no_other() {
    let mut world = Names::new(unlimited());
    let _ghost = world.peer("alice");
    let bob = world.connect(Dialect::PeerJs);
    world.claim(bob, "alice", "guess");
    world.claim(bob, "bob", "secret");
    assert_eq!(world.read(bob), [Message::Refused(Refusal::TooManyNames { limit: 1 })]);
}

#[test]
fn the_server_holds_only_so_many_names() {
    let mut config = unlimited();
    config.directory.peerjs.names = 2;
    config.directory.star.names = 1;
    let mut world = Names::new(config);
    let alice = world.peer("alice");
    world.peer("bob");
    let carol = world.connect(Dialect::PeerJs);
    world.claim(carol, "carol", "secret");
    assert_eq!(world.read(carol), [Message::Refused(Refusal::Full { limit: 2 })]);
    let again = world.connect(Dialect::PeerJs);
    world.claim(again, "alice", "alice");
    assert_eq!(world.read(again), [held("alice")], "a takeover needs no new place");
    world.close(again, Closing::Left);
    world.claim(carol, "carol", "secret");
    assert_eq!(world.read(carol), [held("carol")]);
    assert!(world.closed.contains_key(&alice));

    world.star("/star/a");
    let late = world.connect(Dialect::SocketIo);
    world.share(late, Namespace::Star, "/star/b");
    assert_eq!(world.read(late), [Message::Refused(Refusal::Full { limit: 1 })]);
    assert_eq!(world.core.stats().star_joins_failure_total, 1);
}

#[test]
fn a_topic_has_only_so_many_subscribers() {
    let mut config = unlimited();
    config.directory.topics.holders = 3;
    let mut world = Names::new(config);
    let readers: Vec<_> = (0..3).map(|_| world.subscriber("news")).collect();
    let late = world.connect(Dialect::Relay);
    world.share(late, Namespace::Topics, "news");
    assert_eq!(world.read(late), [Message::Refused(Refusal::TooManyHolders { name: name("news"), limit: 3 })]);
    world.send(late, publish("news", "extra"));
    for reader in readers {
        assert_eq!(world.read(reader), [text("extra")]);
    }
    assert!(world.read(late).is_empty());
}

#[test]
fn a_flood_is_read_more_slowly_and_no_peerjs_client_hears_of_it() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.peer("alice"), world.peer("bob"));
    let paces: Vec<_> = (0..300).map(|_| world.send(alice, call("alice", "bob", "spam"))).collect();
    assert!(paces[..190].iter().all(Option::is_none) && paces[210..].iter().all(Option::is_some));
    assert_eq!(world.ask(bob, Request::Alive), None, "a neighbour is not slowed down");
    assert_eq!(world.read(bob).len(), 300);
    assert!(world.read(alice).is_empty());
    assert_eq!(world.core.stats().slowed_total, 1);
}

#[test]
fn heartbeats_count_against_the_rate() {
    let mut world = Names::new(Config::default());
    let alice = world.peer("alice");
    let slowed = (0..300).filter(|_| world.ask(alice, Request::Alive).is_some()).count();
    assert!((90..=110).contains(&slowed), "{slowed}");
}

#[test]
fn malformed_requests_are_answered_and_cost_more() {
    let mut world = Names::new(Config::default());
    let alice = world.peer("alice");
    let paces: Vec<_> = (0..30).map(|_| world.mumble(alice)).collect();
    assert!(paces[..18].iter().all(Option::is_none) && paces[21..].iter().all(Option::is_some));
    let answers = world.read(alice);
    assert_eq!(answers.len(), 30);
    assert!(matches!(&answers[0], Message::Refused(Refusal::Malformed(_))));
    let bob = world.peer("bob");
    world.send(alice, call("alice", "bob", "sorry"));
    assert_eq!(world.read(bob), [text("sorry")], "it is not deaf afterwards");
}

#[test]
fn a_text_for_many_costs_its_sender_more() {
    let mut config = Config { connections_per_address: 300, ..Config::default() };
    config.per_connection = Rate { per_second: 10, burst: 100 };
    config.per_address = Rate { per_second: 0, burst: 0 };
    let mut world = Names::new(config);
    let readers: Vec<_> = (0..256).map(|_| world.subscriber("news")).collect();
    let long = "x".repeat(60 * 1024);
    let resume_at = world.send(readers[0], publish("news", &long)).expect("it is slow now");
    assert!(resume_at > world.now + Duration::from_secs(15), "271 messages' worth at ten a second");
    assert_eq!(world.send(readers[1], publish("news", "short")), None);
}

#[test]
fn joins_that_others_hear_of_cost_more() {
    let mut config = unlimited();
    config.per_connection = Rate { per_second: 1, burst: 100 };
    let mut world = Names::new(config);
    let peer = world.connect(Dialect::SocketIo);
    let mut joins = 0;
    while world.share(peer, Namespace::Star, "/star/a").is_none() {
        world.release(peer, Namespace::Star, None);
        joins += 1;
        assert!(joins < 100);
    }
    assert_eq!(joins, 20, "a join costs four and a leave one");
}

#[test]
fn a_text_without_a_name_of_ones_own_goes_nowhere() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.peer("alice"), world.peer("bob"));
    world.send(alice, call("bob", "bob", "forged"));
    world.send(alice, call("nobody", "bob", "forged"));
    world.send(alice, switchboard_wire::directory::Send { from: None, ..call("alice", "bob", "nameless") });
    world.release(alice, PEERJS, None);
    world.send(alice, call("alice", "bob", "too late"));
    assert!(world.read(bob).is_empty());
    assert_eq!(world.read(alice), vec![Message::Refused(Refusal::NotYours); 4]);
}

#[test]
fn unknown_connections_are_ignored() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.peer("alice"), world.peer("bob"));
    world.close(alice, Closing::Left);
    world.send(alice, call("alice", "bob", "from the grave"));
    world.claim(alice, "alice", "alice");
    world.mumble(alice);
    world.alive(alice);
    world.release(alice, PEERJS, None);
    assert!(world.read(alice).is_empty() && world.read(bob).is_empty());
    assert_eq!(world.core.names(PEERJS, 10), [name("bob")]);
}

#[test]
fn names_are_listed_up_to_a_limit() {
    let mut world = Names::new(unlimited());
    for number in 0..10 {
        world.peer(&format!("peer{number}"));
    }
    assert_eq!((world.core.names(PEERJS, 3).len(), world.core.names(PEERJS, 99).len()), (3, 10));
    assert!(world.core.names(Namespace::PeerJs(1), 99).is_empty());
}
