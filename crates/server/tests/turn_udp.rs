//! Relaying over UDP: every form of message, both families, both ways of moving packets.
#![allow(missing_docs)]

mod turn_common;

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use switchboard_server::config::TurnListen;
use switchboard_turn::client::{Allocation, Event};
use switchboard_turn::message::Family;
use turn_common::{Caller, PATHS, Peer, Relay, bursts, call, each_to_each, echo};

#[test]
fn a_binding_request_tells_ones_own_address() {
    for io in PATHS {
        let relay = Relay::with_io(io);
        for mut caller in [relay.udp(), relay.udp6()] {
            let request = caller.turn.bind(Instant::now());
            let Event::Bound { binding, .. } = caller.answer(request) else { panic!("no answer") };
            assert_eq!(binding.mapped, caller.pipe.local());
        }
    }
}

#[test]
fn indications_and_channels_echo_over_both_families() {
    for io in PATHS {
        let relay = Relay::with_io(io);
        for (family, peer) in [(Family::V4, Peer::v4()), (Family::V6, Peer::v6())] {
            for mut caller in [relay.udp(), relay.udp6()] {
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
fn a_dual_allocation_relays_over_both_families() {
    let relay = Relay::spawn();
    let mut caller = relay.udp();
    let relayed = caller.allocate(Allocation::dual()).relayed;
    assert_eq!(relayed.len(), 2);
    for peer in [Peer::v4(), Peer::v6()] {
        let relayed = relayed.iter().find(|relayed| relayed.is_ipv4() == peer.address.is_ipv4()).expect("both");
        caller.channel(peer.address);
        echo(&mut caller, *relayed, &peer);
    }
}

#[test]
fn bursts_keep_order_and_bytes_both_ways() {
    for io in PATHS {
        let relay = Relay::with_io(io);
        let (mut caller, relayed, peer) = call(relay.udp());
        // Equal lengths make trains; the others end them. Fewer than a socket's buffer holds, many times over.
        bursts(&mut caller, relayed, &peer, 40, |index| if index.is_multiple_of(7) { 300 } else { 1000 });
    }
}

#[test]
fn an_empty_datagram_is_relayed_too() {
    for io in PATHS {
        let relay = Relay::with_io(io);
        let (mut caller, relayed, peer) = call(relay.udp());
        caller.send(peer.address, b"");
        assert_eq!(peer.receive(), (relayed, Vec::new()));
        peer.send(relayed, b"");
        assert_eq!(caller.data().2, b"");
    }
}

#[test]
fn two_clients_of_this_server_reach_each_other_whichever_worker_they_have() {
    for io in PATHS {
        let relay = Relay::with_io(io);
        let mut callers: Vec<Caller> = (0..8).map(|_| relay.udp()).collect();
        each_to_each(&mut callers, false);
        let relayed: Vec<SocketAddr> = callers.iter_mut().map(Caller::relayed).collect();
        // By channel, in a train.
        callers[0].channel(relayed[7]);
        callers[7].channel(relayed[0]);
        for index in 0..100_u8 {
            callers[0].turn.send(relayed[7], &[index; 500]).expect("not too large");
        }
        callers[0].flush();
        for index in 0..100_u8 {
            assert_eq!(callers[7].data().2, [index; 500]);
        }
    }
}

#[test]
fn a_peer_without_permission_is_not_heard() {
    let relay = Relay::spawn();
    let (mut caller, friend, stranger) = (relay.udp(), Peer::v4(), Peer::v4());
    let relayed = caller.allocate(Allocation::default()).relayed[0];
    caller.channel(friend.address);
    // A permission is for an address, whatever the port: a stranger needs another one.
    let other = std::net::UdpSocket::bind("127.0.0.9:0").expect("socket");
    other.send_to(b"stranger", relayed).expect("sent");
    stranger.send(relayed, b"neighbour");
    friend.send(relayed, b"friend");
    let mut heard = HashSet::new();
    for _ in 0..2 {
        heard.insert(caller.data().2);
    }
    assert_eq!(heard, HashSet::from([b"neighbour".to_vec(), b"friend".to_vec()]));
}

#[test]
fn a_wildcard_answers_from_the_address_that_was_asked() {
    let relay = Relay::with(|config| {
        config.listen = TurnListen::At(vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))]);
    });
    let port = relay.addrs.udp[0].port();
    for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 5)] {
        let (mut caller, relayed, peer) = call(Caller::udp((address, port).into()));
        echo(&mut caller, relayed, &peer);
    }
    let (mut caller, relayed, peer) = call(Caller::udp((Ipv6Addr::LOCALHOST, port).into()));
    echo(&mut caller, relayed, &peer);
}

#[test]
fn an_allocation_that_is_given_back_relays_no_more() {
    let relay = Relay::spawn();
    let (mut caller, relayed, peer) = call(relay.udp());
    echo(&mut caller, relayed, &peer);
    let request = caller.turn.refresh(std::time::Duration::ZERO, Instant::now());
    caller.answer(request);
    // Its socket is closed: the port is free again.
    std::net::UdpSocket::bind(relayed).expect("the port is free");
}
