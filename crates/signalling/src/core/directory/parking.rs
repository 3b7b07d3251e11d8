//! Letting texts wait for a name, giving them to its holder, and telling their senders if nobody came.
//!
//! All that waits is bounded, by whom it waits for, by whom it comes from, and in all. Where the room that all share is
//! full, the address that takes most of it makes room for the others. What found no room leaves no gap: all that waits of
//! the same sender for the same name expires with it, and what it sends next does not begin to wait before `wait` is over.

use switchboard_wire::Instant;
use switchboard_wire::directory::{Absent, Message, Name, Namespace, Send};

use super::waiting::{Crowd, Parked, Place, Queue};
use super::{Directory, DirectoryConfig, Entry};
use crate::core::{ConnId, Core, Output, Timer};

impl Core {
    /// Keeps a text until the name has a holder who is known to live and has taken what waits before it. If there is no room
    /// and nobody may take it, it expires at once with all of its pair.
    pub(super) fn park(&mut self, conn: ConnId, send: Send<'_>, now: Instant) {
        let Some(connection) = self.connections.get(&conn) else { return };
        let (address, refused) = (connection.address, connection.holding.refused.is_some_and(|until| now < until));
        let Send { namespace, from, to, text, absent, .. } = send;
        let parked = Parked { conn, address, from, text: text.into(), absent, since: now };
        let name = Name::new(&to).ok().filter(|_| !self.config.directory.wait.is_zero());
        let Some(name) = name else { return self.expire_texts(namespace, &to, vec![parked]) };
        let goes_on = |queue: &mut Queue| queue.has_pair(&parked);
        let may_wait = !refused || self.directory.waiting_for(namespace, &name).is_some_and(goes_on);
        let place = (namespace, name);
        if may_wait && self.make_room(&place, &parked) {
            return self.keep(place, parked);
        }
        let (namespace, name) = place;
        let mut texts = self.take_pair(namespace, &name, &parked);
        texts.push(parked);
        let entry = self.directory.entry(namespace, &name);
        match entry.filter(|entry| entry.in_doubt()).and_then(Entry::latest) {
            // Rather a text goes to it in vain than that a contest costs it one.
            Some(holder) => self.hand_over_texts(holder, texts),
            None => self.turn_back(namespace, &name, texts, now),
        }
    }

    fn keep(&mut self, place: Place, parked: Parked) {
        let due = parked.since + self.config.directory.wait;
        self.directory.loads.add(place.clone(), &parked);
        let (namespace, name) = place;
        let queue = self.directory.realms.entry(namespace).or_default().waiting.entry(name.clone()).or_default();
        if queue.oldest().is_none() {
            self.timers.set(due, Timer::Expiry(namespace, name));
        }
        queue.push(parked);
    }

    /// Lets expire what others let wait who take more room than this sender would; whether there is room by then.
    fn make_room(&mut self, place: &Place, parked: &Parked) -> bool {
        let config = self.config.directory;
        if parked.text.len() > config.portion.bytes || !self.directory.loads.admits(parked, &config) {
            return false;
        }
        // Each turn ends at least one text that waits.
        loop {
            match self.directory.crowd(place, parked, &config) {
                Crowd::None => return true,
                // Without the beginning of its own pair, which came from another address, it would arrive after a gap.
                Crowd::Of((crowded, other)) if crowded == *place && other.is_of_pair(parked) => return false,
                Crowd::Of(((namespace, name), other)) => {
                    let texts = self.take_pair(namespace, &name, &other);
                    self.turn_back(namespace, &name, texts, parked.since);
                }
                Crowd::Equal => return false,
            }
        }
    }

    /// Lets texts of one pair expire that find no room, and nothing more of their sender begin to wait for a while.
    fn turn_back(&mut self, namespace: Namespace, name: &Name, texts: Vec<Parked>, now: Instant) {
        let sender = texts.last().and_then(|parked| self.sender_now(namespace, parked));
        if let Some(connection) = sender.and_then(|sender| self.connections.get_mut(&sender)) {
            connection.holding.refused = Some(now + self.config.directory.wait);
        }
        self.expire_texts(namespace, name, texts);
    }

    /// The time of the text that waits longest for a name is over, and of all others of its pair with it.
    pub(in crate::core) fn expire(&mut self, namespace: Namespace, name: &Name) {
        let Some(queue) = self.directory.waiting_for(namespace, name) else { return };
        let Some(oldest) = queue.oldest().cloned() else { return };
        let texts = self.take_pair(namespace, name, &oldest);
        self.expire_texts(namespace, name, texts);
    }

