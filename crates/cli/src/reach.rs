//! The links under which a server can be opened: on this machine, and on the networks that it is in.
//!
//! Nothing leaves the machine: the system's list of interfaces says it all. Who is behind a router learns its private
//! address here, never its public one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An address of an interface of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its name, such as `eth0`.
    pub(crate) name: String,
    /// The address.
    pub(crate) address: IpAddr,
}

/// The links to a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Links {
    /// What the operator says people use.
    pub(crate) public: Option<String>,
    /// For a browser on this machine.
    pub(crate) local: Vec<String>,
    /// For devices in the same network, best first.
    pub(crate) network: Vec<String>,
}

/// Asks the system for the addresses of its interfaces that are up; none if it will not say.
pub(crate) fn interfaces() -> Vec<Interface> {
    let up = |interface: &if_addrs::Interface| {
        matches!(interface.oper_status, if_addrs::IfOperStatus::Up | if_addrs::IfOperStatus::Unknown)
    };
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    found.into_iter().filter(up).map(|interface| Interface { address: interface.ip(), name: interface.name }).collect()
}

impl Links {
    /// Works out the links to a server that listens on `bound`.
    pub(crate) fn new(bound: &[SocketAddr], public: Option<&str>, interfaces: &[Interface]) -> Self {
        let mut links = Self { public: public.map(str::to_owned), ..Self::default() };
        for address in bound {
            let port = address.port();
            match address.ip().to_canonical() {
                any if any.is_unspecified() => {
                    links.local.push(format!("http://localhost:{port}"));
                    let ours = outward(interfaces, any.is_ipv4());
                    links.network.extend(ours.into_iter().map(|ip| link(ip, port)));
                }
                loopback if loopback.is_loopback() => links.local.push(link(loopback, port)),
                one => links.network.push(link(one, port)),
            }
        }
        links.local = unique(links.local);
        links.network = unique(links.network);
        links
    }

    /// The one that other devices should open.
    pub(crate) fn to_share(&self) -> Option<&str> {
        self.public.as_deref().or_else(|| self.network.first().map(String::as_str))
    }

    /// Every link once, the widest last.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.local.iter().chain(&self.network).chain(&self.public).map(String::as_str)
    }
}

/// The addresses under which other devices reach this machine: private IPv4 first, then public IPv4, then global IPv6;
/// real interfaces before those of containers and virtual machines.
fn outward(interfaces: &[Interface], ipv4_only: bool) -> Vec<IpAddr> {
    let mut ranked: Vec<((bool, u8), IpAddr)> = interfaces
        .iter()
        .filter(|interface| !(ipv4_only && interface.address.is_ipv6()))
        .filter_map(|interface| Some(((is_virtual(&interface.name), rank(interface.address)?), interface.address)))
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, address)| address).collect()
}

/// Ranks an address, or drops one that no link can hold or no other device can open.
fn rank(address: IpAddr) -> Option<u8> {
    match address {
        IpAddr::V4(v4) if v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() => None,
        IpAddr::V4(v4) => Some(if is_private(v4) { 0 } else { 1 }),
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() => None,
        IpAddr::V6(v6) => Some(if is_unique_local(v6) { 3 } else { 2 }),
    }
}

/// RFC 1918.
fn is_private(address: Ipv4Addr) -> bool {
    address.is_private()
}

/// RFC 4193.
fn is_unique_local(address: Ipv6Addr) -> bool {
    address.is_unique_local()
}

/// Whether an interface belongs to containers or virtual machines, by the names that their makers give.
fn is_virtual(name: &str) -> bool {
    const PREFIXES: [&str; 9] = ["docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "cni", "flannel", "podman"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn link(address: IpAddr, port: u16) -> String {
    format!("http://{}", SocketAddr::new(address, port))
}

fn unique(mut links: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    links.retain(|link| seen.insert(link.clone()));
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(bound: &[&str], interfaces: &[(&str, &str)]) -> Links {
        let bound: Vec<SocketAddr> = bound.iter().map(|text| text.parse().expect("address")).collect();
        let interfaces: Vec<Interface> = interfaces
            .iter()
            .map(|(name, ip)| Interface { name: (*name).to_owned(), address: ip.parse().expect("address") })
            .collect();
        Links::new(&bound, None, &interfaces)
    }

    const HOME: [(&str, &str); 7] = [
        ("lo", "127.0.0.1"),
        ("docker0", "172.17.0.1"),
        ("wlan0", "2001:db8::7"),
        ("wlan0", "fe80::7"),
        ("wlan0", "192.168.1.20"),
        ("eth1", "169.254.3.4"),
        ("eth2", "203.0.113.9"),
    ];

    #[test]
    fn an_open_server_is_reached_by_every_address_that_others_can_open() {
        let links = links(&["[::]:3000"], &HOME);
        assert_eq!(links.local, ["http://localhost:3000"]);
        assert_eq!(
            links.network,
            [
                "http://192.168.1.20:3000",
                "http://203.0.113.9:3000",
                "http://[2001:db8::7]:3000",
                "http://172.17.0.1:3000"
            ]
        );
    }

    #[test]
    fn an_ipv4_server_has_no_ipv6_link() {
        let links = links(&["0.0.0.0:3000"], &HOME);
        assert!(links.network.iter().all(|link| !link.contains("2001")));
    }

    #[test]
    fn a_loopback_server_is_reached_from_here_alone() {
        let links = links(&["127.0.0.1:41234", "[::1]:5"], &HOME);
        assert_eq!(links.all().collect::<Vec<_>>(), ["http://127.0.0.1:41234", "http://[::1]:5"]);
        assert_eq!(links.to_share(), None);
    }

    #[test]
    fn the_public_link_is_the_one_to_share() {
        let bound: SocketAddr = "[::]:3000".parse().expect("address");
        let links = Links::new(&[bound], Some("https://example.org"), &[]);
        assert_eq!(links.to_share(), Some("https://example.org"));
    }

    #[test]
    fn the_same_link_is_told_once() {
        assert_eq!(links(&["0.0.0.0:3000", "[::]:3000"], &HOME).local.len(), 1);
    }
}
