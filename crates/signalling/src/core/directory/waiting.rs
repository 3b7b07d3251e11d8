//! Texts that wait for a name, and how much may wait.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use switchboard_wire::Instant;
use switchboard_wire::directory::{Absent, Name, Namespace, Text};

use super::config::{DirectoryConfig, WaitingLimits};
use crate::core::{AddressKey, ConnId};

/// What a text weighs besides its bytes where shares are compared: the limits allow as many bytes for each.
const TEXT_WEIGHT: usize = 512;

/// A name that something waits for.
pub(super) type Place = (Namespace, Name);

/// A text that waits.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    pub(super) conn: ConnId,
    pub(super) address: AddressKey,
    pub(super) from: Option<Name>,
    pub(super) text: Text,
    pub(super) absent: Absent,
    pub(super) since: Instant,
}

impl Parked {
    /// Whether both come from one sender, which may have changed its connection meanwhile.
    pub(super) fn is_of_pair(&self, other: &Self) -> bool {
        self.from == other.from && (self.from.is_some() || self.conn == other.conn)
    }
}

/// What takes the room that somebody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowd<T> {
    /// Nothing: there is room.
    None,
    /// One that takes more than whoever needs it would.
    Of(T),
    /// Nobody takes more.
    Equal,
}

/// What waits for one name, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    texts: VecDeque<Parked>,
    shares: Shares,
}

impl Queue {
    /// Which address takes the room that a text needs.
    pub(super) fn crowd(&self, parked: &Parked, limits: WaitingLimits) -> Crowd<AddressKey> {
        self.shares.crowd(parked, limits)
    }

    pub(super) fn push(&mut self, parked: Parked) {
        self.shares.add(&parked);
        self.texts.push_back(parked);
    }

    pub(super) fn oldest(&self) -> Option<&Parked> {
        self.texts.front()
    }

    pub(super) fn newest_from(&self, address: AddressKey) -> Option<&Parked> {
        self.texts.iter().rev().find(|parked| parked.address == address)
    }

    /// Whether something waits from the sender of `like`.
    pub(super) fn has_pair(&self, like: &Parked) -> bool {
        self.texts.iter().any(|parked| parked.is_of_pair(like))
    }

    /// When the oldest has waited long enough; none if nothing waits.
    pub(super) fn due(&self, wait: Duration) -> Option<Instant> {
        self.oldest().map(|oldest| oldest.since + wait)
    }

    /// Takes all from the sender of `like`.
    pub(super) fn take_pair(&mut self, like: &Parked) -> Vec<Parked> {
        if !self.has_pair(like) {
            return Vec::new();
        }
        let (taken, kept): (Vec<Parked>, Vec<Parked>) =
            self.texts.drain(..).partition(|parked| parked.is_of_pair(like));
        self.texts = kept.into();
        for parked in &taken {
            self.shares.remove(parked);
        }
        taken
    }

    /// Takes the oldest, as many as the limits allow.
    pub(super) fn take_portion(&mut self, limits: WaitingLimits) -> Vec<Parked> {
        let mut load = Load::default();
        let mut taken = Vec::new();
        while let Some(parked) = self.texts.pop_front_if(|parked| load.fits(parked, limits)) {
            load.add(&parked);
            self.shares.remove(&parked);
            taken.push(parked);
        }
        taken
    }
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl Load {
    fn fits(self, parked: &Parked, limits: WaitingLimits) -> bool {
        self.messages < limits.messages && self.bytes + parked.text.len() <= limits.bytes
    }

    fn add(&mut self, parked: &Parked) {
        self.messages += 1;
        self.bytes += parked.text.len();
    }

    fn remove(&mut self, parked: &Parked) {
        self.messages -= 1;
        self.bytes -= parked.text.len();
    }

    /// One figure for both.
    fn weight(self) -> usize {
        self.bytes + self.messages * TEXT_WEIGHT
    }
}

/// How much waits in one room that all share, and from which address.
#[derive(Debug, Default)]
struct Shares {
    addresses: HashMap<AddressKey, Load>,
    in_all: Load,
}

impl Shares {
    fn add(&mut self, parked: &Parked) {
        self.addresses.entry(parked.address).or_default().add(parked);
        self.in_all.add(parked);
    }

