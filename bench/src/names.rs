//! The names that members carry, in the forms in which clients make theirs. Each is used once in a run, so that no server
//! has to decide whether a name of the last round is free already.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a peer id: the code of SHA-256 in a multihash, the digest's length, the digest.
const PEER_ID: usize = 34;
const SHA_256: [u8; 2] = [0x12, 0x20];
const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// A number that no other member of this run has.
pub(crate) fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A PeerJS id in the form that PeerServer hands out, a UUID.
pub(crate) fn uuid(number: u64) -> String {
    let (high, low) = (scatter(number), scatter(!number));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

/// The address under which a js-libp2p peer joins a star server of `host`, such as `/ip4/127.0.0.1/tcp/9090`.
pub(crate) fn star_address(host: &str, number: u64) -> String {
    format!("{host}/ws/p2p-webrtc-star/p2p/{}", peer_id(number))
}

/// A peer id as the hash of a key: `Qm…`, 46 characters.
fn peer_id(number: u64) -> String {
    let mut bytes = [0; PEER_ID];
    bytes[..2].copy_from_slice(&SHA_256);
    for (at, chunk) in bytes[2..].chunks_exact_mut(8).enumerate() {
        chunk.copy_from_slice(&scatter(number.wrapping_mul(4).wrapping_add(at as u64)).to_be_bytes());
    }
    base58(bytes)
}

/// Divides by 58 until nothing is left. The first byte is never 0, so there are no leading ones to add.
fn base58(mut bytes: [u8; PEER_ID]) -> String {
    let mut digits = Vec::with_capacity(PEER_ID * 3 / 2);
    while bytes.iter().any(|&byte| byte != 0) {
        let mut rest = 0;
        for byte in &mut bytes {
            let value = rest << 8 | usize::from(*byte);
            *byte = (value / 58) as u8;
            rest = value % 58;
        }
        digits.push(char::from(BASE58[rest]));
    }
    digits.iter().rev().collect()
}

/// Spreads a number over all 64 bits, one to one (the finaliser of SplitMix64).
fn scatter(number: u64) -> u64 {
    let first = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let second = (first ^ first >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    second ^ second >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_make_different_names() {
        let names: BTreeSet<String> = (0..1_000).flat_map(|number| [uuid(number), peer_id(number)]).collect();

        assert_eq!(names.len(), 2_000);
        assert_ne!(fresh(), fresh());
    }

    #[test]
    fn names_have_the_form_of_the_clients() {
        let id = uuid(7);
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);

        let peer = peer_id(7);
        assert!(peer.starts_with("Qm") && peer.len() == 46, "{peer}");
        assert_eq!(
            star_address("/ip4/127.0.0.1/tcp/9090", 7),
            format!("/ip4/127.0.0.1/tcp/9090/ws/p2p-webrtc-star/p2p/{peer}")
        );
    }

    #[test]
    fn writes_base58_as_others_do() {
        let mut bytes = [0; PEER_ID];
        bytes[PEER_ID - 3..].copy_from_slice(&[1, 0, 0]);

        // 65,536 is 19 · 58² + 27 · 58 + 54.
        assert_eq!(base58(bytes), "LUw");
    }
}
