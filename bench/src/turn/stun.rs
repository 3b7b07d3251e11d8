//! As much of the STUN message format (RFC 8489 §5, §14) as the generator and the forwarder speak.
//!
//! Written apart from the server's own codec on purpose: one that judges a server must not share its errors.

use anyhow::{Context, Result, bail, ensure};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of a message's header.
pub(crate) const HEADER: usize = 20;
/// Bytes before the payload of a ChannelData message (RFC 8656 §12.4).
pub(crate) const CHANNEL_HEADER: usize = 4;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Type, length and digest of MESSAGE-INTEGRITY (RFC 8489 §14.5).
const INTEGRITY_LENGTH: usize = 4 + 20;
const SUCCESS: u16 = 0x0100;
const FAILURE: u16 = 0x0110;

/// A request's method, as its message type (RFC 8656 §17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Method {
    Binding = 0x0001,
    Allocate = 0x0003,
    Refresh = 0x0004,
    CreatePermission = 0x0008,
    ChannelBind = 0x0009,
}

/// An attribute's type (RFC 8489 §18.3, RFC 8656 §18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Attribute {
    Username = 0x0006,
    MessageIntegrity = 0x0008,
    ErrorCode = 0x0009,
    ChannelNumber = 0x000c,
    Lifetime = 0x000d,
    XorPeerAddress = 0x0012,
    Realm = 0x0014,
    Nonce = 0x0015,
    XorRelayedAddress = 0x0016,
    RequestedAddressFamily = 0x0017,
    RequestedTransport = 0x0019,
    XorMappedAddress = 0x0020,
}

/// What ties an answer to its request.
pub(crate) type TransactionId = [u8; 12];

/// A message in the making.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A request.
    pub(crate) fn request(method: Method, id: &TransactionId) -> Self {
        Self::with_type(method as u16, id)
    }

    /// A success response to `request`.
    pub(crate) fn success(request: &Message<'_>) -> Self {
        Self::with_type(request.kind | SUCCESS, &request.id)
    }

    fn with_type(kind: u16, id: &TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&MAGIC_COOKIE);
        bytes.extend_from_slice(id);
        Self { bytes }
    }

    /// Appends an attribute, padded to four bytes.
    pub(crate) fn put(&mut self, attribute: Attribute, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(&(attribute as u16).to_be_bytes());
        self.bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Appends an address, obfuscated (RFC 8489 §14.2).
    pub(crate) fn put_address(&mut self, attribute: Attribute, address: SocketAddr) -> &mut Self {
        let mut value = vec![0, if address.is_ipv4() { 1 } else { 2 }];
        value.extend_from_slice(&address.port().to_be_bytes());
        match address.ip() {
            IpAddr::V4(ip) => value.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => value.extend_from_slice(&ip.octets()),
        }
        self.obfuscate(&mut value);
        self.put(attribute, &value)
    }

    fn obfuscate(&self, value: &mut [u8]) {
        let key: Vec<u8> = self.bytes[4..HEADER].to_vec();
        obfuscate(value, &key);
    }

    /// Appends MESSAGE-INTEGRITY; nothing may follow.
    pub(crate) fn sign(&mut self, key: &[u8]) -> Result<&mut Self> {
        self.set_length(self.bytes.len() - HEADER + INTEGRITY_LENGTH);
        let mut mac = Hmac::<Sha1>::new_from_slice(key).context("a key of no valid length")?;
        mac.update(&self.bytes);
        let digest = mac.finalize().into_bytes();
        Ok(self.put(Attribute::MessageIntegrity, &digest))
    }

    /// The message, complete.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.set_length(self.bytes.len() - HEADER);
        std::mem::take(&mut self.bytes)
    }

    fn set_length(&mut self, length: usize) {
        self.bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    }
}

