//! Data between clients and peers: permissions, channels, indications (RFC 8656 §9 to §12; attack table, rows 1, 14, 16, 17
//! and 18).

mod world;

use switchboard_turn::message::{Class, Method, Writer, known};
use switchboard_turn::stats::{Dropped, Transport};
use switchboard_turn::{Client, HEADROOM, Now, Packet, Settings, TAILROOM, Verdict, Via};
use world::{Event, World, at, channel_data, indicated, udp};

const ANN: &str = "192.0.2.9:5000";
const PEER: &str = "93.184.216.34:7000";

fn sent(event: Event) -> (std::net::SocketAddr, Vec<u8>) {
    match event {
        Event::ToPeer { peer, payload, .. } => (peer, payload),
        other => panic!("nothing for a peer: {other:?}"),
    }
}

#[test]
fn channel_data_goes_to_the_peer_and_back() {
    let mut world = World::new();
    let (login, relayed) = world.allocate(udp(ANN));
    assert_eq!(login.bind(&mut world, 0x4000, PEER).code(), 0);
    for data in [&b"hello"[..], b"", b"1234"] {
        assert_eq!(sent(login.channel_data(&mut world, 0x4000, data)), (at(PEER), data.to_vec()));
        let Event::ToClient { client, local, packet } = world.peer(relayed, PEER, data) else { panic!("dropped") };
        assert_eq!((client, local), (udp(ANN), world.local));
        assert_eq!(packet, channel_data(0x4000, data));
    }
}

#[test]
fn padded_channel_data_over_udp_is_understood() {
    let mut world = World::new();
    let (login, _) = world.allocate(udp(ANN));
    login.bind(&mut world, 0x4000, PEER);
    let mut bytes = channel_data(0x4000, b"hello");
    bytes.extend([0; 3]);
    assert_eq!(sent(world.client(udp(ANN), &bytes)), (at(PEER), b"hello".to_vec()));
    bytes.truncate(8);
    assert_eq!(world.client(udp(ANN), &bytes), Event::Nothing);
}

#[test]
fn streams_get_frames_padded_with_zeroes() {
    let mut world = World::new();
    let client = Client { via: Via::Tcp(1), remote: at(ANN) };
    let (login, relayed) = world.allocate(client);
    login.bind(&mut world, 0x4fff, PEER);
    let packet = world.peer(relayed, PEER, b"hello").into_packet();
    assert_eq!(packet, [&channel_data(0x4fff, b"hello")[..], &[0; 3]].concat());
}

#[test]
fn without_a_channel_data_goes_in_indications() {
    let mut world = World::new();
    let (login, relayed) = world.allocate(udp(ANN));
    assert_eq!(login.permit(&mut world, &[PEER]).code(), 0);
    for data in [&b"hello"[..], b"", b"1234"] {
        assert_eq!(sent(login.send(&mut world, PEER, data)), (at(PEER), data.to_vec()));
        let packet = world.peer(relayed, PEER, data).into_packet();
        assert_eq!(indicated(&packet), (at(PEER), data.to_vec()));
    }
    // Another port of an admitted address is admitted.
    let packet = world.peer(relayed, "93.184.216.34:9", b"x").into_packet();
    assert_eq!(indicated(&packet).0, at("93.184.216.34:9"));
}

#[test]
fn indications_differ_in_their_ids_and_have_no_bytes_of_the_buffer_as_padding() {
    let mut world = World::new();
    let (login, relayed) = world.allocate(udp(ANN));
    login.permit(&mut world, &[PEER]);
    let (first, second) = (world.peer(relayed, PEER, b"x"), world.peer(relayed, PEER, b"x"));
    let (first, second) = (first.into_packet(), second.into_packet());
    assert_ne!(first[8..20], second[8..20]);
    assert_eq!(first[first.len() - 4..], [b'x', 0, 0, 0]);
}

#[test]
fn peers_of_ipv6_are_indicated_too() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    let answer = login.allocate(&mut world, |writer| {
        writer.attribute(known::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]);
    });
    let (relayed, peer) = (answer.relayed(), "[2606:2800::1]:7000");
    assert_eq!(login.permit(&mut world, &[peer]).code(), 0);
    assert_eq!(indicated(&world.peer(relayed, peer, b"hello").into_packet()), (at(peer), b"hello".to_vec()));
    assert_eq!(login.permit(&mut world, &[PEER]).code(), 443);
    assert_eq!(login.bind(&mut world, 0x4000, PEER).code(), 443);
}

