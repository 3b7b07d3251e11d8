//! Passing offers, answers and candidates on, unread.

use serde_json::value::RawValue;
use switchboard_wire::PeerId;
use switchboard_wire::rooms::{ErrorCode, Reference, ServerMessage, Signal, SignalKind};

use super::peer::Link;
use super::{ConnId, Core, Output};

impl Core {
    /// Passes `data` to `to` if both share a room; the sender's id is the server's knowledge, not the sender's word.
    pub(super) fn relay(
        &mut self,
        conn: ConnId,
        from: PeerId,
        kind: SignalKind,
        to: PeerId,
        data: &RawValue,
        reference: Option<Reference>,
    ) {
        let Some(sender) = self.peers.get(&from) else { return };
        let dialect = sender.dialect;
        let reachable = from != to && self.share_room(from, to);
        let Some(target) = self.peers.get_mut(&to).filter(|_| reachable) else {
            let message = format!("No peer {to} is in a room with you; it may have left.");
            return self.refuse(conn, ErrorCode::PeerNotFound, message, reference);
        };
        let signal = Signal { kind, from, data: data.to_owned() };
        match &mut target.link {
            Link::Connected(conn) => {
                let message = ServerMessage::Signal(signal);
                self.outputs.push_back(Output::Message { conn: *conn, message, reference: None });
            }
            Link::Away(away) => {
                let bytes = away.waiting_bytes + data.get().len();
                if away.waiting.len() >= self.config.away_messages || bytes > self.config.away_bytes {
                    let message =
                        format!("The peer {to} is away and too much waits for it already; wait for peer-back.");
                    return self.refuse(conn, ErrorCode::PeerQueueFull, message, reference);
                }
                away.waiting_bytes = bytes;
                away.waiting.push_back(signal);
            }
        }
        self.stats.relayed_total[dialect] += 1;
    }

    pub(super) fn share_room(&self, a: PeerId, b: PeerId) -> bool {
        let (Some(a), Some(b)) = (self.peers.get(&a), self.peers.get(&b)) else { return false };
        a.rooms.iter().any(|room| b.rooms.contains(room))
    }
}
