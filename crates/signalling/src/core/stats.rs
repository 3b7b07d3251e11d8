//! Plain counters that the shell reads.

use std::ops::{Index, IndexMut};

use switchboard_wire::rooms::{Dialect, LeaveReason};

use super::Refusal;

/// One value for each dialect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByDialect([u64; Dialect::ALL.len()]);

/// Where the value of a dialect is.
fn place(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Switchboard => 0,
        Dialect::SocketIo => 1,
        Dialect::PeerJs => 2,
        Dialect::Relay => 3,
        Dialect::Matchbox => 4,
    }
}

impl Index<Dialect> for ByDialect {
    type Output = u64;

    fn index(&self, dialect: Dialect) -> &u64 {
        &self.0[place(dialect)]
    }
}

impl IndexMut<Dialect> for ByDialect {
    fn index_mut(&mut self, dialect: Dialect) -> &mut u64 {
        &mut self.0[place(dialect)]
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
    /// Names now, by the dialect that they are of.
    pub names: ByDialect,
    /// Names claimed.
    pub claimed_total: ByDialect,
    /// Claims refused.
    pub claim_refused_total: ByDialect,
    /// Names that a new connection took over from an old one of the same client.
    pub taken_over_total: u64,
    /// Names that another client took over from a connection that showed no sign of life.
    pub contested_total: u64,
    /// Texts that found nobody: dropped, sent back or expired.
    pub undelivered_total: ByDialect,
    /// Names of webrtc-star peers now.
    pub star_peers: u64,
    /// Claims of webrtc-star peers.
    pub star_joins_total: u64,
    /// Claims of webrtc-star peers that were refused.
    pub star_joins_failure_total: u64,
    /// Handshakes of webrtc-star peers.
    pub star_dials_total: u64,
    /// Handshakes that answer another.
    pub star_dials_success_total: u64,
    /// Handshakes that could not be read or found nobody.
    pub star_dials_failure_total: u64,
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
