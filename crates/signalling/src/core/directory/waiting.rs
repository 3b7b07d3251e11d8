//! Texts that wait for a name, and how much may wait.

use std::collections::{HashMap, VecDeque, vec_deque};
use std::hash::Hash;
use std::time::Duration;

use switchboard_wire::Instant;
use switchboard_wire::directory::{Absent, Name, Text};

use super::config::{DirectoryConfig, WaitingLimits};
use crate::core::{AddressKey, ConnId};

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
    fn is_of_pair(&self, other: &Self) -> bool {
        self.from == other.from && (self.from.is_some() || self.conn == other.conn)
    }
}

/// What waits for one name, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    texts: VecDeque<Parked>,
    load: Load,
}

impl Queue {
    pub(super) fn fits(&self, parked: &Parked, limits: WaitingLimits) -> bool {
        self.load.fits(parked, limits)
    }

    pub(super) fn push(&mut self, parked: Parked) {
        self.load.add(&parked);
        self.texts.push_back(parked);
    }

    pub(super) fn oldest(&self) -> Option<&Parked> {
        self.texts.front()
    }

    /// When the oldest has waited long enough; none if nothing waits.
    pub(super) fn due(&self, wait: Duration) -> Option<Instant> {
        self.oldest().map(|oldest| oldest.since + wait)
    }

    /// Takes all from the sender of `like`.
    pub(super) fn take_pair(&mut self, like: &Parked) -> Vec<Parked> {
        let (taken, kept): (Vec<Parked>, Vec<Parked>) =
            self.texts.drain(..).partition(|parked| parked.is_of_pair(like));
        self.texts = kept.into();
        for parked in &taken {
            self.load.remove(parked);
        }
        taken
    }
}

impl IntoIterator for Queue {
    type Item = Parked;
    type IntoIter = vec_deque::IntoIter<Parked>;

    fn into_iter(self) -> Self::IntoIter {
        self.texts.into_iter()
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
}

/// How much waits from whom; whoever nothing waits from has no entry, whether it is still connected or not.
#[derive(Debug, Default)]
pub(super) struct Loads {
    connections: HashMap<ConnId, Load>,
    addresses: HashMap<AddressKey, Load>,
    in_all: Load,
}

impl Loads {
    pub(super) fn in_all(&self) -> Load {
        self.in_all
    }

    pub(super) fn fits(&self, parked: &Parked, config: &DirectoryConfig) -> bool {
        let connection = self.connections.get(&parked.conn).copied().unwrap_or_default();
        let address = self.addresses.get(&parked.address).copied().unwrap_or_default();
        connection.fits(parked, config.waiting_from_connection)
            && address.fits(parked, config.waiting_from_address)
            && self.in_all.fits(parked, config.waiting_in_all)
    }

    pub(super) fn add(&mut self, parked: &Parked) {
        self.connections.entry(parked.conn).or_default().add(parked);
        self.addresses.entry(parked.address).or_default().add(parked);
        self.in_all.add(parked);
    }

    pub(super) fn remove(&mut self, parked: &Parked) {
        lighten(&mut self.connections, parked.conn, parked);
        lighten(&mut self.addresses, parked.address, parked);
        self.in_all.remove(parked);
    }

    /// Whether nothing is counted for anybody.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.addresses.is_empty() && self.in_all == Load::default()
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

    fn texts(parked: impl IntoIterator<Item = Parked>) -> Vec<String> {
        parked.into_iter().map(|parked| String::from_utf8_lossy(&parked.text).into_owned()).collect()
    }

    #[test]
    fn takes_one_pair_and_keeps_the_order_of_the_others() {
        let mut queue = Queue::default();
        for (conn, from, text) in [(1, "a", "1"), (2, "b", "2"), (3, "a", "3"), (2, "b", "4")] {
            queue.push(parked(conn, Some(from), text));
        }
        let taken = queue.take_pair(&parked(9, Some("a"), ""));
        assert_eq!(texts(taken), ["1", "3"]);
        assert_eq!(queue.load, Load { messages: 2, bytes: 2 });
        assert_eq!(texts(queue), ["2", "4"]);
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
        assert!(!queue.fits(&parked(1, None, "elevenbytes"), limits));
        queue.push(parked(1, None, "12345"));
        assert!(!queue.fits(&parked(1, None, "123456"), limits));
        assert!(queue.fits(&parked(1, None, "12345"), limits));
        queue.push(parked(1, None, ""));
        assert!(!queue.fits(&parked(1, None, ""), limits));
    }

    proptest! {
        #[test]
        fn loads_come_back_to_nothing(senders in proptest::collection::vec(0u64..6, 0..50)) {
            let mut loads = Loads::default();
            for sender in &senders {
                loads.add(&parked(*sender, None, "text"));
            }
            prop_assert_eq!(loads.in_all().messages, senders.len());
            for sender in senders.iter().rev() {
                loads.remove(&parked(*sender, None, "text"));
            }
            prop_assert!(loads.is_empty());
        }
    }
}
