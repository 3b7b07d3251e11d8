//! A directory of names that connections hold: what PeerJS ids, webrtc-star addresses and relay topics have in common.
//!
//! A dialect is a codec to and from these types. A relayed text is encoded once, by the sender's codec, in the form in
//! which its receiver gets it; the core passes it on unread. How texts are framed is the door's business.

mod message;
mod name;
mod request;

pub use message::{Malformed, Message, Refusal, Text};
pub use name::{InvalidName, NAME_BYTES, Name, Secret};
pub use request::{Absent, Claim, Recipients, Request, Send};

use crate::rooms::Dialect;

/// Keeps the names of different dialects apart: those of two namespaces never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    /// Ids of PeerJS clients that use the key with this index.
    PeerJs(u16),
    /// Addresses of webrtc-star peers.
    Star,
    /// Topics of the relay.
    Topics,
}

impl Namespace {
    /// The dialect whose clients hold names here.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::PeerJs(_) => Dialect::PeerJs,
            Self::Star => Dialect::SocketIo,
            Self::Topics => Dialect::Relay,
        }
    }
}
