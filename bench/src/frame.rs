//! WebSocket frames as a client reads and writes them (RFC 6455 §5), as cheaply as a load generator needs.
//!
//! Not a WebSocket implementation: no extensions, no reassembly of fragmented messages. Frames to the server carry the
//! masking key 0, which is a valid key (§5.3) and leaves the payload as it is; nothing here passes a proxy.

use thiserror::Error;

/// The largest payload that is accepted from a server under test; the largest that either of them sends is 64 KiB.
pub(crate) const MAX_PAYLOAD: u64 = 1 << 20;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// What a frame is for (§5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    /// A whole text message.
    Text = 0x1,
    /// A whole binary message.
    Binary = 0x2,
    /// The sender closes; the payload may begin with a two-byte code.
    Close = 0x8,
    /// To be answered with a pong.
    Ping = 0x9,
    /// The answer to a ping.
    Pong = 0xa,
}

/// One unfragmented frame, borrowed from the bytes read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: Opcode,
    pub(crate) payload: &'a [u8],
}

/// What a server under test must not send.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// Reserved bits without a negotiated extension (§5.2).
    #[error("the server set reserved bits in a frame ({0:#04x})")]
    Reserved(u8),
    /// A continuation, or a frame that is not its message's last.
    #[error("the server fragmented a message, which this generator does not read")]
    Fragmented,
    /// An opcode that RFC 6455 does not define.
    #[error("the server sent a frame with the unknown opcode {0}")]
    Opcode(u8),
    /// Servers must not mask (§5.1).
    #[error("the server masked a frame")]
    Masked,
    /// More than [`MAX_PAYLOAD`].
    #[error("the server announced a frame of {0} bytes")]
    TooLarge(u64),
}

/// Reads the first frame of `bytes` and how many bytes it takes; `None` while it is incomplete.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    let opcode = opcode(first)?;
    if second & MASKED != 0 {
        return Err(FrameError::Masked);
    }
    let (length, header) = match (second, rest) {
        (126, &[a, b, ..]) => (u64::from(u16::from_be_bytes([a, b])), 4),
        (127, &[a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10),
        (126 | 127, _) => return Ok(None),
        (short, _) => (u64::from(short), 2),
    };
    if length > MAX_PAYLOAD {
        return Err(FrameError::TooLarge(length));
    }
    let end = header + length as usize;
    Ok(bytes.get(header..end).map(|payload| (Frame { opcode, payload }, end)))
}

fn opcode(first: u8) -> Result<Opcode, FrameError> {
    if first & RESERVED != 0 {
        return Err(FrameError::Reserved(first & RESERVED));
    }
    if first & FIN == 0 {
        return Err(FrameError::Fragmented);
    }
    match first & 0x0f {
        0x0 => Err(FrameError::Fragmented),
        0x1 => Ok(Opcode::Text),
        0x2 => Ok(Opcode::Binary),
        0x8 => Ok(Opcode::Close),
        0x9 => Ok(Opcode::Ping),
        0xa => Ok(Opcode::Pong),
        other => Err(FrameError::Opcode(other)),
    }
}

/// Appends a frame with the masking key 0 to `out`.
pub(crate) fn put(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.push(FIN | opcode as u8);
    match payload.len() {
        short @ 0..=125 => out.push(MASKED | short as u8),
        medium @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server would send: the same frame without mask bit and key.
    fn from_server(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut masked = Vec::new();
        put(&mut masked, opcode, payload);
        masked[1] &= !MASKED;
        let key = masked.len() - payload.len() - 4;
        masked.drain(key..key + 4);
        masked
    }

    #[test]
    fn reads_every_length_form() {
        for length in [0, 1, 125, 126, 127, 0xffff, 0x10000] {
            let payload = vec![b'x'; length];
            let bytes = from_server(Opcode::Text, &payload);

            let (frame, used) = parse(&bytes).expect("valid").expect("complete");

            assert_eq!((frame.opcode, frame.payload, used), (Opcode::Text, payload.as_slice(), bytes.len()));
        }
    }

    #[test]
    fn waits_for_the_rest_of_a_cut_frame() {
        let bytes = from_server(Opcode::Text, &[b'x'; 300]);

        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "cut after {cut} bytes");
        }
    }

    #[test]
    fn leaves_what_follows_the_first_frame() {
        let mut bytes = from_server(Opcode::Ping, b"a");
        bytes.extend(from_server(Opcode::Close, b""));

        let (first, used) = parse(&bytes).expect("valid").expect("complete");
        let (second, _) = parse(&bytes[used..]).expect("valid").expect("complete");

        assert_eq!((first.opcode, second.opcode), (Opcode::Ping, Opcode::Close));
    }

    #[test]
    fn refuses_what_a_server_must_not_send() {
        assert_eq!(parse(&[0xc1, 0]), Err(FrameError::Reserved(0x40)));
        assert_eq!(parse(&[0x01, 0]), Err(FrameError::Fragmented));
        assert_eq!(parse(&[0x80, 0]), Err(FrameError::Fragmented));
        assert_eq!(parse(&[0x83, 0]), Err(FrameError::Opcode(3)));
        assert_eq!(parse(&[0x81, 0x80]), Err(FrameError::Masked));
        assert_eq!(parse(&[0x81, 127, 0, 0, 0, 0, 1, 0, 0, 0]), Err(FrameError::TooLarge(1 << 24)));
    }

    #[test]
    fn masks_with_the_key_zero() {
        let mut out = Vec::new();

        put(&mut out, Opcode::Text, b"hi");

        assert_eq!(out, [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    }
}
