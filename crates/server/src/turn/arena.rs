//! The memory in which the packets of one round lie from the moment they come in until they have left: nothing is copied
//! in between.
//!
//! It is used from the front in every round, so that few packets keep to few cache lines. Positions are offsets, so that
//! what refers to a packet needs no lifetime; [`Arena::clear`] ends them all at once.

use std::ops::Range;

use switchboard_turn::{HEADROOM, TAILROOM};

/// The largest UDP datagram with an IPv4 header that is not counted: more does not come in.
pub(super) const LARGEST_DATAGRAM: usize = 65_535;

/// What one receive may need at most: eight coalesced trains of 64 KiB, with room for their headers.
pub(super) const RECEIVE_ROOM: usize = 8 * (LARGEST_DATAGRAM + 1 + 2 * HEADROOM) + 64 * 1024;

/// About 1,900 packets of an Ethernet's size in one round; a fuller round is flushed in between.
const SIZE: usize = 4 * 1024 * 1024;

/// A piece of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    start: u32,
    length: u32,
}

impl Piece {
    /// The bytes from `range.start` to `range.end`.
    pub(super) fn new(range: Range<usize>) -> Self {
        // The arena is smaller than 4 GiB.
        Self { start: range.start as u32, length: range.len() as u32 }
    }

    /// Its offsets.
    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.length as usize
    }

    /// Its length in bytes.
    pub(super) fn len(self) -> usize {
        self.length as usize
    }
}

/// The memory.
#[derive(Debug)]
pub(super) struct Arena {
    bytes: Box<[u8]>,
    used: usize,
}

impl Arena {
    /// An empty one. Pages that no packet has touched cost nothing.
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; SIZE].into_boxed_slice(), used: 0 }
    }

    /// Forgets every packet.
    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// Whether any receive fits.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.len() - self.used >= RECEIVE_ROOM
    }

    /// The unused bytes, and the offset of the first.
    pub(super) fn spare(&mut self) -> (usize, &mut [u8]) {
        (self.used, &mut self.bytes[self.used..])
    }

    /// Keeps the first `length` unused bytes.
    pub(super) fn keep(&mut self, length: usize) {
        // Rounded, so that no two packets share a cache line.
        self.used = (self.used + length.next_multiple_of(64)).min(self.bytes.len());
    }

    /// Keeps a copy of `bytes`, with room before and behind; none if there is no place.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Option<Range<usize>> {
        let start = self.used + HEADROOM;
        let end = start + bytes.len();
        self.bytes.get_mut(start..end)?.copy_from_slice(bytes);
        self.bytes.get(end..end + TAILROOM)?;
        self.keep(HEADROOM + bytes.len() + TAILROOM);
        Some(start..end)
    }

    /// Everything.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Everything.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The bytes of a piece.
    pub(super) fn piece(&self, piece: Piece) -> &[u8] {
        &self.bytes[piece.range()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_have_room_before_and_behind() {
        let mut arena = Arena::new();
        let first = arena.copy(b"first").expect("room");
        let second = arena.copy(b"second").expect("room");
        assert!(first.start >= HEADROOM && first.end + TAILROOM <= second.start - HEADROOM);
        assert_eq!(arena.piece(Piece::new(first)), b"first");
        assert_eq!(arena.piece(Piece::new(second)), b"second");
    }

    #[test]
    fn a_full_arena_refuses_instead_of_growing() {
        let mut arena = Arena::new();
        let packet = vec![1; LARGEST_DATAGRAM];
        let mut copies = 0;
        while arena.copy(&packet).is_some() {
            copies += 1;
        }
        assert!((60..64).contains(&copies), "{copies}");
        assert!(!arena.has_room());
        arena.clear();
        assert!(arena.has_room());
    }
}
