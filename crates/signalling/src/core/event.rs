//! What a program around the core may want to know. The core keeps none of it.

use switchboard_wire::directory::{Name, Namespace};
use switchboard_wire::rooms::{Dialect, LeaveReason};
use switchboard_wire::{PeerId, RoomId};

use super::{ConnId, Core, Output};

/// Something that happened. A drain is not told name by name: who orders it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer entered a room.
    Joined {
        /// Who.
        peer: PeerId,
        /// Which.
        room: RoomId,
        /// What it speaks.
        dialect: Dialect,
    },
    /// A peer is in a room no more.
    Left {
        /// Who.
        peer: PeerId,
        /// Which.
        room: RoomId,
        /// Why.
        reason: LeaveReason,
    },
    /// A connection holds a name: an id of PeerJS, an address of webrtc-star, a topic of the relay.
    Named {
        /// Which connection; several may hold one name.
        conn: ConnId,
        /// What kind of name.
        namespace: Namespace,
        /// Which.
        name: Name,
    },
    /// A connection holds a name no more.
    Unnamed {
        /// Which connection.
        conn: ConnId,
        /// What kind of name.
        namespace: Namespace,
        /// Which.
        name: Name,
    },
}

impl Core {
    /// Tells what happened, where somebody wants to know.
    pub(super) fn tell_host(&mut self, event: impl FnOnce() -> Event) {
        if self.config.events {
            self.outputs.push_back(Output::Event(event()));
        }
    }
}
