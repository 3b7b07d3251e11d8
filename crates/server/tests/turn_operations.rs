//! What an operator configures and sees: metrics, 1:1 NAT, NAT detection, quotas.
#![allow(missing_docs)]

mod turn_common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use switchboard_server::config::{RelayAddress, TurnListen};
use switchboard_turn::client::{Allocation, Event, RequestError};
use switchboard_turn::nat::Change;
use turn_common::{Caller, Peer, Relay, call, echo};

#[test]
fn metrics_tell_what_is_relayed_and_nothing_of_users() {
    let relay = Relay::spawn();
    let (mut caller, relayed, peer) = call(relay.udp());
    echo(&mut caller, relayed, &peer);
    let mut stream = relay.tcp();
    stream.allocate(Allocation::default());
    let until = Instant::now() + turn_common::SOON;
    // Workers publish at the end of their round, which may be after the client has its answer.
    let metrics = loop {
        let metrics = relay.metrics();
        if metrics.contains("switchboard_turn_allocations{transport=\"tcp\",family=\"ipv4\"} 1")
            && metrics.contains("switchboard_turn_packets_total{direction=\"to_client\",transport=\"udp\"} 6")
        {
            break metrics;
        }
        assert!(Instant::now() < until, "{metrics}");
        std::thread::yield_now();
    };
    for line in [
        "switchboard_turn_allocations{transport=\"udp\",family=\"ipv4\"} 1",
        "switchboard_turn_packets_total{direction=\"to_peer\",transport=\"udp\"} 6",
        "switchboard_turn_bytes_total{direction=\"to_peer\",transport=\"udp\"} 6864",
        "switchboard_turn_connections{transport=\"tcp\"} 1",
        "switchboard_turn_auth_failures_total{reason=\"expired\"} 0",
        "switchboard_turn_requests_total{method=\"allocate\",code=\"0\"} 2",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains(turn_common::USER), "no user is named");
}

#[test]
fn a_client_is_told_the_external_address_of_a_one_to_one_nat() {
    let external = IpAddr::from([198, 51, 100, 7]);
    let relay = Relay::with(|config| {
        config.relay_addresses = vec![RelayAddress { bind: Ipv4Addr::LOCALHOST.into(), external }];
    });
    let (mut caller, mut other, peer) = (relay.udp(), relay.udp(), Peer::v4());
    let relayed = caller.allocate(Allocation::default()).relayed[0];
    let other_relayed = other.allocate(Allocation::default()).relayed[0];
    assert_eq!(relayed.ip(), external);
    // Packets leave from the internal one.
    caller.permit(&[peer.address]);
    caller.send(peer.address, b"out");
    assert_eq!(peer.receive(), ((Ipv4Addr::LOCALHOST, relayed.port()).into(), b"out".to_vec()));
    // Clients of this server know each other by the external one.
    caller.permit(&[other_relayed]);
    other.permit(&[relayed]);
    caller.send(other_relayed, b"across");
    assert_eq!(other.data(), (relayed, None, b"across".to_vec()));
}

#[test]
fn nat_detection_answers_from_the_other_address_and_port() {
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let spare = Peer::v4().address.port();
        let alternate = SocketAddr::from(([127, 0, 0, 2], spare));
        let relay = Relay::with(|config| {
            config.listen = TurnListen::At(vec![listen.parse().expect("address")]);
            config.nat_detection = Some(alternate);
        });
        let primary = SocketAddr::from((Ipv4Addr::LOCALHOST, relay.addrs.udp[0].port()));
        for (address, port, from) in [
            (false, false, primary),
            (true, false, SocketAddr::new(alternate.ip(), primary.port())),
            (false, true, SocketAddr::new(primary.ip(), alternate.port())),
            (true, true, alternate),
        ] {
            let mut caller = Caller::udp(primary);
            let request = caller.turn.binding(primary, Change { address, port }, None, Instant::now());
            let Event::Bound { binding, .. } = caller.answer(request) else { panic!("no answer") };
            assert_eq!((binding.from, binding.other), (from, Some(alternate)), "{listen}");
        }
    }
}

#[test]
fn a_user_has_a_bounded_number_of_allocations() {
    let relay = Relay::with(|config| config.limits.allocations_per_user = 2);
    let mut callers: Vec<Caller> = (0..3).map(|_| relay.udp()).collect();
    callers[0].allocate(Allocation::default());
    callers[1].allocate(Allocation::default());
    let request = callers[2].turn.allocate(Allocation::default(), Instant::now());
    match callers[2].next_event(turn_common::SOON) {
        Some(Event::Failed { request: failed, error: RequestError::Refused { code } }) => {
            assert_eq!((failed, code), (request, 486));
        }
        event => panic!("{event:?}"),
    }
}
