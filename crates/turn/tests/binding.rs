//! Binding: the client learns its address, and nobody can make the server shout (attack table, row 5).

mod world;

use std::net::SocketAddr;

use switchboard_turn::message::{Class, Method, Writer, known};
use switchboard_turn::stats::Dropped;
use switchboard_turn::{Client, NatDetection, Rate, Settings, Via};
use world::{Event, World, at, udp};

fn empty(writer: &mut Writer<'_>) {
    let _ = writer;
}

#[test]
fn answers_with_32_bytes_that_tell_the_address() {
    let mut world = World::new();
    let request = world.plain(Method::Binding, empty);
    let answer = world.client(udp("192.0.2.9:5000"), &request).reply();
    assert_eq!((request.len(), answer.0.len()), (20, 32));
    assert_eq!(answer.message().mapped(), Some(at("192.0.2.9:5000")));
    let answer = world.client(udp("[2001:db8::9]:5000"), &request).reply();
    assert_eq!(answer.0.len(), 44);
    assert_eq!(answer.message().mapped(), Some(at("[2001:db8::9]:5000")));
}

#[test]
fn has_a_fingerprint_if_the_request_had_one() {
    let mut world = World::new();
    let request = world.plain(Method::Binding, |writer| {
        writer.fingerprint();
    });
    let answer = world.client(udp("192.0.2.9:5000"), &request).reply();
    assert!(answer.message().has_fingerprint());
    assert_eq!(answer.0.len(), 40);
}

#[test]
fn attributes_that_must_be_understood_and_are_not_are_named() {
    let mut world = World::new();
    let request = world.plain(Method::Binding, |writer| {
        writer.attribute(0x0003, &[0, 0, 0, 6]);
        writer.attribute(0x8099, &[1]);
        writer.attribute(0x0077, &[]);
    });
    let answer = world.client(udp("192.0.2.9:5000"), &request).reply();
    assert_eq!(answer.code(), 420);
    assert_eq!(answer.message().attribute(known::UNKNOWN_ATTRIBUTES), Some(&[0, 3, 0, 0x77][..]));
}

#[test]
fn never_answers_answers_indications_or_noise() {
    let mut world = World::new();
    let client = udp("192.0.2.9:5000");
    let id = world.id();
    for (class, method) in [
        (Class::Success, Method::Binding),
        (Class::Error, Method::Allocate),
        (Class::Indication, Method::Binding),
        (Class::Indication, Method::Data),
        (Class::Indication, Method::Send),
        (Class::Request, Method::Send),
        (Class::Request, Method::Data),
    ] {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes, class, method, id);
        assert_eq!(world.client(client, &bytes), Event::Nothing, "{class:?} {method:?}");
    }
    // RFC 3489 had no cookie, RFC 6062's Connect is for TCP, and the rest is noise.
    let mut old = world.plain(Method::Binding, empty);
    old[4] = 0;
    let mut connect = world.plain(Method::Binding, empty);
    connect[1] = 0x0a;
    for bytes in [&old[..], &connect, &[], &[0], &[0x16, 3, 1], b"GET / HTTP/1.1\r\n\r\n", &[0x40, 0, 0, 0]] {
        assert_eq!(world.client(client, bytes), Event::Nothing, "{bytes:?}");
    }
}

#[test]
fn a_prefix_that_asks_too_often_is_answered_no_more_and_others_are() {
    let answers_per_prefix = Rate { per_second: 10, burst: 20 };
    let mut world = World::with(Settings { answers_per_prefix, ..world::settings() });
    let request = world.plain(Method::Binding, empty);
    let allocate = world.plain(Method::Allocate, empty);
    let mut answered = 0;
    for host in 1..=100 {
        let client = udp(&format!("192.0.2.{host}:5000"));
        let bytes = if host % 2 == 0 { &request } else { &allocate };
        answered += u32::from(world.client(client, bytes) != Event::Nothing);
    }
    assert_eq!(answered, 20);
    assert_eq!(world.engine().stats().dropped(Dropped::Budget), 80);
    world.client(udp("198.51.100.1:1"), &request).reply();
    // A connection has shown its address.
    world.client(Client { via: Via::Tcp(1), remote: at("192.0.2.9:5000") }, &request).reply();
    world.pass(1);
    world.client(udp("192.0.2.9:5000"), &request).reply();
}

#[test]
fn all_workers_together_answer_a_prefix_no_more_often_than_one_would() {
    let answers_per_prefix = Rate { per_second: 40, burst: 400 };
    let mut world = World::with(Settings { answers_per_prefix, workers: 4, ..world::settings() });
    let request = world.plain(Method::Binding, empty);
    let mut answered = 0;
    for packet in 0..4_000_u16 {
        let client = udp(&format!("192.0.2.{}:{}", packet % 256, 5_000 + packet));
        answered += u32::from(world.client_of(usize::from(packet % 4), client, &request) != Event::Nothing);
    }
    assert_eq!(answered, 400);
}

#[test]
fn a_client_with_an_allocation_costs_the_budget_nothing() {
    let answers_per_prefix = Rate { per_second: 1, burst: 1 };
    let mut world = World::with(Settings { answers_per_prefix, ..world::settings() });
    let client = udp("192.0.2.9:5000");
    world.allocate(client);
    let request = world.plain(Method::Binding, empty);
    for _ in 0..10 {
        world.client(client, &request).reply();
    }
}

