//! Passing texts on, unread, to those who hold a name.

use switchboard_wire::Instant;
use switchboard_wire::directory::{Absent, Message, Name, Namespace, Recipients, Refusal, Send, Text};

use super::Entry;
use super::waiting::{Parked, Queue};
use crate::core::{ConnId, Core, Output, Timer};

/// Bytes of a text that cost as much as one message: an offer is hardly longer, and whoever sends only the longest texts
/// must not fill the queue of somebody else as fast as it may send.
const CHARGED_BYTES: usize = 4096;

/// Copies of a short text that cost as much as one message.
const COPIES: usize = 16;

/// What a text costs its sender besides one message.
fn text_cost(bytes: usize, copies: usize) -> u32 {
    let long = bytes / CHARGED_BYTES;
    let copied = if copies > 1 { copies * (1 + long) / COPIES } else { 0 };
    u32::try_from(long + copied).unwrap_or(u32::MAX)
}

impl Core {
    /// Passes a text on or does what it asks for if nobody holds the name; returns what that costs besides one message.
    pub(super) fn send_text(&mut self, conn: ConnId, send: Send<'_>, now: Instant) -> u32 {
        self.count_dial(&send);
        let bytes = send.text.len();
        if !self.may_send_as(conn, send.namespace, send.from.as_ref()) {
            self.count_undelivered(conn, &send);
            self.deny(conn, Refusal::NotYours);
            return text_cost(bytes, 1);
        }
        if send.from.is_none() {
            self.introduce(conn);
        }
        match self.directory.entry(send.namespace, &send.to) {
            None => self.send_to_absent(conn, send, now),
            Some(entry) if entry.in_doubt() => self.park(conn, send, now),
            Some(entry) => {
                let text = Text::from(send.text);
                let to = match send.recipients {
                    Recipients::All => entry.holders(),
                    Recipients::Latest => {
                        entry.holders().split_last().map_or(&[][..], |(last, _)| std::slice::from_ref(last))
                    }
                };
                let output = |conn: &ConnId| Output::Directory { conn: *conn, message: Message::Text(text.clone()) };
                self.outputs.extend(to.iter().map(output));
                let cost = text_cost(bytes, to.len());
                if let Some(dialect) = self.dialect_of(conn) {
                    self.stats.relayed_total[dialect] += 1;
                }
                return cost;
            }
        }
        text_cost(bytes, 1)
    }

    /// Who holds the name may send under it. Of a webrtc-star page, which opens several sockets under one address, any
    /// socket of the same network address may that has ever joined on another.
    fn may_send_as(&self, conn: ConnId, namespace: Namespace, from: Option<&Name>) -> bool {
        let Some(from) = from else { return namespace == Namespace::Topics };
        let Some(connection) = self.connections.get(&conn) else { return false };
        if connection.holding.holds(namespace, from) {
            return true;
        }
        if namespace != Namespace::Star {
            return false;
        }
        let is_here =
            |holder: &ConnId| self.connections.get(holder).is_some_and(|holder| holder.address == connection.address);
        self.directory.entry(namespace, from).is_some_and(|entry| entry.holders().iter().any(is_here))
    }

    fn send_to_absent(&mut self, conn: ConnId, send: Send<'_>, now: Instant) {
        match send.absent {
            Absent::Drop => self.count_undelivered(conn, &send),
            Absent::Tell => {
                self.count_undelivered(conn, &send);
                self.tell_absent(conn, send.from, &send.to, send.text.into());
            }
            Absent::Wait => self.park(conn, send, now),
        }
    }

    fn tell_absent(&mut self, conn: ConnId, from: Option<Name>, to: &str, text: Text) {
        self.tell_directory(conn, Message::Absent { to: to.into(), from, text });
    }

    /// Keeps a text until the name has a holder who is known to live. If it does not fit and nobody holds the name, it
    /// expires at once, and with it what waits from the same sender for the name, so that nothing arrives with a gap in it.
    fn park(&mut self, conn: ConnId, send: Send<'_>, now: Instant) {
        let Some(address) = self.connections.get(&conn).map(|connection| connection.address) else { return };
        let Send { namespace, from, to, text, absent, .. } = send;
        let config = self.config.directory;
        let parked = Parked { conn, address, from, text: text.into(), absent, since: now };
        let name = Name::new(&to).ok().filter(|_| !config.wait.is_zero());
        let Some(name) = name else { return self.expire_texts(namespace, &to, vec![parked]) };
        let realm = self.directory.realms.entry(namespace).or_default();
        let fits = match realm.waiting.get(&name) {
            Some(queue) => queue.fits(&parked, config.waiting_for_name),
            None => Queue::default().fits(&parked, config.waiting_for_name),
        };
        if fits && self.directory.loads.fits(&parked, &config) {
            self.directory.loads.add(&parked);
            let queue = realm.waiting.entry(name.clone()).or_default();
            if queue.due(config.wait).is_none() {
                self.timers.set(now + config.wait, Timer::Expiry(namespace, name));
            }
            queue.push(parked);
        } else if let Some(holder) = self.directory.entry(namespace, &name).and_then(Entry::latest) {
            // The holder is in doubt, but rather a text goes to it in vain than that a contest costs it one.
            self.deliver_waiting(holder, namespace, &name);
            self.tell_directory(holder, Message::Text(parked.text));
        } else {
            let mut texts = self.take_pair(namespace, &name, &parked);
            texts.push(parked);
            self.expire_texts(namespace, &name, texts);
        }
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
        let wait = self.config.directory.wait;
        let Some(queue) = self.directory.waiting_for(namespace, name) else { return Vec::new() };
        let before = queue.due(wait);
        let taken = queue.take_pair(like);
        let after = queue.due(wait);
        for parked in &taken {
            self.directory.loads.remove(parked);
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

    /// Gives the holder of a name what waits for it, in the order in which it came.
    pub(super) fn deliver_waiting(&mut self, conn: ConnId, namespace: Namespace, name: &Name) {
        let Some(realm) = self.directory.realms.get_mut(&namespace) else { return };
        let Some(queue) = realm.waiting.remove(name) else { return };
        if let Some(due) = queue.due(self.config.directory.wait) {
            self.timers.unset(due, Timer::Expiry(namespace, name.clone()));
        }
        for parked in queue {
            self.directory.loads.remove(&parked);
            if let Some(dialect) = self.dialect_of(parked.conn) {
                self.stats.relayed_total[dialect] += 1;
            }
            self.tell_directory(conn, Message::Text(parked.text));
        }
    }

    fn count_dial(&mut self, send: &Send<'_>) {
        if send.namespace == Namespace::Star {
            self.stats.star_dials_total += 1;
            // The original counts answers, whether somebody is there or not; only they are dropped silently.
            self.stats.star_dials_success_total += u64::from(send.absent == Absent::Drop);
        }
    }

    fn count_undelivered(&mut self, conn: ConnId, send: &Send<'_>) {
        if let Some(dialect) = self.dialect_of(conn) {
            self.stats.undelivered_total[dialect] += 1;
        }
        if send.namespace == Namespace::Star && send.absent != Absent::Drop {
            self.stats.star_dials_failure_total += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_costs_by_its_size_and_its_copies() {
        assert_eq!((text_cost(900, 1), text_cost(900, 10), text_cost(900, 256)), (0, 0, 16));
        assert_eq!((text_cost(64 * 1024, 1), text_cost(64 * 1024, 256)), (16, 16 + 272));
    }
}
