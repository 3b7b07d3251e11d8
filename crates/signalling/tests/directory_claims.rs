//! Who holds a name: claims, takeovers, contests.

mod names;

use std::time::Duration;

use names::{Names, PEERJS, call, held, name, publish, text, unlimited};
use switchboard_signalling::core::{Closing, Config};
use switchboard_wire::Dialect;
use switchboard_wire::directory::{Absent, Message, Namespace, Refusal, Request, Send};
use switchboard_wire::rooms::GoodbyeCode;

const SECOND: Duration = Duration::from_secs(1);

fn taken(text: &str) -> Message {
    Message::Refused(Refusal::NameTaken { name: name(text) })
}

#[test]
fn texts_reach_the_holder_of_a_name() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.peer("alice"), world.peer("bob"));
    world.send(alice, call("alice", "bob", "offer"));
    assert_eq!(world.read(bob), [text("offer")]);
    world.send(alice, call("alice", "alice", "to myself"));
    assert_eq!(world.read(alice), [text("to myself")]);
}

#[test]
fn names_of_two_namespaces_never_meet() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.peer("alice"), world.subscriber("alice"));
    let other_key = Namespace::PeerJs(1);
    let carol = world.connect(Dialect::PeerJs);
    world.share(carol, other_key, "alice");
    assert_eq!(world.read(carol), [held("alice")]);
    world.send(bob, publish("alice", "news"));
    assert_eq!(world.read(bob), [text("news")]);
    assert!(world.read(alice).is_empty() && world.read(carol).is_empty());
}

#[test]
fn the_same_secret_takes_over_at_once_and_the_old_socket_ends_without_harm() {
    let mut world = Names::new(Config::default());
    let (old, bob) = (world.peer("alice"), world.peer("bob"));
    let new = world.connect(Dialect::PeerJs);
    world.claim(new, "alice", "alice");
    assert_eq!(world.read(new), [held("alice")]);
    assert_eq!(world.closed[&old], GoodbyeCode::TakenOver);
    // The shell reports the end of a socket that the core has closed, too.
    world.close(old, Closing::Lost);
    world.send(bob, call("bob", "alice", "still there?"));
    assert_eq!(world.read(new), [text("still there?")]);
    assert_eq!((world.core.name_count(PEERJS), world.core.stats().taken_over_total), (2, 1));
}

#[test]
fn a_name_given_up_and_claimed_by_another_is_safe_from_its_old_holder() {
    let mut world = Names::new(Config::default());
    let old = world.peer("alice");
    world.release(old, PEERJS, None);
    let new = world.connect(Dialect::PeerJs);
    world.claim(new, "alice", "another secret");
    assert_eq!(world.read(new), [held("alice")]);
    world.release(old, PEERJS, Some("alice"));
    world.close(old, Closing::Left);
    let bob = world.peer("bob");
    world.send(bob, call("bob", "alice", "hello"));
    assert_eq!(world.read(new), [text("hello")]);
}

#[test]
fn a_holder_that_shows_a_sign_of_life_keeps_its_name() {
    let mut world = Names::new(Config::default());
    let alice = world.peer("alice");
    let mallory = world.connect(Dialect::PeerJs);
    world.claim(mallory, "alice", "guess");
    assert_eq!((world.read(mallory), world.probed.as_slice()), (Vec::new(), &[alice][..]));
    world.pass(SECOND);
    world.alive(alice);
    assert_eq!(world.read(mallory), [taken("alice")]);
    // It is not asked again for each claim that follows.
    world.claim(mallory, "alice", "guess");
    assert_eq!((world.probed.len(), world.read(mallory)), (1, vec![taken("alice")]));
    world.pass(5 * SECOND);
    assert!(!world.closed.contains_key(&alice));
    let carol = world.connect(Dialect::PeerJs);
    world.claim(carol, "alice", "guess");
    assert_eq!(world.probed.len(), 2);
}

