//! Passing texts on, unread, to those who hold a name.

use switchboard_wire::Instant;
use switchboard_wire::directory::{Absent, Message, Name, Namespace, Recipients, Refusal, Send, Text};

use crate::core::{ConnId, Core, Output};

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
            // What waits goes first.
            Some(entry) if entry.in_doubt() || self.directory.has_waiting(send.namespace, &send.to) => {
                self.park(conn, send, now);
            }
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

    pub(super) fn tell_absent(&mut self, conn: ConnId, from: Option<Name>, to: &str, text: Text) {
        self.tell_directory(conn, Message::Absent { to: to.into(), from, text });
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
