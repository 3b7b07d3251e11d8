//! The attributes that are understood, and how their values read (RFC 8489 §14, RFC 8656 §18).

use std::net::{IpAddr, SocketAddr};

use stun_types::attribute::{RawAttribute, XorMappedAddress};
use stun_types::prelude::*;
use turn_types::attribute::{XorPeerAddress, XorRelayedAddress};

use super::Message;

/// The types of the attributes that are understood, by their names in the standards.
pub mod known {
    #![allow(missing_docs, reason = "each constant is named as in the registry of STUN attributes")]

    pub const MAPPED_ADDRESS: u16 = 0x0001;
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    pub const CHANNEL_NUMBER: u16 = 0x000c;
    pub const LIFETIME: u16 = 0x000d;
    pub const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub const DATA: u16 = 0x0013;
    pub const REALM: u16 = 0x0014;
    pub const NONCE: u16 = 0x0015;
    pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
    pub const EVEN_PORT: u16 = 0x0018;
    pub const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub const DONT_FRAGMENT: u16 = 0x001a;
    pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
    pub const PASSWORD_ALGORITHM: u16 = 0x001d;
    pub const USERHASH: u16 = 0x001e;
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub const RESERVATION_TOKEN: u16 = 0x0022;
    pub const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
    /// The same in coturn's tools before 4.7, Debian's among them; nothing else has this number.
    pub const ADDITIONAL_ADDRESS_FAMILY_OF_OLD_COTURN: u16 = 0x8032;
    pub const ADDRESS_ERROR_CODE: u16 = 0x8001;
    pub const PASSWORD_ALGORITHMS: u16 = 0x8002;
    pub const SOFTWARE: u16 = 0x8022;
    pub const FINGERPRINT: u16 = 0x8028;
}

/// Comprehension-required attributes that are understood in every request. Those of RFC 5780 are understood only where NAT
/// detection is on.
const UNDERSTOOD: &[u16] = &[
    known::MAPPED_ADDRESS,
    known::USERNAME,
    known::MESSAGE_INTEGRITY,
    known::ERROR_CODE,
    known::UNKNOWN_ATTRIBUTES,
    known::CHANNEL_NUMBER,
    known::LIFETIME,
    known::XOR_PEER_ADDRESS,
    known::DATA,
    known::REALM,
    known::NONCE,
    known::XOR_RELAYED_ADDRESS,
    known::REQUESTED_ADDRESS_FAMILY,
    known::EVEN_PORT,
    known::REQUESTED_TRANSPORT,
    known::DONT_FRAGMENT,
    known::MESSAGE_INTEGRITY_SHA256,
    known::PASSWORD_ALGORITHM,
    known::USERHASH,
    known::XOR_MAPPED_ADDRESS,
    known::RESERVATION_TOKEN,
];

/// An address family (RFC 8656 §18.7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The number on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }
}

