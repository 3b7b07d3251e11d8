//! Several Engine.IO packets in one HTTP body.
//!
//! Engine.IO 4 separates them by U+001E. Engine.IO 3 counts: text as `<UTF-16 code units>:<packet>`, or, from browsers
//! with socket.io-client 1 (XHR2), bytes as `0x00 <decimal digits as bytes> 0xFF <packet>`, where `0x01` in place of
//! `0x00` marks binary data.

use super::limits::{PACKET_BYTES, PACKETS_PER_PAYLOAD};
use super::packet::{MalformedPacket, Packet, Protocol};

/// How the packets of a body are held apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Engine.IO 4: U+001E between packets.
    Separated,
    /// Engine.IO 3: a count of UTF-16 code units before each packet.
    Counted,
    /// Engine.IO 3 with `application/octet-stream`: a byte count before each packet.
    Framed,
}

/// A body that is no payload, or breaks a limit: the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedPayload {
    /// Bytes that are not UTF-8.
    #[error("the payload is not UTF-8 text")]
    NotText,
    /// A count that is missing, not a number, or beyond the end.
    #[error("the payload's packet lengths do not add up")]
    Length,
    /// More than [`PACKETS_PER_PAYLOAD`].
    #[error("the payload has more than {PACKETS_PER_PAYLOAD} packets")]
    TooManyPackets,
    /// More than [`PACKET_BYTES`] in one.
    #[error("a packet of the payload has more than {PACKET_BYTES} bytes")]
    PacketTooLarge,
    /// An element that is no packet.
    #[error(transparent)]
    Packet(#[from] MalformedPacket),
}

/// The packets of a body, in order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    encoding: Encoding,
    /// What is not read yet; none at the end.
    rest: Option<&'a [u8]>,
    /// How many more packets are admitted.
    budget: usize,
}

impl<'a> Packets<'a> {
    /// Reads `body`; an empty one is an error, as in the original.
    pub fn decode(encoding: Encoding, body: &'a [u8]) -> Self {
        Self { encoding, rest: Some(body), budget: PACKETS_PER_PAYLOAD }
    }

