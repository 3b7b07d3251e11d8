//! Cuts a stream into STUN messages and ChannelData (RFC 8489 §6.2.2, RFC 8656 §12.5).

use super::BrokenStream;
use crate::channel_data;
use crate::framing::{self, NotStun};

/// Bytes of a stream that are no whole frame yet: at most one frame, and what was pushed last.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    read: usize,
}

impl Frames {
    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole frame, if there is one; ChannelData comes with its padding. `is_bound` says which channels
    /// can be: `HTTP` would read as the beginning of ChannelData otherwise.
    ///
    /// # Errors
    ///
    /// The stream is neither STUN nor ChannelData at this place, so that nothing behind it can be read.
    pub fn next_frame(&mut self, is_bound: impl Fn(u16) -> bool) -> Result<Option<&[u8]>, BrokenStream> {
        let waiting = &self.buffer[self.read..];
        let Some(length) = frame_length(waiting, is_bound)? else { return Ok(None) };
        if waiting.len() < length {
            return Ok(None);
        }
        let start = self.read;
        self.read += length;
        Ok(Some(&self.buffer[start..self.read]))
    }
}

/// How long the frame is that begins here, as soon as it can be told.
fn frame_length(bytes: &[u8], is_bound: impl Fn(u16) -> bool) -> Result<Option<usize>, BrokenStream> {
    if let &[first, second, ..] = bytes
        && channel_data::begins(first)
        && !is_bound(u16::from_be_bytes([first, second]))
    {
        return Err(BrokenStream);
    }
    framing::frame_length(bytes).map_err(|NotStun| BrokenStream)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::COOKIE;

    fn frames() -> Vec<Vec<u8>> {
        let mut message = vec![0x01, 0x01, 0, 4];
        message.extend(COOKIE);
        message.extend([9; 16]);
        let channel = vec![0x40, 0x01, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0];
        vec![message.clone(), channel.clone(), channel, message]
    }

    proptest! {
        #[test]
        fn frames_come_whole_however_the_stream_is_cut(cuts in proptest::collection::vec(1_usize..9, 1..60)) {
            let stream = frames().concat();
            let (mut frames_read, mut cutter, mut at) = (Vec::new(), Frames::default(), 0);
            for size in cuts.iter().cycle() {
                let piece = &stream[at..(at + size).min(stream.len())];
                at += piece.len();
                cutter.push(piece);
                while let Some(frame) = cutter.next_frame(|channel| channel == 0x4001).expect("frames") {
                    frames_read.push(frame.to_vec());
                }
                if at == stream.len() {
                    break;
                }
            }
            prop_assert_eq!(frames_read, frames());
        }
    }

    #[test]
    fn other_protocols_are_noticed_at_their_first_bytes() {
        let others: [&[u8]; 4] =
            [b"HTTP/1.1 400 Bad Request", b"\x16\x03\x01\x02\x00\x01", b"\x80", b"\0\x01\0\x03\x21\x12"];
        for bytes in others {
            let mut frames = Frames::default();
            frames.push(bytes);
            assert_eq!(frames.next_frame(|channel| channel == 0x4001), Err(BrokenStream), "{bytes:?}");
        }
    }
}
