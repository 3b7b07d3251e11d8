//! Relaying over TCP and TLS, and what becomes of clients that are slow, idle, too many or not ours.
#![allow(missing_docs)]

mod turn_common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use switchboard_turn::client::{Allocation, Event};
use switchboard_turn::message::Family;
use turn_common::{Caller, PATHS, Peer, Pipe, Relay, bursts, call, each_to_each, echo};

/// Short enough to be waited for.
const BRIEF: Duration = Duration::from_millis(200);

#[test]
fn indications_and_channels_echo_over_tcp_and_tls() {
    for io in PATHS {
        let relay = Relay::with_tls(|config| config.packet_io = io);
        for (family, peer) in [(Family::V4, Peer::v4()), (Family::V6, Peer::v6())] {
            for mut caller in [relay.tcp(), relay.tls(), Caller::tcp(relay.addrs.tcp[1])] {
                let relayed = caller.allocate(Allocation::of(family)).relayed[0];
                caller.permit(&[peer.address]);
                echo(&mut caller, relayed, &peer);
                caller.channel(peer.address);
                echo(&mut caller, relayed, &peer);
            }
        }
    }
}

#[test]
fn clients_of_every_protocol_reach_each_other() {
    let relay = Relay::with_tls(|_| {});
    let mut callers = [relay.udp(), relay.tcp(), relay.tls(), relay.tcp(), relay.udp(), relay.tls()];
    for bound in [false, true] {
        each_to_each(&mut callers, bound);
    }
}

#[test]
fn bursts_keep_order_and_bytes_in_streams() {
    for io in PATHS {
        let relay = Relay::with_tls(|config| config.packet_io = io);
        for caller in [relay.tcp(), relay.tls()] {
            let (mut caller, relayed, peer) = call(caller);
            bursts(&mut caller, relayed, &peer, 20, |index| (index * 37 % 1200) as usize);
        }
    }
}

#[test]
fn frames_may_come_byte_by_byte() {
    let relay = Relay::spawn();
    let (mut caller, relayed, peer) = call(relay.tcp());
    for index in 0..5_u8 {
        caller.turn.send(peer.address, &[index; 31]).expect("not too large");
    }
    while let Some(transmit) = caller.turn.poll_transmit() {
        for byte in transmit.payload {
            caller.pipe.send(transmit.to, &[byte]);
        }
    }
    for index in 0..5 {
        assert_eq!(peer.receive(), (relayed, vec![index; 31]));
    }
}

#[test]
fn who_says_nothing_is_given_up() {
    let relay = Relay::with_tls(|config| {
        config.limits.greeting_timeout = BRIEF;
        config.limits.handshake_timeout = BRIEF;
    });
    relay.tcp().end();
    let mut silent = TcpStream::connect(relay.addrs.tls[0]).expect("connected");
    silent.set_read_timeout(Some(turn_common::SOON)).expect("timeout");
    // TLS says goodbye, then the connection ends.
    let mut goodbye = Vec::new();
    silent.read_to_end(&mut goodbye).expect("the end");
    assert!(goodbye.len() < 32, "{goodbye:?}");
}

#[test]
fn who_sends_a_frame_without_end_is_given_up() {
    let relay = Relay::with(|config| config.limits.greeting_timeout = BRIEF);
    let mut caller = relay.tcp();
    caller.pipe.send(relay.addrs.tcp[0], &[0x00, 0x03, 0x10, 0x00, 0x21, 0x12]);
    caller.end();
}

#[test]
fn who_has_no_allocation_may_not_stay() {
    let relay = Relay::with(|config| config.limits.idle_timeout = BRIEF);
    let mut caller = relay.tcp();
    let request = caller.turn.bind(Instant::now());
    assert!(matches!(caller.answer(request), Event::Bound { .. }));
    caller.end();
}

#[test]
fn an_allocation_keeps_an_idle_connection() {
    let relay = Relay::with(|config| {
        config.limits.idle_timeout = BRIEF;
        config.limits.greeting_timeout = BRIEF;
    });
    let (mut caller, relayed, peer) = call(relay.tcp());
    assert!(caller.next_event(BRIEF * 3).is_none() && !caller.closed);
    echo(&mut caller, relayed, &peer);
}

#[test]
fn what_is_no_stun_is_closed_at_once() {
    let relay = Relay::with_tls(|_| {});
    for garbage in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"\x80\x00\x00\x00", b"\x00\x01\x00\x03\x21\x12\xa4\x42"] {
        let mut caller = relay.tcp();
        caller.pipe.send(relay.addrs.tcp[0], garbage);
        caller.end();
    }
    let mut caller = Caller::tcp(relay.addrs.tls[0]);
    let Pipe::Tcp(stream) = &mut caller.pipe else { unreachable!() };
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    let mut rest = Vec::new();
    // An alert may come first; a reset is as good as a close.
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < 32, "{rest:?}");
}

#[test]
fn one_address_has_a_bounded_number_of_connections() {
    let relay = Relay::with(|config| config.limits.connections_per_address = 3);
    let mut held: Vec<Caller> = (0..3).map(|_| relay.tcp()).collect();
    for caller in &mut held {
        let request = caller.turn.bind(Instant::now());
        caller.answer(request);
    }
    relay.tcp().end();
    held.pop();
    // Its place is free as soon as the server has seen it go.
    loop {
        let mut caller = relay.tcp();
        let request = caller.turn.bind(Instant::now());
        match caller.next_event(turn_common::SOON) {
            Some(Event::Bound { request: bound, .. }) if bound == request => break,
            _ => std::thread::yield_now(),
        }
    }
}

#[test]
fn a_client_that_goes_gives_its_relay_back() {
    let relay = Relay::with_tls(|_| {});
    for make in [Relay::tcp, Relay::tls] {
        let mut caller = make(&relay);
        let relayed = caller.allocate(Allocation::default()).relayed[0];
        drop(caller);
        let until = Instant::now() + turn_common::SOON;
        while std::net::UdpSocket::bind(relayed).is_err() {
            assert!(Instant::now() < until, "the relay is still open");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_flood_of_connections_leaves_the_others_alone() {
    let relay = Relay::with(|config| config.limits.connections_per_address = 50);
    let (mut caller, relayed, peer) = call(relay.tcp());
    let flood: Vec<_> = (0..500).filter_map(|_| TcpStream::connect(relay.addrs.tcp[0]).ok()).collect();
    echo(&mut caller, relayed, &peer);
    drop(flood);
}
