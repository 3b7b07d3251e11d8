//! What an address means: IPv6 has a dozen ways to write an IPv4 address, and a relay that compares before it unwraps
//! relays to places it was told not to (CVE-2020-26262, CVE-2026-27624).
//!
//! Deliberately no judgement of what is allowed: that is [`PeerPolicy`](crate::PeerPolicy).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the address that `ip` is only another spelling of, or `ip` itself.
///
/// Spellings of an IPv4 address are: IPv4-mapped `::ffff:0:0/96` and IPv4-compatible `::/96` (RFC 4291 §2.5.5),
/// IPv4-translated `::ffff:0:0:0/96` (RFC 7915), NAT64 `64:ff9b::/96` (RFC 6052) and 6to4 `2002::/16` (RFC 3056).
///
/// An address that reaches several hosts on its way is none of them, and stays as it is; see [`readings`]. In
/// `64:ff9b:1::/48` (RFC 8215) the place of the IPv4 address depends on how long the translator's prefix is, which nobody
/// but its operator knows: that stays too, and no policy permits it.
pub fn canonical(ip: IpAddr) -> IpAddr {
    let mut readings = readings(ip);
    match (readings.next(), readings.next()) {
        (Some(only), None) => only,
        (None, None) | (_, Some(_)) => ip,
    }
}

/// Returns every address that a packet to `ip` may end at, or pass through as the destination of an outer packet; at
/// least one, at most two. Who judges `ip` judges all of them.
///
/// Two come from Teredo (RFC 4380 §4: server and client), and from an ISATAP interface identifier (RFC 5214 §6.1): the
/// prefix may be a site's own while the IPv4 address behind it is anybody's, and the other way round.
pub fn readings(ip: IpAddr) -> impl Iterator<Item = IpAddr> {
    let (first, second) = match ip {
        IpAddr::V4(_) => (ip, None),
        IpAddr::V6(v6) => readings_v6(v6),
    };
    std::iter::once(first).chain(second)
}

/// Returns the first `v4` or `v6` bits of the canonical form of `ip`, the rest zero: what limits count by. Who has a 6to4
/// prefix has one IPv4 address, and counts as that. Neither length is zero.
pub(crate) fn prefix(ip: IpAddr, v4: u32, v6: u32) -> IpAddr {
    match canonical(ip) {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - v4).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - v6).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

fn readings_v6(ip: Ipv6Addr) -> (IpAddr, Option<IpAddr>) {
    let octets = ip.octets();
    let v4 = |at: usize| IpAddr::V4(Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]));
    match ip.segments() {
        // The unspecified address and loopback look IPv4-compatible and are not.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => (IpAddr::V6(ip), None),
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
            (v4(12), None)
        }
        [0x2002, ..] => (v4(2), isatap(ip)),
        [0x2001, 0, ..] => {
            let hidden = u32::from_be_bytes([octets[12], octets[13], octets[14], octets[15]]);
            (v4(4), Some(IpAddr::V4(Ipv4Addr::from_bits(!hidden))))
        }
        [..] => (IpAddr::V6(ip), isatap(ip)),
    }
}

/// The IPv4 address in an ISATAP interface identifier, `[02]00:5efe:a.b.c.d`, with either value of the bits for
/// universal and group.
fn isatap(ip: Ipv6Addr) -> Option<IpAddr> {
    let [_, _, _, _, kind, 0x5efe, high, low] = ip.segments() else { return None };
    let bits = u32::from(high) << 16 | u32::from(low);
    (kind & !0x0300 == 0).then_some(IpAddr::V4(Ipv4Addr::from_bits(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn read(text: &str) -> Vec<IpAddr> {
        readings(ip(text)).collect()
    }

    #[test]
    fn unwraps_every_spelling_of_an_ipv4_address() {
        for spelling in [
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "::10.1.2.3",
            "::ffff:0:10.1.2.3",
            "64:ff9b::10.1.2.3",
            "2002:a01:203::",
            "2002:a01:203:4:5:6:7:8",
        ] {
            assert_eq!(canonical(ip(spelling)), ip("10.1.2.3"), "{spelling}");
        }
    }

    #[test]
    fn leaves_what_is_no_spelling_of_another_address() {
        for own in ["::", "::1", "2600::1", "fe80::1", "64:ff9b:1::10.1.2.3", "::fffe:10.1.2.3", "ff02::1"] {
            assert_eq!(canonical(ip(own)), ip(own), "{own}");
        }
    }

    #[test]
    fn reads_both_addresses_of_teredo() {
        // RFC 4380 §4: the client's address has all its bits inverted.
        assert_eq!(read("2001:0:4136:e378:8000:63bf:3fff:fdd2"), [ip("65.54.227.120"), ip("192.0.2.45")]);
    }

    #[test]
    fn reads_prefix_and_address_of_isatap() {
        for kind in ["", "200:", "100:", "300:"] {
            let text = format!("2600:1:2:3:{}5efe:10.1.2.3", if kind.is_empty() { "0:" } else { kind });
            assert_eq!(read(&text), [ip(&text), ip("10.1.2.3")]);
        }
        assert_eq!(read("fd00::5efe:8.8.8.8"), [ip("fd00::5efe:8.8.8.8"), ip("8.8.8.8")]);
        assert_eq!(read("2600::400:5efe:10.1.2.3"), [ip("2600::400:5efe:10.1.2.3")]);
    }

    #[test]
    fn reads_isatap_inside_6to4() {
        assert_eq!(read("2002:808:808::5efe:10.1.2.3"), [ip("8.8.8.8"), ip("10.1.2.3")]);
    }

    #[test]
    fn counts_by_the_prefix_of_the_canonical_form() {
        let same = |a: &str, b: &str| prefix(ip(a), 32, 64) == prefix(ip(b), 32, 64);
        assert!(same("2600:0:0:1::1", "2600:0:0:1:ffff::"));
        assert!(!same("2600:0:0:1::1", "2600:0:0:2::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(same("2002:c000:201:1::", "2002:c000:201:2::"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert_eq!(prefix(ip("192.0.2.1"), 24, 56), ip("192.0.2.0"));
        assert_eq!(prefix(ip("2600:0:0:1ff::1"), 24, 56), ip("2600:0:0:100::"));
    }
}