#[test]
fn whom_nobody_admitted_is_not_heard_and_not_reached() {
    let mut world = World::new();
    let (login, relayed) = world.allocate(udp(ANN));
    assert_eq!(world.peer(relayed, PEER, b"x"), Event::Nothing);
    assert_eq!(login.send(&mut world, PEER, b"x"), Event::Nothing);
    assert_eq!(login.channel_data(&mut world, 0x4000, b"x"), Event::Nothing);
    login.permit(&mut world, &[PEER]);
    assert_eq!(world.peer(relayed, "93.184.216.35:7000", b"x"), Event::Nothing);
    world.pass(299);
    assert_ne!(world.peer(relayed, PEER, b"x"), Event::Nothing);
    world.pass(1);
    assert_eq!(world.peer(relayed, PEER, b"x"), Event::Nothing);
    assert_eq!(login.send(&mut world, PEER, b"x"), Event::Nothing);
    assert_eq!(world.engine().stats().dropped(Dropped::NoPermission), 5);
}

#[test]
fn sending_does_not_prolong_a_permission() {
    let mut world = World::new();
    let (login, relayed) = world.allocate(udp(ANN));
    login.permit(&mut world, &[PEER]);
    for _ in 0..3 {
        world.pass(99);
        login.send(&mut world, PEER, b"x");
    }
    world.pass(3);
    assert_eq!(world.peer(relayed, PEER, b"x"), Event::Nothing);
}

#[test]
fn a_channel_ends_after_ten_minutes_unless_bound_again() {
    let mut world = World::new();
    let (login, relayed) = world.allocate(udp(ANN));
    login.refresh(&mut world, 3600);
    login.bind(&mut world, 0x4000, PEER);
    world.pass(599);
    assert_ne!(login.channel_data(&mut world, 0x4000, b"x"), Event::Nothing);
    assert_eq!(login.bind(&mut world, 0x4000, PEER).code(), 0);
    world.pass(599);
    assert_ne!(login.channel_data(&mut world, 0x4000, b"x"), Event::Nothing);
    world.pass(1);
    assert_eq!(login.channel_data(&mut world, 0x4000, b"x"), Event::Nothing);
    assert_eq!(world.peer(relayed, PEER, b"x"), Event::Nothing);
}

#[test]
fn numbers_and_peers_belong_together() {
    let mut world = World::new();
    let (login, _) = world.allocate(udp(ANN));
    for number in [0, 0x3fff, 0x8000, 0xffff] {
        assert_eq!(login.bind(&mut world, number, PEER).code(), 400, "{number:#x}");
    }
    assert_eq!(login.bind(&mut world, 0x4000, PEER).code(), 0);
    assert_eq!(login.bind(&mut world, 0x4001, PEER).code(), 400, "the peer has a number");
    assert_eq!(login.bind(&mut world, 0x4000, "93.184.216.34:7001").code(), 400, "the number has a peer");
    assert_eq!(login.bind(&mut world, 0x4000, PEER).code(), 0);
    assert_eq!(login.bind(&mut world, 0x4fff, "93.184.216.34:7001").code(), 0);
    // A number that has just expired still means its old peer.
    login.refresh(&mut world, 3600);
    world.pass(700);
    assert_eq!(login.bind(&mut world, 0x4000, "93.184.216.34:7002").code(), 400);
    world.pass(200);
    assert_eq!(login.bind(&mut world, 0x4000, "93.184.216.34:7002").code(), 0);
}

#[test]
fn incomplete_requests_are_bad() {
    let mut world = World::new();
    let (login, _) = world.allocate(udp(ANN));
    assert_eq!(login.permit(&mut world, &[]).code(), 400);
    let malformed = login.ask(&mut world, Method::CreatePermission, |writer| {
        writer.peer(at(PEER)).attribute(known::XOR_PEER_ADDRESS, &[0, 1, 2]);
    });
    assert_eq!(malformed.code(), 400);
    let only_number = login.ask(&mut world, Method::ChannelBind, |writer| {
        writer.attribute(known::CHANNEL_NUMBER, &[0x40, 0, 0, 0]);
    });
    assert_eq!(only_number.code(), 400);
    let only_peer = login.ask(&mut world, Method::ChannelBind, |writer| {
        writer.peer(at(PEER));
    });
    assert_eq!(only_peer.code(), 400);
}

