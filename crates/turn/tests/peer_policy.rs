//! Nobody reaches through the relay what must not be reached: every row of networks that a relay is abused for, whole, and
//! in every spelling.

mod world;

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use switchboard_turn::message::known;
use switchboard_turn::{PeerPolicy, canonical};
use world::{Login, World, udp};

/// Networks and hosts that relays of other servers were seen to reach, and what the registries add.
const REFUSED: &[&str] = &[
    // This host.
    "127.0.0.0/8",
    "0.0.0.0/8",
    "::1/128",
    "::/128",
    // This host in other spellings.
    "::ffff:127.0.0.1/128",
    "::127.0.0.1/128",
    "64:ff9b::7f00:1/128",
    "2002:7f00:1::/48",
    // Cloud metadata, and what is on this link.
    "169.254.169.254/32",
    "169.254.0.0/16",
    "fe80::/10",
    // The network that the server stands in.
    "::ffff:10.0.0.1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fc00::/7",
    "fec0::/10",
    // Carriers, translators, benchmarks, documentation.
    "100.64.0.0/10",
    "192.0.0.0/24",
    "198.18.0.0/15",
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "64:ff9b:1::/48",
    "2001:db8::/32",
    "3fff::/20",
    "100::/64",
    // Everybody and nobody.
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "ff00::/8",
];

fn policy() -> PeerPolicy {
    PeerPolicy::new(Vec::new(), Vec::new(), Vec::new(), false).expect("no permissions")
}

fn within(net: IpNet, noise: u128) -> IpAddr {
    match net {
        IpNet::V4(net) => IpAddr::V4((net.network().to_bits() | noise as u32 & net.hostmask().to_bits()).into()),
        IpNet::V6(net) => IpAddr::V6((net.network().to_bits() | noise & net.hostmask().to_bits()).into()),
    }
}

/// Every way to write an IPv4 address into an IPv6 one, alone and within each other.
fn aliases(v4: Ipv4Addr, noise: u128) -> Vec<IpAddr> {
    let low = u128::from(v4.to_bits());
    let isatap = |prefix: u128| prefix & !u128::from(u64::MAX) | 0x5efe << 32 | low;
    let forms = [
        low,
        0xffff << 32 | low,
        0xffff << 48 | low,
        0x0064_ff9b << 96 | low,
        0x0064_ff9b_0001 << 80 | low,
        // RFC 6052 §2.2: with a prefix of 48 bits, around the octet 64 to 71.
        0x0064_ff9b_0001 << 80 | (low >> 16) << 64 | (low & 0xffff) << 40,
        0x2002 << 112 | low << 80 | noise >> 48,
        0x2001 << 112 | low << 64 | noise >> 64,
        0x2001 << 112 | (noise >> 96) << 64 | u128::from(!v4.to_bits()),
        isatap(noise),
        isatap(0x2600 << 112 | noise >> 16),
        isatap(0x2002 << 112 | noise >> 16),
        isatap(0x2002 << 112 | low << 80),
        isatap(0x0200 << 48 | 0x2600 << 112) | 0x0200 << 48,
    ];
    forms.map(|bits| IpAddr::V6(bits.into())).to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn every_row_is_refused_in_every_spelling(row in select(REFUSED), noise in any::<u128>()) {
        let (policy, ip) = (policy(), within(row.parse().expect("a prefix"), noise));
        prop_assert!(!policy.permits(ip), "{} of {}", ip, row);
        if let IpAddr::V4(v4) = ip {
            for alias in aliases(v4, noise) {
                prop_assert!(!policy.permits(alias), "{} for {} of {}", alias, ip, row);
            }
        }
    }

    #[test]
    fn a_spelling_changes_no_decision(bits in any::<u128>(), v4 in any::<u32>(), own in any::<u32>()) {
        let own = vec![IpAddr::V4(own.into())];
        let policy = PeerPolicy::new(Vec::new(), Vec::new(), own.clone(), false).expect("no permissions");
        for ip in aliases(v4.into(), bits).into_iter().chain([IpAddr::V4(v4.into()), IpAddr::V6(bits.into())]) {
            prop_assert_eq!(policy.permits(ip), policy.permits(canonical(ip)), "{}", ip);
        }
        for own in own {
            let IpAddr::V4(v4) = own else { continue };
            for alias in aliases(v4, bits) {
                prop_assert!(!policy.permits(alias), "{} is an own address", alias);
            }
        }
    }
}

