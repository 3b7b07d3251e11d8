//! Error and goodbye codes, each with the sentence that people read.

use serde::Serialize;

/// Why a request had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// Not JSON, or not an object.
    BadJson,
    /// A member is missing or of the wrong type.
    BadMessage,
    /// No such `type`.
    UnknownType,
    /// A binary frame.
    BinaryFrame,
    /// `hello` with another `v`.
    UnsupportedVersion,
    /// Anything before `hello`.
    HelloFirst,
    /// A second `hello`.
    AlreadyGreeted,
    /// A resume token that was used before.
    ResumeRefused,
    /// A room id against the rules.
    BadRoom,
    /// A name against the rules.
    BadName,
    /// The room does not exist and `ifMissing` was `refuse`.
    RoomNotFound,
    /// The room has as many members as a room may have.
    RoomFull,
    /// The peer is in as many rooms as a peer may be.
    TooManyRooms,
    /// As many rooms as one address may have were made from the peer's.
    AddressFull,
    /// The server holds as many rooms as it may.
    ServerFull,
    /// `leave` of a room that the peer is not in.
    NotInRoom,
    /// The addressee shares no room with the sender.
    PeerNotFound,
    /// The addressee is away and its queue is full.
    PeerQueueFull,
    /// A notice: more messages than allowed, the server reads on more slowly.
    SlowDown,
}

/// Why the server closes the socket next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GoodbyeCode {
    /// The answer to `bye`.
    Bye,
    /// The server stops or restarts.
    ShuttingDown,
    /// Another socket resumed this peer.
    TakenOver,
    /// No `hello` in time.
    HelloTimeout,
    /// Silence after a ping.
    IdleTimeout,
    /// The client did not read what waited for it.
    TooSlow,
}

impl GoodbyeCode {
    /// The WebSocket close code (RFC 6455 §7.4; 4000–4999 are ours).
    pub fn close_code(self) -> u16 {
        match self {
            Self::Bye => 1000,
            Self::ShuttingDown => 1001,
            Self::TakenOver => 4001,
            Self::HelloTimeout => 4002,
            Self::IdleTimeout => 4003,
            Self::TooSlow => 4004,
        }
    }

    /// One sentence for people, at most 123 bytes so that it fits a close frame (RFC 6455 §5.5.1).
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Bye => "Goodbye.",
            Self::ShuttingDown => "The server is shutting down; connect again in a moment.",
            Self::TakenOver => "Another socket resumed this peer, so this one is closed.",
            Self::HelloTimeout => "No hello came in time; send one as the first message.",
            Self::IdleTimeout => "Nothing came for too long, not even a pong.",
            Self::TooSlow => "Too much was waiting to be read; read messages as they come.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_goodbye_sentence_fits_a_close_frame() {
        for code in [
            GoodbyeCode::Bye,
            GoodbyeCode::ShuttingDown,
            GoodbyeCode::TakenOver,
            GoodbyeCode::HelloTimeout,
            GoodbyeCode::IdleTimeout,
            GoodbyeCode::TooSlow,
        ] {
            assert!(code.sentence().len() <= 123, "{code:?}");
        }
    }
}
