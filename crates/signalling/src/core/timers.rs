//! What is due when.

use std::collections::BTreeSet;

use switchboard_wire::directory::{Name, Namespace};
use switchboard_wire::{Instant, PeerId};

use super::ConnId;
use super::address::AddressKey;

/// Something that happens at a time unless it is unset before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The connection should have said hello by now.
    Greeting(ConnId),
    /// The place of the peer was held long enough.
    Grace(PeerId),
    /// The peer's credentials for ICE servers are half way to their end.
    Renewal(PeerId),
    /// The address has worked off its debt.
    Address(AddressKey),
    /// The holder of the name should have shown by now that it lives.
    Contest(Namespace, Name),
    /// Something waited long enough for the name.
    Expiry(Namespace, Name),
    /// The connection is told names of others.
    Digest(ConnId),
}

/// Timers in order of time; setting and unsetting cost O(log n).
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BTreeSet<(Instant, Timer)>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.set.insert((at, timer));
    }

    pub(super) fn unset(&mut self, at: Instant, timer: Timer) {
        self.set.remove(&(at, timer));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.set.first().map(|(at, _)| *at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.set.pop_first().map(|(_, timer)| timer)
    }

    pub(super) fn clear(&mut self) {
        self.set.clear();
    }
}
