//! How many sockets there are, counted before a byte is read: in all, and for each address.
//!
//! The core counts clients; this counts sockets, so that a flood of them costs no more than accepting it. A client may
//! hold more sockets than one (polling takes two, a page loads over several), so the bounds here lie above the core's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use switchboard_signalling::core::{AddressKey, Refusal};

use crate::config::Limits;

/// Sockets for each client that an address may have: polling needs two at once.
const SOCKETS_PER_CLIENT: u32 = 2;

/// Sockets beyond one for each client, so that a full server still serves pages, polls and health checks.
const SPARE_SOCKETS: u32 = 256;

/// The count.
#[derive(Debug)]
pub(crate) struct Seats {
    in_all: u32,
    per_address: u32,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: u32,
    by_address: HashMap<AddressKey, u32>,
}

/// One socket's place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    address: Option<AddressKey>,
}

impl Seats {
    /// Bounds that leave room above `limits` for what is not a client.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self::bounded(
            limits.connections.saturating_add(limits.connections / 8).saturating_add(SPARE_SOCKETS),
            limits.connections_per_address.saturating_mul(SOCKETS_PER_CLIENT),
        )
    }

    /// Exactly so many places, in all and for each address.
    pub(crate) fn bounded(in_all: u32, per_address: u32) -> Self {
        Self { in_all, per_address, taken: Mutex::default() }
    }

    /// Takes a place; `address` is none for a trusted proxy, whose clients are counted by the core.
    pub(crate) fn take(self: &Arc<Self>, address: Option<AddressKey>) -> Result<Seat, Refusal> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.in_all >= self.in_all {
            return Err(Refusal::ServerFull { limit: self.in_all });
        }
        if let Some(address) = address {
            let sockets = taken.by_address.entry(address).or_default();
            if *sockets >= self.per_address {
                return Err(Refusal::AddressFull { limit: self.per_address });
            }
            *sockets += 1;
        }
        taken.in_all += 1;
        Ok(Seat { seats: Arc::clone(self), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.in_all -= 1;
        let Some(address) = self.address else { return };
        if let Some(sockets) = taken.by_address.get_mut(&address) {
            *sockets -= 1;
            if *sockets == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use switchboard_signalling::core::ClientAddr;

    use super::*;

    fn key(text: &str) -> Option<AddressKey> {
        Some(ClientAddr::new(text.parse().expect("address")).key())
    }

    #[test]
    fn bounds_each_address_and_leaves_others_alone() {
        let limits = Limits { connections_per_address: 1, ..Limits::default() };
        let seats = Arc::new(Seats::new(&limits));
        let mut held: Vec<_> = (0..2).map(|_| seats.take(key("2001:db8::1")).expect("a place")).collect();
        assert!(matches!(seats.take(key("2001:db8::2")), Err(Refusal::AddressFull { limit: 2 })), "same /64");
        assert!(seats.take(key("2001:db8:0:1::1")).is_ok());
        held.pop();
        assert!(seats.take(key("2001:db8::2")).is_ok());
        drop(held);
        assert!(seats.taken.lock().expect("lock").by_address.is_empty(), "forgets who is gone");
    }

    #[test]
    fn bounds_all_sockets_together() {
        let limits = Limits { connections: 0, ..Limits::default() };
        let seats = Arc::new(Seats::new(&limits));
        let held: Vec<_> = (0..SPARE_SOCKETS).map(|_| seats.take(None).expect("a place")).collect();
        assert!(matches!(seats.take(None), Err(Refusal::ServerFull { .. })));
        drop(held);
        assert!(seats.take(None).is_ok());
    }
}
