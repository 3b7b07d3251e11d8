//! Fuzzer's bytes as choices: each takes the next byte, and after the last one all are zero, so that every prefix of an input
//! is an input.

use std::net::SocketAddr;

use switchboard_turn::message::{Writer, known};

/// The bytes that are not used up.
#[derive(Debug)]
pub(super) struct Script<'a>(pub(super) &'a [u8]);

impl<'a> Script<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// One of the choices.
    pub(super) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// Up to 255 bytes as they stand, by their number.
    pub(super) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }
}

/// Peers of every kind: outside, refused, in other spellings, and the server's own.
pub(super) const PEERS: &[&str] = &[
    "93.184.216.34:5000",
    "93.184.216.34:5001",
    "93.184.216.35:5000",
    "[2606:2800::1]:5000",
    "10.0.0.1:5000",
    "127.0.0.1:80",
    "[::ffff:93.184.216.34]:5000",
    "[64:ff9b::a00:1]:5000",
    "93.184.216.34:0",
    "93.184.216.34:53",
    "198.41.0.4:3478",
    "198.41.0.4:49152",
    "198.41.0.4:49153",
    "198.41.0.4:49154",
    "[2a00:1450::7]:49152",
    "255.255.255.255:9",
];

pub(super) fn peer(script: &mut Script<'_>) -> SocketAddr {
    script.of(PEERS).parse().expect("an address")
}

/// Up to five attributes, right ones and wrong ones; `token` is the last reservation that was given.
pub(super) fn attributes(script: &mut Script<'_>, writer: &mut Writer<'_>, token: [u8; 8]) {
    for _ in 0..script.byte() % 6 {
        let kind = script.byte() % 14;
        attribute(kind, script, writer, token);
    }
}

/// Up to five attributes whose values have the right form.
pub(super) fn formal_attributes(script: &mut Script<'_>, writer: &mut Writer<'_>, token: [u8; 8]) {
    for _ in 0..script.byte() % 6 {
        let kind = script.byte() % 11;
        attribute(kind, script, writer, token);
    }
}

fn attribute(kind: u8, script: &mut Script<'_>, writer: &mut Writer<'_>, token: [u8; 8]) {
    match kind {
        0 => writer.attribute(known::REQUESTED_TRANSPORT, &[script.of(&[17, 17, 17, 6, 0]), 0, 0, 0]),
        1 => writer.lifetime(script.of(&[0, 1, 600, 3_600, 100_000, u32::MAX])),
        2 => {
            let number: u16 = script.of(&[0x4000, 0x4001, 0x4fff, 0x5000, 0x3fff, 0x7fff]);
            let [high, low] = number.to_be_bytes();
            writer.attribute(known::CHANNEL_NUMBER, &[high, low, 0, 0])
        }
        3 | 4 => {
            let peer = peer(script);
            writer.peer(peer)
        }
        5 => writer.attribute(known::REQUESTED_ADDRESS_FAMILY, &[script.of(&[1, 2, 3]), 0, 0, 0]),
        6 => writer.attribute(known::ADDITIONAL_ADDRESS_FAMILY, &[script.of(&[1, 2, 3]), 0, 0, 0]),
        7 => writer.attribute(known::EVEN_PORT, &[script.of(&[0x00, 0x80, 0x7f])]),
        8 => {
            let token = script.of(&[token, [7; 8]]);
            writer.attribute(known::RESERVATION_TOKEN, &token)
        }
        9 => writer.attribute(known::DONT_FRAGMENT, &[]),
        10 => writer.attribute(script.of(&[0x0042, 0x7fff, 0xc042]), script.bytes()),
        11 => writer.attribute(known::DATA, script.bytes()),
        12 => writer.attribute(script.of(KINDS), script.bytes()),
        _ => writer.mapped(peer(script)),
    };
}

/// Attributes whose values are read.
const KINDS: &[u16] = &[
    known::USERNAME,
    known::REALM,
    known::NONCE,
    known::USERHASH,
    known::PASSWORD_ALGORITHM,
    known::PASSWORD_ALGORITHMS,
    known::ERROR_CODE,
    known::LIFETIME,
    known::CHANNEL_NUMBER,
    known::XOR_PEER_ADDRESS,
    known::XOR_RELAYED_ADDRESS,
    known::XOR_MAPPED_ADDRESS,
    known::REQUESTED_TRANSPORT,
    known::REQUESTED_ADDRESS_FAMILY,
    known::ADDITIONAL_ADDRESS_FAMILY,
    known::EVEN_PORT,
    known::RESERVATION_TOKEN,
    known::ADDRESS_ERROR_CODE,
    known::MESSAGE_INTEGRITY,
    known::MESSAGE_INTEGRITY_SHA256,
    known::FINGERPRINT,
    // RFC 5780: CHANGE-REQUEST, PADDING, RESPONSE-PORT, RESPONSE-ORIGIN, OTHER-ADDRESS.
    0x0003,
    0x0026,
    0x0027,
    0x802b,
    0x802c,
];