    fn element(&mut self, rest: &'a [u8]) -> Result<Packet<'a>, MalformedPayload> {
        self.budget = self.budget.checked_sub(1).ok_or(MalformedPayload::TooManyPackets)?;
        let element = match self.encoding {
            Encoding::Separated => self.separated(rest),
            Encoding::Counted => self.counted(rest)?,
            Encoding::Framed => self.framed(rest)?,
        };
        let text = match element {
            Element::Text(text) => text,
            Element::Binary => return Ok(Packet::Binary("")),
        };
        if text.len() > PACKET_BYTES {
            return Err(MalformedPayload::PacketTooLarge);
        }
        let text = std::str::from_utf8(text).map_err(|_| MalformedPayload::NotText)?;
        Ok(Packet::decode(text)?)
    }

    fn separated(&mut self, rest: &'a [u8]) -> Element<'a> {
        let end = rest.iter().position(|byte| *byte == 0x1e);
        self.rest = end.map(|end| &rest[end + 1..]);
        Element::Text(&rest[..end.unwrap_or(rest.len())])
    }

    fn counted(&mut self, rest: &'a [u8]) -> Result<Element<'a>, MalformedPayload> {
        // Seven digits count past the largest body.
        let colon = rest.iter().take(8).position(|byte| *byte == b':').ok_or(MalformedPayload::Length)?;
        let units = decimal(rest[..colon].iter().map(|byte| byte.wrapping_sub(b'0')))?;
        let rest = &rest[colon + 1..];
        let end = utf16_prefix(rest, units)?;
        self.advance(rest, end);
        Ok(Element::Text(&rest[..end]))
    }

    fn framed(&mut self, rest: &'a [u8]) -> Result<Element<'a>, MalformedPayload> {
        let end = rest.iter().take(9).position(|byte| *byte == 0xff).ok_or(MalformedPayload::Length)?;
        let header = &rest[..end];
        let (kind, digits) = header.split_first().ok_or(MalformedPayload::Length)?;
        let length = decimal(digits.iter().copied())?;
        let rest = &rest[end + 1..];
        let data = rest.get(..length).ok_or(MalformedPayload::Length)?;
        self.advance(rest, length);
        match kind {
            0 => Ok(Element::Text(data)),
            1 if length <= PACKET_BYTES => Ok(Element::Binary),
            1 => Err(MalformedPayload::PacketTooLarge),
            _ => Err(MalformedPayload::Length),
        }
    }

    fn advance(&mut self, rest: &'a [u8], by: usize) {
        self.rest = rest.get(by..).filter(|rest| !rest.is_empty());
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, MalformedPayload>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        let packet = self.element(rest);
        if packet.is_err() {
            self.rest = None;
        }
        Some(packet)
    }
}

/// One element, before it is read as a packet.
enum Element<'a> {
    Text(&'a [u8]),
    Binary,
}

/// Reads decimal digits (each 0 to 9, not ASCII).
fn decimal(digits: impl ExactSizeIterator<Item = u8>) -> Result<usize, MalformedPayload> {
    if digits.len() == 0 {
        return Err(MalformedPayload::Length);
    }
    let mut number = 0;
    for digit in digits {
        if digit > 9 {
            return Err(MalformedPayload::Length);
        }
        number = number * 10 + usize::from(digit);
    }
    Ok(number)
}

/// How many UTF-16 code units the character that begins with `byte` has; none for a byte inside a character.
fn utf16_units(byte: u8) -> usize {
    match byte {
        0x80..=0xbf => 0,
        0xf0..=0xff => 2,
        0x00..=0x7f | 0xc0..=0xef => 1,
    }
}

/// The length in UTF-16 code units of UTF-8 text.
fn utf16_len(text: &[u8]) -> usize {
    text.iter().map(|byte| utf16_units(*byte)).sum()
}

/// Finds the bytes that make `units` code units; not inside a character and not past the end.
fn utf16_prefix(text: &[u8], units: usize) -> Result<usize, MalformedPayload> {
    let mut missing = units;
    for (at, byte) in text.iter().enumerate() {
        let width = utf16_units(*byte);
        if missing == 0 && width > 0 {
            return Ok(at);
        }
        missing = missing.checked_sub(width).ok_or(MalformedPayload::Length)?;
    }
    if missing == 0 { Ok(text.len()) } else { Err(MalformedPayload::Length) }
}

/// Writes `packets` as the body of a GET's answer. Text that Engine.IO 3 gets should be ASCII, see [`to_ascii`].
pub(super) fn write_payload<'a>(protocol: Protocol, packets: impl IntoIterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    for (index, packet) in packets.into_iter().enumerate() {
        match protocol {
            Protocol::V3 => {
                out.extend_from_slice(utf16_len(packet).to_string().as_bytes());
                out.push(b':');
            }
            Protocol::V4 if index > 0 => out.push(0x1e),
            Protocol::V4 => {}
        }
        out.extend_from_slice(packet);
    }
}

/// Writes every character beyond ASCII as `\uXXXX`, which JSON allows wherever such characters can stand.
///
/// socket.io-client 1 takes the text of a payload for UTF-8 that was encoded twice, version 2 does not, and nothing tells
/// them apart: ASCII is what both read the same.
pub(super) fn to_ascii(packet: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(packet);
    let mut out = Vec::with_capacity(packet.len() + 16);
    for character in text.chars() {
        if character.is_ascii() {
            out.push(character as u8);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
        }
    }
    out
}

/// Undoes the encoding of text that was encoded twice; none if it was encoded once.
///
/// socket.io-client 1 writes the UTF-8 bytes of a packet as characters U+0000 to U+00FF. Text that version 2 wrote and that
/// still looks like this would have to consist of sequences such as `Ã©`, which no description or candidate has.
pub(super) fn decode_again(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let bytes = text.chars().map(|character| u8::try_from(character).ok()).collect::<Option<Vec<u8>>>()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(encoding: Encoding, body: impl AsRef<[u8]>) -> Result<Vec<String>, MalformedPayload> {
        Packets::decode(encoding, body.as_ref())
            .map(|packet| {
                let mut out = Vec::new();
                packet?.write_to(&mut out);
                Ok(String::from_utf8(out).expect("text"))
            })
            .collect()
    }

    #[test]
    fn reads_packets_apart() {
        assert_eq!(
            decode(Encoding::Separated, "40\u{1e}2\u{1e}42[]"),
            Ok(vec!["40".into(), "2".into(), "42[]".into()])
        );
        assert_eq!(decode(Encoding::Counted, "2:401:24:42[]"), Ok(vec!["40".into(), "2".into(), "42[]".into()]));
        assert_eq!(
            decode(Encoding::Framed, b"\0\x02\xff40\0\x01\x00\xff4123456789"),
            Ok(vec!["40".into(), "4123456789".into()])
        );
    }

    #[test]
    fn counts_surrogate_pairs_as_two() {
        assert_eq!(decode(Encoding::Counted, "4:4é😀2:4ř"), Ok(vec!["4é😀".into(), "4ř".into()]));
        assert_eq!(decode(Encoding::Counted, "3:4é😀"), Err(MalformedPayload::Length));
        assert_eq!(decode(Encoding::Counted, "5:4é😀"), Err(MalformedPayload::Length));
    }

    #[test]
    fn reads_browser_framing_as_utf8() {
        assert_eq!(decode(Encoding::Framed, b"\0\x05\xff4\xf0\x9f\x98\x80"), Ok(vec!["4😀".into()]));
        assert_eq!(decode(Encoding::Framed, b"\x01\x03\xff\x04ab\0\x01\xff2"), Ok(vec!["b".into(), "2".into()]));
    }

    #[test]
    fn refuses_bodies_that_do_not_add_up() {
        for body in ["", ":", "4", "1:", "x:4", "-1:4", "1e0:4", "99999999:4", "2:4", "1:42:4", "1:41:"] {
            assert!(decode(Encoding::Counted, body).is_err(), "{body:?}");
        }
        let framed: [&[u8]; 8] =
            [b"", b"\0", b"\0\xff", b"\0\x01", b"\0\x01\xff", b"\x02\x01\xff4", b"\0\x0a\xff4", b"\0\x01\xff\xc3"];
        for body in framed {
            assert!(decode(Encoding::Framed, body).is_err(), "{body:?}");
        }
        for body in ["", "\u{1e}", "4\u{1e}", "garbage", "4\u{1e}\u{1e}4"] {
            assert!(decode(Encoding::Separated, body).is_err(), "{body:?}");
        }
        assert_eq!(decode(Encoding::Separated, b"4\xff"), Err(MalformedPayload::NotText));
    }

    #[test]
    fn bounds_packets_and_their_size() {
        let many = vec!["6"; PACKETS_PER_PAYLOAD + 1].join("\u{1e}");
        assert_eq!(decode(Encoding::Separated, many), Err(MalformedPayload::TooManyPackets));
        assert_eq!(
            decode(Encoding::Separated, vec!["6"; PACKETS_PER_PAYLOAD].join("\u{1e}")).map(|p| p.len()),
            Ok(PACKETS_PER_PAYLOAD)
        );
        let large = "4".repeat(PACKET_BYTES + 1);
        assert_eq!(decode(Encoding::Separated, &large), Err(MalformedPayload::PacketTooLarge));
        assert_eq!(
            decode(Encoding::Counted, format!("{}:{large}", large.len())),
            Err(MalformedPayload::PacketTooLarge)
        );
        assert!(decode(Encoding::Separated, "4".repeat(PACKET_BYTES)).is_ok());
    }

    #[test]
    fn ascii_text_means_the_same_json() {
        let text = r#"["é😀","\n"]"#;
        let ascii = to_ascii(text.as_bytes());
        assert!(ascii.is_ascii());
        let read = |bytes: &[u8]| serde_json::from_slice::<Vec<String>>(bytes).expect("JSON");
        assert_eq!(read(&ascii), read(text.as_bytes()));
    }

    #[test]
    fn reads_text_that_was_encoded_twice() {
        let twice = |text: &str| text.bytes().map(char::from).collect::<String>();
        for text in ["é", "2[\"Žluťoučký 😀\"]", "\u{2028}"] {
            assert_eq!(decode_again(&twice(text)).as_deref(), Some(text));
            assert_eq!(decode_again(text), None, "{text} was encoded once");
        }
        assert_eq!(decode_again("plain"), None);
    }

    /// What a browser with socket.io-client 1 sends.
    fn write_framed(packets: &[String]) -> Vec<u8> {
        let mut out = Vec::new();
        for packet in packets {
            out.push(0);
            out.extend(packet.len().to_string().bytes().map(|digit| digit - b'0'));
            out.push(0xff);
            out.extend_from_slice(packet.as_bytes());
        }
        out
    }

    proptest! {
        #[test]
        fn payloads_survive_each_encoding(packets in proptest::collection::vec("4[^\u{1e}]{0,40}", 1..8)) {
            let bytes = || packets.iter().map(String::as_bytes);
            let (mut v3, mut v4) = (Vec::new(), Vec::new());
            write_payload(Protocol::V3, bytes(), &mut v3);
            write_payload(Protocol::V4, bytes(), &mut v4);
            prop_assert_eq!(decode(Encoding::Counted, v3), Ok(packets.clone()));
            prop_assert_eq!(decode(Encoding::Separated, v4), Ok(packets.clone()));
            prop_assert_eq!(decode(Encoding::Framed, write_framed(&packets)), Ok(packets.clone()));
        }

        #[test]
        fn payloads_can_be_concatenated(first in proptest::collection::vec("4.{0,9}", 1..4), second in "4.{0,9}") {
            let mut body = Vec::new();
            write_payload(Protocol::V3, first.iter().map(String::as_bytes), &mut body);
            write_payload(Protocol::V3, [second.as_bytes()], &mut body);
            let mut all = first.clone();
            all.push(second);
            prop_assert_eq!(decode(Encoding::Counted, body), Ok(all));
        }

        #[test]
        fn perturbed_bytes_never_panic(packets in proptest::collection::vec("4.{0,20}", 1..5), at: prop::sample::Index,
                                       byte: u8, cut: prop::sample::Index) {
            let mut body = Vec::new();
            write_payload(Protocol::V3, packets.iter().map(String::as_bytes), &mut body);
            let mut framed = write_framed(&packets);
            for body in [&mut body, &mut framed] {
                let at = at.index(body.len());
                body[at] = byte;
                let cut = cut.index(body.len() + 1);
                for encoding in [Encoding::Separated, Encoding::Counted, Encoding::Framed] {
                    let _ = decode(encoding, &body);
                    let _ = decode(encoding, &body[..cut]);
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(body: Vec<u8>) {
            for encoding in [Encoding::Separated, Encoding::Counted, Encoding::Framed] {
                prop_assert!(Packets::decode(encoding, &body).count() <= body.len() + 1);
            }
        }
    }
}
