//! The two halves of NAT behaviour discovery meet over simulated NATs of every kind, with loss and in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use switchboard_turn::NatDetection;
use switchboard_turn::client::Retransmission;
use switchboard_turn::client::discovery::{Behaviour, Dependence, Discovery, DiscoveryError, Test};
use switchboard_turn::message::{Class, Message, Writer};
use switchboard_turn::nat::{self, Change, NatRequest};

const KINDS: [Dependence; 3] =
    [Dependence::EndpointIndependent, Dependence::AddressDependent, Dependence::AddressAndPortDependent];

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// What of a destination a NAT looks at.
fn key(kind: Dependence, to: SocketAddr) -> String {
    match kind {
        Dependence::EndpointIndependent => String::new(),
        Dependence::AddressDependent => to.ip().to_string(),
        Dependence::AddressAndPortDependent => to.to_string(),
    }
}

/// A NAT with one client behind it.
struct Nat {
    mapping: Dependence,
    filtering: Dependence,
    ports: BTreeMap<String, u16>,
    /// Who was written to, from which port.
    open: BTreeSet<(u16, String)>,
}

impl Nat {
    fn new(mapping: Dependence, filtering: Dependence) -> Self {
        Self { mapping, filtering, ports: BTreeMap::new(), open: BTreeSet::new() }
    }

    fn outward(&mut self, to: SocketAddr) -> SocketAddr {
        let next = 40_000 + self.ports.len() as u16;
        let port = *self.ports.entry(key(self.mapping, to)).or_insert(next);
        self.open.insert((port, key(self.filtering, to)));
        SocketAddr::new(at("198.51.100.7:0").ip(), port)
    }

    fn admits(&self, from: SocketAddr, to: SocketAddr) -> bool {
        self.open.contains(&(to.port(), key(self.filtering, from)))
    }
}

/// Answers a Binding request; returns where it is sent from.
fn answer(
    detection: Option<NatDetection>,
    local: SocketAddr,
    remote: SocketAddr,
    request: &[u8],
) -> (SocketAddr, Vec<u8>) {
    let request = Message::parse(request).expect("a request");
    let change = request.attribute(nat::CHANGE_REQUEST).and_then(|value| value.try_into().ok());
    let change = Change::from_bits(change.map_or(0, u32::from_be_bytes));
    let decided = detection.and_then(|it| it.answer(local, NatRequest { change, ..NatRequest::default() }));
    let mut packet = Vec::new();
    let mut writer = Writer::new(&mut packet, Class::Success, request.method(), request.transaction());
    writer.mapped(remote);
    let Some(decided) = decided else { return (local, packet) };
    let decided = decided.expect("an answer");
    writer.attribute(nat::OTHER_ADDRESS, &plain(decided.other));
    (decided.origin, packet)
}

fn plain(address: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(address) = address else { panic!("IPv4 only") };
    let mut value = vec![0, 1];
    value.extend(address.port().to_be_bytes());
    value.extend(address.ip().octets());
    value
}

/// Runs a test behind a NAT; returns the result and how long it took.
fn run(
    test: Test,
    mut nat: Nat,
    loss: f64,
    detection: Option<NatDetection>,
) -> (Result<Behaviour, DiscoveryError>, Duration) {
    let mut rng = StdRng::seed_from_u64(11);
    let start = Instant::now();
    let mut now = start;
    let mut discovery = Discovery::new(test, at("192.0.2.1:3478"), Retransmission::default(), [3; 32], now);
    loop {
        while let Some(transmit) = discovery.poll_transmit() {
            let remote = nat.outward(transmit.to);
            let (from, packet) = answer(detection, transmit.to, remote, &transmit.payload);
            let arrives = !rng.random_bool(loss) && nat.admits(from, remote);
            if arrives {
                discovery.handle_input(from, &packet, now);
            }
        }
        if let Some(outcome) = discovery.outcome() {
            return (outcome.clone(), now - start);
        }
        now = discovery.poll_timeout().expect("a deadline");
        discovery.handle_timeout(now);
    }
}

fn detection() -> Option<NatDetection> {
    NatDetection::new(at("192.0.2.1:3478"), at("192.0.2.2:3479")).ok()
}

#[test]
fn every_kind_of_nat_is_told_apart() {
    for mapping in KINDS {
        for filtering in KINDS {
            let nat = || Nat::new(mapping, filtering);
            let (mapped, _) = run(Test::Mapping, nat(), 0.0, detection());
            assert_eq!(mapped.expect("a result").dependence, mapping, "filtering {filtering:?}");
            let (filtered, _) = run(Test::Filtering, nat(), 0.0, detection());
            assert_eq!(filtered.expect("a result").dependence, filtering, "mapping {mapping:?}");
        }
    }
}

#[test]
fn loss_does_not_change_the_result() {
    for kind in KINDS {
        let (mapped, _) = run(Test::Mapping, Nat::new(kind, kind), 0.4, detection());
        assert_eq!(mapped.expect("a result").dependence, kind);
        let (filtered, _) = run(Test::Filtering, Nat::new(kind, kind), 0.4, detection());
        assert_eq!(filtered.expect("a result").dependence, kind);
    }
}

#[test]
fn an_ordinary_server_is_told_to_offer_no_help() {
    let nat = Nat::new(Dependence::EndpointIndependent, Dependence::EndpointIndependent);
    let (outcome, took) = run(Test::Mapping, nat, 0.0, None);
    assert_eq!(outcome, Err(DiscoveryError::Unsupported));
    assert_eq!(took, Duration::ZERO);
}

#[test]
fn a_filter_is_known_after_two_silences() {
    let kind = Dependence::AddressAndPortDependent;
    let (_, took) = run(Test::Filtering, Nat::new(kind, kind), 0.0, detection());
    assert_eq!(took, Duration::from_millis(2 * 39_500));
}
