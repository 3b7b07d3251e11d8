//! webrtc-star peers: announcements, several sockets under one address, forged senders.

mod names;

use std::collections::HashSet;
use std::time::Duration;

use names::{Names, handshake, held, text, unlimited};
use switchboard_signalling::core::{Closing, Config, ConnId};
use switchboard_wire::Dialect;
use switchboard_wire::directory::{Absent, Message, Namespace, Refusal, Send};

const SECOND: Duration = Duration::from_secs(1);

fn addresses(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("/star/{number}")).collect()
}

/// Peers with the addresses `/star/0` and so on, spread over `time`.
fn crowd(world: &mut Names, count: usize, time: Duration) -> Vec<ConnId> {
    let mut join = |address: &String| {
        world.pass(time / u32::try_from(count).expect("small"));
        world.star(address)
    };
    addresses(0..count).iter().map(&mut join).collect()
}

#[test]
fn others_hear_of_a_newcomer_at_once_and_it_of_them_within_ten_seconds() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.star("/star/a"), world.star("/star/b"));
    assert_eq!(world.known(alice), ["/star/b"]);
    assert!(world.known(bob).is_empty());
    world.pass(10 * SECOND);
    assert_eq!(world.known(bob), ["/star/a"]);
    assert_eq!(world.known(alice), ["/star/b"]);
    world.pass(10 * SECOND);
    assert_eq!((world.known(alice), world.known(bob)), (vec!["/star/b".into()], vec!["/star/a".into()]));
}

#[test]
fn a_few_hundred_hear_of_everybody_with_their_first_digest() {
    let mut world = Names::new(unlimited());
    let peers = crowd(&mut world, 200, SECOND);
    world.pass(10 * SECOND);
    for (number, peer) in peers.iter().enumerate() {
        let known: HashSet<String> = world.known(*peer).into_iter().collect();
        let mut others: HashSet<String> = addresses(0..200).into_iter().collect();
        others.remove(&format!("/star/{number}"));
        assert_eq!(known, others);
    }
}

#[test]
fn one_digest_is_one_output() {
    let mut world = Names::new(unlimited());
    let peers = crowd(&mut world, 100, SECOND);
    world.pass(10 * SECOND);
    world.forget();
    world.pass(10 * SECOND);
    assert_eq!(world.told, 100);
    for peer in peers {
        let [Message::Known(known)] = &world.read(peer)[..] else { panic!("not one digest") };
        assert_eq!(known.len(), 64);
    }
}

#[test]
fn digests_are_spread_over_the_period() {
    let mut world = Names::new(unlimited());
    crowd(&mut world, 1_000, Duration::ZERO);
    world.forget();
    let mut each_second = Vec::new();
    for _ in 0..20 {
        world.pass(SECOND);
        each_second.push(std::mem::take(&mut world.told));
    }
    assert_eq!(each_second.iter().sum::<usize>(), 2_000);
    assert!(each_second.iter().all(|told| (50..=150).contains(told)), "{each_second:?}");
    assert_eq!(each_second[..10], each_second[10..], "each keeps its phase");
}

#[test]
fn ten_thousand_cost_each_peer_no_more_than_a_few_hundred_do() {
    let mut config = unlimited();
    config.directory.announce_rate = 5_000;
    let mut world = Names::new(config);
    let peers = crowd(&mut world, 10_000, 10 * SECOND);
    // The answers, 5,000 announcements a second and once at the start, and a digest each.
    assert!(world.told <= 10_000 + 11 * 5_000 + 10_000, "{}", world.told);
    world.pass(10 * SECOND);
    world.forget();
    world.pass(10 * SECOND);
    assert_eq!(world.told, 10_000, "one output for each peer and period");
    let known: Vec<String> = peers.iter().flat_map(|peer| world.known(*peer)).collect();
    assert_eq!(known.len(), 64 * 10_000);
    let heard_of: HashSet<&String> = known.iter().collect();
    assert_eq!(heard_of.len(), 10_000, "everybody is told of to somebody");

    world.forget();
    let newcomer = world.star("/star/new");
    assert_eq!(world.told, 1 + 256, "its own answer, and as many hear of it as may");
    world.pass(10 * SECOND);
    assert_eq!(world.known(newcomer).len(), 256);
    let heard = peers.iter().filter(|peer| world.heard_of(**peer, "/star/new")).count();
    assert_eq!(heard, 10_000, "everybody hears of a newcomer with its next digest");
}

#[test]
fn newcomers_that_come_too_fast_are_told_of_by_digest_alone() {
    let mut config = unlimited();
    config.directory.announce_rate = 100;
    let mut world = Names::new(config);
    let peers = crowd(&mut world, 50, Duration::ZERO);
    let answers = 50;
    assert!((100 - 49..=100).contains(&(world.told - answers)), "{}", world.told);
    world.pass(10 * SECOND);
    for peer in peers {
        let known: HashSet<String> = world.known(peer).into_iter().collect();
        assert_eq!(known.len(), 49);
    }
}

