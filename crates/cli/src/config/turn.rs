//! Settings of STUN and TURN that nothing else has: relay addresses, port ranges, realms, strengths.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use switchboard_server::config::{Integrity, RelayAddress};

use super::problem::closest;
use super::value::{Secrets, Setting, Wrong, quote};

/// An address that relays get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RelaySource {
    /// This one; behind a 1:1 NAT what peers see differs from what the machine has.
    Address(RelayAddress),
    /// Those of an interface.
    Interface(String),
}

/// Ports that relays get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortRange(pub(crate) RangeInclusive<u16>);

/// What every credential is for (RFC 8489 §9.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Realm(pub(crate) String);

/// The weakest integrity that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MinIntegrity(pub(crate) Integrity);

impl Setting for RelaySource {
    const PLACEHOLDER: &'static str = "ADDR";

    fn rule() -> String {
        "an address of this machine such as \"203.0.113.7\", a public and a private one such as \
         \"203.0.113.7/10.0.0.4\", or an interface such as \"eth0\""
            .to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let wrong = || Wrong::not(&Self::rule(), &quote(text));
        if let Some((external, bind)) = text.split_once('/') {
            let (Ok(external), Ok(bind)) = (external.parse::<IpAddr>(), bind.parse::<IpAddr>()) else {
                return Err(wrong().hint("the public address comes first, then a slash, then the machine's own"));
            };
            if external.is_ipv4() != bind.is_ipv4() {
                return Err(wrong().hint("both addresses must be IPv4, or both IPv6"));
            }
            return relay_address(bind, external).ok_or_else(wrong);
        }
        match text.parse::<IpAddr>() {
            Ok(address) => relay_address(address, address)
                .ok_or_else(|| wrong().hint("name the address that peers are to see, or leave the list empty")),
            Err(_) if is_interface(text) => Ok(Self::Interface(text.to_owned())),
            Err(_) => Err(wrong()),
        }
    }

    fn to_toml(&self, _: Secrets) -> String {
        match self {
            Self::Address(RelayAddress { bind, external }) if bind == external => quote(&bind.to_string()),
            Self::Address(RelayAddress { bind, external }) => quote(&format!("{external}/{bind}")),
            Self::Interface(name) => quote(name),
        }
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::prelude::*;
        prop_oneof![
            (1u32.., 1u32..).prop_map(|(bind, external)| {
                let [bind, external] = [bind, external].map(|bits| IpAddr::V4(bits.into()));
                Self::Address(RelayAddress { bind, external })
            }),
            (1u128..).prop_map(|bits| {
                let address = IpAddr::V6(bits.into());
                Self::Address(RelayAddress { bind: address, external: address })
            }),
            "[a-z]{2,5}[0-9]".prop_map(Self::Interface),
        ]
        .boxed()
    }
}

/// Nobody can send to an address that is none.
fn relay_address(bind: IpAddr, external: IpAddr) -> Option<RelaySource> {
    let fits = !bind.is_unspecified() && !external.is_unspecified();
    fits.then_some(RelaySource::Address(RelayAddress { bind, external }))
}

/// Whether Linux would take `text` for the name of an interface (`IFNAMSIZ`).
fn is_interface(text: &str) -> bool {
    (1..16).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@'))
        && text != "localhost"
}

impl PortRange {
    /// Below are the services of the machine.
    const LOWEST: u16 = 1024;

    /// The fewest ports: one that was given back rests for a minute before somebody else gets it.
    const FEWEST: u16 = 16;
}

impl Setting for PortRange {
    const PLACEHOLDER: &'static str = "PORTS";

    fn rule() -> String {
        format!("a range of at least {} ports from {} on, such as \"49152-65535\"", Self::FEWEST, Self::LOWEST)
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let ends = text.split_once('-').and_then(|(low, high)| {
            let port = |text: &str| text.trim().bytes().all(|b| b.is_ascii_digit()).then(|| text.trim().parse::<u16>());
            Some((port(low)?.ok()?, port(high)?.ok()?))
        });
        match ends {
            Some((low, high)) if low >= Self::LOWEST && high >= low && high - low >= Self::FEWEST - 1 => {
                Ok(Self(low..=high))
            }
            _ => Err(Wrong::not(&Self::rule(), &quote(text))),
        }
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(&format!("{}-{}", self.0.start(), self.0.end()))
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        (1024u16..60_000, 15u16..5_000).prop_map(|(low, more)| Self(low..=low + more)).boxed()
    }
}

