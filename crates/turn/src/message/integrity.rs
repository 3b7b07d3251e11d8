//! MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.5, §14.6), and the keys of the long-term mechanism (§9.2.2).

use std::fmt;

use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{HEADER, Message, known};

/// What signs a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Integrity {
    /// MESSAGE-INTEGRITY: HMAC-SHA1, which is all that browsers know.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256.
    Sha256,
}

impl Integrity {
    /// Length of the whole code in bytes.
    pub(super) fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// How a key is made of a password (RFC 8489 §18.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PasswordAlgorithm {
    /// What everybody uses who does not name one.
    Md5,
    /// SHA-256.
    Sha256,
}

impl PasswordAlgorithm {
    /// Reads PASSWORD-ALGORITHM: a number and no parameters.
    pub fn read(value: &[u8]) -> Option<Self> {
        match value {
            [0, 1, 0, 0] => Some(Self::Md5),
            [0, 2, 0, 0] => Some(Self::Sha256),
            _ => None,
        }
    }

    /// The value of PASSWORD-ALGORITHM.
    pub fn value(self) -> [u8; 4] {
        match self {
            Self::Md5 => [0, 1, 0, 0],
            Self::Sha256 => [0, 2, 0, 0],
        }
    }
}

/// What a server offers in PASSWORD-ALGORITHMS.
///
/// SHA-256 alone: a client that knows the attribute knows SHA-256 too, all others use MD5 without naming it, and four bytes
/// less keep the answer to a forged request small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PasswordAlgorithms;

impl PasswordAlgorithms {
    /// The attribute's value.
    pub fn value(self) -> &'static [u8] {
        &[0, 2, 0, 0]
    }

    /// Whether an algorithm is offered.
    pub fn contains(self, algorithm: PasswordAlgorithm) -> bool {
        self.value() == algorithm.value()
    }
}

/// A key: 16 or 32 bytes in the long-term mechanism. It never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    bytes: [u8; 32],
    length: u8,
}

impl Key {
    /// Takes the bytes; HMAC's own rule applies to more than 32, which only the short-term mechanism's tests have.
    pub fn new(key: &[u8]) -> Self {
        let mut bytes = [0; 32];
        let length = key.len().min(32);
        bytes[..length].copy_from_slice(&key[..length]);
        Self { bytes, length: length as u8 }
    }

    /// The key of the long-term mechanism; the three are prepared already (RFC 8489 §9.2.2).
    pub fn long_term(algorithm: PasswordAlgorithm, username: &str, realm: &str, password: &str) -> Self {
        let parts = [username, ":", realm, ":", password];
        match algorithm {
            PasswordAlgorithm::Md5 => Self::new(&digest::<Md5>(&parts)),
            PasswordAlgorithm::Sha256 => Self::new(&digest::<Sha256>(&parts)),
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    pub(crate) fn sha1(&self, parts: &[&[u8]]) -> [u8; 20] {
        code::<Hmac<Sha1>>(self.bytes(), parts).into()
    }

    pub(crate) fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        code::<Hmac<Sha256>>(self.bytes(), parts).into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn digest<D: Digest>(parts: &[&str]) -> md5::digest::Output<D> {
    parts.iter().fold(D::new(), |digest, part| digest.chain_update(part)).finalize()
}

fn code<M: Mac + hmac::digest::KeyInit>(key: &[u8], parts: &[&[u8]]) -> hmac::digest::Output<M> {
    // Keys have at most 32 bytes, and HMAC takes any length: there is no error to tell.
    let mac = <M as Mac>::new_from_slice(key).ok();
    let mac = parts.iter().fold(mac, |mac, part| mac.map(|mac| mac.chain_update(part)));
    mac.map(|mac| mac.finalize().into_bytes()).unwrap_or_default()
}

impl Message<'_> {
    /// What signs this message; the stronger one, where both are there.
    pub fn integrity(&self) -> Option<Integrity> {
        match (self.sha1, self.sha256) {
            (_, Some(_)) => Some(Integrity::Sha256),
            (Some(_), None) => Some(Integrity::Sha1),
            (None, None) => None,
        }
    }

    /// Whether the message was signed with this key. Takes the same time wherever codes differ.
    pub fn verify(&self, kind: Integrity, key: &Key) -> bool {
        let (at, kind_code) = match kind {
            Integrity::Sha1 => (self.sha1, known::MESSAGE_INTEGRITY),
            Integrity::Sha256 => (self.sha256, known::MESSAGE_INTEGRITY_SHA256),
        };
        let Some((at, code)) = at.and_then(|at| Some((at, self.code_at(at, kind_code)?))) else { return false };
        // The length in the header is that of a message which ends here (RFC 8489 §14.5).
        let length = ((at + 4 + code.len() - HEADER) as u16).to_be_bytes();
        let parts = [&self.bytes[..2], &length, &self.bytes[4..at]];
        match kind {
            Integrity::Sha1 => bool::from(key.sha1(&parts).ct_eq(code)),
            // A client may cut the code to 16 bytes and more, in steps of four (RFC 8489 §14.6).
            Integrity::Sha256 => {
                let sensible = (16..=32).contains(&code.len()) && code.len().is_multiple_of(4);
                sensible && bool::from(key.sha256(&parts)[..code.len()].ct_eq(code))
            }
        }
    }

    fn code_at(&self, at: usize, kind: u16) -> Option<&[u8]> {
        let header = self.bytes.get(at..at + 4)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        debug_assert_eq!(u16::from_be_bytes([header[0], header[1]]), kind);
        self.bytes.get(at + 4..at + 4 + length)
    }
}
