//! One Engine.IO packet: a digit for the type, then text (Engine.IO protocol 3 and 4, "Packet encoding").
//!
//! Binary data is deliberately not decoded: no protocol that is spoken here has any.

/// The version of Engine.IO that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `EIO=3`: socket.io-client 1 and 2. The client pings.
    V3,
    /// `EIO=4`: socket.io-client 3 and 4. The server pings.
    V4,
}

/// An Engine.IO packet, borrowed from where it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0`: the server's handshake.
    Open(&'a str),
    /// `1`: the end of the session.
    Close,
    /// `2`: a question for a sign of life, or with `probe` for a new transport's.
    Ping(&'a str),
    /// `3`: its answer, with the same text.
    Pong(&'a str),
    /// `4`: a Socket.IO packet.
    Message(&'a str),
    /// `5`: the client moves to the transport that carries this.
    Upgrade,
    /// `6`: nothing, to end a GET.
    Noop,
    /// `b`: binary data in base64, undecoded.
    Binary(&'a str),
}

/// Text that is no packet: the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no Engine.IO packet")]
pub struct MalformedPacket;

impl<'a> Packet<'a> {
    /// Reads one packet, a WebSocket frame or an element of a payload. What follows a type that has no data is ignored.
    pub fn decode(text: &'a str) -> Result<Self, MalformedPacket> {
        let kind = text.as_bytes().first().ok_or(MalformedPacket)?;
        // The first byte may be the start of a longer character, which no arm below admits.
        let data = || text.get(1..).unwrap_or_default();
        match kind {
            b'4' => Ok(Self::Message(data())),
            b'2' => Ok(Self::Ping(data())),
            b'3' => Ok(Self::Pong(data())),
            b'0' => Ok(Self::Open(data())),
            b'1' => Ok(Self::Close),
            b'5' => Ok(Self::Upgrade),
            b'6' => Ok(Self::Noop),
            b'b' => Ok(Self::Binary(data())),
            _ => Err(MalformedPacket),
        }
    }

    /// Appends the packet.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let (kind, data) = match self {
            Self::Open(data) => (b'0', *data),
            Self::Close => (b'1', ""),
            Self::Ping(data) => (b'2', *data),
            Self::Pong(data) => (b'3', *data),
            Self::Message(data) => (b'4', *data),
            Self::Upgrade => (b'5', ""),
            Self::Noop => (b'6', ""),
            Self::Binary(data) => (b'b', *data),
        };
        out.push(kind);
        out.extend_from_slice(data.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(kind: u8, data: &str) -> Packet<'_> {
        match kind {
            0 => Packet::Open(data),
            1 => Packet::Close,
            2 => Packet::Ping(data),
            3 => Packet::Pong(data),
            4 => Packet::Message(data),
            5 => Packet::Upgrade,
            6 => Packet::Noop,
            _ => Packet::Binary(data),
        }
    }

    #[test]
    fn refuses_empty_text_and_unknown_types() {
        for text in ["", "7", "garbage", "é4", "\u{1e}"] {
            assert_eq!(Packet::decode(text), Err(MalformedPacket), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn packets_survive_text(kind in 0_u8..8, data: String) {
            let packet = packet(kind, &data);
            let mut out = Vec::new();
            packet.write_to(&mut out);
            prop_assert_eq!(Packet::decode(std::str::from_utf8(&out).expect("text")), Ok(packet));
        }

        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = Packet::decode(&text);
        }
    }
}
