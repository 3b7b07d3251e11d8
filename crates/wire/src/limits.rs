//! The sizes that every implementation of the rooms protocol has to agree on (`docs/protocol/rooms.md`).
//!
//! What an operator may change (how many rooms, how many messages a second) is configuration of the server, not here.

/// Largest frame in bytes, either direction. A session description with several media sections is about 12 KiB; five
/// times that still fits, and 64 KiB of it cannot hurt anybody.
pub const MESSAGE_BYTES: usize = 64 * 1024;

/// Shortest room id in characters: the rooms sample refuses ids of three characters or fewer.
pub const ROOM_ID_MIN: usize = 4;

/// Longest room id in characters: room for a UUID or a SHA-256 in base64url.
pub const ROOM_ID_MAX: usize = 64;

/// Length in characters of the ids that the server makes: nanoid(10), 60 bits.
pub const ROOM_ID_GENERATED: usize = 10;

/// Longest name of a peer in characters (Unicode scalar values).
pub const NAME_CHARS: usize = 64;

/// Longest name of a peer in bytes of UTF-8: [`NAME_CHARS`] of the widest characters.
pub const NAME_BYTES: usize = 4 * NAME_CHARS;

/// Longest `ref` of a request in bytes.
pub const REFERENCE_BYTES: usize = 64;

/// Longest resume token in bytes: two 22-character halves and a dot, with room to grow.
pub const RESUME_BYTES: usize = 64;
