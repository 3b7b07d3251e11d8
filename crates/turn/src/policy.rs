//! Whom a relay may talk to. A TURN server is a way into the network that it stands in, unless it refuses.
//!
//! What is special is what IANA's registries say (IPv4 and IPv6 Special-Purpose Address Registry, RFC 6890): each entry is
//! refused, globally reachable or not, since none is where somebody's browser is.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{PoisonError, RwLock};

use ipnet::{IpNet, Ipv4Net};

use crate::address::{canonical, readings};

/// Addresses and ports of peers that clients may have packets relayed to. Who is refused is answered 403 (RFC 8656 §9.2).
///
/// The most specific prefix decides. Where two are equally long, the operator's denial goes before the operator's
/// permission, and that before what is built in. So `allow = ["10.0.0.0/8"]` opens that network, without the server's own
/// address in it; `allow = ["0.0.0.0/0"]` opens nothing that is refused by default.
///
/// An address is judged by all that it means ([`readings`]), so no spelling of an address is permitted where the plain
/// address is not. Allowing `fc00::/7` does not open what `fd00::5efe:10.0.0.1` holds.
///
/// The server's own addresses change while it runs, so they can be replaced. Each judgement takes a lock for reading; that is
/// when peers are admitted and for each Send indication, while data on channels asks nothing.
#[derive(Debug)]
pub struct PeerPolicy {
    /// Those that last: the operator's, and what is special to everybody.
    lasting: Vec<Rule>,
    /// All of them, most specific first; at one length, in the order in which they win.
    rules: RwLock<Vec<Rule>>,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    prefix: IpNet,
    rank: Rank,
}

/// Who made a rule, and what it says; the smaller one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    DeniedByOperator,
    AllowedByOperator,
    BuiltInDenial,
    BuiltInPermission,
}

/// A permission that cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("peers in {prefix} cannot be allowed: {why}")]
pub struct NeverAllowed {
    prefix: IpNet,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    NoSinglePeer,
    Spelling,
    Translator,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSinglePeer => "a relay sends to single hosts, not to groups or to nobody",
            Self::Spelling => "these are other spellings of IPv4 addresses; allow those instead",
            Self::Translator => "which IPv4 addresses stand behind them depends on the translator",
        })
    }
}

/// IPv4 registry, and what belongs to no single host.
const SPECIAL_V4: &[&str] = &[
    "0.0.0.0/8",       // this network; includes the unspecified address
    "10.0.0.0/8",      // private use
    "100.64.0.0/10",   // carriers' NAT
    "127.0.0.0/8",     // loopback
    "169.254.0.0/16",  // link local; cloud metadata
    "172.16.0.0/12",   // private use
    "192.0.0.0/24",    // protocol assignments; the anycast addresses of PCP and TURN would reach our own router
    "192.0.2.0/24",    // documentation
    "192.31.196.0/24", // AS112
    "192.52.193.0/24", // AMT
    "192.88.99.0/24",  // 6to4 relays, deprecated
    "192.168.0.0/16",  // private use
    "192.175.48.0/24", // AS112
    "198.18.0.0/15",   // benchmarks
    "198.51.100.0/24", // documentation
    "203.0.113.0/24",  // documentation
    "224.0.0.0/4",     // multicast
    "240.0.0.0/4",     // reserved
    "255.255.255.255/32",
];

/// IPv6 registry, within the one block of global unicast addresses, `2000::/3`, and all that is outside of it: loopback,
/// unique local, link local, multicast, and what has no use yet.
const SPECIAL_V6: &[&str] = &[
    "::/3",
    "4000::/2",
    "8000::/1",
    "2001::/23",         // protocol assignments; Teredo is read before it is judged
    "2001:db8::/32",     // documentation
    "2620:4f:8000::/48", // AS112
    "3fff::/20",         // documentation
];

/// The rest of the world.
const GLOBAL: &[&str] = &["0.0.0.0/0", "::/0"];

const LOOPBACK: &[&str] = &["127.0.0.0/8", "::1/128"];