#[test]
fn with_a_second_address_it_answers_from_where_it_is_asked_to() {
    let alternate = NatDetection::new(at("203.0.113.7:3478"), at("203.0.113.8:3479")).expect("two addresses");
    let mut world = World::with(Settings { alternate: Some(alternate), ..world::settings() });
    let client = udp("192.0.2.9:5000");
    let plain = world.plain(Method::Binding, empty);
    let answer = world.client(client, &plain).reply();
    assert_eq!(answer.message().attribute(0x802c), Some(&[0, 1, 0x0d, 0x97, 203, 0, 113, 8][..]));
    assert_eq!(answer.message().attribute(0x802b), Some(&[0, 1, 0x0d, 0x96, 203, 0, 113, 7][..]));
    let change = world.plain(Method::Binding, |writer| {
        writer.attribute(0x0003, &[0, 0, 0, 6]);
    });
    let (local, to, answer) = from_elsewhere(world.client(client, &change));
    assert_eq!((local, to), (at("203.0.113.8:3479"), client.remote));
    assert_eq!(answer.message().mapped(), Some(client.remote));
    // Over TCP there is nothing to find out.
    let tcp = Client { via: Via::Tcp(1), remote: client.remote };
    assert_eq!(world.client(tcp, &change).reply().code(), 420);
}

/// A world with a second address, and few answers for each prefix.
fn detecting() -> World {
    let alternate = NatDetection::new(at("203.0.113.7:3478"), at("203.0.113.8:3479")).expect("two addresses");
    let answers_per_prefix = Rate { per_second: 1, burst: 20 };
    World::with(Settings { alternate: Some(alternate), answers_per_prefix, ..world::settings() })
}

fn from_elsewhere(event: Event) -> (SocketAddr, SocketAddr, world::Answer) {
    let Event::ReplyFrom(local, to, bytes) = event else { panic!("not from elsewhere: {event:?}") };
    (local, to, world::Answer(bytes))
}

fn to_port(world: &mut World, port: u16, more: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    world.plain(Method::Binding, |writer| {
        writer.attribute(0x0027, &[high, low, 0, 0]);
        more(writer);
    })
}

#[test]
fn answers_to_the_port_that_response_port_names() {
    let mut world = detecting();
    let client = udp("192.0.2.9:5000");
    let request = to_port(&mut world, 6_000, empty);
    let (local, to, answer) = from_elsewhere(world.client(client, &request));
    assert_eq!((local, to), (at("203.0.113.7:3478"), at("192.0.2.9:6000")));
    assert_eq!(answer.message().mapped(), Some(client.remote), "the mapping of the request");
    assert!(answer.0.len() <= 2 * request.len(), "{} for {}", answer.0.len(), request.len());
    // With the other address and port as well.
    let request = to_port(&mut world, 6_000, |writer| {
        writer.attribute(0x0003, &[0, 0, 0, 6]);
    });
    let (local, to, _) = from_elsewhere(world.client(client, &request));
    assert_eq!((local, to), (at("203.0.113.8:3479"), at("192.0.2.9:6000")));
    // Two bytes are as good as four.
    let short = world.plain(Method::Binding, |writer| {
        writer.attribute(0x0027, &6_000_u16.to_be_bytes());
    });
    assert_eq!(from_elsewhere(world.client(client, &short)).1, at("192.0.2.9:6000"));
}

#[test]
fn response_port_reaches_no_service_and_no_relay_and_no_second_fragment() {
    let mut world = detecting();
    let client = udp("192.0.2.9:5000");
    for port in [0, 19, 53, 123, 1023] {
        let request = to_port(&mut world, port, empty);
        assert_eq!(world.client(client, &request).reply().code(), 400, "port {port}");
    }
    let padded = to_port(&mut world, 6_000, |writer| {
        writer.attribute(0x0026, &[0; 1_400]);
    });
    assert_eq!(world.client(client, &padded).reply().code(), 400);
    let odd = world.plain(Method::Binding, |writer| {
        writer.attribute(0x0027, &[1, 2, 3]);
    });
    assert_eq!(world.client(client, &odd).reply().code(), 400);
    // What comes from the relay's own address does not come into a relay by this door.
    let (_, relayed) = world.allocate(udp("192.0.2.10:5000"));
    let request = to_port(&mut world, relayed.port(), empty);
    let own = Client { remote: SocketAddr::new(relayed.ip(), 5_000), ..client };
    assert_eq!(world.client(own, &request), Event::Nothing);
    // A port of the relay's range that nobody has is another program's, as in development on one machine.
    let request = to_port(&mut world, relayed.port() ^ 1, empty);
    assert_eq!(from_elsewhere(world.client(own, &request)).1.port(), relayed.port() ^ 1);
    // Where there is no second address, nobody knows the attribute.
    let mut world = World::new();
    let request = to_port(&mut world, 6_000, empty);
    let answer = world.client(client, &request).reply();
    assert_eq!(answer.code(), 420);
    assert_eq!(answer.message().attribute(known::UNKNOWN_ATTRIBUTES), Some(&[0, 0x27][..]));
}

#[test]
fn answers_to_other_ports_cost_the_budget_of_clients_with_an_allocation_too() {
    let mut world = detecting();
    let client = udp("192.0.2.9:5000");
    world.allocate(client);
    let request = to_port(&mut world, 6_000, empty);
    let answered = (0..100).filter(|_| world.client(client, &request) != Event::Nothing).count();
    assert!((1..=20).contains(&answered), "{answered}");
}
