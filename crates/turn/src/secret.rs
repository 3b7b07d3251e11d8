//! The secret that signs time-limited names. Whoever guesses it relays for free, so it must not be guessable.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Hmac;
use rand::CryptoRng;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// A secret of at least 128 bits, shared by a fleet of servers and whoever else issues names. Its bytes are the key as
/// they stand, as in other TURN servers' `static-auth-secret`.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// A secret that can be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a TURN secret needs 128 bits of chance, and this one has {bits} at most: use 32 hexadecimal digits or 22 letters and \
     digits, for example from `openssl rand -hex 32`"
)]
pub struct WeakSecret {
    bits: u32,
}

/// What an attack by trying must cost (RFC 7635 and most guidance since ask for this many).
const BITS: u32 = 128;

impl Secret {
    /// Makes a secret of 256 bits.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes).into_bytes()))
    }

    /// Takes the bytes of a secret.
    ///
    /// # Errors
    ///
    /// If it has less than 128 bits even when each of its characters was drawn by chance from the kinds of characters that
    /// occur in it.
    pub fn new(bytes: &[u8]) -> Result<Self, WeakSecret> {
        let bits = strength(bytes);
        if bits < BITS {
            return Err(WeakSecret { bits });
        }
        Ok(Self(Zeroizing::new(bytes.to_vec())))
    }

    /// HMAC-SHA1 of a name.
    pub(crate) fn sign(&self, username: &str) -> [u8; 20] {
        hmac::<Hmac<Sha1>>(&self.0, username.as_bytes()).into()
    }

    /// Another secret, which this one leads to and which does not lead back.
    pub(crate) fn derive(&self, purpose: &str) -> Self {
        Self(Zeroizing::new(hmac::<Hmac<Sha256>>(&self.0, purpose.as_bytes()).to_vec()))
    }
}

fn hmac<M: hmac::Mac + hmac::digest::KeyInit>(key: &[u8], message: &[u8]) -> hmac::digest::Output<M> {
    // A key of any length is a key (RFC 2104 §2), so the empty one is never taken.
    let mac = <M as hmac::Mac>::new_from_slice(key).or_else(|_| <M as hmac::Mac>::new_from_slice(&[]));
    mac.map(|mac| mac.chain_update(message).finalize().into_bytes()).unwrap_or_default()
}

/// The bits that the bytes can have at most.
fn strength(bytes: &[u8]) -> u32 {
    let all = |is: fn(&u8) -> bool| bytes.iter().all(is);
    let per_byte = match () {
        () if all(u8::is_ascii_digit) => 3.32,
        () if all(u8::is_ascii_hexdigit) => 4.0,
        () if all(u8::is_ascii_alphanumeric) => 5.95,
        () if all(|byte| (b' '..=b'~').contains(byte)) => 6.56,
        () => 8.0,
    };
    // Characters that repeat were not drawn: sixteen times `a` is one guess.
    let distinct = bytes.iter().collect::<std::collections::BTreeSet<_>>().len() as f64;
    let drawn = distinct.log2().max(0.0);
    // 32 hexadecimal digits by chance hold 14 of the 16, so the second measure asks only for half as much.
    let bits = (bytes.len() as f64 * per_byte).min(bytes.len() as f64 * drawn * 2.0);
    bits.round() as u32
}

impl FromStr for Secret {
    type Err = WeakSecret;

    fn from_str(text: &str) -> Result<Self, WeakSecret> {
        Self::new(text.as_bytes())
    }
}

impl PartialEq for Secret {
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
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn takes_what_generators_make() {
        for text in [
            "6f3e0b9d1c2a48577e6c0f1b2d3a4958",
            "c0ffee00c0ffee11deadbeef12345678",
            "Vw8kRz1QmT4xYb7NcJ2pLd",
            "t5Zg+/9aQm2LxPz0s1R4Vw==",
            "314159265358979323846264338327950288419",
        ] {
            assert!(text.parse::<Secret>().is_ok(), "{text}");
        }
        assert!(Secret::new(&[7, 1, 200, 3, 99, 5, 6, 8, 250, 10, 131, 12, 13, 77, 15, 16]).is_ok());
    }

    #[test]
    fn refuses_what_can_be_guessed() {
        for text in [
            "",
            "secret",
            "0123456789abcdef",
            "correct horse",
            "12345678901234567890123456789012345678",
            "Vw8kRz1QmT4xYb7NcJ2pL",
        ] {
            assert!(text.parse::<Secret>().is_err(), "{text}");
        }
        for text in ["a".repeat(64), "ab".repeat(20)] {
            assert!(text.parse::<Secret>().is_err(), "{text}");
        }
    }

    #[test]
    fn says_how_to_make_a_better_one() {
        let error = "0123456789abcdef".parse::<Secret>().expect_err("64 bits").to_string();
        assert!(error.contains("has 64 at most") && error.contains("openssl rand -hex 32"), "{error}");
    }

    #[test]
    fn generates_secrets_that_it_takes() {
        let mut rng = StdRng::seed_from_u64(1);
        let (one, other) = (Secret::generate(&mut rng), Secret::generate(&mut rng));
        assert!(Secret::new(&one.0).is_ok());
        assert_ne!(one, other);
    }

    #[test]
    fn does_not_print_itself() {
        let text = "6f3e0b9d1c2a48577e6c0f1b2d3a4958";
        assert_eq!(format!("{:?}", text.parse::<Secret>()), "Ok(Secret(***))");
    }
}
