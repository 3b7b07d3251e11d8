//! What people and programs read, for each thing that goes wrong most.

use std::net::SocketAddr;

use switchboard_turn::client::RequestError;

use super::*;
use crate::doctor::fault::TlsFault;
use crate::doctor::outside::Doubt;
use crate::doctor::probe::Seen;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn seen() -> Seen {
    Seen { mapped: at("198.51.100.7:40000"), took: Duration::from_micros(23_400) }
}

fn works() -> Findings {
    relays(Outside::Open)
}

fn relays(outside: Outside) -> Findings {
    let addresses = vec![at("203.0.113.7:50000"), at("[2001:db8::7]:50001")];
    let relay = Some(Ok(Relay { addresses, echo: Duration::from_micros(51_900), outside }));
    Findings { stun: Ok(seen()), relay, nat: None }
}

fn fails(fault: Fault) -> Findings {
    Findings { stun: Err(fault), relay: None, nat: None }
}

fn refuses(fault: Fault) -> Findings {
    Findings { stun: Ok(seen()), relay: Some(Err(fault)), nat: None }
}

fn server(uri: &str, findings: Findings) -> Server {
    let uri = Uri::parse(uri).expect("a URI");
    let carrier = uri.carrier.unwrap_or(Carrier::Udp);
    Server { uri, carrier, needed: true, families: vec![(false, findings)], unknown: None }
}

fn report(servers: Vec<Server>) -> Report {
    Report { subject: "https://example.org".to_owned(), introduction: None, servers }
}

const UDP: &str = "turn:example.org:3478?transport=udp";
const TCP: &str = "turn:example.org:3478?transport=tcp";
const TLS: &str = "turns:example.org:5349?transport=tcp";

fn behaviour(dependence: Dependence) -> Detected {
    Ok(Behaviour { dependence, mapped: at("198.51.100.7:40000") })
}

#[test]
fn all_is_well() {
    let nat = Nat {
        translates: true,
        mapping: behaviour(Dependence::EndpointIndependent),
        filtering: behaviour(Dependence::AddressAndPortDependent),
    };
    let mut udp = server(UDP, Findings { nat: Some(nat), ..works() });
    udp.families.push((true, fails(Fault::NoRoute)));
    let report = report(vec![udp, server(TCP, works()), server(TLS, works())]);
    assert!(report.is_well());
    insta::assert_snapshot!(report.text(false));
}

#[test]
fn udp_is_blocked() {
    let report = report(vec![server(UDP, fails(Fault::Silent)), server(TCP, works()), server(TLS, works())]);
    assert!(!report.is_well());
    insta::assert_snapshot!(report.text(false));
}

#[test]
fn a_certificate_has_expired() {
    let expired = Fault::Tls(TlsFault::Expired { ago: Some(Duration::from_secs(3 * 86_400)) });
    let report = report(vec![server(UDP, works()), server(TCP, works()), server(TLS, fails(expired))]);
    insta::assert_snapshot!(report.text(false));
}

#[test]
fn the_password_is_wrong_everywhere() {
    let wrong = || refuses(Fault::WrongCredentials { left: Some(Duration::from_secs(3_540)) });
    let report = report(vec![server(UDP, wrong()), server(TCP, wrong())]);
    insta::assert_snapshot!(report.text(false));
}

#[test]
fn the_relay_is_at_a_private_address() {
    let private = Fault::RelayPrivate { relayed: at("10.0.0.5:0").ip(), server: at("203.0.113.7:0").ip() };
    insta::assert_snapshot!(report(vec![server(UDP, refuses(private)), server(TCP, works())]).text(false));
}

#[test]
fn what_does_not_show_from_the_servers_own_machine_is_told() {
    let unshown = || relays(Outside::Unshown(Doubt::SameMachine { own: at("203.0.113.7:0").ip() }));
    let report = report(vec![server(UDP, unshown()), server(TCP, unshown())]);
    assert!(report.is_well());
    insta::assert_snapshot!(report.text(false));
}

#[test]
fn nobody_reaches_the_relays_ports() {
    let closed = || refuses(Fault::RelayClosed { relayed: at("203.0.113.7:50000") });
    let report = report(vec![server(UDP, closed()), server(TCP, closed())]);
    assert!(!report.is_well());
    insta::assert_snapshot!(report.text(false));
}

#[test]
fn a_symmetric_nat_is_told_and_what_could_not_be_found_out() {
    let filtering = Err(DiscoveryError::Request(RequestError::TimedOut { forged: false }));
    let nat = Nat { translates: true, mapping: behaviour(Dependence::AddressAndPortDependent), filtering };
    let stun = Findings { relay: None, nat: Some(nat), ..works() };
    let report = report(vec![server("stun:example.org", stun)]);
    assert!(report.is_well());
    insta::assert_snapshot!(report.text(false));
}

#[test]
fn the_switchboard_cannot_be_asked() {
    let introduction = Some((Fault::PortClosed, 3000));
    let report = Report { subject: "http://localhost:3000".to_owned(), introduction, servers: Vec::new() };
    assert!(!report.is_well());
    insta::assert_snapshot!(report.text(false));
}

#[test]
fn an_unknown_name_is_told_once() {
    let unknown = Some(Fault::NoAddress { host: "example.invalid".to_owned() });
    let nowhere = Server { families: Vec::new(), unknown, ..server("turn:example.invalid", works()) };
    insta::assert_snapshot!(report(vec![nowhere]).text(false));
}

#[test]
fn what_nobody_needs_does_not_count_and_is_told() {
    let full = refuses(Fault::Refused { request: "a relay", code: 486 });
    let tcp = Server { needed: false, carrier: Carrier::Tcp, ..server("turn:example.org", full) };
    let report = report(vec![server("turn:example.org", works()), tcp]);
    assert!(report.is_well());
    assert_eq!(
        report.verdict(),
        "Everything that is relied on works: who cannot connect directly is relayed. TURN over TCP (IPv4) does not work."
    );
}

#[test]
fn one_family_is_enough_and_the_other_is_told() {
    let with_v6 = |fault| {
        let mut udp = server(UDP, works());
        udp.families.push((true, fails(fault)));
        report(vec![udp])
    };
    let closed = with_v6(Fault::PortClosed);
    assert!(closed.is_well());
    assert!(closed.verdict().ends_with("STUN and TURN over UDP (IPv6) does not work."), "{}", closed.verdict());
    let absent = with_v6(Fault::NoRoute);
    assert!(absent.is_well());
    assert_eq!(
        absent.verdict(),
        "Everything works: who cannot connect directly is relayed. This machine has no way to test STUN and TURN over UDP \
         (IPv6)."
    );
}

#[test]
fn a_check_that_failed_shows_beside_another_failure() {
    let mut tls = server(TLS, works());
    tls.families.push((true, fails(Fault::PortClosed)));
    let wrong = refuses(Fault::WrongCredentials { left: None });
    let told = report(vec![server(UDP, wrong), server(TCP, works()), tls]).verdict();
    assert_eq!(
        told,
        "TURN over UDP does not work, what else is relied on does. STUN and TURN over TLS (IPv6) does not work."
    );
}

#[test]
fn programs_get_the_same() {
    let report = report(vec![server(UDP, works()), server(TLS, fails(Fault::PortClosed))]);
    insta::assert_snapshot!(report.json());
}

#[test]
fn sentences_are_wrapped_between_words() {
    assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
    assert_eq!(wrapped("unbreakable", 3), ["unbreakable"]);
}