#[test]
fn any_request_is_a_sign_of_life() {
    let mut world = Names::new(Config::default());
    let alice = world.peer("alice");
    let mallory = world.connect(Dialect::PeerJs);
    world.claim(mallory, "alice", "guess");
    world.ask(alice, Request::Alive);
    assert_eq!(world.read(mallory), [taken("alice")]);
}

#[test]
fn a_holder_that_shows_none_loses_its_name_to_the_first_in_line() {
    let mut world = Names::new(Config::default());
    let (ghost, bob) = (world.peer("alice"), world.peer("bob"));
    let (first, second) = (world.connect(Dialect::PeerJs), world.connect(Dialect::PeerJs));
    world.claim(first, "alice", "one");
    world.claim(second, "alice", "two");
    assert_eq!(world.probed, [ghost]);
    world.send(bob, call("bob", "alice", "meanwhile"));
    assert!(world.read(ghost).is_empty(), "a text for a holder in doubt is held back");
    world.pass(3 * SECOND);
    assert_eq!(world.closed[&ghost], GoodbyeCode::IdleTimeout);
    assert_eq!(world.read(first), [held("alice"), text("meanwhile")]);
    assert_eq!(world.read(second), [taken("alice")]);
    assert_eq!(world.core.stats().contested_total, 1);
}

#[test]
fn what_was_held_back_goes_to_a_holder_that_lives_in_order() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.peer("alice"), world.peer("bob"));
    let mallory = world.connect(Dialect::PeerJs);
    world.claim(mallory, "alice", "guess");
    for (text, absent) in [("1", Absent::Wait), ("2", Absent::Drop), ("3", Absent::Drop)] {
        world.send(bob, Send { absent, ..call("bob", "alice", text) });
    }
    world.alive(alice);
    world.send(bob, call("bob", "alice", "4"));
    assert_eq!(world.read(alice), ["1", "2", "3", "4"].map(text));
    assert_eq!(world.core.waiting_count(), 0);
}

#[test]
fn a_holder_that_leaves_during_a_contest_hands_over() {
    let mut world = Names::new(Config::default());
    let alice = world.peer("alice");
    let bob = world.connect(Dialect::PeerJs);
    world.claim(bob, "alice", "guess");
    world.close(alice, Closing::Left);
    assert_eq!(world.read(bob), [held("alice")]);
    world.pass(10 * SECOND);
    assert!(world.closed.is_empty(), "the contest is over");
}

#[test]
fn a_holder_that_comes_back_during_a_contest_keeps_its_name() {
    let mut world = Names::new(Config::default());
    let ghost = world.peer("alice");
    let mallory = world.connect(Dialect::PeerJs);
    world.claim(mallory, "alice", "guess");
    let alice = world.connect(Dialect::PeerJs);
    world.claim(alice, "alice", "alice");
    assert_eq!((world.read(alice), world.read(mallory)), (vec![held("alice")], vec![taken("alice")]));
    assert_eq!(world.closed[&ghost], GoodbyeCode::TakenOver);
    world.pass(4 * SECOND);
    assert!(!world.closed.contains_key(&alice));
}

#[test]
fn a_claimant_that_tries_again_on_a_new_socket_keeps_its_place_in_line() {
    let mut world = Names::new(Config::default());
    let _ghost = world.peer("alice");
    let (first, other, again) =
        (world.connect(Dialect::PeerJs), world.connect(Dialect::PeerJs), world.connect(Dialect::PeerJs));
    world.claim(first, "alice", "one");
    world.claim(other, "alice", "two");
    world.claim(again, "alice", "one");
    assert_eq!(world.closed[&first], GoodbyeCode::TakenOver);
    world.pass(3 * SECOND);
    assert_eq!((world.read(again), world.read(other)), (vec![held("alice")], vec![taken("alice")]));
}

