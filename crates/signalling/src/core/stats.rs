//! Plain counters that the shell reads.

use std::ops::{Index, IndexMut};

use switchboard_wire::rooms::{Dialect, LeaveReason};

use super::Refusal;

/// One value for each dialect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByDialect {
    switchboard: u64,
    socketio: u64,
}

impl Index<Dialect> for ByDialect {
    type Output = u64;

    fn index(&self, dialect: Dialect) -> &u64 {
        match dialect {
            Dialect::Switchboard => &self.switchboard,
            Dialect::SocketIo => &self.socketio,
        }
    }
}

impl IndexMut<Dialect> for ByDialect {
    fn index_mut(&mut self, dialect: Dialect) -> &mut u64 {
        match dialect {
            Dialect::Switchboard => &mut self.switchboard,
            Dialect::SocketIo => &mut self.socketio,
        }
    }
}

/// What happened so far. Names that end in `_total` only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections now.
    pub connections: ByDialect,
    /// Connections admitted.
    pub connected_total: ByDialect,
    /// Connections refused because their address had too many.
    pub refused_address_full_total: u64,
    /// Connections refused because the server had too many.
    pub refused_server_full_total: u64,
    /// Connections refused during a drain.
    pub refused_draining_total: u64,
    /// Rooms entered.
    pub joined_total: ByDialect,
    /// Joins refused.
    pub join_refused_total: ByDialect,
    /// Offers, answers and candidates passed on, by the sender's dialect.
    pub relayed_total: ByDialect,
    /// Peers that left.
    pub left_total: u64,
    /// Peers whose grace period passed.
    pub lost_total: u64,
    /// Peers that the server dropped.
    pub removed_total: u64,
    /// Peers that came back in time.
    pub resumed_total: u64,
    /// Errors answered.
    pub errors_total: u64,
    /// Times that a connection began to be read more slowly.
    pub slowed_total: u64,
}

impl Stats {
    pub(super) fn count_refusal(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::AddressFull { .. } => self.refused_address_full_total += 1,
            Refusal::ServerFull { .. } => self.refused_server_full_total += 1,
            Refusal::Draining => self.refused_draining_total += 1,
        }
    }

    pub(super) fn count_departure(&mut self, reason: LeaveReason) {
        match reason {
            LeaveReason::Left => self.left_total += 1,
            LeaveReason::Lost => self.lost_total += 1,
            LeaveReason::Removed => self.removed_total += 1,
        }
    }
}