    /// Takes all that waits for the name from the sender of `like`, which is among it if it waits.
    fn take_pair(&mut self, namespace: Namespace, name: &Name, like: &Parked) -> Vec<Parked> {
        self.take_waiting(namespace, name, |queue| queue.take_pair(like))
    }

    /// Takes part of what waits for the name, and sees to what hangs on it.
    fn take_waiting(
        &mut self,
        namespace: Namespace,
        name: &Name,
        take: impl FnOnce(&mut Queue) -> Vec<Parked>,
    ) -> Vec<Parked> {
        let wait = self.config.directory.wait;
        let Some(queue) = self.directory.waiting_for(namespace, name) else { return Vec::new() };
        let before = queue.due(wait);
        let taken = take(queue);
        let after = queue.due(wait);
        let place = (namespace, name.clone());
        for parked in &taken {
            self.directory.loads.remove(&place, parked);
        }
        let timer = || Timer::Expiry(namespace, name.clone());
        if let Some(before) = before {
            self.timers.unset(before, timer());
        }
        if let Some(after) = after {
            self.timers.set(after, timer());
        } else if let Some(realm) = self.directory.realms.get_mut(&namespace) {
            realm.waiting.remove(name);
        }
        taken
    }

    /// Tells the sender once that what it sent in this order found nobody.
    fn expire_texts(&mut self, namespace: Namespace, to: &str, texts: Vec<Parked>) {
        let mut told = false;
        for parked in texts {
            let Some(sender) = self.sender_now(namespace, &parked) else { continue };
            if let Some(dialect) = self.dialect_of(sender) {
                self.stats.undelivered_total[dialect] += 1;
            }
            match parked.absent {
                Absent::Drop => {}
                Absent::Tell => self.tell_absent(sender, parked.from, to, parked.text),
                Absent::Wait if told => {}
                Absent::Wait => {
                    told = true;
                    self.tell_directory(sender, Message::Expired { to: to.into(), from: parked.from });
                }
            }
        }
    }

    /// The connection that stands for the sender of a parked text: the one that holds its name by now.
    fn sender_now(&self, namespace: Namespace, parked: &Parked) -> Option<ConnId> {
        if self.connections.contains_key(&parked.conn) {
            return Some(parked.conn);
        }
        match self.directory.entry(namespace, parked.from.as_deref()?)? {
            Entry::One(owner) => Some(owner.conn),
            Entry::Many(_) => None,
        }
    }

    /// Gives the holder of a name the next portion of what waits for it, in the order in which it came.
    pub(super) fn deliver_waiting(&mut self, conn: ConnId, namespace: Namespace, name: &Name) {
        let portion = self.config.directory.portion;
        let texts = self.take_waiting(namespace, name, |queue| queue.take_portion(portion));
        self.hand_over_texts(conn, texts);
        if self.directory.has_waiting(namespace, name) {
            self.outputs.push_back(Output::More { conn });
        }
    }

    fn hand_over_texts(&mut self, conn: ConnId, texts: Vec<Parked>) {
        for parked in texts {
            if let Some(dialect) = self.dialect_of(parked.conn) {
                self.stats.relayed_total[dialect] += 1;
            }
            self.tell_directory(conn, Message::Text(parked.text));
        }
    }
}

impl Directory {
    /// What takes the room that a text needs: the newest of the address that takes most of it.
    fn crowd(&self, place: &Place, parked: &Parked, config: &DirectoryConfig) -> Crowd<(Place, Parked)> {
        let queue = |(namespace, name): &Place| self.realms.get(namespace)?.waiting.get(name);
        let here = match queue(place) {
            Some(queue) => queue.crowd(parked, config.waiting_for_name),
            None => Queue::default().crowd(parked, config.waiting_for_name),
        };
        let full = match here {
            Crowd::None => match self.loads.crowd(parked, config.waiting_in_all) {
                Crowd::None => return Crowd::None,
                Crowd::Of(address) => self.loads.place_of(address).map(|place| (place, address)),
                Crowd::Equal => None,
            },
            Crowd::Of(address) => Some((place, address)),
            Crowd::Equal => None,
        };
        let newest =
            full.and_then(|(place, address)| Some((place.clone(), queue(place)?.newest_from(address)?.clone())));
        newest.map_or(Crowd::Equal, Crowd::Of)
    }
}
