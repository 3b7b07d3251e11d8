//! The addresses of this machine: which of them relays get, and which are nobody's peers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use switchboard_turn::RelayAddress;

/// The addresses of the interface of this name that can be used for relays, as the system lists them.
///
/// # Errors
/// The system lists no interfaces.
pub fn interface_addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    let interfaces = if_addrs::get_if_addrs()?;
    let named = interfaces.iter().filter(|interface| interface.name == name).map(if_addrs::Interface::ip);
    Ok(named.filter(|address| rank(*address).is_some()).collect())
}

/// All addresses of this machine's interfaces.
///
/// # Errors
/// The system lists no interfaces. That is not the same as that there are none: who goes on relays to this machine itself.
pub(super) fn own_addresses() -> io::Result<Vec<IpAddr>> {
    Ok(if_addrs::get_if_addrs()?.iter().map(if_addrs::Interface::ip).collect())
}

/// The addresses that relays get where none is configured: the best of each family, and loopback only if there is no other.
pub(super) fn relay_addresses(own: &[IpAddr]) -> Vec<RelayAddress> {
    let best = |is_wanted: fn(&IpAddr) -> bool| {
        let candidates = own.iter().copied().filter(is_wanted).filter_map(|address| Some((rank(address)?, address)));
        candidates.min_by_key(|(rank, _)| *rank)
    };
    let found: Vec<(Rank, IpAddr)> = [best(IpAddr::is_ipv4), best(IpAddr::is_ipv6)].into_iter().flatten().collect();
    let reaches_others = found.iter().any(|(rank, _)| *rank < Rank::Loopback);
    let chosen: Vec<RelayAddress> = found
        .into_iter()
        .filter(|(rank, _)| !reaches_others || *rank < Rank::Loopback)
        .map(|(_, address)| RelayAddress { bind: address, external: address })
        .collect();
    if chosen.is_empty() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        return vec![RelayAddress { bind: loopback, external: loopback }];
    }
    chosen
}

/// How far an address is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Global,
    Private,
    Loopback,
}

/// None for what cannot be used without naming a link.
fn rank(address: IpAddr) -> Option<Rank> {
    match address {
        IpAddr::V4(address) if address.is_loopback() => Some(Rank::Loopback),
        IpAddr::V6(address) if address.is_loopback() => Some(Rank::Loopback),
        IpAddr::V4(address) if address.is_link_local() || address.is_unspecified() => None,
        IpAddr::V6(address) if address.is_unicast_link_local() || address.is_unspecified() => None,
        IpAddr::V4(address) if is_private(address) => Some(Rank::Private),
        IpAddr::V6(address) if address.is_unique_local() => Some(Rank::Private),
        IpAddr::V6(address) => is_global(address).then_some(Rank::Global).or(Some(Rank::Private)),
        IpAddr::V4(_) => Some(Rank::Global),
    }
}

/// Private (RFC 1918), shared (RFC 6598), or for documentation and tests.
fn is_private(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let is_test = a == 198 && matches!(b, 18 | 19);
    address.is_private() || (a == 100 && (64..128).contains(&b)) || address.is_documentation() || is_test
}

/// In 2000::/3, where global addresses are given out.
fn is_global(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xe000 == 0x2000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(own: &[&str]) -> Vec<String> {
        let own: Vec<IpAddr> = own.iter().map(|address| address.parse().expect("address")).collect();
        relay_addresses(&own).iter().map(|address| address.bind.to_string()).collect()
    }

    #[test]
    fn the_first_global_address_of_each_family_comes_first() {
        let own = ["127.0.0.1", "::1", "10.0.0.1", "203.0.114.7", "8.8.8.8", "fe80::1", "fd00::2", "2a01::7"];
        assert_eq!(chosen(&own), ["203.0.114.7", "2a01::7"]);
    }

    #[test]
    fn private_addresses_serve_where_there_is_no_global_one() {
        assert_eq!(chosen(&["127.0.0.1", "::1", "192.168.1.4", "fe80::1"]), ["192.168.1.4"]);
        assert_eq!(chosen(&["127.0.0.1", "100.64.0.3", "fd00::2"]), ["100.64.0.3", "fd00::2"]);
    }

    #[test]
    fn loopback_serves_where_there_is_nothing_else() {
        assert_eq!(chosen(&["127.0.0.1", "::1"]), ["127.0.0.1", "::1"]);
        assert_eq!(chosen(&[]), ["127.0.0.1"]);
    }

    #[test]
    fn an_interface_that_does_not_exist_has_no_addresses() {
        assert_eq!(interface_addresses("no-such-interface").expect("interfaces"), Vec::<IpAddr>::new());
    }
}
