//! STUN messages (RFC 8489 §5, §14) with TURN's methods and attributes (RFC 8656 §17, §18), behind our own names.
//!
//! The encodings of attributes come from `stun-types` and `turn-types`. The walk over a message and its integrity are
//! written here: the walk of those crates logs what an attacker sends, and their keys cannot be kept as bytes. Messages of
//! RFC 3489, without the magic cookie, are not read.

mod attributes;
mod integrity;
mod writer;

use std::fmt;
use std::ops::Range;

use stun_types::attribute::{Fingerprint, RawAttribute};
use stun_types::prelude::*;

pub use attributes::{BadValue, Family, known};
pub use integrity::{Integrity, Key, PasswordAlgorithm, PasswordAlgorithms};
pub use writer::Writer;

/// Length of a message's header (RFC 8489 §5).
pub const HEADER: usize = 20;

/// The magic cookie (RFC 8489 §5).
pub const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// Attributes in one message. The longest sensible request, a CreatePermission for dozens of peers, stays below; without a
/// bound a 64 KiB frame of empty attributes would be walked 16,000 steps for each look-up.
pub const MAX_ATTRIBUTES: usize = 96;

/// What a message is about (RFC 8489 §18.2, RFC 8656 §17).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Method {
    /// Asks for one's own address.
    Binding,
    /// Asks for a relayed address.
    Allocate,
    /// Prolongs or ends an allocation.
    Refresh,
    /// Carries data from the client to a peer.
    Send,
    /// Carries data from a peer to the client.
    Data,
    /// Lets peers in.
    CreatePermission,
    /// Gives a peer a channel number.
    ChannelBind,
}

impl Method {
    /// The number on the wire, 12 bits.
    pub fn code(self) -> u16 {
        match self {
            Self::Binding => 0x001,
            Self::Allocate => 0x003,
            Self::Refresh => 0x004,
            Self::Send => 0x006,
            Self::Data => 0x007,
            Self::CreatePermission => 0x008,
            Self::ChannelBind => 0x009,
        }
    }

    fn from_code(code: u16) -> Option<Self> {
        const ALL: [Method; 7] = [
            Method::Binding,
            Method::Allocate,
            Method::Refresh,
            Method::Send,
            Method::Data,
            Method::CreatePermission,
            Method::ChannelBind,
        ];
        ALL.into_iter().find(|method| method.code() == code)
    }
}

/// What a message is (RFC 8489 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// The answer to a request that was granted.
    Success,
    /// The answer to a request that was not.
    Error,
}

impl Class {
    fn bits(self) -> u16 {
        match self {
            Self::Request => 0x000,
            Self::Indication => 0x010,
            Self::Success => 0x100,
            Self::Error => 0x110,
        }
    }

    fn from_bits(bits: u16) -> Self {
        match bits & 0x110 {
            0x000 => Self::Request,
            0x010 => Self::Indication,
            0x100 => Self::Success,
            _ => Self::Error,
        }
    }
}

/// Message types interleave class and method (RFC 8489 §5, figure 3).
fn encode_type(class: Class, method: Method) -> u16 {
    let m = method.code();
    (m & 0x00f) | (m & 0x070) << 1 | (m & 0xf80) << 2 | class.bits()
}

fn decode_method(bits: u16) -> Option<Method> {
    Method::from_code((bits & 0x000f) | (bits & 0x00e0) >> 1 | (bits & 0x3e00) >> 2)
}

/// The header of a message whose attributes take `length` bytes.
pub(crate) fn header(class: Class, method: Method, length: u16, id: TransactionId) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..2].copy_from_slice(&encode_type(class, method).to_be_bytes());
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[4..8].copy_from_slice(&COOKIE);
    header[8..].copy_from_slice(&id.0);
    header
}

/// Pairs an answer with its request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

