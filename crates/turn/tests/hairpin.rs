//! Two allocations of one server talk without a socket, with both sides' permissions (attack table, row 3).

mod world;

use switchboard_turn::message::Method;
use switchboard_turn::stats::Dropped;
use switchboard_turn::{Client, PeerPolicy, RelayAddress, Settings, Via, WorkerId};
use world::{Event, Login, World, at, channel_data, indicated, udp};

const ANN: &str = "192.0.2.9:5000";
const BEN: &str = "192.0.2.10:5000";

/// Ann and Ben with an allocation each, at these workers.
fn pair(workers: (usize, usize)) -> (World, (Login, String), (Login, String)) {
    let mut world = World::with(Settings { workers: 2, ..world::settings() });
    let (ann, ann_at) = world.allocate_at(workers.0, udp(ANN));
    let (ben, ben_at) = world.allocate_at(workers.1, udp(BEN));
    (world, (ann, ann_at.to_string()), (ben, ben_at.to_string()))
}

#[test]
fn both_sides_must_admit_each_other() {
    let (mut world, (ann, ann_at), (ben, ben_at)) = pair((0, 0));
    assert_eq!(ann.send(&mut world, &ben_at, b"x"), Event::Nothing, "Ann has not admitted Ben");
    assert_eq!(ann.permit(&mut world, &[&ben_at]).code(), 0, "whatever the policy says of the relay's address");
    assert_eq!(ann.send(&mut world, &ben_at, b"x"), Event::Nothing, "Ben has not admitted Ann");
    assert_eq!(ben.permit(&mut world, &[&ann_at]).code(), 0);
    let Event::ToClient { client, packet, .. } = ann.send(&mut world, &ben_at, b"hello") else { panic!("dropped") };
    assert_eq!(client, udp(BEN));
    assert_eq!(indicated(&packet), (at(&ann_at), b"hello".to_vec()));
    assert_eq!(world.engine().stats().hairpin.bytes, 5);
}

#[test]
fn channels_work_on_both_sides() {
    let (mut world, (ann, ann_at), (ben, ben_at)) = pair((0, 0));
    assert_eq!(ann.bind(&mut world, 0x4001, &ben_at).code(), 0);
    assert_eq!(ben.bind(&mut world, 0x4002, &ann_at).code(), 0);
    for data in [&b"hello"[..], b"", b"1"] {
        let packet = ann.channel_data(&mut world, 0x4001, data).into_packet();
        assert_eq!(packet, channel_data(0x4002, data));
        let packet = ben.channel_data(&mut world, 0x4002, data).into_packet();
        assert_eq!(packet, channel_data(0x4001, data));
    }
}

#[test]
fn another_workers_allocation_is_reached_over_its_worker() {
    let (mut world, (ann, ann_at), (ben, ben_at)) = pair((0, 1));
    ann.bind(&mut world, 0x4001, &ben_at);
    ben.bind(&mut world, 0x4002, &ann_at);
    let event = ann.channel_data(&mut world, 0x4001, b"hello");
    let Event::ToWorker { worker, relayed, from, payload } = event else { panic!("{event:?}") };
    assert_eq!((worker, relayed, from), (WorkerId(1), at(&ben_at), at(&ann_at)));
    let Event::ToClient { client, packet, .. } = world.hairpin_of(1, relayed, from, &payload) else {
        panic!("dropped")
    };
    assert_eq!((client, packet), (udp(BEN), channel_data(0x4002, b"hello")));
    // By the time it arrives the allocation may be gone, or Ann no longer admitted.
    assert_eq!(world.hairpin_of(1, relayed, at("203.0.113.8:50000"), &payload), Event::Nothing);
    ben.refresh(&mut world, 0);
    assert_eq!(world.hairpin_of(1, relayed, from, &payload), Event::Nothing);
    assert_eq!(ann.channel_data(&mut world, 0x4001, b"hello"), Event::Nothing);
}

#[test]
fn an_own_address_that_nobody_has_is_never_sent_to() {
    let (mut world, (ann, _), (ben, ben_at)) = pair((0, 0));
    ann.bind(&mut world, 0x4001, &ben_at);
    assert_eq!(ben.refresh(&mut world, 0).code(), 0);
    assert_eq!(ann.channel_data(&mut world, 0x4001, b"x"), Event::Nothing);
    assert_eq!(ann.send(&mut world, &ben_at, b"x"), Event::Nothing);
    assert_eq!(world.engine().stats().dropped(Dropped::Hairpin), 2);
}

