//! Frames as bytes (RFC 6455 §5), without IO: what a client sends is read in place, what the server sends is appended.

use std::str;

/// Longest payload of a control frame (§5.5).
pub const CONTROL_BYTES: usize = 125;

/// Longest header that a server writes: two bytes and a length of eight.
pub(crate) const HEADER_BYTES: usize = 10;

/// What a frame carries (§5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// The next piece of a message.
    Continuation,
    /// Text, or its first piece.
    Text,
    /// Bytes, or their first piece.
    Binary,
    /// The end of the connection.
    Close,
    /// A question for a sign of life.
    Ping,
    /// The answer to one.
    Pong,
}

impl Opcode {
    fn parse(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}

/// Why the connection has to end: the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A reserved bit without an extension (§5.2).
    #[error("A reserved bit is set, but no extension was agreed on.")]
    ReservedBit,
    /// Opcodes 3–7 and 11–15 (§5.2).
    #[error("This opcode has no meaning.")]
    UnknownOpcode,
    /// A client has to mask (§5.1).
    #[error("Frames from a client must be masked.")]
    Unmasked,
    /// Control frames are short and whole (§5.5).
    #[error("A control frame is whole and has at most 125 bytes.")]
    BadControl,
    /// A continuation without a beginning, or a beginning inside another message (§5.4).
    #[error("The pieces of a message are out of order.")]
    BadFragment,
    /// A length in more bytes than it needs, or of 2⁶³ and more (§5.2).
    #[error("The length is not written in the shortest form.")]
    BadLength,
    /// A payload of one byte, or a code that may not be sent (§7.4).
    #[error("The close frame is malformed.")]
    BadClose,
    /// Text that is not UTF-8 (§8.1).
    #[error("Text must be UTF-8.")]
    NotUtf8,
    /// A message above the limit.
    #[error("A message has at most {limit} bytes.")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
}

impl Violation {
    /// The close code that says so (§7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Self::ReservedBit
            | Self::UnknownOpcode
            | Self::Unmasked
            | Self::BadControl
            | Self::BadFragment
            | Self::BadLength
            | Self::BadClose => 1002,
            Self::NotUtf8 => 1007,
            Self::TooLarge { .. } => 1009,
        }
    }
}

/// Something whole that the client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// To be answered with a pong of the same payload.
    Ping(&'a [u8]),
    /// A sign of life.
    Pong,
    /// The client ends the connection, with a code if it gave one.
    Close(Option<u16>),
}

/// One frame, taken off the front of the input.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// How many bytes of the input it took.
    pub consumed: usize,
    /// What it completed; nothing if it was a piece of a message.
    pub event: Option<Event<'a>>,
}

/// Reads a client's frames; holds memory only while a message comes in pieces.
#[derive(Debug)]
pub struct Decoder {
    /// Longest message in bytes.
    limit: usize,
    fragments: Option<Box<Fragments>>,
}

/// A message of which some pieces have come.
#[derive(Debug)]
struct Fragments {
    is_text: bool,
    bytes: Vec<u8>,
    /// How much of a text is known to be UTF-8.
    valid: usize,
    /// The last piece has come; the message is borrowed by its event until the next frame is asked for.
    complete: bool,
}

/// The part of a frame before its payload.
struct Header {
    fin: bool,
    opcode: Opcode,
    mask: [u8; 4],
    payload_at: usize,
    end: usize,
}

