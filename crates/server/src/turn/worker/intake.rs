//! What comes in: datagrams, frames of streams, and parcels of other workers, each to be judged in the arena.

use std::ops::Range;

use switchboard_turn::framing::{NotStun, Step};
use switchboard_turn::{Client, RelayId, Via};

use super::Worker;
use super::judging::{Origin, Place};
use crate::turn::arena::Arena;
use crate::turn::port::Port;
use crate::turn::stream::connection::End;
use crate::turn::sys::{Received, Sys};

/// Failed receives in a row after which a socket waits for the next round.
const MOST_FAILURES: usize = 4;

impl Worker {
    pub(super) fn read_listener(&mut self, index: usize) -> bool {
        let mut received = std::mem::take(&mut self.received);
        let Some(listener) = self.parts.endpoints.listeners.get_mut(index) else { return false };
        let has_more = receive(&mut listener.port, &mut self.parts.sys, &mut self.arena, &mut received);
        listener.is_ready = has_more;
        self.counters.receives += 1;
        for datagram in &received {
            let Some(endpoint) = self.parts.endpoints.of(index, datagram) else { continue };
            let Some(local) = self.parts.endpoints.find(endpoint).map(|endpoint| endpoint.local) else { continue };
            let client = Client { via: Via::Udp(endpoint), remote: datagram.from };
            self.each_segment(datagram, Origin::Client { client, local });
        }
        received.clear();
        self.received = received;
        has_more
    }

    pub(super) fn read_relay(&mut self, relay: RelayId) -> bool {
        let mut received = std::mem::take(&mut self.received);
        let Some(found) = self.parts.relays.find(relay) else { return false };
        let has_more = receive(&mut found.port, &mut self.parts.sys, &mut self.arena, &mut received);
        found.is_ready = has_more;
        self.counters.receives += 1;
        for datagram in &received {
            self.each_segment(datagram, Origin::Peer { relay, peer: datagram.from });
        }
        received.clear();
        self.received = received;
        has_more
    }

    /// Handles the datagrams of a train one by one.
    fn each_segment(&mut self, received: &Received, origin: Origin) {
        let mut range = received.range.clone();
        let is_crowded = received.segment < range.len();
        loop {
            let end = range.end.min(range.start + received.segment);
            self.handle(origin, Place { range: range.start..end, is_crowded });
            range.start = end;
            if range.is_empty() {
                return;
            }
        }
    }

    /// Reads a connection once; returns whether it has more.
    pub(super) fn read_connection(&mut self, index: u32) -> bool {
        let Some(connection) = self.parts.streams.find(index) else { return false };
        match connection.read(&mut self.arena, self.now.instant) {
            Ok(input) => {
                connection.is_ready = !input.is_all;
                let origin = Origin::Client { client: connection.client(), local: connection.local() };
                // TLS may owe the client something that no frame brings about.
                self.parts.streams.mark_dirty(index);
                match self.each_frame(index, input.range, origin) {
                    Ok(()) => !input.is_all,
                    Err(end) => {
                        self.end_connection(index, end);
                        false
                    }
                }
            }
            Err(end) => {
                self.end_connection(index, end);
                false
            }
        }
    }

    /// Handles each whole frame of what was read, and keeps the beginning of the next.
    fn each_frame(&mut self, index: u32, mut range: Range<usize>, origin: Origin) -> Result<(), End> {
        while !range.is_empty() {
            let Some(connection) = self.parts.streams.find(index) else { return Ok(()) };
            let bytes = &self.arena.bytes()[range.clone()];
            let place = match connection.partial.take(bytes).map_err(|NotStun| End::NotStun)? {
                Step::Frame(length) => {
                    let frame = range.start..range.start + length;
                    range.start = frame.end;
                    Place { range: frame, is_crowded: true }
                }
                Step::Kept(taken) => {
                    range.start += taken;
                    continue;
                }
                Step::End(taken) => {
                    range.start += taken;
                    let frame = connection.partial.whole().and_then(|whole| self.arena.copy(whole));
                    connection.partial.clear();
                    let Some(frame) = frame else { continue };
                    Place { range: frame, is_crowded: false }
                }
            };
            if self.handle(origin, place)
                && let Some(connection) = self.parts.streams.find(index)
                && connection.heard(self.now.instant)
            {
                self.parts.streams.schedule(index);
            }
        }
        Ok(())
    }

    /// Handles what other workers have sent.
    pub(super) fn take_mail(&mut self) {
        self.has_mail = false;
        let mut mail = std::mem::take(&mut self.mail);
        self.parts.inbox.take(&mut mail);
        for (item, datagram) in mail.datagrams() {
            if !self.arena.has_room() {
                self.flush();
            }
            if let Some(range) = self.arena.copy(datagram) {
                let origin = Origin::Worker { relayed: item.relayed, from: item.from };
                self.handle(origin, Place { range, is_crowded: false });
            }
        }
        self.mail = mail;
    }
}

/// Receives once, past errors that are none of the socket's own (answers of the network to what was sent); returns whether
/// there is more.
fn receive(port: &mut Port, sys: &mut Sys, arena: &mut Arena, received: &mut Vec<Received>) -> bool {
    for _ in 0..MOST_FAILURES {
        match port.receive(sys, arena, received) {
            Ok(is_empty) => return !is_empty,
            Err(error) => tracing::trace!(%error, "a receive failed"),
        }
    }
    true
}
