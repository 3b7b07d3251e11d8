//! What goes into an engine and what comes out: packets in place, verdicts, and the sockets that a host opens.

use std::net::SocketAddr;
use std::ops::Range;

use crate::{Client, RelayId, WorkerId};

/// Bytes that a packet's buffer has free before the packet, so that a header is written there and nothing is copied.
///
/// A Data indication to an IPv6 peer takes the most: 20 of header, 24 of XOR-PEER-ADDRESS and 4 of DATA.
pub const HEADROOM: usize = 64;

/// Bytes that a packet's buffer has free behind the packet, for padding to a multiple of four.
pub const TAILROOM: usize = 4;

/// A packet inside a larger buffer, with [`HEADROOM`] before it and [`TAILROOM`] behind it.
#[derive(Debug)]
pub struct Packet<'b> {
    /// The whole buffer.
    pub buffer: &'b mut [u8],
    /// Where the packet lies in it.
    pub range: Range<usize>,
}

impl Packet<'_> {
    /// The packet's own bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }
}

/// What is to be done about a packet. Ranges lie in the buffer that the packet came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing.
    Drop,
    /// Send the engine's `reply()` back to where the packet came from, from the address it came to.
    Reply,
    /// Send the engine's `reply()` to the client, but from this listener or to another of its ports: what RFC 5780 asks for.
    ReplyFrom {
        /// The listener.
        local: SocketAddr,
        /// The client's address, with the port to send to.
        to: SocketAddr,
    },
    /// Send `payload` from a relay socket.
    ToPeer {
        /// The relay socket.
        relay: RelayId,
        /// The peer.
        peer: SocketAddr,
        /// The bytes to send, untouched.
        payload: Range<usize>,
        /// Whether the client asked that routers do not fragment it (RFC 8656 §15).
        dont_fragment: bool,
    },
    /// Send `packet` to a client.
    ToClient {
        /// The client.
        client: Client,
        /// The server's address that the client knows.
        local: SocketAddr,
        /// The bytes to send: a header was written before the payload, and padding behind it for streams.
        packet: Range<usize>,
    },
    /// Hand `payload` to another worker's `handle_hairpin`.
    ToWorker {
        /// The worker that owns the allocation.
        worker: WorkerId,
        /// The relayed address it is meant for.
        relayed: SocketAddr,
        /// The relayed address it comes from.
        from: SocketAddr,
        /// The bytes to hand over, untouched.
        payload: Range<usize>,
    },
}

/// The relay sockets: effects whose outcome the engine needs at once.
pub trait Host {
    /// Opens a relay socket on exactly this address and port.
    ///
    /// # Errors
    ///
    /// Says why there is none; on [`OpenError::InUse`] the engine tries another port.
    fn open_relay(&mut self, bind: SocketAddr) -> Result<RelayId, OpenError>;

    /// Closes a relay socket; nothing of it comes in afterwards, and its id may be given anew.
    fn close_relay(&mut self, relay: RelayId);
}

/// Why a relay socket could not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// Another program has this port.
    #[error("the port is taken")]
    InUse,
    /// The process or the system has no descriptor or memory left.
    #[error("no descriptor or memory is left")]
    Exhausted,
    /// Anything else, such as an address that this machine does not have.
    #[error("the address cannot be bound")]
    Other,
}
