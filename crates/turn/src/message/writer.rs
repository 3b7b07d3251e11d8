//! Writes messages, attribute by attribute, so that the length in the header is right after each.

use std::net::SocketAddr;

use stun_types::attribute::XorMappedAddress;
use stun_types::prelude::*;
use turn_types::attribute::{XorPeerAddress, XorRelayedAddress};

use super::{Class, HEADER, Integrity, Key, Method, PasswordAlgorithms, TransactionId, fingerprint_of, header, known};

/// Appends a message to an empty buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    id: TransactionId,
}

impl<'a> Writer<'a> {
    /// Clears `out` and writes the header.
    pub fn new(out: &'a mut Vec<u8>, class: Class, method: Method, id: TransactionId) -> Self {
        out.clear();
        out.extend(header(class, method, 0, id));
        Self { out, id }
    }

    /// Adds an attribute by its type and value, padded with zeroes.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        debug_assert!(value.len() <= usize::from(u16::MAX));
        self.out.extend(kind.to_be_bytes());
        self.out.extend((value.len() as u16).to_be_bytes());
        self.out.extend(value);
        self.out.resize(self.out.len().next_multiple_of(4), 0);
        self.set_length(0)
    }

    /// Adds an attribute in an encoding of `stun-types` or `turn-types`.
    fn encoded(&mut self, attribute: &impl AttributeWrite) -> &mut Self {
        let at = self.out.len();
        self.out.resize(at + attribute.padded_len(), 0);
        attribute.write_into_unchecked(&mut self.out[at..]);
        self.set_length(0)
    }

    /// Sets the length in the header as if `more` bytes followed.
    fn set_length(&mut self, more: usize) -> &mut Self {
        let length = (self.out.len() - HEADER + more) as u16;
        self.out[2..4].copy_from_slice(&length.to_be_bytes());
        self
    }

    /// Adds ERROR-CODE without a reason: the words would only make a forged request's echo larger.
    pub fn error_code(&mut self, code: u16) -> &mut Self {
        self.attribute(known::ERROR_CODE, &[0, 0, (code / 100) as u8, (code % 100) as u8])
    }

    /// Adds LIFETIME in seconds.
    pub fn lifetime(&mut self, seconds: u32) -> &mut Self {
        self.attribute(known::LIFETIME, &seconds.to_be_bytes())
    }

    /// Adds XOR-MAPPED-ADDRESS.
    pub fn mapped(&mut self, address: SocketAddr) -> &mut Self {
        self.encoded(&XorMappedAddress::new(address, self.id.for_xor()))
    }

    /// Adds XOR-RELAYED-ADDRESS.
    pub fn relayed(&mut self, address: SocketAddr) -> &mut Self {
        self.encoded(&XorRelayedAddress::new(address, self.id.for_xor()))
    }

    /// Adds XOR-PEER-ADDRESS.
    pub fn peer(&mut self, address: SocketAddr) -> &mut Self {
        self.encoded(&XorPeerAddress::new(address, self.id.for_xor()))
    }

    /// Adds PASSWORD-ALGORITHMS.
    pub fn password_algorithms(&mut self, algorithms: PasswordAlgorithms) -> &mut Self {
        self.attribute(known::PASSWORD_ALGORITHMS, algorithms.value())
    }

    /// Adds the integrity over all that was written so far (RFC 8489 §14.5, §14.6).
    pub fn integrity(&mut self, kind: Integrity, key: &Key) -> &mut Self {
        self.set_length(4 + kind.length());
        match kind {
            Integrity::Sha1 => self.attribute(known::MESSAGE_INTEGRITY, &key.sha1(&[self.out])),
            Integrity::Sha256 => self.attribute(known::MESSAGE_INTEGRITY_SHA256, &key.sha256(&[self.out])),
        }
    }

    /// Adds the fingerprint, which is always the last (RFC 8489 §14.7).
    pub fn fingerprint(&mut self) -> &mut Self {
        self.set_length(8);
        let sum = fingerprint_of(self.out);
        self.attribute(known::FINGERPRINT, &sum)
    }
}
