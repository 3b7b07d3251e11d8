//! What a readiness event is about, packed into the number that the poll hands back.

/// The source of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Another thread calls: parcels, or the end.
    Wake,
    /// A UDP listener, by its place in the list.
    Udp(u32),
    /// A TCP or TLS listener, by its place in the list.
    Stream(u32),
    /// A relay socket.
    Relay(u32),
    /// A TCP or TLS connection.
    Connection(u32),
}

/// Bits of the number below the kind.
const KIND: u32 = 32;

impl From<Token> for mio::Token {
    fn from(token: Token) -> Self {
        let (kind, index) = match token {
            Token::Wake => (0u64, 0),
            Token::Udp(index) => (1, index),
            Token::Stream(index) => (2, index),
            Token::Relay(index) => (3, index),
            Token::Connection(index) => (4, index),
        };
        Self((kind << KIND | u64::from(index)) as usize)
    }
}

impl From<mio::Token> for Token {
    fn from(token: mio::Token) -> Self {
        let number = token.0 as u64;
        let index = number as u32;
        match number >> KIND {
            1 => Self::Udp(index),
            2 => Self::Stream(index),
            3 => Self::Relay(index),
            4 => Self::Connection(index),
            _ => Self::Wake,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_survives_the_way_through_the_kernel() {
        let last = u32::MAX;
        for token in [Token::Wake, Token::Udp(0), Token::Stream(7), Token::Relay(last), Token::Connection(last)] {
            assert_eq!(Token::from(mio::Token::from(token)), token);
        }
    }
}