    fn remove(&mut self, parked: &Parked) {
        lighten(&mut self.addresses, parked.address, parked);
        self.in_all.remove(parked);
    }

    fn of(&self, address: AddressKey) -> Load {
        self.addresses.get(&address).copied().unwrap_or_default()
    }

    fn crowd(&self, parked: &Parked, limits: WaitingLimits) -> Crowd<AddressKey> {
        if self.in_all.fits(parked, limits) {
            return Crowd::None;
        }
        let mut own = self.of(parked.address);
        own.add(parked);
        let others = self.addresses.iter().filter(|(address, _)| **address != parked.address);
        let most = others.map(|(address, load)| (load.weight(), *address)).max();
        most.filter(|(weight, _)| *weight > own.weight()).map_or(Crowd::Equal, |(_, address)| Crowd::Of(address))
    }
}

/// How much waits from whom; whoever nothing waits from has no entry, whether it is still connected or not.
#[derive(Debug, Default)]
pub(super) struct Loads {
    connections: HashMap<ConnId, Load>,
    shares: Shares,
    /// For which names something waits from an address, and how many texts.
    places: HashMap<AddressKey, BTreeMap<Place, usize>>,
}

impl Loads {
    pub(super) fn in_all(&self) -> Load {
        self.shares.in_all
    }

    /// Whether the sender's connection and address may let this wait, if there is room.
    pub(super) fn admits(&self, parked: &Parked, config: &DirectoryConfig) -> bool {
        let connection = self.connections.get(&parked.conn).copied().unwrap_or_default();
        connection.fits(parked, config.waiting_from_connection)
            && self.shares.of(parked.address).fits(parked, config.waiting_from_address)
    }

    /// Which address takes the room that a text needs.
    pub(super) fn crowd(&self, parked: &Parked, limits: WaitingLimits) -> Crowd<AddressKey> {
        self.shares.crowd(parked, limits)
    }

    /// A name for which something waits from the address.
    pub(super) fn place_of(&self, address: AddressKey) -> Option<&Place> {
        self.places.get(&address)?.keys().next()
    }

    pub(super) fn add(&mut self, place: Place, parked: &Parked) {
        self.connections.entry(parked.conn).or_default().add(parked);
        self.shares.add(parked);
        *self.places.entry(parked.address).or_default().entry(place).or_default() += 1;
    }

    pub(super) fn remove(&mut self, place: &Place, parked: &Parked) {
        lighten(&mut self.connections, parked.conn, parked);
        self.shares.remove(parked);
        let Some(places) = self.places.get_mut(&parked.address) else { return };
        if let Some(texts) = places.get_mut(place) {
            *texts -= 1;
            if *texts == 0 {
                places.remove(place);
            }
        }
        if places.is_empty() {
            self.places.remove(&parked.address);
        }
    }

    /// Whether nothing is counted for anybody.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.connections.is_empty()
            && self.places.is_empty()
            && self.shares.addresses.is_empty()
            && self.in_all() == Load::default()
    }
}

