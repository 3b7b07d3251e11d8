//! The messages of the rooms protocol, version 1 (`docs/protocol/rooms.md`).
//!
//! They are also the vocabulary of the signalling core: every other dialect translates to and from them.

mod client;
mod error;
mod server;

pub(crate) use client::present;
pub use client::{ClientMessage, DecodeError, IfMissing, Reference, Request};
pub use error::{ErrorCode, GoodbyeCode};
pub use server::{Dialect, IceServers, LeaveReason, Limits, Member, RoomSnapshot, ServerMessage, Signal, Welcome};

use serde::Serialize;

/// The version that `hello` has to name.
pub const VERSION: u32 = 1;

/// What a relayed message is for. The server passes all three on in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalKind {
    /// A session description that opens a negotiation.
    Offer,
    /// The session description that answers one.
    Answer,
    /// One ICE candidate, or the empty one that ends them.
    Candidate,
}

impl SignalKind {
    /// The message's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Answer => "answer",
            Self::Candidate => "candidate",
        }
    }
}
