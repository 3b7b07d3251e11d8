//! Where connections come from, and what one address may hold.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use switchboard_wire::Instant;

use super::config::Rate;
use super::pace::{Meter, Pace};
use super::timers::{Timer, Timers};

/// The address of a client, in canonical form: an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) is the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddr(IpAddr);

impl ClientAddr {
    /// Takes an address as the socket or a trusted proxy gives it.
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address.
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// What limits count by: an IPv4 address, or the /64 that one IPv6 subscriber commonly has whole (RFC 6177).
    pub fn key(self) -> AddressKey {
        match self.0 {
            IpAddr::V4(_) => AddressKey(self.0),
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                AddressKey(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
        }
    }
}

/// An IPv4 address or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey(IpAddr);

#[derive(Debug, Default)]
struct Entry {
    connections: u32,
    /// Rooms that were made from here. They outlive the sockets of who made them.
    rooms: u32,
    meter: Meter,
}

impl Entry {
    fn is_unused(&self) -> bool {
        self.connections == 0 && self.rooms == 0
    }
}

/// The addresses that have connections or rooms, or had connections and still owe time for what they sent.
///
/// An entry without connections and rooms goes when its debt is paid, so there are never more entries than rooms, and connections
/// that were admitted in that time.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    entries: HashMap<AddressKey, Entry>,
}

impl Addresses {
    /// Counts one more connection unless there are `limit` already.
    pub(super) fn admit(&mut self, address: AddressKey, limit: u32) -> bool {
        self.take(address, limit, |entry| &mut entry.connections)
    }

    /// Counts a message.
    pub(super) fn charge(&mut self, address: AddressKey, rate: Rate, cost: u32, now: Instant) -> Pace {
        self.entries.get_mut(&address).map_or_else(Pace::default, |entry| entry.meter.charge(rate, cost, now))
    }

    /// Counts one connection less. Without `now`, the debt is left to a timer or to the next connection.
    pub(super) fn release(&mut self, address: AddressKey, now: Option<Instant>, timers: &mut Timers) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.connections = entry.connections.saturating_sub(1);
        self.drop_unused(address, now, timers);
    }

    /// Counts one more room unless there are `limit` already.
    pub(super) fn charge_room(&mut self, address: AddressKey, limit: u32) -> bool {
        self.take(address, limit, |entry| &mut entry.rooms)
    }

    /// Adds one to a count of the address, and an entry for it, unless the count has reached `limit`.
    fn take(&mut self, address: AddressKey, limit: u32, count: fn(&mut Entry) -> &mut u32) -> bool {
        let entry = self.entries.entry(address).or_default();
        let taken = count(entry);
        let free = *taken < limit;
        if free {
            *taken += 1;
        } else if entry.is_unused() {
            self.entries.remove(&address);
        }
        free
    }

    /// Counts one room less. The debt is left to a timer or to the next connection.
    pub(super) fn release_room(&mut self, address: AddressKey, timers: &mut Timers) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.rooms = entry.rooms.saturating_sub(1);
        self.drop_unused(address, None, timers);
    }

    /// Drops the entry if nothing holds it any more, or sees to it that it goes when its debt is paid.
    fn drop_unused(&mut self, address: AddressKey, now: Option<Instant>, timers: &mut Timers) {
        let Some(entry) = self.entries.get(&address).filter(|entry| entry.is_unused()) else { return };
        match (entry.meter.idle_at(), now) {
            (Some(idle_at), Some(now)) if idle_at > now => timers.set(idle_at, Timer::Address(address)),
            (Some(idle_at), None) => timers.set(idle_at, Timer::Address(address)),
            (Some(_) | None, _) => {
                self.entries.remove(&address);
            }
        }
    }

    /// Drops the entry whose time has come, if nothing holds it any more.
    pub(super) fn forget_idle(&mut self, address: AddressKey, now: Instant, timers: &mut Timers) {
        self.drop_unused(address, Some(now), timers);
    }

    /// Forgets all addresses, for nobody will come any more.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// How many addresses are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> AddressKey {
        ClientAddr::new(address.parse().expect("an address")).key()
    }

    #[test]
    fn counts_ipv6_by_its_64_and_mapped_ipv4_as_ipv4() {
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2::1"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.2"), key("192.0.2.1"));
    }

    #[test]
    fn forgets_an_address_without_connections_and_debt() {
        let mut addresses = Addresses::default();
        let (mut timers, now) = (Timers::default(), Instant::now());
        assert!(addresses.admit(key("192.0.2.1"), 1));
        assert!(!addresses.admit(key("192.0.2.1"), 1));
        assert!(!addresses.admit(key("192.0.2.9"), 0));
        addresses.release(key("192.0.2.1"), Some(now), &mut timers);
        assert_eq!(addresses.len(), 0);
    }

    #[test]
    fn remembers_an_address_as_long_as_its_rooms() {
        let mut addresses = Addresses::default();
        let (mut timers, now) = (Timers::default(), Instant::now());
        assert!(addresses.admit(key("192.0.2.1"), 1));
        assert!(addresses.charge_room(key("192.0.2.1"), 1));
        addresses.release(key("192.0.2.1"), Some(now), &mut timers);
        assert!(!addresses.charge_room(key("192.0.2.1"), 1));
        addresses.release_room(key("192.0.2.1"), &mut timers);
        assert_eq!(addresses.len(), 0);
        assert!(!addresses.charge_room(key("192.0.2.9"), 0));
        assert_eq!(addresses.len(), 0);
    }

    #[test]
    fn remembers_the_debt_of_an_address_that_reconnects() {
        let mut addresses = Addresses::default();
        let (mut timers, now) = (Timers::default(), Instant::now());
        let rate = Rate { per_second: 1, burst: 1 };
        assert!(addresses.admit(key("192.0.2.1"), 1));
        assert_eq!(addresses.charge(key("192.0.2.1"), rate, 1, now).resume_at, None);
        addresses.release(key("192.0.2.1"), Some(now), &mut timers);
        assert!(addresses.admit(key("192.0.2.1"), 1));
        assert!(addresses.charge(key("192.0.2.1"), rate, 1, now).resume_at.is_some());
    }
}