#[test]
fn peers_that_the_policy_refuses_are_forbidden_all_or_none() {
    let mut world = World::new();
    let (login, relayed) = world.allocate(udp(ANN));
    for peer in [
        "127.0.0.1:80",
        "10.0.0.1:80",
        "169.254.169.254:80",
        "192.168.1.1:80",
        "100.64.0.1:80",
        "0.0.0.0:80",
        "224.0.0.1:80",
        "255.255.255.255:80",
    ] {
        assert_eq!(login.permit(&mut world, &[PEER, peer]).code(), 403, "{peer}");
        assert_eq!(login.bind(&mut world, 0x4000, peer).code(), 403, "{peer}");
        assert_eq!(login.send(&mut world, peer, b"x"), Event::Nothing);
    }
    assert_eq!(world.peer(relayed, PEER, b"x"), Event::Nothing, "admitted beside a forbidden one");
    // The address is fine, and the port a service that answers at length.
    assert_eq!(login.permit(&mut world, &["93.184.216.34:53"]).code(), 0);
    assert_eq!(login.bind(&mut world, 0x4000, "93.184.216.34:53").code(), 403);
    assert_eq!(login.send(&mut world, "93.184.216.34:53", b"x"), Event::Nothing);
    assert_eq!(world.engine().stats().dropped(Dropped::Policy), 1);
}

#[test]
fn spellings_of_forbidden_addresses_are_forbidden() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    login.allocate(&mut world, |writer| {
        writer.attribute(known::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]);
    });
    for peer in [
        "[::ffff:127.0.0.1]:80",
        "[::127.0.0.1]:80",
        "[64:ff9b::7f00:1]:80",
        "[2002:7f00:1::]:80",
        "[::1]:80",
        "[::]:80",
        "[::ffff:10.0.0.1]:80",
        "[fe80::1]:80",
        "[fc00::1]:80",
        "[ff02::1]:80",
        "[2001:db8::1]:80",
        "[100::1]:80",
    ] {
        assert_eq!(login.permit(&mut world, &[peer]).code(), 403, "{peer}");
        assert_eq!(login.bind(&mut world, 0x4000, peer).code(), 403, "{peer}");
    }
}

#[test]
fn dont_fragment_is_passed_on() {
    let mut world = World::new();
    let (login, _) = world.allocate(udp(ANN));
    login.permit(&mut world, &[PEER]);
    for wanted in [false, true] {
        let mut bytes = Vec::new();
        let id = world.id();
        let mut writer = Writer::new(&mut bytes, Class::Indication, Method::Send, id);
        writer.peer(at(PEER)).attribute(known::DATA, b"x");
        if wanted {
            writer.attribute(known::DONT_FRAGMENT, &[]);
        }
        let Event::ToPeer { dont_fragment, .. } = world.client(udp(ANN), &bytes) else { panic!("dropped") };
        assert_eq!(dont_fragment, wanted);
    }
}