impl<'a> Message<'a> {
    /// Attributes that must be understood and are not, in order; `also` names more that are.
    pub fn unknown_required<'m>(&'m self, also: &'m [u16]) -> impl Iterator<Item = u16> + use<'m, 'a> {
        let understood = move |kind: &u16| *kind >= 0x8000 || UNDERSTOOD.contains(kind) || also.contains(kind);
        self.attributes().map(|(kind, _)| kind).filter(move |kind| !understood(kind))
    }

    /// A value of exactly four bytes, as CHANNEL-NUMBER, LIFETIME and the like have.
    fn word(&self, kind: u16) -> Option<Result<[u8; 4], BadValue>> {
        self.attribute(kind).map(|value| value.try_into().map_err(|_| BadValue))
    }

    fn text(&self, kind: u16, limit: usize) -> Option<Result<&'a str, BadValue>> {
        let value = self.attribute(kind)?;
        Some(if value.len() > limit { Err(BadValue) } else { std::str::from_utf8(value).map_err(|_| BadValue) })
    }

    /// USERNAME: fewer than 509 bytes (RFC 8489 §14.3).
    pub fn username(&self) -> Option<Result<&'a str, BadValue>> {
        self.text(known::USERNAME, 508)
    }

    /// USERHASH: SHA-256 of user name and realm (RFC 8489 §14.4).
    pub fn userhash(&self) -> Option<Result<[u8; 32], BadValue>> {
        self.attribute(known::USERHASH).map(|value| value.try_into().map_err(|_| BadValue))
    }

    /// REALM: at most 763 bytes (RFC 8489 §14.9).
    pub fn realm(&self) -> Option<Result<&'a str, BadValue>> {
        self.text(known::REALM, 763)
    }

    /// NONCE: at most 763 bytes (RFC 8489 §14.10).
    pub fn nonce(&self) -> Option<Result<&'a str, BadValue>> {
        self.text(known::NONCE, 763)
    }

    /// ERROR-CODE: 300 to 699 (RFC 8489 §14.8).
    pub fn error_code(&self) -> Option<u16> {
        let value = self.attribute(known::ERROR_CODE)?;
        let (class, number) = (value.get(2)? & 0x7, *value.get(3)?);
        ((3..=6).contains(&class) && number < 100).then(|| u16::from(class) * 100 + u16::from(number))
    }

    /// LIFETIME in seconds.
    pub fn lifetime(&self) -> Option<Result<u32, BadValue>> {
        self.word(known::LIFETIME).map(|word| word.map(u32::from_be_bytes))
    }

    /// CHANNEL-NUMBER.
    pub fn channel_number(&self) -> Option<Result<u16, BadValue>> {
        self.word(known::CHANNEL_NUMBER).map(|word| word.map(|[high, low, ..]| u16::from_be_bytes([high, low])))
    }

    /// REQUESTED-TRANSPORT: an IP protocol number, 17 for UDP.
    pub fn requested_transport(&self) -> Option<Result<u8, BadValue>> {
        self.word(known::REQUESTED_TRANSPORT).map(|word| word.map(|[protocol, ..]| protocol))
    }

    /// REQUESTED-ADDRESS-FAMILY; within, `Err` is a family that nobody knows.
    pub fn requested_family(&self) -> Option<Result<Result<Family, u8>, BadValue>> {
        self.word(known::REQUESTED_ADDRESS_FAMILY).map(|word| word.map(family_of))
    }

    /// ADDITIONAL-ADDRESS-FAMILY; within, `Err` is a family that nobody knows.
    pub fn additional_family(&self) -> Option<Result<Result<Family, u8>, BadValue>> {
        self.word(known::ADDITIONAL_ADDRESS_FAMILY)
            .or_else(|| self.word(known::ADDITIONAL_ADDRESS_FAMILY_OF_OLD_COTURN))
            .map(|word| word.map(family_of))
    }

    /// EVEN-PORT: whether the next higher port is to be reserved.
    pub fn even_port(&self) -> Option<Result<bool, BadValue>> {
        self.attribute(known::EVEN_PORT).map(|value| match value {
            [flags] => Ok(flags & 0x80 != 0),
            _ => Err(BadValue),
        })
    }

    /// RESERVATION-TOKEN.
    pub fn reservation_token(&self) -> Option<Result<[u8; 8], BadValue>> {
        self.attribute(known::RESERVATION_TOKEN).map(|value| value.try_into().map_err(|_| BadValue))
    }

    /// Whether DONT-FRAGMENT is there.
    pub fn dont_fragment(&self) -> bool {
        self.attribute(known::DONT_FRAGMENT).is_some()
    }

    /// The first XOR-PEER-ADDRESS.
    pub fn peer(&self) -> Option<Result<SocketAddr, BadValue>> {
        self.peers().next()
    }

    /// Every XOR-PEER-ADDRESS.
    pub fn peers(&self) -> impl Iterator<Item = Result<SocketAddr, BadValue>> + use<'a> {
        let id = self.transaction().for_xor();
        let addresses = self.attributes().filter(|(kind, _)| *kind == known::XOR_PEER_ADDRESS);
        addresses.map(move |(kind, value)| {
            XorPeerAddress::from_raw_ref(&RawAttribute::new(kind.into(), value))
                .map(|address| address.addr(id))
                .map_err(|_| BadValue)
        })
    }

    /// XOR-MAPPED-ADDRESS: the client's address as the server sees it.
    pub fn mapped(&self) -> Option<SocketAddr> {
        let value = self.attribute(known::XOR_MAPPED_ADDRESS)?;
        let raw = RawAttribute::new(known::XOR_MAPPED_ADDRESS.into(), value);
        Some(XorMappedAddress::from_raw_ref(&raw).ok()?.addr(self.transaction().for_xor()))
    }

    /// Every XOR-RELAYED-ADDRESS: one, or one of each family.
    pub fn relayed(&self) -> impl Iterator<Item = SocketAddr> + use<'a> {
        let id = self.transaction().for_xor();
        let addresses = self.attributes().filter(|(kind, _)| *kind == known::XOR_RELAYED_ADDRESS);
        addresses.filter_map(move |(kind, value)| {
            let raw = RawAttribute::new(kind.into(), value);
            Some(XorRelayedAddress::from_raw_ref(&raw).ok()?.addr(id))
        })
    }
}

fn family_of([code, ..]: [u8; 4]) -> Result<Family, u8> {
    match code {
        1 => Ok(Family::V4),
        2 => Ok(Family::V6),
        other => Err(other),
    }
}

/// An attribute's value does not have the form that its type asks for: 400.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the value of an attribute is malformed")]
pub struct BadValue;
