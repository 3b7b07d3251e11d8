//! Names, and the secrets that keep them.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::shared::SharedText;

/// Longest name in bytes: a multiaddr with a domain name of 253 characters and a peer id still fits.
pub const NAME_BYTES: usize = 512;

/// What others reach a connection by: 1 to [`NAME_BYTES`] bytes of text, without any other rule.
///
/// Cloning copies no text, and a clone is known for the same without a look at it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(SharedText);

/// Says which rule a name broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// No text at all.
    #[error("a name has at least one character")]
    Empty,
    /// More than [`NAME_BYTES`].
    #[error("a name has at most {NAME_BYTES} bytes")]
    TooLong,
}

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// If it is empty or too long.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        match text.len() {
            0 => Err(InvalidName::Empty),
            1..=NAME_BYTES => Ok(Self(text.into())),
            _ => Err(InvalidName::TooLong),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({:?})", &*self.0)
    }
}

/// What a client shows to have a name back that it held before; only a digest of it is kept, whatever its length.
#[derive(Clone, Copy)]
pub struct Secret([u8; 16]);

impl Secret {
    /// Takes the secret as the client shows it.
    pub fn new(text: &str) -> Self {
        let digest = Sha256::new().chain_update(b"switchboard name secret 1\0").chain_update(text).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }
}

impl PartialEq for Secret {
    /// Compares in time that does not depend on where two secrets differ.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_any_text_of_a_bounded_length() {
        for good in ["a", "a/b c\0", "ščřž", &"x".repeat(NAME_BYTES)] {
            assert_eq!(Name::new(good).map(|name| name.to_string()), Ok(good.to_owned()));
        }
        assert_eq!(Name::new(""), Err(InvalidName::Empty));
        assert_eq!(Name::new(&"x".repeat(NAME_BYTES + 1)), Err(InvalidName::TooLong));
    }

    #[test]
    fn compares_secrets_and_never_prints_them() {
        assert_eq!(Secret::new("a"), Secret::new("a"));
        assert_ne!(Secret::new("a"), Secret::new("b"));
        assert_eq!(format!("{:?}", Secret::new("a")), "Secret(***)");
    }
}