#[test]
fn send_indications_that_are_incomplete_or_not_understood_are_dropped() {
    let mut world = World::new();
    let (login, _) = world.allocate(udp(ANN));
    login.permit(&mut world, &[PEER]);
    let id = world.id();
    let fills: [fn(&mut Writer<'_>); 4] = [
        |writer| {
            writer.attribute(known::DATA, b"x");
        },
        |writer| {
            writer.peer(at(PEER));
        },
        |writer| {
            writer.peer(at(PEER)).attribute(known::DATA, b"x").attribute(0x0077, &[]);
        },
        |writer| {
            writer.attribute(known::XOR_PEER_ADDRESS, &[0, 1]).attribute(known::DATA, b"x");
        },
    ];
    for fill in fills {
        let mut bytes = Vec::new();
        fill(&mut Writer::new(&mut bytes, Class::Indication, Method::Send, id));
        assert_eq!(world.client(udp(ANN), &bytes), Event::Nothing);
    }
}

#[test]
fn permissions_and_channels_of_one_allocation_are_bounded() {
    let mut world = World::new();
    let (login, _) = world.allocate(udp(ANN));
    let peer = |index: u32| format!("93.184.{}.{}:7000", index / 250, index % 250 + 1);
    let mut granted = 0;
    while login.permit(&mut world, &[&peer(granted)]).code() == 0 {
        granted += 1;
        assert!(granted < 1_000, "without a limit");
    }
    assert_eq!(login.permit(&mut world, &[&peer(granted)]).code(), 508);
    assert_eq!(login.permit(&mut world, &[&peer(0)]).code(), 0, "who is in may stay");
    let mut bound = 0;
    while login.bind(&mut world, 0x4000 + bound, &peer(bound.into())).code() == 0 {
        bound += 1;
        assert!(bound < 1_000, "without a limit");
    }
    assert_eq!(login.bind(&mut world, 0x4800, &peer(bound.into())).code(), 508);
}

#[test]
fn bandwidth_is_limited_in_each_direction() {
    let mut world = World::with(Settings { bandwidth: Some(100_000), ..world::settings() });
    let (login, relayed) = world.allocate(udp(ANN));
    login.bind(&mut world, 0x4000, PEER);
    let data = vec![7; 1_000];
    let passed = |world: &mut World| {
        let up = (0..300).filter(|_| login.channel_data(world, 0x4000, &data) != Event::Nothing).count();
        let down = (0..300).filter(|_| world.peer(relayed, PEER, &data) != Event::Nothing).count();
        (up, down)
    };
    assert_eq!(passed(&mut world), (100, 100));
    world.pass(1);
    assert_eq!(passed(&mut world), (100, 100));
    assert_eq!(world.engine().stats().dropped(Dropped::Bandwidth), 800);
}

#[test]
fn traffic_is_counted_by_direction_and_transport() {
    let mut world = World::new();
    let (udp_login, udp_relayed) = world.allocate(udp(ANN));
    let (tls_login, _) = world.allocate(Client { via: Via::Tls(1), remote: at(ANN) });
    udp_login.bind(&mut world, 0x4000, PEER);
    tls_login.bind(&mut world, 0x4000, PEER);
    udp_login.channel_data(&mut world, 0x4000, b"12345");
    tls_login.channel_data(&mut world, 0x4000, b"123");
    world.peer(udp_relayed, PEER, b"1234567");
    let stats = world.engine().stats();
    let up = stats.to_peers.map(|traffic| (traffic.packets, traffic.bytes));
    assert_eq!(up, [(1, 5), (0, 0), (1, 3)]);
    assert_eq!(stats.to_clients[Transport::Udp as usize].bytes, 7);
    assert_eq!(stats.allocations, [[1, 0], [0, 0], [1, 0]]);
}

#[test]
fn the_largest_datagrams_fit_and_what_a_frame_cannot_say_is_dropped() {
    let mut world = World::new();
    let (login, relayed) = world.allocate(udp(ANN));
    login.permit(&mut world, &[PEER]);
    assert_eq!(indicated(&world.peer(relayed, PEER, &vec![1; 65_480]).into_packet()).1.len(), 65_480);
    assert_eq!(world.peer(relayed, PEER, &vec![1; 65_535]), Event::Nothing);
    assert_eq!(world.engine().stats().dropped(Dropped::TooLarge), 1);
    login.bind(&mut world, 0x4000, PEER);
    assert_eq!(world.peer(relayed, PEER, &vec![1; 65_535]).into_packet().len(), 65_539);
}

#[test]
fn the_payload_stays_where_it_was() {
    let mut world = World::new();
    let (login, relayed) = world.allocate(udp(ANN));
    login.bind(&mut world, 0x4000, PEER);
    let relay = *world.sockets().open.iter().find(|(_, bound)| **bound == relayed).expect("a socket").0;
    let now: Now = world.now;
    let mut buffer = vec![9; HEADROOM + 100 + TAILROOM];
    let mut packet = Packet { buffer: &mut buffer, range: HEADROOM..HEADROOM + 100 };
    let verdict = world.workers[0].engine.handle_peer(relay, at(PEER), &mut packet, now);
    let Verdict::ToClient { packet: range, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(range, HEADROOM - 4..HEADROOM + 100);
    assert!(buffer[HEADROOM..].iter().all(|byte| *byte == 9));
    let (client, local) = (udp(ANN), world.local);
    let worker = &mut world.workers[0];
    let mut packet = Packet { buffer: &mut buffer, range };
    let verdict = worker.engine.handle_client(client, local, &mut packet, now, &mut worker.sockets);
    let Verdict::ToPeer { payload, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(payload, HEADROOM..HEADROOM + 100);
}
