//! The beginning and the end of STUN and TURN: what is refused, and that nothing is left.
#![allow(missing_docs)]

mod turn_common;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use switchboard_server::SpawnError;
use switchboard_server::config::{RelayAddress, TurnConfig, TurnListen};
use switchboard_server::turn::TurnError;
use switchboard_turn::client::Allocation;
use turn_common::{Relay, on_loopback, try_spawn};

fn refusal(config: TurnConfig) -> SpawnError {
    try_spawn(config).1.expect_err("the server does not start")
}

#[test]
fn a_port_in_use_is_refused_by_name() {
    let first = Relay::spawn();
    let udp = first.addrs.udp[0];
    let error = refusal(TurnConfig { listen: TurnListen::At(vec![udp]), ..on_loopback() });
    assert!(matches!(error, SpawnError::InUse { address } if address == udp), "{error}");
    let held = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = held.local_addr().expect("bound");
    let error = refusal(TurnConfig { listen: TurnListen::At(vec![address]), ..on_loopback() });
    assert!(matches!(error, SpawnError::InUse { .. }), "{error}");
}

#[test]
fn a_default_port_in_use_costs_turn_alone() {
    let held = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let address = held.local_addr().expect("bound");
    let (_runtime, server) = try_spawn(TurnConfig { listen: TurnListen::IfFree(address), ..on_loopback() });
    let server = server.expect("the server starts");
    assert_eq!(*server.turn_addrs(), switchboard_server::TurnAddrs::default());
}

#[test]
fn tls_needs_a_certificate() {
    let tls_listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    let error = refusal(TurnConfig { tls_listen, ..on_loopback() });
    assert!(matches!(error, SpawnError::Turn(TurnError::NoCertificate)), "{error}");
}

#[test]
fn a_relay_address_that_is_not_ours_is_refused_by_name() {
    let address = Ipv4Addr::new(203, 0, 113, 77).into();
    let relay_addresses = vec![RelayAddress { bind: address, external: address }];
    let error = refusal(TurnConfig { relay_addresses, ..on_loopback() });
    assert!(matches!(error, SpawnError::Turn(TurnError::RelayAddress { .. })), "{error}");
    assert!(error.to_string().contains("203.0.113.77"), "{error}");
}

#[test]
fn an_empty_range_of_ports_is_refused() {
    #[allow(clippy::reversed_empty_ranges)]
    let error = refusal(TurnConfig { relay_ports: 60_000..=50_000, ..on_loopback() });
    assert!(matches!(error, SpawnError::Turn(TurnError::NoPorts)), "{error}");
}

#[test]
fn a_shutdown_frees_listeners_and_relays() {
    let relay = Relay::with_tls(|_| {});
    let mut udp = relay.udp();
    let relayed = udp.allocate(Allocation::default()).relayed[0];
    let mut tcp = relay.tcp();
    tcp.allocate(Allocation::default());
    let addrs = relay.addrs.clone();
    let _runtime = relay.stop();
    UdpSocket::bind(relayed).expect("the relay is gone");
    for address in addrs.udp {
        UdpSocket::bind(address).expect("the listener is gone");
    }
    for address in addrs.tcp.into_iter().chain(addrs.tls) {
        std::net::TcpStream::connect(address).expect_err("the listener is gone");
    }
    tcp.end();
}

#[test]
fn a_server_that_is_dropped_relays_no_more() {
    let mut relay = Relay::spawn();
    let address = relay.addrs.tcp[0];
    relay.drop_server();
    while std::net::TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
}