impl TransactionId {
    /// The form that `stun-types` keys its XORed addresses with.
    pub(crate) fn for_xor(self) -> stun_types::message::TransactionId {
        self.0.iter().fold(0_u128, |id, byte| id << 8 | u128::from(*byte)).into()
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why bytes are no message. None of these is answered (RFC 8489 §6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// No header, other leading bits, or another cookie: some other protocol.
    #[error("this is no STUN message")]
    NotStun,
    /// The length in the header is not that of the packet, or an attribute reaches beyond it.
    #[error("lengths do not fit")]
    Length,
    /// A method that is neither STUN's nor TURN's over UDP.
    #[error("the method is unknown")]
    Method,
    /// More than [`MAX_ATTRIBUTES`].
    #[error("there are more attributes than are read")]
    TooMany,
    /// FINGERPRINT is wrong, or not the last attribute (RFC 8489 §14.7).
    #[error("the fingerprint is wrong")]
    Fingerprint,
}

/// A message whose form is right; it borrows the packet.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    class: Class,
    method: Method,
    /// Where the attributes end that count: at the first integrity or fingerprint.
    counted: usize,
    /// Where MESSAGE-INTEGRITY begins.
    sha1: Option<usize>,
    /// Where MESSAGE-INTEGRITY-SHA256 begins.
    sha256: Option<usize>,
    fingerprint: bool,
}

impl<'a> Message<'a> {
    /// Reads one message that fills `bytes` exactly.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the form; attributes are not looked into, except the fingerprint.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header = bytes.get(..HEADER).ok_or(Malformed::NotStun)?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        if kind & 0xc000 != 0 || header[4..8] != COOKIE {
            return Err(Malformed::NotStun);
        }
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if !length.is_multiple_of(4) || HEADER + length != bytes.len() {
            return Err(Malformed::Length);
        }
        let method = decode_method(kind).ok_or(Malformed::Method)?;
        let class = Class::from_bits(kind);
        let mut message =
            Self { bytes, class, method, counted: bytes.len(), sha1: None, sha256: None, fingerprint: false };
        message.walk()?;
        Ok(message)
    }

    /// Finds the attributes that end a message; what stands behind them does not count (RFC 8489 §14.5, §14.6).
    fn walk(&mut self) -> Result<(), Malformed> {
        let mut count = 0;
        let mut at = HEADER;
        while at < self.bytes.len() {
            count += 1;
            if count > MAX_ATTRIBUTES {
                return Err(Malformed::TooMany);
            }
            let (kind, next) = span(self.bytes, at).ok_or(Malformed::Length)?;
            match kind {
                known::MESSAGE_INTEGRITY if self.sha1.is_none() && self.sha256.is_none() => self.sha1 = Some(at),
                known::MESSAGE_INTEGRITY_SHA256 if self.sha256.is_none() => self.sha256 = Some(at),
                known::FINGERPRINT => {
                    if next != self.bytes.len() || !fingerprint_holds(self.bytes, at) {
                        return Err(Malformed::Fingerprint);
                    }
                    self.fingerprint = true;
                }
                _ => {
                    at = next;
                    continue;
                }
            }
            self.counted = self.counted.min(at);
            at = next;
        }
        Ok(())
    }

    /// Whether it is a request, an indication or an answer.
    pub fn class(&self) -> Class {
        self.class
    }

    /// What it is about.
    pub fn method(&self) -> Method {
        self.method
    }

    /// What pairs it with its answer.
    pub fn transaction(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.bytes[8..HEADER]);
        TransactionId(id)
    }

    /// Whether it ends in a fingerprint, which was right.
    pub fn has_fingerprint(&self) -> bool {
        self.fingerprint
    }

    /// The attributes that count, in order: those before the first integrity or fingerprint, as type and value.
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        self.spans().map(|(kind, value, bytes)| (kind, &bytes[value]))
    }

    fn spans(&self) -> impl Iterator<Item = (u16, Range<usize>, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        let end = self.counted;
        let mut at = HEADER;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (kind, next) = span(bytes, at)?;
            let length = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            let value = at + 4..at + 4 + length;
            at = next;
            Some((kind, value, bytes))
        })
    }

    /// The first attribute of a type; later ones do not count (RFC 8489 §14).
    pub fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// Where the value of the first attribute of a type lies in the message.
    pub fn attribute_range(&self, kind: u16) -> Option<Range<usize>> {
        self.spans().find(|(found, ..)| *found == kind).map(|(_, value, _)| value)
    }
}

/// The type of the attribute at `at`, and where the next one begins.
fn span(bytes: &[u8], at: usize) -> Option<(u16, usize)> {
    let attribute = RawAttribute::from_bytes(bytes.get(at..)?).ok()?;
    let next = at + attribute.padded_len();
    (next <= bytes.len()).then_some((attribute.get_type().value(), next))
}

/// Whether the FINGERPRINT at `at`, which is the last attribute, is the message's own.
fn fingerprint_holds(bytes: &[u8], at: usize) -> bool {
    bytes[at + 4..] == fingerprint_of(&bytes[..at])
}