#[test]
fn listeners_and_other_services_of_this_server_are_never_sent_to() {
    let mut world = World::new();
    let (ann, relayed) = world.allocate(udp(ANN));
    // Admitted for the sake of other relays.
    assert_eq!(ann.permit(&mut world, &["203.0.113.7:3478"]).code(), 0);
    for port in [22, 80, 3478, 5349, 9090] {
        let service = format!("203.0.113.7:{port}");
        assert_eq!(ann.send(&mut world, &service, b"x"), Event::Nothing, "{service}");
        assert_eq!(ann.bind(&mut world, 0x4000, &service).code(), 403, "{service}");
        assert_eq!(world.peer(relayed, &service, b"x"), Event::Nothing, "{service}");
    }
    assert_eq!(world.engine().stats().dropped(Dropped::Policy), 10);
}

#[test]
fn who_pretends_to_be_another_relay_through_a_socket_is_not_heard() {
    let (mut world, (ann, ann_at), (_, ben_at)) = pair((0, 0));
    ann.permit(&mut world, &[&ben_at]);
    assert_eq!(world.peer(at(&ann_at), &ben_at, b"x"), Event::Nothing);
    ann.bind(&mut world, 0x4000, &ben_at);
    assert_eq!(world.peer(at(&ann_at), &ben_at, b"x"), Event::Nothing);
    assert_eq!(world.engine().stats().dropped(Dropped::Hairpin), 2);
}

#[test]
fn the_inner_address_of_a_nat_leads_to_the_same_allocation() {
    let relay = RelayAddress { bind: at("10.0.0.4:1").ip(), external: at("203.0.113.7:1").ip() };
    let mut world = World::with(Settings { relay_addresses: vec![relay], ..world::settings() });
    let (ann, ann_at) = world.allocate(udp(ANN));
    let (ben, ben_at) = world.allocate(udp(BEN));
    let inner = format!("10.0.0.4:{}", ben_at.port());
    assert_eq!(ann.permit(&mut world, &[&inner]).code(), 0);
    assert_eq!(ben.permit(&mut world, &[&ann_at.to_string()]).code(), 0);
    assert_eq!(indicated(&ann.send(&mut world, &inner, b"x").into_packet()).0, ann_at);
    assert_eq!(ann.permit(&mut world, &["10.0.0.5:1"]).code(), 403);
}

#[test]
fn an_allocation_may_talk_to_itself_once_and_not_for_ever() {
    let mut world = World::new();
    let (ann, ann_at) = world.allocate(udp(ANN));
    let itself = ann_at.to_string();
    ann.bind(&mut world, 0x4000, &itself);
    let Event::ToClient { client, packet, .. } = ann.channel_data(&mut world, 0x4000, b"x") else { panic!("dropped") };
    assert_eq!((client, packet), (udp(ANN), channel_data(0x4000, b"x")));
}

#[test]
fn a_stream_client_gets_padded_frames_from_a_udp_client() {
    let mut world = World::new();
    let (ann, ann_at) = world.allocate(udp(ANN));
    let tcp = Client { via: Via::Tcp(1), remote: at(BEN) };
    let (ben, ben_at) = world.allocate(tcp);
    ann.bind(&mut world, 0x4000, &ben_at.to_string());
    ben.bind(&mut world, 0x4000, &ann_at.to_string());
    let packet = ann.channel_data(&mut world, 0x4000, b"hello").into_packet();
    assert_eq!(packet, [&channel_data(0x4000, b"hello")[..], &[0; 3]].concat());
}

#[test]
fn in_development_other_programs_on_the_relays_machine_are_peers() {
    let loopback = at("127.0.0.1:1").ip();
    let policy = PeerPolicy::new(Vec::new(), Vec::new(), vec![loopback], true).expect("a policy");
    let relay = RelayAddress { bind: loopback, external: loopback };
    let mut world = World::with(Settings { relay_addresses: vec![relay], policy: policy.into(), ..world::settings() });
    let (ann, ann_at) = world.allocate(udp("127.0.0.1:40000"));
    // Also with ports that relays could have.
    for (number, port) in [(0x4000, 30_000), (0x4001, ann_at.port() ^ 1)] {
        let peer = format!("127.0.0.1:{port}");
        assert_eq!(ann.bind(&mut world, number, &peer).code(), 0);
        assert!(matches!(ann.channel_data(&mut world, number, b"x"), Event::ToPeer { .. }));
        assert!(matches!(ann.send(&mut world, &peer, b"x"), Event::ToPeer { .. }));
        assert_eq!(world.peer(ann_at, &peer, b"x").into_packet(), channel_data(number, b"x"));
    }
    // Two relays meet in process here too.
    let (ben, ben_at) = world.allocate(udp("127.0.0.1:40002"));
    ann.bind(&mut world, 0x4002, &ben_at.to_string());
    ben.bind(&mut world, 0x4002, &ann_at.to_string());
    assert!(matches!(ann.channel_data(&mut world, 0x4002, b"x"), Event::ToClient { .. }));
    let binding = world.plain(Method::Binding, |_| {});
    world.client(udp("127.0.0.1:40001"), &binding).reply();
}
