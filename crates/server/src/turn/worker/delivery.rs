//! What goes out: answers at once, the rest at the end of a round, by destination.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;

use super::Worker;
use crate::turn::counters::Counters;
use crate::turn::outbox::Source;
use crate::turn::stream::connection::End;
use crate::turn::stream::queue::Kind;
use crate::turn::sys::Route;

/// Where a frame's bytes are.
pub(super) enum Frame {
    InArena(Range<usize>),
    Reply,
}

impl Worker {
    pub(super) fn answer(&mut self, endpoint: u16, to: SocketAddr) {
        let Some(endpoint) = self.parts.endpoints.find(endpoint) else { return };
        let Some(listener) = self.parts.endpoints.listeners.get_mut(endpoint.listener) else { return };
        self.counters.sends += 1;
        let route = Route { to, from: endpoint.from };
        if let Err(error) = listener.port.answer(&mut self.parts.sys, route, self.parts.engine.reply()) {
            note_failure(&mut self.counters, 1, &error);
        }
    }

    /// Queues a frame for a connection.
    pub(super) fn push_frame(&mut self, index: u32, kind: Kind, frame: Frame) {
        let bytes = match frame {
            Frame::InArena(range) => &self.arena.bytes()[range],
            Frame::Reply => self.parts.engine.reply(),
        };
        let streams = &mut self.parts.streams;
        let bounds = streams.bounds;
        let Some(connection) = streams.find(index) else { return };
        match connection.push(bytes, kind, bounds, self.now.instant) {
            Ok(dropped) => {
                self.counters.dropped_queue += dropped as u64;
                self.parts.streams.mark_dirty(index);
            }
            Err(_) => self.end_connection(index, End::Unread),
        }
    }

    /// Sends everything that waits, and begins with an empty arena.
    pub(super) fn flush(&mut self) {
        for batch in self.outbox.batches() {
            let (port, from) = match batch.flow.source {
                Source::Relay(relay) => (self.parts.relays.find(relay).map(|relay| &mut relay.port), None),
                Source::Endpoint(endpoint) => match self.parts.endpoints.find(endpoint) {
                    Some(endpoint) => {
                        let listener = self.parts.endpoints.listeners.get_mut(endpoint.listener);
                        (listener.map(|listener| &mut listener.port), endpoint.from)
                    }
                    None => (None, None),
                },
            };
            // A relay that was closed in this round sends nothing more.
            let Some(port) = port else { continue };
            let route = Route { to: batch.flow.to, from };
            let (sent, error) = port.send(&mut self.parts.sys, route, batch.flow.whole, &self.arena, &batch.segments);
            self.counters.sends += 1;
            if batch.segments.len() > 1 {
                self.counters.sent_in_trains += sent as u64;
            }
            if let Some(error) = error {
                note_failure(&mut self.counters, batch.segments.len() - sent, &error);
            }
        }
        self.outbox.clear();
        self.arena.clear();
        self.parts.relays.end_round();
        self.counters.dropped_worker += self.parts.post.dispatch();
        self.write_connections();
    }

    fn write_connections(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        self.parts.streams.take_dirty(&mut dirty);
        let age = self.parts.streams.bounds.age;
        for index in dirty.drain(..) {
            let Some(connection) = self.parts.streams.find(index) else { continue };
            connection.is_dirty = false;
            match connection.write(age, self.now.instant) {
                Ok(dropped) => self.counters.dropped_queue += dropped as u64,
                Err(end) => self.end_connection(index, end),
            }
        }
        self.dirty = dirty;
    }
}

/// Counts what the system did not send: full buffers, filters and ways that do not exist happen, and UDP may lose.
fn note_failure(counters: &mut Counters, datagrams: usize, error: &io::Error) {
    counters.dropped_send += datagrams as u64;
    tracing::trace!(%error, datagrams, "a send failed");
}
