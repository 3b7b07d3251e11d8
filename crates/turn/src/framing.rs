//! Where a message ends in a stream: STUN messages and ChannelData follow each other without separators (RFC 8656 §3.1, §12.5).
//!
//! What came in whole is used where it lies; only a frame whose end is still on its way is copied. Deliberately without
//! sockets, and without a word about which channels are bound: that is the engine's.

use crate::channel_data;
use crate::message::{COOKIE, HEADER};

/// The longest frame: a datagram's largest payload with its header, and a margin.
pub const MOST_FRAME: usize = 64 * 1024;

/// What comes in is neither STUN nor ChannelData, or too long: nothing after it can be understood either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither STUN nor ChannelData")]
pub struct NotStun;

/// The length of the frame that begins with `bytes`, padding included; none if they are too few to tell.
///
/// # Errors
/// No frame begins like this.
pub fn frame_length(bytes: &[u8]) -> Result<Option<usize>, NotStun> {
    let &[kind, _, high, low, ref rest @ ..] = bytes else {
        // No frame begins with the bit (RFC 8656 §12), as TLS does not begin with the cookie: the first byte may show it.
        return if bytes.first().is_some_and(|first| *first >= 0x80) { Err(NotStun) } else { Ok(None) };
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let whole = match kind {
        0x00..=0x3f if length.is_multiple_of(4) && COOKIE.iter().zip(rest).all(|(cookie, byte)| cookie == byte) => {
            HEADER + length
        }
        // Channels are 0x4000 to 0x7FFF (RFC 5766 §11, RFC 8656 §12); each frame of a stream is padded to 4 bytes.
        0x40..=0x7f => channel_data::HEADER + length.next_multiple_of(4),
        _ => return Err(NotStun),
    };
    if whole > MOST_FRAME { Err(NotStun) } else { Ok(Some(whole)) }
}

/// What the next bytes of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first so many are a whole frame, as they lie.
    Frame(usize),
    /// The first so many end a frame that began before: [`Partial::whole`] has it, until [`Partial::clear`].
    End(usize),
    /// The first so many belong to a frame whose end has not come in: they were kept.
    Kept(usize),
}

/// The bytes of a frame whose end has not come in yet.
#[derive(Debug, Default)]
pub struct Partial {
    bytes: Vec<u8>,
}

impl Partial {
    /// Bytes that are kept.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether no frame has begun.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Reads what `bytes`, of which there is at least one, begin with.
    ///
    /// # Errors
    /// No frame begins like this.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Step, NotStun> {
        if self.bytes.is_empty()
            && let Some(length) = frame_length(bytes)?
            && length <= bytes.len()
        {
            return Ok(Step::Frame(length));
        }
        let taken = self.fill(bytes)?;
        Ok(if self.whole().is_some() { Step::End(taken) } else { Step::Kept(taken) })
    }

    /// Takes from the front of `bytes` what the frame still lacks, and returns how much that was.
    fn fill(&mut self, bytes: &[u8]) -> Result<usize, NotStun> {
        let mut taken = 0;
        while taken < bytes.len() {
            // The length stands in the first 4 bytes, and the cookie in the next 4.
            let until = match frame_length(&self.bytes)? {
                Some(whole) if self.bytes.len() >= 8.min(whole) => whole,
                Some(_) => 8,
                None => 4,
            };
            let lacks = until.saturating_sub(self.bytes.len()).min(bytes.len() - taken);
            if lacks == 0 {
                break;
            }
            self.bytes.extend_from_slice(&bytes[taken..taken + lacks]);
            taken += lacks;
        }
        frame_length(&self.bytes)?;
        Ok(taken)
    }

    /// The frame, if it is whole.
    pub fn whole(&self) -> Option<&[u8]> {
        let whole = frame_length(&self.bytes).ok()??;
        (self.bytes.len() == whole).then_some(&self.bytes)
    }

    /// Forgets the frame, and its memory if it was a large one.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(2048);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stun(length: u16) -> Vec<u8> {
        let mut message = vec![0x00, 0x01];
        message.extend(length.to_be_bytes());
        message.extend(COOKIE);
        message.resize(HEADER + usize::from(length), 7);
        message
    }

    fn channel_data(length: u16) -> Vec<u8> {
        let mut frame = vec![0x40, 0x00];
        frame.extend(length.to_be_bytes());
        frame.resize(channel_data::HEADER + usize::from(length).next_multiple_of(4), 9);
        frame
    }

    #[test]
    fn knows_where_messages_end() {
        assert_eq!(frame_length(&stun(8)), Ok(Some(28)));
        for (length, whole) in [(0, 4), (1, 8), (4, 8), (5, 12)] {
            assert_eq!(frame_length(&channel_data(length)), Ok(Some(whole)));
        }
        assert_eq!(frame_length(&[0x00, 0x01, 0x00]), Ok(None));
    }

    #[test]
    fn refuses_what_is_no_stun_at_the_first_byte_that_shows_it() {
        assert_eq!(frame_length(b"\x16\x03\x01\x02\x00\x01"), Err(NotStun), "TLS on a plain port");
        assert_eq!(frame_length(b"\x80"), Err(NotStun));
        assert_eq!(frame_length(b"\x00\x01\x00\x03"), Err(NotStun), "not a multiple of 4");
        assert_eq!(frame_length(b"\x00\x01\x00\x04\x21\x13"), Err(NotStun), "another cookie");
        assert_eq!(frame_length(b"\x00\x01\xff\xfc"), Err(NotStun), "too long");
    }

    proptest! {
        #[test]
        fn frames_survive_every_way_of_cutting_the_stream(
            lengths in proptest::collection::vec((any::<bool>(), 0u16..600), 1..20),
            cuts in proptest::collection::vec(1usize..700, 1..40),
        ) {
            let frames: Vec<Vec<u8>> = lengths
                .iter()
                .map(|(is_stun, length)| if *is_stun { stun(length / 4 * 4) } else { channel_data(*length) })
                .collect();
            let stream = frames.concat();
            let mut partial = Partial::default();
            let mut found = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                let (mut piece, behind) = rest.split_at((*cut).min(rest.len()));
                rest = behind;
                while !piece.is_empty() {
                    let taken = match partial.take(piece).expect("frames") {
                        Step::Frame(length) => {
                            found.push(piece[..length].to_vec());
                            length
                        }
                        Step::End(length) => {
                            found.push(partial.whole().expect("a frame").to_vec());
                            partial.clear();
                            length
                        }
                        Step::Kept(length) => length,
                    };
                    piece = &piece[taken..];
                }
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, frames);
            prop_assert!(partial.is_empty());
        }

        #[test]
        fn garbage_never_panics_and_never_grows_beyond_a_frame(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let mut partial = Partial::default();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let Ok(Step::Frame(taken) | Step::End(taken) | Step::Kept(taken)) = partial.take(rest) else { break };
                prop_assert!(taken > 0 && partial.len() <= MOST_FRAME);
                rest = &rest[taken..];
                if partial.whole().is_some() {
                    partial.clear();
                }
            }
        }
    }
}