impl Realm {
    /// Each character of it is in the answer to everybody who asks without credentials, which must not be longer than it
    /// has to be.
    const LONGEST: usize = 64;
}

impl Setting for Realm {
    const PLACEHOLDER: &'static str = "NAME";

    fn rule() -> String {
        format!("a name of 1 to {} letters, digits, dots, hyphens and underscores", Self::LONGEST)
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if (1..=Self::LONGEST).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Wrong::not(&Self::rule(), &quote(text)))
        }
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(&self.0)
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        "[a-z][a-z0-9._-]{0,30}".prop_map(Self).boxed()
    }
}

/// The strengths, by their names.
const STRENGTHS: [(&str, Integrity); 2] = [("sha1", Integrity::Sha1), ("sha256", Integrity::Sha256)];

impl Setting for MinIntegrity {
    const PLACEHOLDER: &'static str = "sha1|sha256";

    fn rule() -> String {
        "\"sha1\" or \"sha256\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let found = STRENGTHS.iter().find(|(name, _)| *name == text);
        found.map(|(_, strength)| Self(*strength)).ok_or_else(|| {
            let wrong = Wrong::not(&Self::rule(), &quote(text));
            match closest(text, STRENGTHS.map(|(name, _)| name)) {
                Some(name) => wrong.hint(format!("did you mean \"{name}\"?")),
                None => wrong,
            }
        })
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(match self.0 {
            Integrity::Sha1 => "sha1",
            Integrity::Sha256 => "sha256",
        })
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        proptest::sample::select(STRENGTHS.map(|(_, strength)| Self(strength)).to_vec()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(text: &str) -> Result<RelaySource, Wrong> {
        RelaySource::from_text(text)
    }

    #[test]
    fn relay_addresses_are_the_machines_own_or_mapped_or_an_interfaces() {
        let (public, private) = ("203.0.113.7".parse().expect("address"), "10.0.0.4".parse().expect("address"));
        let address = |bind, external| Ok(RelaySource::Address(RelayAddress { bind, external }));
        assert_eq!(relay("203.0.113.7"), address(public, public));
        assert_eq!(relay("203.0.113.7/10.0.0.4"), address(private, public));
        assert_eq!(relay("eth0.7"), Ok(RelaySource::Interface("eth0.7".to_owned())));
        let hint = |text| relay(text).expect_err("wrong").hint.expect("a hint");
        assert_eq!(hint("203.0.113.7/::1"), "both addresses must be IPv4, or both IPv6");
        assert_eq!(hint("203.0.113.7/24"), "the public address comes first, then a slash, then the machine's own");
        assert!(hint("0.0.0.0").starts_with("name the address"));
        for text in ["", "localhost", "203.0.113", "0.0.0.0/10.0.0.1", "a-name-that-is-too-long", "turn.example.org:1"]
        {
            assert!(relay(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ports_are_a_range_that_is_not_too_small() {
        let ports = |text| PortRange::from_text(text).map(|range| (*range.0.start(), *range.0.end()));
        assert_eq!(ports("49152-65535"), Ok((49_152, 65_535)));
        assert_eq!(ports("50000 - 50015"), Ok((50_000, 50_015)));
        for text in ["", "-", "50000", "50000-50014", "50015-50000", "80-2000", "1024-65536", "+1024-2000", "a-b"] {
            assert!(ports(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn realms_are_short_and_need_no_quoting() {
        assert!(Realm::from_text("turn.example.org").is_ok());
        for text in ["", "a b", "a\"b", "ä", &"a".repeat(65)] {
            assert!(Realm::from_text(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_misspelt_strength_is_told() {
        assert_eq!(MinIntegrity::from_text("sha256"), Ok(MinIntegrity(Integrity::Sha256)));
        let wrong = MinIntegrity::from_text("sha-1").expect_err("misspelt");
        assert_eq!(wrong.hint.as_deref(), Some("did you mean \"sha1\"?"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (relay(&text), PortRange::from_text(&text), Realm::from_text(&text));
        }
    }
}
