//! What a program around the core may want to know. The core keeps none of it.

use switchboard_wire::rooms::{Dialect, LeaveReason};
use switchboard_wire::{PeerId, RoomId};

use super::{Core, Output};

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
}

impl Core {
    /// Tells what happened, where somebody wants to know.
    pub(super) fn tell_host(&mut self, event: impl FnOnce() -> Event) {
        if self.config.events {
            self.outputs.push_back(Output::Event(event()));
        }
    }
}