/// Prefixes within which no permission can be given.
const NEVER: &[(&str, Why)] = &[
    ("0.0.0.0/8", Why::NoSinglePeer),
    ("224.0.0.0/4", Why::NoSinglePeer),
    ("255.255.255.255/32", Why::NoSinglePeer),
    ("::/128", Why::NoSinglePeer),
    ("ff00::/8", Why::NoSinglePeer),
    ("::ffff:0:0/96", Why::Spelling),
    ("::ffff:0:0:0/96", Why::Spelling),
    ("64:ff9b::/96", Why::Spelling),
    ("2002::/16", Why::Spelling),
    ("2001::/32", Why::Spelling),
    ("64:ff9b:1::/48", Why::Translator),
];

/// Ports of services that answer small questions from anybody with long answers: chargen, DNS, NTP, SNMP, LDAP. No ICE
/// agent and no NAT uses them, since all lie below 1024. SSDP (1900) and memcached (11211) are not here: a NAT may well
/// give these to a peer, and a relayed question is not forged, so its answer comes back to whoever asked. Port 0 is
/// nobody's.
const REFUSED_PORTS: &[u16] = &[0, 19, 53, 123, 161, 389];

impl PeerPolicy {
    /// Makes the policy from the operator's lists and the server's `own` addresses: those of its interfaces, and those
    /// that a 1:1 NAT gives it. Loopback is refused unless `allow_loopback`, which is for development.
    ///
    /// # Errors
    ///
    /// If a permission lies within what can never be permitted: multicast, nobody, or a spelling of something else.
    pub fn new(
        allow: Vec<IpNet>,
        deny: Vec<IpNet>,
        own: Vec<IpAddr>,
        allow_loopback: bool,
    ) -> Result<Self, NeverAllowed> {
        for prefix in &allow {
            let within = |(never, _): &&(&str, Why)| parse(never).is_some_and(|never| never.contains(prefix));
            if let Some((_, why)) = NEVER.iter().find(within) {
                return Err(NeverAllowed { prefix: *prefix, why: *why });
            }
        }
        let loopback = if allow_loopback { parsed(LOOPBACK).collect() } else { Vec::new() };
        let mut lasting = Vec::new();
        let mut add = |prefixes: &mut dyn Iterator<Item = IpNet>, rank| {
            lasting.extend(prefixes.map(|prefix| Rule { prefix: plain(prefix), rank }));
        };
        add(&mut deny.into_iter(), Rank::DeniedByOperator);
        add(&mut allow.into_iter().chain(loopback), Rank::AllowedByOperator);
        add(&mut parsed(SPECIAL_V4).chain(parsed(SPECIAL_V6)), Rank::BuiltInDenial);
        add(&mut parsed(GLOBAL), Rank::BuiltInPermission);
        let rules = RwLock::new(ordered(&lasting, own));
        Ok(Self { lasting, rules })
    }

    /// Puts other addresses in place of the server's `own` ones, from the next judgement on.
    pub fn set_own(&self, own: Vec<IpAddr>) {
        let rules = ordered(&self.lasting, own);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Whether packets may be relayed to `ip`: what CreatePermission asks (RFC 8656 §9.2).
    pub fn permits(&self, ip: IpAddr) -> bool {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        // Who denies `2002::/16` means these addresses, whatever they stand for.
        decision(&rules, ip) != Some(Rank::DeniedByOperator) && readings(ip).all(|reading| judge(&rules, reading))
    }

    /// Whether packets may be relayed to a peer: what ChannelBind and Send ask, which know a port.
    pub fn permits_peer(&self, peer: SocketAddr) -> bool {
        !REFUSED_PORTS.contains(&peer.port()) && self.permits(peer.ip())
    }
}

/// The lasting rules with a denial of each own address among them, most specific first.
fn ordered(lasting: &[Rule], own: Vec<IpAddr>) -> Vec<Rule> {
    // Loopback is built in, and must not come back as an own address.
    let own = own.into_iter().map(canonical).filter(|ip| !ip.is_loopback()).map(IpNet::from);
    let own = own.map(|prefix| Rule { prefix, rank: Rank::BuiltInDenial });
    let mut rules: Vec<Rule> = lasting.iter().copied().chain(own).collect();
    rules.sort_by_key(|rule| (u8::MAX - rule.prefix.prefix_len(), rule.rank));
    rules
}

fn decision(rules: &[Rule], ip: IpAddr) -> Option<Rank> {
    rules.iter().find(|rule| rule.prefix.contains(&ip)).map(|rule| rule.rank)
}

fn judge(rules: &[Rule], ip: IpAddr) -> bool {
    match decision(rules, ip) {
        Some(Rank::AllowedByOperator | Rank::BuiltInPermission) => true,
        Some(Rank::DeniedByOperator | Rank::BuiltInDenial) | None => false,
    }
}

/// The prefix as plain IPv4 if it is written as a part of `::ffff:0:0/96`.
fn plain(prefix: IpNet) -> IpNet {
    match prefix.trunc() {
        IpNet::V6(v6) if v6.prefix_len() > 96 => v6
            .addr()
            .to_ipv4_mapped()
            .and_then(|v4| Ipv4Net::new(v4, v6.prefix_len() - 96).ok())
            .map_or(IpNet::V6(v6), IpNet::V4),
        trunc => trunc,
    }
}

fn parsed(prefixes: &'static [&'static str]) -> impl Iterator<Item = IpNet> {
    prefixes.iter().filter_map(|prefix| parse(prefix))
}