impl Decoder {
    /// Reads messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, fragments: None }
    }

    /// Takes one frame off the front of `input`, unmasking it in place; nothing if it has not come whole yet.
    ///
    /// # Errors
    /// The connection has to be closed with the violation's code; the decoder must not be used again.
    pub fn decode<'a>(&'a mut self, input: &'a mut [u8]) -> Result<Option<Frame<'a>>, Violation> {
        self.fragments.take_if(|fragments| fragments.complete);
        let Some(header) = self.header(input)? else { return Ok(None) };
        let Some(payload) = input.get_mut(header.payload_at..header.end) else { return Ok(None) };
        unmask(payload, header.mask);
        let consumed = header.end;
        let event = match header.opcode {
            Opcode::Ping => Some(Event::Ping(payload)),
            Opcode::Pong => Some(Event::Pong),
            Opcode::Close => Some(Event::Close(close_code(payload)?)),
            Opcode::Text if header.fin => Some(Event::Text(utf8(payload)?)),
            Opcode::Binary if header.fin => Some(Event::Binary(payload)),
            Opcode::Text | Opcode::Binary => {
                let is_text = header.opcode == Opcode::Text;
                self.fragments = Some(Box::new(Fragments { is_text, bytes: Vec::new(), valid: 0, complete: false }));
                self.append(payload, false)?
            }
            Opcode::Continuation => self.append(payload, header.fin)?,
        };
        Ok(Some(Frame { consumed, event }))
    }

    /// Reads and checks a header as soon as its bytes are there, before the payload is.
    fn header(&self, input: &[u8]) -> Result<Option<Header>, Violation> {
        let [first, second, ..] = *input else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBit);
        }
        let fin = first & 0x80 != 0;
        let opcode = Opcode::parse(first & 0x0f).ok_or(Violation::UnknownOpcode)?;
        if second & 0x80 == 0 {
            return Err(Violation::Unmasked);
        }
        let short = second & 0x7f;
        if opcode.is_control() && (!fin || usize::from(short) > CONTROL_BYTES) {
            return Err(Violation::BadControl);
        }
        if !opcode.is_control() && self.fragments.is_some() != (opcode == Opcode::Continuation) {
            return Err(Violation::BadFragment);
        }
        let Some((length, mask_at)) = length(short, input)? else { return Ok(None) };
        let before = self.fragments.as_ref().map_or(0, |fragments| fragments.bytes.len());
        let room = if opcode.is_control() { CONTROL_BYTES } else { self.limit.saturating_sub(before) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > room {
            return Err(Violation::TooLarge { limit: self.limit });
        }
        let payload_at = mask_at + 4;
        let Some(mask) = input.get(mask_at..payload_at).and_then(|mask| mask.try_into().ok()) else {
            return Ok(None);
        };
        Ok(Some(Header { fin, opcode, mask, payload_at, end: payload_at + length }))
    }

    /// Adds a piece; returns the message if it was the last.
    fn append(&mut self, piece: &[u8], fin: bool) -> Result<Option<Event<'_>>, Violation> {
        let Some(fragments) = &mut self.fragments else { return Err(Violation::BadFragment) };
        fragments.bytes.extend_from_slice(piece);
        if fragments.is_text {
            fragments.validate(fin)?;
        }
        fragments.complete = fin;
        let event = match (fin, fragments.is_text) {
            (false, _) => None,
            (true, true) => Some(Event::Text(utf8(&fragments.bytes)?)),
            (true, false) => Some(Event::Binary(&fragments.bytes)),
        };
        Ok(event)
    }
}

impl Fragments {
    /// Checks what was not checked yet; a character may be cut by the end of a piece, but not by the end of the text.
    fn validate(&mut self, fin: bool) -> Result<(), Violation> {
        match str::from_utf8(self.bytes.get(self.valid..).unwrap_or_default()) {
            Ok(rest) => self.valid += rest.len(),
            Err(error) if error.error_len().is_some() || fin => return Err(Violation::NotUtf8),
            Err(error) => self.valid += error.valid_up_to(),
        }
        Ok(())
    }
}

/// Reads the length, and where the mask begins; nothing if it has not come whole.
fn length(short: u8, input: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    let (length, least, mask_at) = match short {
        126 => match input.get(2..4).and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => (u64::from(u16::from_be_bytes(bytes)), 126, 4),
            None => return Ok(None),
        },
        127 => match input.get(2..10).and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => (u64::from_be_bytes(bytes), 1 << 16, 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, 2),
    };
    if length < least || length >> 63 != 0 { Err(Violation::BadLength) } else { Ok(Some((length, mask_at))) }
}

/// Undoes the masking (§5.3), eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let mut wide = [0; 8];
    wide[..4].copy_from_slice(&mask);
    wide[4..].copy_from_slice(&mask);
    let wide = u64::from_ne_bytes(wide);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

