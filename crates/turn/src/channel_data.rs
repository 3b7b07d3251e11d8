//! ChannelData (RFC 8656 §12.4): four bytes before the data instead of a message around it.

use std::ops::Range;

/// Length of the header: number and length.
pub const HEADER: usize = 4;

/// Numbers that a client should bind (RFC 8656 §12).
pub const NUMBERS: std::ops::RangeInclusive<u16> = 0x4000..=0x4fff;

/// Numbers that a server takes: also those of RFC 5766 §11, which coturn's clients and others still bind. What RFC 8656 reserves
/// them for, telling protocols on one port apart, is no matter on a port of TURN alone.
pub const ACCEPTED: std::ops::RangeInclusive<u16> = 0x4000..=0x7fff;

/// Whether a packet that begins with this byte is ChannelData and no STUN message.
pub fn begins(first: u8) -> bool {
    first & 0xc0 == 0x40
}

/// The number, and where the data lies in `packet`. Bytes behind the data are padding: over UDP none is needed, but some
/// clients send it.
pub fn parse(packet: &[u8]) -> Option<(u16, Range<usize>)> {
    let [a, b, c, d, rest @ ..] = packet else { return None };
    let number = u16::from_be_bytes([*a, *b]);
    let length = usize::from(u16::from_be_bytes([*c, *d]));
    (ACCEPTED.contains(&number) && length <= rest.len()).then(|| (number, HEADER..HEADER + length))
}

/// The header before `length` bytes of data.
pub fn header(number: u16, length: u16) -> [u8; HEADER] {
    let ([a, b], [c, d]) = (number.to_be_bytes(), length.to_be_bytes());
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padding_over_udp_is_no_data() {
        assert_eq!(parse(&[0x40, 0, 0, 1, 9, 0, 0, 0]), Some((0x4000, 4..5)));
    }

    #[test]
    fn reserved_numbers_and_cut_data_are_refused() {
        assert_eq!(parse(&[0x80, 0, 0, 0]), None);
        assert_eq!(parse(&[0x3f, 0xff, 0, 0]), None);
        assert_eq!(parse(&[0x40, 0, 0, 2, 9]), None);
        assert_eq!(parse(&[0x40, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn a_header_reads_as_it_was_written(number in ACCEPTED, data in proptest::collection::vec(any::<u8>(), 0..99)) {
            let mut packet = header(number, data.len() as u16).to_vec();
            packet.extend(&data);
            let (found, range) = parse(&packet).unwrap();
            prop_assert_eq!((found, &packet[range]), (number, &data[..]));
            let theirs = turn_types::channel::ChannelData::parse(&packet).unwrap();
            prop_assert_eq!((theirs.id(), theirs.data()), (number, &data[..]));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let _ = parse(&bytes);
        }
    }
}