/// A message that was read.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    kind: u16,
    id: TransactionId,
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads the header of the message that fills `bytes`.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self> {
        ensure!(bytes.len() >= HEADER && bytes[4..8] == MAGIC_COOKIE, "that is no STUN message");
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        ensure!(bytes.len() >= HEADER + length, "a STUN message is cut short");
        let id = bytes[8..HEADER].try_into()?;
        Ok(Self { kind: u16::from_be_bytes([bytes[0], bytes[1]]), id, bytes: &bytes[..HEADER + length] })
    }

    /// What ties it to its request.
    pub(crate) fn id(&self) -> TransactionId {
        self.id
    }

    /// Whether it is a request of that method.
    pub(crate) fn requests(&self, method: Method) -> bool {
        self.kind == method as u16
    }

    /// The code of an error response; `None` for every other message (RFC 8489 §14.8).
    pub(crate) fn error_code(&self) -> Option<u16> {
        if self.kind & FAILURE != FAILURE {
            return None;
        }
        match self.value(Attribute::ErrorCode) {
            Some([_, _, class, number, ..]) => Some(u16::from(class & 7) * 100 + u16::from(*number)),
            _ => Some(0),
        }
    }

    /// An attribute's value.
    pub(crate) fn value(&self, attribute: Attribute) -> Option<&'a [u8]> {
        let mut rest = &self.bytes[HEADER..];
        while let [high, low, length_high, length_low, tail @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
            if u16::from_be_bytes([*high, *low]) == attribute as u16 {
                return tail.get(..length);
            }
            rest = tail.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        None
    }

    /// An obfuscated address.
    pub(crate) fn address(&self, attribute: Attribute) -> Result<SocketAddr> {
        let value = self.value(attribute).with_context(|| format!("a message lacks {attribute:?}"))?;
        let mut value = value.to_vec();
        obfuscate(&mut value, &self.bytes[4..HEADER]);
        let (family, port) = match value.as_slice() {
            [_, family, high, low, ..] => (*family, u16::from_be_bytes([*high, *low])),
            _ => bail!("{attribute:?} is cut short"),
        };
        let ip = match (family, &value[4..]) {
            (1, ip) => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(ip)?)),
            (_, ip) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip)?)),
        };
        Ok(SocketAddr::new(ip, port))
    }
}

/// Obfuscates or reveals port and address: with magic cookie and transaction id, from the port on.
fn obfuscate(value: &mut [u8], key: &[u8]) {
    let (port, ip) = value.split_at_mut(4.min(value.len()));
    for (byte, key) in port.iter_mut().skip(2).zip(key).chain(ip.iter_mut().zip(key)) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let addresses = ["127.0.0.1:4711", "[2001:db8::7]:65535"].map(|text| text.parse().expect("an address"));
        for address in addresses {
            let bytes = Writer::request(Method::Allocate, &[7; 12])
                .put(Attribute::Realm, b"abcde")
                .put_address(Attribute::XorPeerAddress, address)
                .finish();

            let message = Message::parse(&bytes).expect("a message");

            assert!(message.requests(Method::Allocate) && message.error_code().is_none());
            assert_eq!((message.id(), message.value(Attribute::Realm)), ([7; 12], Some(b"abcde".as_slice())));
            assert_eq!(message.address(Attribute::XorPeerAddress).expect("an address"), address);
            assert!(message.value(Attribute::Nonce).is_none() && bytes.len().is_multiple_of(4));
            assert!(Message::parse(&bytes[..bytes.len() - 1]).is_err());
        }
    }

    /// The sample request of RFC 5769 §2.4: long-term credentials.
    #[test]
    fn signs_as_the_test_vectors_do() {
        let id = [0x78, 0xad, 0x34, 0x33, 0xc6, 0xad, 0x72, 0xc0, 0x29, 0xda, 0x41, 0x2e];
        let key = super::super::session::long_term_key(
            "\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}",
            "example.org",
            "TheMatrIX",
        );
        let bytes = Writer::request(Method::Binding, &id)
            .put(Attribute::Username, "\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}".as_bytes())
            .put(Attribute::Nonce, b"f//499k954d6OL34oL9FSTvy64sA")
            .put(Attribute::Realm, b"example.org")
            .sign(&key)
            .expect("a signature")
            .finish();

        let digest = [
            0xf6, 0x70, 0x24, 0x65, 0x6d, 0xd6, 0x4a, 0x3e, 0x02, 0xb8, 0xe0, 0x71, 0x2e, 0x85, 0xc9, 0xa2, 0x8c, 0xa8,
            0x96, 0x66,
        ];
        assert!(bytes.ends_with(&digest));
    }
}
