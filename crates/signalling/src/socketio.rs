//! The Socket.IO door: the rooms sample's protocol (`docs/protocol/socketio.md`) and webrtc-star
//! (`docs/protocol/webrtc-star.md`) for the official clients, versions 1 to 4. Their events have different names, so one
//! session can speak both.
//!
//! Our own layer of Engine.IO (protocol 3 and 4) and Socket.IO (protocol 4 and 5), as much of them as these two
//! need: text, one namespace, no acknowledgements of ours, polling and WebSocket with the upgrade from one to the other.
//! It is deliberately not a Socket.IO server for other programs.
//!
//! A shell first reads the [`Query`] of a request. A session that begins as a WebSocket has a [`Link`], owned by whoever
//! reads the socket. One that begins with polling is a [`Session`], found by its [`Sid`]. Both turn what a client says
//! into messages for the core; [`encode`] turns what the core says into frames.

mod event;
mod handshake;
pub mod limits;
mod link;
mod message;
mod packet;
mod payload;
mod script;
mod session;
mod star;

pub use event::{Encoded, MalformedEvent, encode};
pub use handshake::{Fault, Query, Reply, Sid, Transport};
pub use link::{Answer, Link, Opening, Received};
pub use message::{Kind, MalformedMessage, Message};
pub use packet::{MalformedPacket, Packet, Protocol};
pub use payload::{Encoding, MalformedPayload, Packets};
pub use session::{Output, Session, SocketId};
pub use star::encode_directory;

use switchboard_wire::Instant;
use switchboard_wire::directory::{self, Malformed};
use switchboard_wire::rooms::{ClientMessage, DecodeError, ErrorCode, Request};

use crate::core::{Closing, ConnId, Core, Pace};

/// Something for the core: a message of the client's, or why it has no effect.
#[derive(Debug)]
pub enum Delivery<'a> {
    /// Of the rooms sample.
    Rooms(Result<ClientMessage<'a>, DecodeError>),
    /// Of webrtc-star.
    Star(Result<directory::Request<'a>, Malformed>),
}

impl Delivery<'_> {
    /// Tells the core. Returns when the next message of this connection may be read.
    pub fn deliver(self, core: &mut Core, conn: ConnId, now: Instant) -> Pace {
        match self {
            Self::Rooms(message) => core.handle_message(conn, message, now),
            Self::Star(request) => core.handle_directory(conn, request, now),
        }
    }

    /// Takes the events of the rooms sample for refused ones, where a page may speak webrtc-star alone.
    #[must_use]
    pub fn without_rooms(self) -> Self {
        match self {
            Self::Rooms(Ok(ClientMessage {
                request: Request::Join { .. } | Request::Leave { .. } | Request::Signal { .. } | Request::Rename { .. },
                reference: _,
            })) => event::refused(ErrorCode::BadRoom, event::NO_ROOMS),
            Self::Rooms(message) => Self::Rooms(message),
            Self::Star(request) => Self::Star(request),
        }
    }

    /// Takes the events of webrtc-star for unknown ones, where it is switched off.
    #[must_use]
    pub fn without_star(self) -> Self {
        match self {
            Self::Rooms(message) => Self::Rooms(message),
            Self::Star(_) => event::refused(ErrorCode::UnknownType, event::UNKNOWN),
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CloseReason {
    /// The client said so, or closed its WebSocket in good order.
    #[error("the client left")]
    Left,
    /// The WebSocket broke, or the client dropped a request before its answer.
    #[error("the transport was lost")]
    TransportLost,
    /// No sign of life for too long.
    #[error("the client was silent for too long")]
    PingTimeout,
    /// The client never entered the namespace.
    #[error("the client did not connect to the namespace in time")]
    ConnectTimeout,
    /// Text that is no packet, no event, or out of place.
    #[error("the client sent what is no packet of the protocol")]
    Malformed,
    /// Two GETs, or two POSTs, at a time.
    #[error("the client sent two requests where one is allowed at a time")]
    Overlap,
    /// The client did not fetch what waited for it.
    #[error("the client did not read what waited for it")]
    TooSlow,
    /// The core ended it, and knows.
    #[error("the server ended the session")]
    Dismissed,
}

impl CloseReason {
    /// What to tell the core. It ignores connections that it has forgotten, so it can be told every time.
    pub fn closing(self) -> Closing {
        match self {
            Self::Left => Closing::Left,
            Self::TransportLost | Self::PingTimeout => Closing::Lost,
            Self::ConnectTimeout | Self::Malformed | Self::Overlap | Self::TooSlow | Self::Dismissed => {
                Closing::Removed
            }
        }
    }
}

impl From<MalformedPacket> for CloseReason {
    fn from(_: MalformedPacket) -> Self {
        Self::Malformed
    }
}

impl From<MalformedPayload> for CloseReason {
    fn from(_: MalformedPayload) -> Self {
        Self::Malformed
    }
}

impl From<MalformedMessage> for CloseReason {
    fn from(_: MalformedMessage) -> Self {
        Self::Malformed
    }
}

impl From<MalformedEvent> for CloseReason {
    fn from(_: MalformedEvent) -> Self {
        Self::Malformed
    }
}