/// What FINGERPRINT says of the message before it, whose header counts it already (RFC 8489 §14.7).
fn fingerprint_of(before: &[u8]) -> [u8; 4] {
    const XOR: u32 = 0x5354_554e;
    (u32::from_be_bytes(Fingerprint::compute(&[before])) ^ XOR).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: TransactionId = TransactionId([7; 12]);

    fn binding() -> Vec<u8> {
        let mut out = Vec::new();
        Writer::new(&mut out, Class::Request, Method::Binding, ID);
        out
    }

    #[test]
    fn types_interleave_class_and_method() {
        assert_eq!(encode_type(Class::Request, Method::Binding), 0x0001);
        assert_eq!(encode_type(Class::Success, Method::Binding), 0x0101);
        assert_eq!(encode_type(Class::Error, Method::Allocate), 0x0113);
        assert_eq!(encode_type(Class::Indication, Method::Send), 0x0016);
        assert_eq!(encode_type(Class::Indication, Method::Data), 0x0017);
    }

    #[test]
    fn a_length_that_is_not_the_packets_is_refused() {
        let mut bytes = binding();
        bytes.push(0);
        assert_eq!(Message::parse(&bytes).unwrap_err(), Malformed::Length);
        bytes.truncate(19);
        assert_eq!(Message::parse(&bytes).unwrap_err(), Malformed::NotStun);
    }

    #[test]
    fn an_attribute_beyond_the_end_is_refused() {
        let mut bytes = binding();
        bytes.extend([0x80, 0x22, 0, 9, 0, 0, 0, 0]);
        bytes[3] = 8;
        assert_eq!(Message::parse(&bytes).unwrap_err(), Malformed::Length);
    }

    #[test]
    fn messages_without_the_cookie_are_refused() {
        let mut bytes = binding();
        bytes[4] = 0;
        assert_eq!(Message::parse(&bytes).unwrap_err(), Malformed::NotStun);
    }

    #[test]
    fn a_frame_full_of_empty_attributes_is_refused() {
        let mut bytes = binding();
        for _ in 0..=MAX_ATTRIBUTES {
            bytes.extend([0x80, 0x22, 0, 0]);
        }
        let length = u16::try_from(bytes.len() - HEADER).unwrap();
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(Message::parse(&bytes).unwrap_err(), Malformed::TooMany);
    }

    #[test]
    fn a_wrong_fingerprint_is_refused_and_a_right_one_seen() {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes, Class::Request, Method::Binding, ID).fingerprint();
        assert!(Message::parse(&bytes).unwrap().has_fingerprint());
        bytes[10] ^= 1;
        assert_eq!(Message::parse(&bytes).unwrap_err(), Malformed::Fingerprint);
    }

    #[test]
    fn what_stands_behind_the_integrity_does_not_count() {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, Class::Request, Method::Refresh, ID);
        writer.integrity(Integrity::Sha1, &Key::new(b"key"));
        writer.attribute(known::LIFETIME, &[0, 0, 0, 9]);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.attribute(known::LIFETIME), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn perturbed_messages_are_read_or_refused(at in 0_usize..200, byte: u8, cut in 0_usize..200) {
            let mut bytes = Vec::new();
            let mut writer = Writer::new(&mut bytes, Class::Request, Method::Allocate, ID);
            writer.attribute(known::USERNAME, b"ann");
            writer.attribute(known::REALM, b"turn");
            writer.peer("192.0.2.1:9".parse().unwrap());
            writer.integrity(Integrity::Sha256, &Key::new(b"key"));
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length.min(cut.max(1)));
            if let Ok(message) = Message::parse(&bytes) {
                let _ = message.peers().count();
                let _ = message.username();
                let _ = message.integrity().map(|kind| message.verify(kind, &Key::new(b"key")));
            }
        }

        #[test]
        fn stun_types_reads_what_is_written_and_finds_the_same(
            values in proptest::collection::vec((0x8100_u16..0x8200, proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
        ) {
            let mut bytes = Vec::new();
            let mut writer = Writer::new(&mut bytes, Class::Success, Method::CreatePermission, ID);
            for (kind, value) in &values {
                writer.attribute(*kind, value);
            }
            writer.fingerprint();
            let ours = Message::parse(&bytes).unwrap();
            let theirs = stun_types::message::Message::from_bytes(&bytes).unwrap();
            prop_assert_eq!(theirs.transaction_id(), ID.for_xor());
            prop_assert_eq!(theirs.method().value(), ours.method().code());
            let found: Vec<_> = ours.attributes().map(|(kind, value)| (kind, value.to_vec())).collect();
            prop_assert_eq!(found, values);
            prop_assert_eq!(theirs.iter_attributes().count(), ours.attributes().count() + 1);
        }
    }
}