#[test]
fn two_sockets_under_one_address_get_what_comes_by_the_later_and_survive_each_other() {
    let mut world = Names::new(Config::default());
    let (first, second, bob) = (world.star("/star/a"), world.star("/star/a"), world.star("/star/b"));
    world.forget();
    assert_eq!(world.core.stats().star_peers, 2);
    world.send(bob, handshake("/star/b", "/star/a", "1"));
    assert_eq!((world.read(first), world.read(second)), (vec![], vec![text("1")]));
    world.close(second, Closing::Left);
    world.send(bob, handshake("/star/b", "/star/a", "2"));
    assert_eq!(world.read(first), [text("2")]);
    let third = world.star("/star/a");
    world.close(first, Closing::Lost);
    world.send(bob, handshake("/star/b", "/star/a", "3"));
    assert_eq!(world.read(third), [text("3")]);
    world.close(third, Closing::Left);
    assert_eq!(world.core.name_count(Namespace::Star), 1);
}

#[test]
fn nobody_is_told_of_its_own_address() {
    let mut world = Names::new(Config::default());
    let (first, second) = (world.star("/star/a"), world.star("/star/a"));
    world.pass(30 * SECOND);
    assert!(world.known(first).is_empty() && world.known(second).is_empty());
}

#[test]
fn who_leaves_is_told_of_no_more_and_hears_no_more() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.star("/star/a"), world.star("/star/b"));
    world.forget();
    world.release(bob, Namespace::Star, None);
    world.pass(30 * SECOND);
    assert!(world.known(alice).is_empty() && world.known(bob).is_empty());
    world.share(bob, Namespace::Star, "/star/b2");
    assert_eq!(world.known(alice), ["/star/b2"]);
    assert_eq!(world.core.stats().star_peers, 2);
}

#[test]
fn joining_twice_is_answered_and_told_once() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.star("/star/a"), world.star("/star/b"));
    world.forget();
    world.share(bob, Namespace::Star, "/star/b");
    assert_eq!((world.read(bob), world.read(alice)), (vec![held("/star/b")], vec![]));
}

#[test]
fn a_handshake_under_the_address_of_another_is_refused() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.star("/star/a"), world.star("/star/b"));
    let mallory = world.star_from(66, "/star/m");
    world.forget();
    world.send(mallory, handshake("/star/a", "/star/b", "as alice"));
    world.send(mallory, handshake("/star/never", "/star/b", "as nobody"));
    assert_eq!(world.read(mallory), [Message::Refused(Refusal::NotYours), Message::Refused(Refusal::NotYours)]);
    assert!(world.read(bob).is_empty() && world.read(alice).is_empty());
    assert_eq!(world.core.stats().star_dials_failure_total, 2);
}

#[test]
fn another_socket_of_the_same_page_may_send_under_its_address() {
    let mut world = Names::new(Config::default());
    let (_alice, bob) = (world.star("/star/a"), world.star_from(2, "/star/b"));
    let sibling = world.connect(Dialect::SocketIo);
    world.send(sibling, handshake("/star/a", "/star/b", "offer"));
    assert_eq!(world.read(bob), [text("offer")]);
}

#[test]
fn the_oldest_of_too_many_sockets_under_one_address_gives_way() {
    let mut config = unlimited();
    config.directory.star.holders = 2;
    let mut world = Names::new(config);
    let (first, second, third) = (world.star("/star/a"), world.star("/star/a"), world.star("/star/a"));
    let bob = world.star("/star/b");
    world.forget();
    for holder in [third, second] {
        world.send(bob, handshake("/star/b", "/star/a", "hello"));
        assert_eq!(world.read(holder), [text("hello")]);
        world.close(holder, Closing::Lost);
    }
    world.send(bob, handshake("/star/b", "/star/a", "hello"));
    assert!(world.read(first).is_empty());
    assert_eq!(world.core.name_count(Namespace::Star), 1);
    world.pass(10 * SECOND);
    assert!(world.known(first).is_empty(), "who holds no address hears of nobody");
}

#[test]
fn counts_as_the_original_does() {
    let mut world = Names::new(Config::default());
    let (alice, bob) = (world.star("/star/a"), world.star("/star/b"));
    world.send(alice, handshake("/star/a", "/star/b", "offer"));
    let answer = handshake("/star/b", "/star/a", "answer");
    world.send(bob, Send { absent: Absent::Drop, ..answer });
    world.send(alice, handshake("/star/a", "/star/gone", "offer"));
    world.mumble(bob);
    let stats = world.core.stats();
    assert_eq!((stats.star_dials_total, stats.star_dials_success_total, stats.star_dials_failure_total), (4, 1, 2));
    assert_eq!((stats.star_joins_total, stats.star_joins_failure_total, stats.star_peers), (2, 0, 2));
}