#[test]
fn every_row_is_refused_at_both_ends() {
    let policy = policy();
    for row in REFUSED {
        let net: IpNet = row.parse().expect("a prefix");
        assert!(!policy.permits(net.network()) && !policy.permits(net.broadcast()), "{row}");
    }
}

/// A server, and a client with a relay in each family, so that no peer is refused for its family.
fn relayed_in_both_families() -> (World, Login) {
    let mut world = World::new();
    let login = world.log_in(udp("192.0.2.9:5000"));
    let both = |writer: &mut switchboard_turn::message::Writer<'_>| {
        writer.attribute(known::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
    };
    assert_eq!(login.allocate(&mut world, both).code(), 0);
    (world, login)
}

#[test]
fn a_client_is_told_403_for_every_row_and_sends_nothing_there() {
    let (mut world, login) = relayed_in_both_families();
    for row in REFUSED {
        let net: IpNet = row.parse().expect("a prefix");
        for ip in [net.network(), net.broadcast()] {
            let peer = SocketAddr::new(ip, 5000).to_string();
            assert_eq!(login.permit(&mut world, &[&peer]).code(), 403, "CreatePermission for {peer}");
            assert_eq!(login.bind(&mut world, 0x4000, &peer).code(), 403, "ChannelBind to {peer}");
            assert_eq!(login.send(&mut world, &peer, b"data"), world::Event::Nothing, "Send to {peer}");
        }
    }
    assert_eq!(login.permit(&mut world, &["93.184.216.34:5000", "10.0.0.1:5000"]).code(), 403, "one of two");
}

/// The same property through a whole server: what a client asks for, and not only what the policy would say.
#[test]
fn a_client_is_told_403_for_any_address_of_every_row_in_every_spelling() {
    let (world, login) = relayed_in_both_families();
    let mut world = RefCell::new(world);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(40));
    for row in REFUSED {
        let net: IpNet = row.parse().expect("a prefix");
        let refused = runner.run(&(any::<u128>(), 1_u16..), |(noise, port)| {
            let mut all = vec![within(net, noise)];
            if let IpAddr::V4(v4) = all[0] {
                // Relays of this server may be named: they are reached without a socket.
                prop_assume!(v4.to_string() != world::RELAY_V4);
                all.extend(aliases(v4, noise));
            }
            for ip in all {
                let (world, peer) = (&mut *world.borrow_mut(), SocketAddr::new(ip, port).to_string());
                prop_assert_eq!(login.permit(world, &[&peer]).code(), 403, "CreatePermission for {} of {}", peer, row);
                prop_assert_eq!(login.bind(world, 0x4000, &peer).code(), 403, "ChannelBind to {} of {}", peer, row);
            }
            Ok(())
        });
        refused.unwrap_or_else(|fault| panic!("{fault}"));
    }
    // It is the address that was refused, and nothing else about the requests.
    assert_eq!(login.permit(world.get_mut(), &["93.184.216.34:5000"]).code(), 0);
}

#[test]
fn the_rest_of_the_world_is_permitted() {
    let policy = policy();
    for peer in ["1.0.0.1", "9.255.255.255", "11.0.0.0", "100.128.0.0", "172.32.0.0", "223.255.255.255", "2a00::1"] {
        assert!(policy.permits(peer.parse().expect("an address")), "{peer}");
    }
}
