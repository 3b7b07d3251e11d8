//! Nonces without memory (RFC 8489 §9.2): each carries its time and a code over time and address, so that nothing is stored
//! for somebody who only asks.
//!
//! A nonce is `obMatJos2`, four characters of security features, and seven of 42 bits: 10 of time and 32 of code. The code
//! needs no more: who guesses it has shown an address and still no password.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;

use crate::message::Key;

/// What nonces of servers begin with that name their features (RFC 8489 §9.2).
pub(crate) const COOKIE: &str = "obMatJos2";

/// The features that are offered: bit 0, password algorithms. Not bit 1, anonymous user names: the name of a time-limited
/// user cannot be found by its hash, so clients must not be told to send only that.
const FEATURES: &str = "AAAB";

/// How long a nonce is good: an allocation sees a new one at least each hour (RFC 8656 §5).
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);

/// What the ten bits of time count: with eight seconds they go round in more than two lifetimes.
const UNIT: u64 = 8;
const TIME_MASK: u64 = 0x3ff;

/// A key lives for one lifetime, and as predecessor for a second one.
const EPOCH: u64 = LIFETIME.as_secs() / UNIT;

/// Length in bytes.
pub(crate) const LENGTH: usize = COOKIE.len() + FEATURES.len() + 7;

/// Makes and checks nonces. Workers that are made of one secret take each other's.
#[derive(Debug)]
pub(crate) struct Nonces {
    secret: Key,
    /// The keys of two epochs, by whether the epoch's number is even.
    keys: [(u64, Key); 2],
}

impl Nonces {
    /// Takes the secret that all keys are derived from.
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        let secret = Key::new(secret);
        Self { keys: [(0, epoch_key(&secret, 0)), (1, epoch_key(&secret, 1))], secret }
    }

    /// Makes the nonce for an address at this time.
    pub(crate) fn issue(&mut self, ip: IpAddr, now_unix: Duration) -> [u8; LENGTH] {
        let time = now_unix.as_secs() / UNIT;
        let bits = (time & TIME_MASK) << 32 | u64::from(self.code(ip, time));
        let mut nonce = [0; LENGTH];
        let (cookie, rest) = nonce.split_at_mut(COOKIE.len());
        cookie.copy_from_slice(COOKIE.as_bytes());
        rest[..FEATURES.len()].copy_from_slice(FEATURES.as_bytes());
        // 42 bits end at the top of eight bytes: seven characters, and what follows is left out.
        let mut text = [0; 11];
        let _ = STANDARD_NO_PAD.encode_slice((bits << 22).to_be_bytes(), &mut text);
        rest[FEATURES.len()..].copy_from_slice(&text[..7]);
        nonce
    }

    /// Whether a nonce was made for this address no longer than [`LIFETIME`] ago.
    pub(crate) fn is_good(&mut self, nonce: &str, ip: IpAddr, now_unix: Duration) -> bool {
        let now = now_unix.as_secs() / UNIT;
        let time = nonce.strip_prefix(COOKIE).and_then(|rest| rest.strip_prefix(FEATURES)).and_then(time_of);
        let Some(age) = time.map(|time| now.wrapping_sub(time) & TIME_MASK) else { return false };
        if age > EPOCH || age > now {
            return false;
        }
        let made = self.issue(ip, Duration::from_secs((now - age) * UNIT));
        made.ct_eq(nonce.as_bytes()).into()
    }

    fn code(&mut self, ip: IpAddr, time: u64) -> u32 {
        let epoch = time / EPOCH;
        let (known, key) = &mut self.keys[(epoch & 1) as usize];
        if *known != epoch {
            (*known, *key) = (epoch, epoch_key(&self.secret, epoch));
        }
        let ip = match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let [a, b, c, d, ..] = key.sha256(&[&ip, &time.to_be_bytes(), FEATURES.as_bytes()]);
        u32::from_be_bytes([a, b, c, d])
    }
}

/// Whether a client that sends this nonce was told of password algorithms, as far as it knows.
pub(crate) fn offers_password_algorithms(nonce: &str) -> bool {
    let features = nonce.strip_prefix(COOKIE).and_then(|rest| rest.get(..FEATURES.len()));
    let bits = features.and_then(|features| STANDARD_NO_PAD.decode(features).ok());
    bits.is_some_and(|bits| bits[2] & 1 != 0)
}

/// The ten bits of time that the last seven characters begin with.
fn time_of(text: &str) -> Option<u64> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(u64::from(byte - b'A')),
        b'a'..=b'z' => Some(u64::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(u64::from(byte - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    match text.as_bytes() {
        [a, b, _, _, _, _, _] => Some((digit(*a)? << 6 | digit(*b)?) >> 2),
        _ => None,
    }
}

fn epoch_key(secret: &Key, epoch: u64) -> Key {
    Key::new(&secret.sha256(&[b"nonce", &epoch.to_be_bytes()]))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn text(nonce: [u8; LENGTH]) -> String {
        String::from_utf8(nonce.to_vec()).unwrap()
    }

    #[test]
    fn a_nonce_is_good_for_its_address_and_its_time() {
        let mut nonces = Nonces::new(&[1; 32]);
        for later in [0, 7, 8, 1_000, 3_590] {
            let nonce = text(nonces.issue(IP, NOW));
            let now = NOW + Duration::from_secs(later);
            assert!(nonces.is_good(&nonce, IP, now), "{later} s later");
            assert!(!nonces.is_good(&nonce, Ipv4Addr::new(192, 0, 2, 2).into(), now));
        }
    }

    #[test]
    fn an_old_nonce_is_stale_for_ever() {
        let mut nonces = Nonces::new(&[1; 32]);
        let nonce = text(nonces.issue(IP, NOW));
        // Also when its ten bits of time come round again, and before it was made.
        for later in [3_616, 8_192, 8_200, 16_384] {
            assert!(!nonces.is_good(&nonce, IP, NOW + Duration::from_secs(later)), "{later} s later");
        }
        assert!(!nonces.is_good(&nonce, IP, NOW - Duration::from_secs(60)));
    }

    #[test]
    fn workers_of_one_secret_take_each_others_nonces_and_strangers_do_not() {
        let nonce = text(Nonces::new(&[1; 32]).issue(IP, NOW));
        assert!(Nonces::new(&[1; 32]).is_good(&nonce, IP, NOW));
        assert!(!Nonces::new(&[2; 32]).is_good(&nonce, IP, NOW));
    }

    #[test]
    fn a_perturbed_nonce_is_stale() {
        let mut nonces = Nonces::new(&[1; 32]);
        let nonce = nonces.issue(IP, NOW);
        for at in 0..LENGTH {
            let mut bytes = nonce;
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            assert!(!nonces.is_good(&text(bytes), IP, NOW), "character {at}");
        }
        assert!(!nonces.is_good("", IP, NOW));
        assert!(!nonces.is_good(&text(nonce)[..LENGTH - 1], IP, NOW));
    }

    #[test]
    fn its_features_say_that_algorithms_are_offered() {
        let nonce = text(Nonces::new(&[1; 32]).issue(IP, NOW));
        assert!(offers_password_algorithms(&nonce));
        assert!(!offers_password_algorithms("obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"));
        assert!(!offers_password_algorithms("f//499k954d6OL34oL9FSTvy64sA"));
        assert!(!offers_password_algorithms("obMatJos2\u{e9}\u{e9}x"));
    }
}