fn lighten<K: Eq + Hash>(loads: &mut HashMap<K, Load>, key: K, parked: &Parked) {
    if let Some(load) = loads.get_mut(&key) {
        load.remove(parked);
        if load.messages == 0 {
            loads.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::core::ClientAddr;

    fn parked(conn: u64, from: Option<&str>, text: &str) -> Parked {
        Parked {
            conn: ConnId(conn),
            address: ClientAddr::new([192, 0, 2, (conn % 2) as u8].into()).key(),
            from: from.map(|from| Name::new(from).expect("a name")),
            text: Text::from(Cow::Borrowed(text.as_bytes())),
            absent: Absent::Wait,
            since: Instant::now(),
        }
    }

    fn texts(parked: Vec<Parked>) -> Vec<String> {
        parked.into_iter().map(|parked| String::from_utf8_lossy(&parked.text).into_owned()).collect()
    }

    const PLENTY: WaitingLimits = WaitingLimits { messages: 100, bytes: 1000 };

    #[test]
    fn takes_one_pair_and_keeps_the_order_of_the_others() {
        let mut queue = Queue::default();
        for (conn, from, text) in [(1, "a", "1"), (2, "b", "2"), (3, "a", "3"), (2, "b", "4")] {
            queue.push(parked(conn, Some(from), text));
        }
        assert!(queue.take_pair(&parked(1, Some("c"), "")).is_empty());
        assert_eq!(texts(queue.take_pair(&parked(9, Some("a"), ""))), ["1", "3"]);
        assert_eq!(queue.shares.in_all, Load { messages: 2, bytes: 2 });
        assert_eq!(texts(queue.take_portion(PLENTY)), ["2", "4"]);
        assert!(queue.shares.addresses.is_empty());
    }

    #[test]
    fn tells_senders_without_a_name_apart_by_connection() {
        let mut queue = Queue::default();
        queue.push(parked(1, None, "1"));
        queue.push(parked(2, None, "2"));
        assert_eq!(texts(queue.take_pair(&parked(1, None, ""))), ["1"]);
    }

    #[test]
    fn limits_messages_and_bytes_each() {
        let limits = WaitingLimits { messages: 2, bytes: 10 };
        let mut queue = Queue::default();
        assert_eq!(queue.crowd(&parked(1, None, "elevenbytes"), limits), Crowd::Equal);
        queue.push(parked(1, None, "12345"));
        assert_eq!(queue.crowd(&parked(1, None, "123456"), limits), Crowd::Equal);
        assert_eq!(queue.crowd(&parked(1, None, "12345"), limits), Crowd::None);
        queue.push(parked(1, None, ""));
        assert_eq!(queue.crowd(&parked(1, None, ""), limits), Crowd::Equal);
    }

    #[test]
    fn portions_keep_to_both_limits() {
        let mut queue = Queue::default();
        for text in ["1", "22", "333", "4444", "5"] {
            queue.push(parked(1, None, text));
        }
        let mut portion = |messages, bytes| texts(queue.take_portion(WaitingLimits { messages, bytes }));
        assert_eq!(portion(2, 9), ["1", "22"]);
        assert_eq!(portion(2, 6), ["333"]);
        assert_eq!(portion(9, 9), ["4444", "5"]);
        assert!(portion(9, 9).is_empty());
    }

    #[test]
    fn who_takes_most_of_a_full_room_is_who_gives_way() {
        // Connections with odd and even numbers come from two addresses.
        let limits = WaitingLimits { messages: 4, bytes: 1000 };
        let mut queue = Queue::default();
        for (conn, text) in [(1, "1"), (3, "3"), (2, "2"), (1, "1")] {
            queue.push(parked(conn, None, text));
        }
        let odd = parked(1, None, "").address;
        assert_eq!(queue.crowd(&parked(4, None, "4"), limits), Crowd::Of(odd));
        assert_eq!(queue.newest_from(odd).map(|newest| newest.conn), Some(ConnId(1)));
        assert_eq!(queue.crowd(&parked(5, None, "5"), limits), Crowd::Equal, "it takes most itself");
        let heavy = "x".repeat(900);
        assert_eq!(queue.crowd(&parked(4, None, &heavy.repeat(2)), limits), Crowd::Equal, "it would take most");
    }

    proptest! {
        #[test]
        fn loads_come_back_to_nothing(senders in proptest::collection::vec((0u64..6, 0..3u8), 0..50)) {
            let place = |to: u8| (Namespace::Star, Name::new(&to.to_string()).expect("a name"));
            let mut loads = Loads::default();
            for (sender, to) in &senders {
                loads.add(place(*to), &parked(*sender, None, "text"));
            }
            prop_assert_eq!(loads.in_all().messages, senders.len());
            for (sender, to) in senders.iter().rev() {
                let parked = parked(*sender, None, "text");
                prop_assert!(loads.place_of(parked.address).is_some());
                loads.remove(&place(*to), &parked);
            }
            prop_assert!(loads.is_empty());
        }
    }
}
