//! Ids of peers and rooms.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::limits::{ROOM_ID_GENERATED, ROOM_ID_MAX, ROOM_ID_MIN};
use crate::shared::SharedText;

const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Whether `byte` may stand in an id: `A–Z a–z 0–9 _ -`, which needs no escaping in a URL.
fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Who a peer is to the others: 20 characters of base64url, 120 bits.
///
/// Copied freely; comparing and hashing touch 20 bytes and no heap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; PeerId::LEN]);

/// Text that is not a [`PeerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a peer id is {} characters of A-Z a-z 0-9 _ -", PeerId::LEN)]
pub struct InvalidPeerId;

impl PeerId {
    /// Length in characters.
    pub const LEN: usize = 20;

    /// Makes an id from 15 random bytes.
    pub fn from_random(bytes: [u8; 15]) -> Self {
        let mut id = [0; Self::LEN];
        // 15 bytes are exactly 20 base64 characters, so the slice always fits.
        let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut id);
        debug_assert_eq!(written.ok(), Some(Self::LEN));
        Self(id)
    }

    /// The 15 bytes that the id was made of.
    pub fn to_bytes(self) -> [u8; 15] {
        let mut bytes = [0; 15];
        // 20 base64 characters are exactly 15 bytes, and every constructor admits nothing else.
        let written = URL_SAFE_NO_PAD.decode_slice(self.0, &mut bytes);
        debug_assert_eq!(written.ok(), Some(bytes.len()));
        bytes
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Every constructor admits ASCII only.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for PeerId {
    type Err = InvalidPeerId;

    fn from_str(text: &str) -> Result<Self, InvalidPeerId> {
        let bytes: [u8; Self::LEN] = text.as_bytes().try_into().map_err(|_| InvalidPeerId)?;
        if bytes.iter().copied().all(is_id_byte) { Ok(Self(bytes)) } else { Err(InvalidPeerId) }
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The secret behind a peer's id: who shows it is given that id again, even by a server that remembers nothing.
///
/// The id is a hash of the key, so others learn the one and cannot make the other.
#[derive(Clone, Copy)]
pub struct PeerKey([u8; 16]);

impl PeerKey {
    /// Wraps 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id that belongs to this key: the first 120 bits of a SHA-256.
    pub fn peer_id(&self) -> PeerId {
        let digest = Sha256::new().chain_update(b"switchboard peer id 1\0").chain_update(self.0).finalize();
        let mut bytes = [0; 15];
        bytes.copy_from_slice(&digest[..15]);
        PeerId::from_random(bytes)
    }

    /// Compares in time that does not depend on where two keys differ.
    pub fn equals(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// The key as 22 characters of base64url.
    pub fn to_base64(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads 22 characters of base64url.
    pub fn from_base64(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        (length == bytes.len()).then_some(Self(bytes))
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerKey(***)")
    }
}

/// Names a room: 4 to 64 characters of `A–Z a–z 0–9 _ -`. Whoever knows it can enter.
///
/// The rooms of matchbox, whose names have other rules, are written with a colon, which no client of another dialect can say.
///
/// Cloning copies no text, and a clone is known for the same without a look at it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RoomId(SharedText);

/// Text that is not a [`RoomId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a room id is {ROOM_ID_MIN} to {ROOM_ID_MAX} characters of A-Z a-z 0-9 _ -")]
pub struct InvalidRoomId;

impl RoomId {
    /// Makes an id of 10 characters (nanoid) from as many random bytes, of which six bits each are used.
    pub fn from_random(bytes: [u8; ROOM_ID_GENERATED]) -> Self {
        let id: String = bytes.iter().map(|byte| char::from(URL_SAFE[usize::from(byte & 63)])).collect();
        Self(id.into())
    }

    /// The room of matchbox that has this name, or under which groups of so many gather.
    pub(crate) fn of_matchbox(name: &str, size: Option<usize>) -> Self {
        let id = match size {
            Some(size) => format!("matchbox:{size}:{name}"),
            None => format!("matchbox::{name}"),
        };
        Self(id.into())
    }

    /// One of the groups that gather under this id, told apart by random bytes, of which six bits each are used.
    pub fn to_group(&self, bytes: [u8; ROOM_ID_GENERATED]) -> Self {
        Self(format!("{self}#{}", Self::from_random(bytes)).into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoomId {
    type Err = InvalidRoomId;

    fn from_str(text: &str) -> Result<Self, InvalidRoomId> {
        let fits = (ROOM_ID_MIN..=ROOM_ID_MAX).contains(&text.len());
        if fits && text.bytes().all(is_id_byte) { Ok(Self(text.into())) } else { Err(InvalidRoomId) }
    }
}

impl Borrow<str> for RoomId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomId({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_room_ids_that_are_short_long_or_need_escaping() {
        for bad in ["", "abc", "a b c", "a/bcd", "ščřž", &"x".repeat(65)] {
            assert_eq!(RoomId::from_str(bad), Err(InvalidRoomId), "{bad}");
        }
        for good in ["abcd", "aUa62LD8NZ", "_-_-", &"x".repeat(64)] {
            assert_eq!(RoomId::from_str(good).map(|id| id.to_string()), Ok(good.to_owned()));
        }
    }

    #[test]
    fn hides_the_key_from_debug_output() {
        assert_eq!(format!("{:?}", PeerKey::from_random([7; 16])), "PeerKey(***)");
    }

    proptest! {
        #[test]
        fn peer_ids_survive_text(bytes: [u8; 15]) {
            let id = PeerId::from_random(bytes);
            prop_assert_eq!(id.as_str().parse(), Ok(id));
            prop_assert_eq!(id.to_bytes(), bytes);
        }

        #[test]
        fn keys_survive_text_and_name_one_id(bytes: [u8; 16]) {
            let key = PeerKey::from_random(bytes);
            prop_assert!(PeerKey::from_base64(&key.to_base64()).is_some_and(|read| read.equals(&key)));
            prop_assert_eq!(key.peer_id(), PeerKey::from_random(bytes).peer_id());
        }

        #[test]
        fn generated_room_ids_are_valid(bytes: [u8; ROOM_ID_GENERATED]) {
            let id = RoomId::from_random(bytes);
            prop_assert_eq!(RoomId::from_str(id.as_str()), Ok(id));
        }

        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = PeerId::from_str(&text);
            let _ = RoomId::from_str(&text);
            let _ = PeerKey::from_base64(&text);
        }
    }
}