#[test]
fn a_claimant_that_goes_away_is_not_given_the_name() {
    let mut world = Names::new(Config::default());
    let _ghost = world.peer("alice");
    let (first, second) = (world.connect(Dialect::PeerJs), world.connect(Dialect::PeerJs));
    world.claim(first, "alice", "one");
    world.claim(second, "alice", "two");
    world.close(first, Closing::Lost);
    world.release(second, PEERJS, None);
    world.pass(3 * SECOND);
    assert!(world.read(second).is_empty());
    assert_eq!(world.core.name_count(PEERJS), 0, "the ghost is gone, and nobody wants its name any more");
}

#[test]
fn only_so_many_wait_for_one_name() {
    let mut world = Names::new(unlimited());
    let ghost = world.peer("alice");
    let claimants: Vec<_> = (0..20).map(|_| world.connect(Dialect::PeerJs)).collect();
    for (number, claimant) in claimants.iter().enumerate() {
        world.claim(*claimant, "alice", &number.to_string());
    }
    let waiting: Vec<_> = claimants.iter().filter(|claimant| world.read(**claimant).is_empty()).collect();
    assert_eq!((waiting.len(), world.probed.as_slice()), (8, &[ghost][..]));
}

#[test]
fn without_a_probe_time_the_holder_is_believed() {
    let mut config = Config::default();
    config.directory.probe = Duration::ZERO;
    let mut world = Names::new(config);
    let _alice = world.peer("alice");
    let bob = world.connect(Dialect::PeerJs);
    world.claim(bob, "alice", "guess");
    assert_eq!((world.read(bob), world.probed.len()), (vec![taken("alice")], 0));
}

#[test]
fn who_claims_nothing_in_time_is_given_up() {
    let mut world = Names::new(Config::default());
    let (idle, busy) = (world.connect(Dialect::PeerJs), world.peer("busy"));
    let publisher = world.connect(Dialect::Relay);
    world.send(publisher, publish("news", "extra"));
    let babbler = world.connect(Dialect::Relay);
    for _ in 0..9 {
        world.pass(SECOND);
        world.ask(babbler, Request::Alive);
    }
    world.pass(SECOND);
    assert_eq!(world.closed.get(&idle), Some(&GoodbyeCode::HelloTimeout));
    assert_eq!(world.closed.get(&babbler), Some(&GoodbyeCode::HelloTimeout));
    assert!(!world.closed.contains_key(&busy) && !world.closed.contains_key(&publisher));
}

#[test]
fn who_waits_for_a_contested_name_is_not_given_up_meanwhile() {
    let config = Config { greeting_timeout: Duration::from_millis(200), ..Config::default() };
    let mut world = Names::new(config);
    let (_ghost, alice) = (world.peer("ghost"), world.peer("alice"));
    let (heir, loser) = (world.connect(Dialect::PeerJs), world.connect(Dialect::PeerJs));
    world.claim(heir, "ghost", "guess");
    world.claim(loser, "alice", "guess");
    world.pass(SECOND);
    world.alive(alice);
    world.pass(2 * SECOND);
    assert_eq!((world.read(heir), world.read(loser)), (vec![held("ghost")], vec![taken("alice")]));
    assert!(world.closed.contains_key(&loser) && !world.closed.contains_key(&heir));
}

#[test]
fn a_drain_closes_everybody_and_forgets_all_names() {
    let mut world = Names::new(Config::default());
    let (alice, star, topic) = (world.peer("alice"), world.star("/star/1"), world.subscriber("topic"));
    world.send(alice, call("alice", "nobody", "waits"));
    let claimant = world.connect(Dialect::PeerJs);
    world.claim(claimant, "alice", "guess");
    world.core.handle_drain(SECOND);
    world.deliver();
    for conn in [alice, star, topic, claimant] {
        assert_eq!(world.closed[&conn], GoodbyeCode::ShuttingDown);
        assert!(world.read(conn).is_empty());
    }
    assert_eq!((world.core.name_count(PEERJS), world.core.waiting_count()), (0, 0));
    assert_eq!((world.core.poll_timeout(), world.core.stats().star_peers), (None, 0));
}
