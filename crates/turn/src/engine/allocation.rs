//! One allocation (RFC 8656 §3.2), and the table of all that an engine has.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::meter::Meter;
use super::peers::Peers;
use crate::message::{Family, Integrity, Key, PasswordAlgorithm, TransactionId};
use crate::{Account, Client, RelayId};

/// A relayed address of an allocation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay {
    pub(super) id: RelayId,
    /// What the client is told.
    pub(super) external: SocketAddr,
    /// The index of the range that the port is of.
    pub(super) range: usize,
    pub(super) expires: Instant,
}

/// Who made an allocation, and with what key: what later requests are held against, also when the credentials have expired.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) account: Account,
    /// USERNAME or USERHASH, as it was sent.
    pub(super) name: Box<[u8]>,
    pub(super) key: Key,
    pub(super) algorithm: PasswordAlgorithm,
    /// Requests signed by something weaker are refused from now on.
    pub(super) integrity: Integrity,
}

/// What the Allocate request was and how it was answered, so that its retransmission is answered the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Birth {
    pub(super) transaction: TransactionId,
    pub(super) lifetime: Duration,
    pub(super) token: Option<[u8; 8]>,
    /// The family that was asked for too and could not be had, and why.
    pub(super) refused: Option<(Family, u16)>,
}

/// One allocation.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) client: Client,
    /// The server's address that the client knows.
    pub(super) local: SocketAddr,
    pub(super) owner: Owner,
    pub(super) birth: Birth,
    /// IPv4, then IPv6.
    pub(super) relays: [Option<Relay>; 2],
    pub(super) peers: Peers,
    /// From the client and to it, where bandwidth is limited.
    pub(super) meters: [Meter; 2],
    /// The deadline that is in the timers for it; what else is there is stale.
    pub(super) scheduled: Instant,
}

impl Allocation {
    #[inline]
    pub(super) fn relay(&self, family: Family) -> Option<&Relay> {
        self.relays[family as usize].as_ref()
    }

    /// When the first of its relays expires.
    pub(super) fn expires(&self) -> Option<Instant> {
        self.relays.iter().flatten().map(|relay| relay.expires).min()
    }
}

/// Where an allocation is in the table. A place that becomes free is given anew.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Slot(u32);

#[cfg(test)]
impl Slot {
    /// For tests that need any slot.
    pub(super) const FIRST: Self = Self(0);
}

/// All allocations of an engine.
#[derive(Debug, Default)]
pub(super) struct Table {
    places: Vec<Option<Allocation>>,
    free: Vec<u32>,
}

impl Table {
    pub(super) fn insert(&mut self, allocation: Allocation) -> Slot {
        match self.free.pop() {
            Some(index) => {
                self.places[index as usize] = Some(allocation);
                Slot(index)
            }
            None => {
                self.places.push(Some(allocation));
                // A quota ends far below four thousand million.
                Slot((self.places.len() - 1) as u32)
            }
        }
    }

    #[inline]
    pub(super) fn at(&self, slot: Slot) -> Option<&Allocation> {
        self.places.get(slot.0 as usize)?.as_ref()
    }

    #[inline]
    pub(super) fn at_mut(&mut self, slot: Slot) -> Option<&mut Allocation> {
        self.places.get_mut(slot.0 as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Allocation> {
        let allocation = self.places.get_mut(slot.0 as usize)?.take()?;
        self.free.push(slot.0);
        // After a rush the memory goes back, once nobody is left.
        if self.free.len() == self.places.len() {
            (self.places, self.free) = (Vec::new(), Vec::new());
        }
        Some(allocation)
    }

    /// All of them; none is left.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Allocation> + use<> {
        std::mem::take(self).places.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_takes_little_memory() {
        // With the table's growth counted double, its entries in three maps, and a channel.
        let maps = 2 * (size_of::<(Client, Slot)>() + size_of::<(SocketAddr, Slot)>() + size_of::<(RelayId, Slot)>());
        let own = 2 * size_of::<Option<Allocation>>();
        assert!(own + maps < 1_400, "{own} + {maps} bytes");
    }
}
