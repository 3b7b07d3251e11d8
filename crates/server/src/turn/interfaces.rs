//! The addresses of this machine: which of them relays get, and which are nobody's peers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses of the interface of this name that can be used for relays, as the system lists them.
pub fn interface_addresses(name: &str) -> Vec<IpAddr> {
    let usable = |address: &IpAddr| rank(*address).is_some();
    interfaces()
        .into_iter()
        .filter(|(interface, _)| interface == name)
        .map(|(_, address)| address)
        .filter(usable)
        .collect()
}

fn interfaces() -> Vec<(String, IpAddr)> {
    let found = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot list the addresses of this machine; relaying over loopback alone");
        Vec::new()
    });
    found.into_iter().map(|interface| (interface.name.clone(), interface.ip())).collect()
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

    #[test]
    fn an_interface_that_does_not_exist_has_no_addresses() {
        assert!(interface_addresses("no-such-interface").is_empty());
    }
}
