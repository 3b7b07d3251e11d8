//! Refresh and the end of allocations (RFC 8656 §8), in virtual time; nothing is left behind (attack table, row 12).

mod world;

use switchboard_turn::message::Method;
use switchboard_turn::stats::{Dropped, Transport};
use switchboard_turn::{Client, Via};
use world::{World, at, channel_data, udp};

const ANN: &str = "192.0.2.9:5000";
const PEER: &str = "93.184.216.34:7000";

#[test]
fn an_allocation_that_nobody_refreshes_ends() {
    let mut world = World::new();
    let (login, _) = world.allocate(udp(ANN));
    world.pass(599);
    assert!(world.engine().is_allocated(udp(ANN)));
    world.pass(1);
    assert!(!world.engine().is_allocated(udp(ANN)));
    assert!(world.sockets().open.is_empty());
    assert_eq!(world.engine().poll_timeout(), None);
    let stats = world.engine().stats();
    assert_eq!((stats.living(), stats.expired, stats.allocated), (0, 1, 1));
    assert_eq!(login.refresh(&mut world, 600).code(), 437);
    assert_eq!(login.permit(&mut world, &[PEER]).code(), 437);
    assert_eq!(login.bind(&mut world, 0x4000, PEER).code(), 437);
}

#[test]
fn refreshing_prolongs_and_shortens() {
    let mut world = World::new();
    let (login, _) = world.allocate(udp(ANN));
    for (requested, granted) in [(3600, 3600), (601, 601), (9_999, 3600), (1, 600)] {
        assert_eq!(login.refresh(&mut world, requested).lifetime(), granted);
    }
    world.pass(599);
    assert!(world.engine().is_allocated(udp(ANN)));
    world.pass(1);
    assert!(!world.engine().is_allocated(udp(ANN)));
}

#[test]
fn a_refresh_without_lifetime_gives_the_default() {
    let mut world = World::new();
    let (login, _) = world.allocate(udp(ANN));
    assert_eq!(login.ask(&mut world, Method::Refresh, |_| {}).lifetime(), 600);
}

#[test]
fn a_lifetime_of_zero_ends_it_at_once_and_the_place_is_given_anew() {
    let mut world = World::new();
    let (login, relayed) = world.allocate(udp(ANN));
    let answer = login.refresh(&mut world, 0);
    assert_eq!((answer.code(), answer.lifetime()), (0, 0));
    assert!(world.sockets().open.is_empty());
    assert_eq!(login.refresh(&mut world, 0).code(), 437);
    // A stale timer of the first one does not end the second one.
    world.pass(300);
    let (_, again) = world.allocate(udp(ANN));
    assert_ne!(relayed, again);
    world.pass(500);
    assert!(world.engine().is_allocated(udp(ANN)));
    world.pass(100);
    assert!(!world.engine().is_allocated(udp(ANN)));
}

#[test]
fn churn_of_thousands_leaves_nothing_behind() {
    let mut world = World::new();
    for round in 0..3 {
        for host in 0..1_000_u32 {
            let via = if host % 3 == 0 { Via::Tcp(host) } else { Via::Udp(0) };
            let remote = at(&format!("10.{round}.{}.{}:5000", host / 250, host % 250));
            let client = Client { via, remote };
            let issued = world.shared.credentials().issue(&format!("u{host}"), world::EPOCH + 99_999).expect("a name");
            let login = world.log_in(client).named(&issued.username, &issued.password);
            assert_eq!(login.allocate(&mut world, |_| {}).code(), 0);
            assert_eq!(login.bind(&mut world, 0x4000, PEER).code(), 0);
            match host % 4 {
                0 => assert_eq!(login.refresh(&mut world, 0).code(), 0),
                1 => world.disconnect(client),
                _ => {}
            }
        }
        assert_eq!(world.engine().stats().living(), 500);
        world.pass(601);
        assert_eq!(world.engine().stats().living(), 0);
        assert!(world.sockets().open.is_empty());
        assert_eq!(world.engine().poll_timeout(), None);
    }
}

#[test]
fn data_of_those_who_have_no_allocation_is_dropped() {
    let mut world = World::new();
    let (login, _) = world.allocate(udp(ANN));
    login.bind(&mut world, 0x4000, PEER);
    world.client(udp("192.0.2.9:5001"), &channel_data(0x4000, b"x"));
    world.pass(600);
    login.channel_data(&mut world, 0x4000, b"x");
    login.send(&mut world, PEER, b"x");
    assert_eq!(world.engine().stats().dropped(Dropped::NoAllocation), 3);
    assert_eq!(world.engine().stats().to_peers[Transport::Udp as usize].packets, 0);
}
