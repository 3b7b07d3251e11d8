//! What can go wrong, by whose fault it is.

use std::net::SocketAddr;

use super::MAX_PAYLOAD;

/// Why a request failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// Nothing answered in time: the server is not there, or packets are lost on the way.
    #[error("the server did not answer{}", if *.forged { ", except with a wrong signature" } else { "" })]
    TimedOut {
        /// Whether answers came whose signature was wrong, so that they did not count (RFC 8489 §9.2.5).
        forged: bool,
    },
    /// The connection ended before the answer came.
    #[error("the connection ended before the answer")]
    Closed,
    /// The server asks for credentials and there are none.
    #[error("the server asks for a user name and a password")]
    CredentialsMissing,
    /// The server does not take the credentials.
    #[error("the server does not accept the user name and the password")]
    WrongCredentials,
    /// The nonce says that the server offers password algorithms, but the offer is missing: somebody on the way has removed
    /// it (RFC 8489 §9.2.1).
    #[error("the server's offer of password algorithms was removed on its way")]
    Downgraded,
    /// An answer over a stream has a wrong signature: the server knows another password, or somebody changed it.
    #[error("the signature of the server's answer is wrong")]
    Forged,
    /// The server calls every nonce stale, its own newest too.
    #[error("the server calls its own nonces stale")]
    EndlesslyStale,
    /// The server sends its clients elsewhere.
    #[error("the server asks to use {server} instead")]
    TryAlternate {
        /// Where.
        server: SocketAddr,
    },
    /// Any other error code.
    #[error("the server refused with {code}{}{}", if code_name(*.code).is_empty() { "" } else { ": " }, code_name(*.code))]
    Refused {
        /// The error code (RFC 8489 §14.8, RFC 8656 §19).
        code: u16,
    },
    /// A success without an attribute that it must have, or an error without a code: the server's fault.
    #[error("the server's answer lacks {missing}")]
    Incomplete {
        /// Which attribute.
        missing: &'static str,
    },
    /// More requests than [`super::MAX_PENDING`] wait for their answers: the caller's fault.
    #[error("too many requests wait for their answers")]
    Busy,
}

/// What the standards call an error code; nothing for codes that they do not have.
pub fn code_name(code: u16) -> &'static str {
    match code {
        300 => "try alternate",
        400 => "bad request",
        401 => "unauthenticated",
        403 => "forbidden",
        420 => "unknown attribute",
        437 => "allocation mismatch",
        438 => "stale nonce",
        440 => "address family not supported",
        441 => "wrong credentials",
        442 => "unsupported transport protocol",
        443 => "peer address family mismatch",
        446 => "connection already exists",
        447 => "connection timeout or failure",
        486 => "allocation quota reached",
        500 => "server error",
        508 => "insufficient capacity",
        _ => "",
    }
}

/// The stream carries something else than STUN and ChannelData.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the server speaks another protocol than STUN here")]
pub struct BrokenStream;

/// The payload is too large for one packet: the caller's fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} bytes are too many for one packet, {MAX_PAYLOAD} is the limit")]
pub struct TooLarge(pub usize);

impl TooLarge {
    pub(super) fn check(payload: &[u8]) -> Result<u16, Self> {
        let length = payload.len();
        u16::try_from(length).ok().filter(|_| length <= MAX_PAYLOAD).ok_or(Self(length))
    }
}

/// Why a user name and a password cannot be used: the user's fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadLogin {
    /// RFC 8489 §14.3.
    #[error("a user name has 1 to 508 bytes")]
    NameLength,
    /// Control characters and the like (RFC 4013).
    #[error("user name and password must not contain control characters")]
    Prohibited,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_sentences() {
        let refused = |code| RequestError::Refused { code }.to_string();
        assert_eq!(refused(486), "the server refused with 486: allocation quota reached");
        assert_eq!(refused(499), "the server refused with 499");
        assert_eq!(RequestError::TimedOut { forged: false }.to_string(), "the server did not answer");
    }
}
