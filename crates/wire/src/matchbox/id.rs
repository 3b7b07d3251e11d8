//! Ids of peers as UUIDs (RFC 9562): matchbox reads nothing else, and here they are those of the core, written otherwise.
//!
//! Of the 122 bits that a UUID of version 4 has for chance, an id of the core fills 120; the other two are zero.

use crate::PeerId;

/// Where the hyphens are in the text.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// Length of the text.
const TEXT: usize = 36;

fn to_uuid(id: PeerId) -> [u8; 16] {
    let bytes = id.to_bytes();
    let mut uuid = [0; 16];
    uuid[..6].copy_from_slice(&bytes[..6]);
    // The version (§4.2) and the variant (§4.1) take half a byte each; what they displace moves on.
    uuid[6] = 0x40 | (bytes[6] >> 4);
    uuid[7] = (bytes[6] << 4) | (bytes[7] >> 4);
    uuid[8] = 0x80 | (bytes[7] & 0x0f);
    uuid[9..].copy_from_slice(&bytes[8..]);
    uuid
}

/// The id that is written so; none if this server writes none so.
pub(super) fn from_uuid(uuid: [u8; 16]) -> Option<PeerId> {
    if uuid[6] & 0xf0 != 0x40 || uuid[8] & 0xf0 != 0x80 {
        return None;
    }
    let mut bytes = [0; 15];
    bytes[..6].copy_from_slice(&uuid[..6]);
    bytes[6] = (uuid[6] << 4) | (uuid[7] >> 4);
    bytes[7] = (uuid[7] << 4) | (uuid[8] & 0x0f);
    bytes[8..].copy_from_slice(&uuid[9..]);
    Some(PeerId::from_random(bytes))
}

/// Appends the 36 characters (§4).
pub(super) fn write_uuid(id: PeerId, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let start = out.len();
    for byte in to_uuid(id) {
        if HYPHENS.contains(&(out.len() - start)) {
            out.push(b'-');
        }
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// Reads the 36 characters, in either case.
pub(super) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; TEXT] = text.as_bytes().try_into().ok()?;
    let mut digits = text.iter().enumerate().filter(|(at, _)| !HYPHENS.contains(at)).map(|(_, byte)| *byte);
    let hyphens = HYPHENS.iter().all(|at| text[*at] == b'-');
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        let mut digit = || char::from(digits.next()?).to_digit(16);
        *byte = u8::try_from(digit()? * 16 + digit()?).ok()?;
    }
    hyphens.then_some(uuid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_written_as_uuids_of_version_4() {
        let mut out = Vec::new();
        write_uuid(PeerId::from_random([0xff; 15]), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), "ffffffff-ffff-4fff-8fff-ffffffffffff");
        out.clear();
        write_uuid(PeerId::from_random([1, 2, 3, 4, 5, 6, 0x78, 0x9a, 11, 12, 13, 14, 15, 16, 17]), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), "01020304-0506-4789-8a0b-0c0d0e0f1011");
    }

    #[test]
    fn other_text_is_no_uuid_and_other_uuids_are_nobodys() {
        for text in [
            "",
            "01020304-0506-4789-8a0b-0c0d0e0f101",
            "01020304050647898a0b0c0d0e0f10111111",
            "g1020304-0506-4789-8a0b-0c0d0e0f1011",
        ] {
            assert_eq!(parse_uuid(text), None, "{text}");
        }
        for text in ["01020304-0506-1789-8a0b-0c0d0e0f1011", "01020304-0506-4789-9a0b-0c0d0e0f1011"] {
            assert_eq!(from_uuid(parse_uuid(text).expect("a UUID")), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn ids_survive(bytes: [u8; 15], upper: bool) {
            let id = PeerId::from_random(bytes);
            let mut out = Vec::new();
            write_uuid(id, &mut out);
            let mut text = String::from_utf8(out).expect("ASCII");
            if upper {
                text.make_ascii_uppercase();
            }
            prop_assert_eq!(parse_uuid(&text).and_then(from_uuid), Some(id));
        }

        #[test]
        fn any_text_is_read_or_not(text: String) {
            let _ = parse_uuid(&text);
        }
    }
}