fn utf8(payload: &[u8]) -> Result<&str, Violation> {
    str::from_utf8(payload).map_err(|_| Violation::NotUtf8)
}

/// Reads the payload of a close frame (§5.5.1): nothing, or a code that may be sent and a reason in UTF-8.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::BadClose) };
    };
    utf8(reason)?;
    match u16::from_be_bytes(*code) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(Some(code)),
        _ => Err(Violation::BadClose),
    }
}

/// Appends a whole, unmasked frame.
pub fn encode(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(HEADER_BYTES + payload.len());
    out.push(0x80 | opcode.bits());
    let length = payload.len() as u64;
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => out.push(short),
        (_, Ok(medium)) => {
            out.push(126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(127);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Appends a close frame; a reason that does not fit is cut at a character.
pub fn encode_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(CONTROL_BYTES);
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(&reason.as_bytes()[..reason.floor_char_boundary(CONTROL_BYTES - 2)]);
    encode(Opcode::Close, &payload, out);
}

/// For the fuzzer: reads `bytes` whole and cut at `cut`, and checks that both see the same and never more than the limit.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8], cut: usize) {
    const LIMIT: usize = 512;
    let read = |pieces: &[&[u8]]| {
        let (mut decoder, mut buffer, mut seen) = (Decoder::new(LIMIT), Vec::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut buffer) {
                    Ok(Some(Frame { consumed, event })) => {
                        seen.push(format!("{event:?}"));
                        buffer.drain(..consumed);
                    }
                    Ok(None) => break,
                    Err(violation) => {
                        seen.push(violation.to_string());
                        return seen;
                    }
                }
            }
            assert!(buffer.len() <= LIMIT + HEADER_BYTES + 4, "holds more than one frame");
        }
        seen
    };
    let (front, back) = bytes.split_at(cut.min(bytes.len()));
    assert_eq!(read(&[bytes]), read(&[front, back]));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as a client sends it.
    fn client(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(Opcode::Binary, payload, &mut out);
        let header = out.len() - payload.len();
        out[0] = first;
        out[1] |= 0x80;
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        out.splice(header..header, mask);
        unmask(&mut out[header + 4..], mask);
        out
    }

    fn refused(input: &[u8]) -> Violation {
        let mut input = input.to_vec();
        Decoder::new(1 << 16).decode(&mut input).expect_err("a violation")
    }

    #[test]
    fn reads_the_example_of_the_standard() {
        let mut hello = vec![0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let mut decoder = Decoder::new(100);
        let frame = decoder.decode(&mut hello).expect("valid");
        assert_eq!(frame, Some(Frame { consumed: 11, event: Some(Event::Text("Hello")) }));
    }

    #[test]
    fn refuses_what_the_standard_forbids() {
        assert_eq!(refused(&[0xc1, 0x80]), Violation::ReservedBit);
        assert_eq!(refused(&[0x83, 0x80]), Violation::UnknownOpcode);
        assert_eq!(refused(&[0x81, 0x05]), Violation::Unmasked);
        assert_eq!(refused(&[0x09, 0x80]), Violation::BadControl);
        assert_eq!(refused(&[0x89, 0xfe]), Violation::BadControl);
        assert_eq!(refused(&[0x80, 0x80]), Violation::BadFragment);
        assert_eq!(refused(&[0x81, 0xfe, 0, 125]), Violation::BadLength);
        assert_eq!(refused(&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), Violation::BadLength);
        assert_eq!(refused(&[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), Violation::BadLength);
        assert_eq!(refused(&client(0x81, &[0xff])), Violation::NotUtf8);
        assert_eq!(refused(&client(0x88, &[3])), Violation::BadClose);
        for code in [0u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            assert_eq!(refused(&client(0x88, &code.to_be_bytes())), Violation::BadClose, "{code}");
        }
    }

    #[test]
    fn refuses_a_large_message_before_it_comes() {
        assert_eq!(refused(&[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1]), Violation::TooLarge { limit: 1 << 16 });
        let mut decoder = Decoder::new(10);
        let mut first = client(0x01, b"123456");
        assert_eq!(decoder.decode(&mut first).expect("valid").and_then(|frame| frame.event), None);
        let mut second = client(0x80, b"78901");
        assert_eq!(decoder.decode(&mut second), Err(Violation::TooLarge { limit: 10 }));
    }

    #[test]
    fn answers_pings_between_the_pieces_of_a_message() {
        let mut decoder = Decoder::new(100);
        let (first, last) = "grüße".as_bytes().split_at(3);
        let mut input = [client(0x01, first), client(0x89, b"?"), client(0x80, last)].concat();
        let mut seen = Vec::new();
        let mut at = 0;
        while let Some(Frame { consumed, event }) = decoder.decode(&mut input[at..]).expect("valid") {
            at += consumed;
            seen.push(format!("{event:?}"));
        }
        assert_eq!(seen, ["None", "Some(Ping([63]))", r#"Some(Text("grüße"))"#]);
        assert!(decoder.fragments.is_none(), "holds no memory once the message is read");
    }

    #[test]
    fn notices_broken_text_in_the_first_piece() {
        let mut decoder = Decoder::new(100);
        let mut input = client(0x01, b"ab\xff");
        assert_eq!(decoder.decode(&mut input), Err(Violation::NotUtf8));
        let mut decoder = Decoder::new(100);
        let mut input = client(0x01, "ü".as_bytes().split_at(1).0);
        assert!(decoder.decode(&mut input).is_ok());
        let mut input = client(0x80, b"");
        assert_eq!(decoder.decode(&mut input), Err(Violation::NotUtf8), "cut at the end");
    }

    #[test]
    fn cuts_a_long_reason_at_a_character() {
        let mut out = Vec::new();
        encode_close(1000, &"ü".repeat(100), &mut out);
        assert_eq!(out.len(), 2 + 2 + 122);
        assert!(str::from_utf8(&out[4..]).is_ok());
    }

    proptest! {
        #[test]
        fn messages_survive_any_cut_into_pieces(text in r"\PC{0,400}", cuts in proptest::collection::vec(0usize..400, 0..4)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            cuts.push(text.len());
            let mut decoder = Decoder::new(4096);
            let (mut from, mut read) = (0, None);
            for (index, to) in cuts.iter().enumerate() {
                let fin = if index + 1 == cuts.len() { 0x80 } else { 0 };
                let mut frame = client(fin | u8::from(index == 0), &text.as_bytes()[from..*to]);
                let whole = frame.len();
                let decoded = decoder.decode(&mut frame).expect("valid").expect("whole");
                prop_assert_eq!(decoded.consumed, whole);
                if let Some(Event::Text(text)) = decoded.event {
                    read = Some(text.to_owned());
                }
                from = *to;
            }
            prop_assert_eq!(read, Some(text));
        }

        #[test]
        fn lengths_of_every_form_survive(length in prop_oneof![0usize..130, 65_530usize..65_540]) {
            let payload = vec![7; length];
            let mut frame = client(0x82, &payload);
            let whole = frame.len();
            for short in [1, whole / 2, whole - 1] {
                let mut front = frame[..short].to_vec();
                prop_assert!(matches!(Decoder::new(1 << 17).decode(&mut front), Ok(None)));
            }
            let mut decoder = Decoder::new(1 << 17);
            prop_assert_eq!(decoder.decode(&mut frame), Ok(Some(Frame { consumed: whole, event: Some(Event::Binary(&payload)) })));
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_read_the_same_in_pieces(bytes: Vec<u8>, cut in 0usize..64) {
            fuzz(&bytes, cut);
        }

        #[test]
        fn perturbed_frames_never_panic(at in 0usize..60, byte: u8, cut in 0usize..80) {
            let mut bytes = [client(0x01, b"one"), client(0x89, b"ping"), client(0x80, b"two"), client(0x88, &[3, 0xe8])].concat();
            let at = at % bytes.len();
            bytes[at] = byte;
            fuzz(&bytes, cut);
        }
    }
}
