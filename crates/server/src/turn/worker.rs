//! One thread of the data plane: an engine, its sockets, and the loop between them.
//!
//! A round takes what has come in on all ready sockets, lets the engine judge it in place, and sends what is left to be sent,
//! by destination. Nothing waits for a round to fill: depth comes from load alone. Errors of single packets and connections
//! end nothing but themselves, and a fault in the program ends a worker's clients and not the worker: see `renewal`.

mod delivery;
mod intake;
mod judging;
mod renewal;

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use mio::{Events, Interest, Poll};
use switchboard_turn::{Engine, Now, RelayId};

use super::arena::Arena;
use super::counters::Counters;
use super::endpoints::Endpoints;
use super::outbox::Outbox;
use super::parcels::{Inbox, Parcel, Post};
use super::refusals::Refusals;
use super::relays::Relays;
use super::stats::Published;
use super::stream::connection::End;
use super::stream::{Backlog, Streams};
use super::sys::{Received, Sys};
use super::token::Token;
use crate::config::PacketIo;

/// Events that one look at the system yields.
const MOST_EVENTS: usize = 1024;

/// What a worker is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) poll: Poll,
    pub(super) engine: Engine,
    pub(super) packet_io: PacketIo,
    pub(super) sys: Sys,
    pub(super) endpoints: Endpoints,
    pub(super) relays: Relays,
    pub(super) streams: Streams,
    pub(super) post: Post,
    pub(super) inbox: Inbox,
    pub(super) published: Arc<Mutex<Published>>,
    pub(super) refusals: Arc<Refusals>,
    pub(super) stop: Arc<AtomicBool>,
}

/// A thread's whole state.
#[derive(Debug)]
pub(super) struct Worker {
    parts: Parts,
    arena: Arena,
    outbox: Outbox,
    counters: Counters,
    /// Sockets that have more to read, in the order in which it is their turn.
    ready: VecDeque<Token>,
    /// Reused from round to round.
    received: Vec<Received>,
    dirty: Vec<u32>,
    has_mail: bool,
    mail: Parcel,
    now: Now,
}

impl Worker {
    /// Registers the listeners.
    ///
    /// # Errors
    /// The poll does not take them.
    pub(super) fn new(mut parts: Parts) -> io::Result<Self> {
        for (index, listener) in (0..).zip(&mut parts.endpoints.listeners) {
            parts.poll.registry().register(listener.port.socket_mut(), Token::Udp(index).into(), Interest::READABLE)?;
        }
        Ok(Self {
            parts,
            arena: Arena::new(),
            outbox: Outbox::default(),
            counters: Counters::default(),
            ready: VecDeque::new(),
            received: Vec::new(),
            dirty: Vec::new(),
            has_mail: false,
            mail: Parcel::default(),
            now: now(),
        })
    }

    /// Works until told to stop.
    ///
    /// # Errors
    /// The system does not say any more what has come in.
    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(MOST_EVENTS);
        while !self.parts.stop.load(Ordering::Acquire) {
            let timeout = self.timeout();
            match self.parts.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.now = now();
            for event in &events {
                self.note(event);
            }
            self.round();
            self.expire();
            self.publish();
        }
        self.say_goodbye();
        Ok(())
    }

    /// How long nothing has to be done.
    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() || self.has_mail {
            return Some(Duration::ZERO);
        }
        let engine = self.parts.engine.poll_timeout();
        let next = engine.into_iter().chain(self.parts.streams.poll_timeout()).min();
        next.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Notes what an event is about.
    fn note(&mut self, event: &mio::event::Event) {
        let token = Token::from(event.token());
        let is_news = match token {
            Token::Wake => {
                self.has_mail = true;
                false
            }
            Token::Udp(index) => {
                let found = self.parts.endpoints.listeners.get_mut(index as usize);
                found.is_some_and(|listener| !std::mem::replace(&mut listener.is_ready, true))
            }
            Token::Relay(index) => {
                let found = self.parts.relays.find(RelayId(index));
                found.is_some_and(|relay| !std::mem::replace(&mut relay.is_ready, true))
            }
            Token::Stream(index) => self.parts.streams.note_backlog(index),
            Token::Connection(index) => {
                if event.is_writable() {
                    self.parts.streams.mark_dirty(index);
                }
                let found = self.parts.streams.find(index);
                found.is_some_and(|connection| {
                    connection.is_ending |= event.is_read_closed() || event.is_error();
                    event.is_readable() && !std::mem::replace(&mut connection.is_ready, true)
                })
            }
        };
        if is_news {
            self.ready.push_back(token);
        }
    }

    /// Takes what has come in until nothing is left or the arena is full, then sends.
    fn round(&mut self) {
        if self.has_mail {
            self.take_mail();
        }
        while self.arena.has_room()
            && let Some(token) = self.ready.pop_front()
        {
            let has_more = match token {
                Token::Wake => false,
                Token::Udp(index) => self.read_listener(index as usize),
                Token::Relay(index) => self.read_relay(RelayId(index)),
                Token::Stream(index) => {
                    self.parts.streams.accept(index, self.now.instant, &mut self.counters) == Backlog::More
                }
                Token::Connection(index) => self.read_connection(index),
            };
            if has_more {
                self.ready.push_back(token);
            }
        }
        self.flush();
    }

    /// Gives up what has taken too long, in the engine and among the connections.
    fn expire(&mut self) {
        let Parts { engine, relays, streams, .. } = &mut self.parts;
        if engine.poll_timeout().is_some_and(|at| at <= self.now.instant) {
            engine.handle_timeout(self.now, relays);
        }
        relays.end_round();
        let ready = &mut self.ready;
        streams.unpause(self.now.instant, |index| ready.push_back(Token::Stream(index)));
        while let Some((index, end)) = {
            let Parts { engine, streams, .. } = &mut self.parts;
            streams.overdue(self.now.instant, |client| engine.is_allocated(client))
        } {
            self.end_connection(index, end);
        }
    }

    fn end_connection(&mut self, index: u32, end: End) {
        match end {
            // The reading has told more than the end says.
            End::Closed | End::Broken | End::Tls => tracing::trace!(index, %end, "a TURN connection ends"),
            End::NotStun | End::SlowHandshake | End::SlowGreeting | End::Idle | End::Unread => {
                let client = self.parts.streams.find(index).map(|found| found.client().remote.ip().to_canonical());
                tracing::debug!(client = client.map(tracing::field::display), %end, "a TURN connection is given up");
            }
        }
        self.counters.connections_given_up += u64::from(!matches!(end, End::Closed | End::Broken));
        if let Some(client) = self.parts.streams.close(index, &mut self.counters) {
            self.parts.engine.handle_disconnect(client, self.now, &mut self.parts.relays);
        }
    }

    /// Lets the operator's metrics see where this worker is.
    fn publish(&self) {
        let mut published = self.parts.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.engine.clone_from(self.parts.engine.stats());
        published.counters = self.counters;
    }

    /// Closes every connection, so that clients learn of the end at once.
    fn say_goodbye(&mut self) {
        for index in self.parts.streams.all() {
            self.end_connection(index, End::Closed);
        }
        self.publish();
    }
}

fn now() -> Now {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { instant: Instant::now(), unix }
}