/// Every constant parses; a test says so.
fn parse(prefix: &str) -> Option<IpNet> {
    prefix.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(allow: &[&str], deny: &[&str], own: &[&str]) -> PeerPolicy {
        let nets = |list: &[&str]| list.iter().map(|net| net.parse().expect("a prefix")).collect();
        let own = own.iter().map(|ip| ip.parse().expect("an address")).collect();
        PeerPolicy::new(nets(allow), nets(deny), own, false).expect("possible permissions")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn every_constant_is_a_prefix() {
        let never: Vec<&str> = NEVER.iter().map(|(prefix, _)| *prefix).collect();
        for prefix in [SPECIAL_V4, SPECIAL_V6, GLOBAL, LOOPBACK, &never].concat() {
            let parsed = parse(prefix).expect(prefix);
            assert_eq!(parsed, parsed.trunc(), "{prefix} has bits behind its prefix");
        }
    }

    #[test]
    fn permits_the_rest_of_the_world() {
        let policy = policy(&[], &[], &[]);
        for peer in ["8.8.8.8", "100.63.255.255", "172.32.0.1", "2600::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"] {
            assert!(policy.permits(ip(peer)), "{peer}");
        }
        assert!(policy.permits(ip("2002:808:808::1")) && policy.permits(ip("2600::5efe:8.8.8.8")));
    }

    #[test]
    fn refuses_own_addresses_in_every_spelling() {
        let policy = policy(&[], &[], &["198.41.0.4", "2600::7", "::ffff:198.41.0.5"]);
        for own in ["198.41.0.4", "::ffff:198.41.0.4", "2002:c629:4::1", "2600::7", "198.41.0.5"] {
            assert!(!policy.permits(ip(own)), "{own}");
        }
        assert!(policy.permits(ip("198.41.0.6")) && policy.permits(ip("2600::8")));
    }

    #[test]
    fn other_own_addresses_take_the_place_of_the_last_ones_and_of_nothing_else() {
        let policy = policy(&["198.41.0.0/24", "10.1.0.0/16"], &["9.9.9.9/32"], &["198.41.0.4"]);
        policy.set_own(vec![ip("10.1.0.7"), ip("2600::7")]);
        for own in ["10.1.0.7", "::ffff:10.1.0.7", "2600::7", "9.9.9.9", "10.2.0.1", "127.0.0.1"] {
            assert!(!policy.permits(ip(own)), "{own}");
        }
        for other in ["198.41.0.4", "10.1.0.8", "2600::8", "8.8.8.8"] {
            assert!(policy.permits(ip(other)), "{other}");
        }
    }

    #[test]
    fn an_allowed_prefix_is_opened_and_nothing_beside_it() {
        let policy = policy(&["10.1.0.0/16", "fd12::/16"], &[], &["10.1.0.1"]);
        for peer in ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1"] {
            assert!(policy.permits(ip(peer)), "{peer}");
        }
        for peer in ["10.0.255.255", "10.2.0.0", "fd13::1", "10.1.0.1", "fd12::5efe:10.2.0.1", "fd13::5efe:10.1.2.3"] {
            assert!(!policy.permits(ip(peer)), "{peer}");
        }
    }

    #[test]
    fn the_most_specific_prefix_decides() {
        let policy =
            policy(&["10.0.0.0/8", "198.41.0.4/32", "0.0.0.0/0"], &["10.1.0.0/16", "8.0.0.0/7"], &["198.41.0.4"]);
        assert!(policy.permits(ip("10.2.0.1")));
        assert!(!policy.permits(ip("10.1.0.1")));
        assert!(policy.permits(ip("198.41.0.4")), "named by itself");
        assert!(!policy.permits(ip("192.168.0.1")), "0.0.0.0/0 is less specific than what is refused by default");
        assert!(!policy.permits(ip("9.9.9.9")));
    }

    #[test]
    fn a_denial_goes_before_an_equal_permission() {
        assert!(!policy(&["8.8.8.0/24"], &["8.8.8.0/24"], &[]).permits(ip("8.8.8.8")));
    }

    #[test]
    fn a_denial_of_a_spelling_is_kept() {
        let policy = policy(&[], &["::ffff:8.8.8.0/120", "2002::/16", "2001::/32"], &[]);
        assert!(!policy.permits(ip("8.8.8.8")) && policy.permits(ip("8.8.9.8")));
        assert!(!policy.permits(ip("2002:909:909::1")) && policy.permits(ip("9.9.9.9")));
        assert!(!policy.permits(ip("2001:0:909:909:0:0:f6f6:f6f6")));
    }

    #[test]
    fn all_of_a_family_can_be_denied() {
        let policy = policy(&["2600::/16"], &["::/0"], &[]);
        assert!(!policy.permits(ip("2a00::1")) && !policy.permits(ip("2002:808:808::1")));
        assert!(policy.permits(ip("2600::1")) && policy.permits(ip("8.8.8.8")));
    }

    #[test]
    fn the_development_switch_opens_loopback_alone() {
        let own = vec![ip("127.0.0.1"), ip("::1"), ip("192.168.0.7")];
        let policy = PeerPolicy::new(Vec::new(), Vec::new(), own, true).expect("a policy");
        for peer in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert!(policy.permits(ip(peer)), "{peer}");
        }
        for peer in ["0.0.0.0", "::", "192.168.0.7", "10.0.0.1"] {
            assert!(!policy.permits(ip(peer)), "{peer}");
        }
    }

    #[test]
    fn refuses_a_permission_without_effect_in_one_sentence() {
        let refused = |net: &str| {
            PeerPolicy::new(vec![net.parse().expect("a prefix")], Vec::new(), Vec::new(), false)
                .expect_err("a permission that cannot be given")
                .to_string()
        };
        assert_eq!(
            refused("239.1.0.0/16"),
            "peers in 239.1.0.0/16 cannot be allowed: a relay sends to single hosts, not to groups or to nobody"
        );
        for net in ["0.0.0.0/32", "255.255.255.255/32", "::/128", "ff02::/16", "2002:a00::/24", "::ffff:10.0.0.0/104"] {
            assert!(refused(net).starts_with("peers in "), "{net}");
        }
        assert!(refused("64:ff9b:1::/96").ends_with("depends on the translator"));
    }

    #[test]
    fn refuses_ports_that_amplify() {
        let policy = policy(&[], &[], &[]);
        for port in [0, 19, 53, 123, 161, 389] {
            assert!(!policy.permits_peer(SocketAddr::new(ip("8.8.8.8"), port)), "{port}");
        }
        for port in [80, 443, 1900, 3478, 11211, 50_000] {
            assert!(policy.permits_peer(SocketAddr::new(ip("8.8.8.8"), port)), "{port}");
        }
        assert!(!policy.permits_peer(SocketAddr::new(ip("10.0.0.1"), 50_000)));
    }

    /// Every way to write an IPv4 address that leads nowhere else, with noise where a form has room for it.
    fn spellings(v4: u32, noise: u128) -> Vec<IpAddr> {
        let (low, v6) = (u128::from(v4), |bits: u128| IpAddr::V6(bits.into()));
        let mut all = vec![v6(0xffff << 32 | low), v6(0xffff << 48 | low), v6(0x64_ff9b << 96 | low)];
        // The compatible form of these two is the unspecified address, and loopback.
        if v4 > 1 {
            all.push(v6(low));
        }
        // Without 5efe at its place, or it would be ISATAP inside 6to4.
        all.push(v6(0x2002 << 112 | low << 80 | noise & 0xffff_ffff << 32));
        all
    }

    /// Ways in which an IPv4 address is one of several that a packet meets.
    fn wrappings(v4: u32, noise: u128) -> Vec<IpAddr> {
        let (low, v6) = (u128::from(v4), |bits: u128| IpAddr::V6(bits.into()));
        let isatap = |prefix: u128| v6(prefix & !0 << 64 | 0x5efe << 32 | low);
        vec![
            isatap(noise),
            isatap(0x2600 << 112 | noise >> 16),
            isatap(0x2002 << 112 | noise >> 16),
            isatap(noise | 0x0200 << 48),
            v6(0x2001 << 112 | low << 64 | noise & u128::from(u64::MAX)),
            v6(0x2001 << 112 | (noise & u128::from(u32::MAX)) << 64 | u128::from(!v4)),
        ]
    }

    fn mostly_special() -> impl Strategy<Value = u32> {
        let nets: Vec<IpNet> = parsed(SPECIAL_V4).collect();
        let within = (proptest::sample::select(nets), any::<u32>()).prop_map(|(net, noise)| match net {
            IpNet::V4(net) => net.addr().to_bits() | noise & net.hostmask().to_bits(),
            IpNet::V6(_) => noise,
        });
        prop_oneof![within, any::<u32>()]
    }

    fn policies() -> impl Strategy<Value = PeerPolicy> {
        let net = |(bits, length): (u32, u8)| {
            IpNet::V4(Ipv4Net::new(bits.into(), length).expect("a length up to 32").trunc())
        };
        let nets = || proptest::collection::vec((mostly_special(), 8u8..=32).prop_map(net), 0..4);
        let own = proptest::collection::vec(any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())), 0..4);
        (nets(), nets(), own, any::<bool>())
            .prop_filter_map("a possible policy", |(a, d, own, lo)| PeerPolicy::new(a, d, own, lo).ok())
    }

    proptest! {
        #[test]
        fn an_address_is_judged_as_its_canonical_form(policy in policies(), bits in any::<u128>(), v4 in mostly_special()) {
            let mut all = vec![IpAddr::V6(bits.into()), IpAddr::V4(v4.into())];
            all.extend(spellings(v4, bits));
            all.extend(wrappings(v4, bits));
            for ip in all {
                prop_assert_eq!(policy.permits(ip), policy.permits(canonical(ip)), "{}", ip);
            }
        }

        #[test]
        fn a_spelling_is_judged_as_the_plain_address(policy in policies(), v4 in mostly_special(), noise in any::<u128>()) {
            for ip in spellings(v4, noise) {
                prop_assert_eq!(policy.permits(ip), policy.permits(IpAddr::V4(v4.into())), "{}", ip);
            }
        }

        #[test]
        fn nothing_refused_is_permitted_in_any_wrapping(policy in policies(), v4 in mostly_special(), noise in any::<u128>()) {
            prop_assume!(!policy.permits(IpAddr::V4(v4.into())));
            for ip in wrappings(v4, noise).into_iter().chain(spellings(v4, noise)) {
                prop_assert!(!policy.permits(ip), "{}", ip);
            }
        }

        #[test]
        fn local_translation_is_never_permitted(policy in policies(), noise in any::<u128>()) {
            let ip = IpAddr::V6((0x0064_ff9b_0001 << 80 | noise >> 48).into());
            prop_assert!(!policy.permits(ip), "{}", ip);
        }
    }
}
