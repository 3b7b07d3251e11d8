//! One thread of the data plane: an engine, its sockets, and the loop between them.
//!
//! A round takes what has come in on all ready sockets, lets the engine judge it in place, and sends what is left to be sent,
//! by destination. Nothing waits for a round to fill: depth comes from load alone. Errors of single packets and connections
//! end nothing but themselves.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use mio::{Events, Interest, Poll};
use switchboard_turn::{Client, Engine, HEADROOM, Now, Packet, RelayId, TAILROOM, Verdict, Via};

use super::arena::{Arena, Piece};
use super::counters::Counters;
use super::endpoints::Endpoints;
use super::outbox::{Flow, Outbox, Source};
use super::parcels::{Inbox, Parcel, Post};
use super::relays::Relays;
use super::stats::Published;
use super::stream::connection::End;
use super::stream::framing::{MOST_FRAME, frame_length};
use super::stream::queue::Kind;
use super::stream::{Backlog, Streams};
use super::sys::{Received, Route, Segment, Sys};
use super::token::Token;

/// Events that one look at the system yields.
const MOST_EVENTS: usize = 1024;

/// Failed receives in a row after which a socket waits for the next round.
const MOST_FAILURES: usize = 4;

/// What a worker is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) poll: Poll,
    pub(super) engine: Engine,
    pub(super) sys: Sys,
    pub(super) endpoints: Endpoints,
    pub(super) relays: Relays,
    pub(super) streams: Streams,
    pub(super) post: Post,
    pub(super) inbox: Inbox,
    pub(super) published: Arc<Mutex<Published>>,
    pub(super) stop: Arc<AtomicBool>,
}

/// Where a packet came from.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Client { client: Client, local: SocketAddr },
    Peer { relay: RelayId, peer: SocketAddr },
    Worker { relayed: SocketAddr, from: SocketAddr },
}

/// A packet in the arena.
#[derive(Clone, Debug)]
struct Place {
    range: Range<usize>,
    /// Whether the bytes around it belong to other packets that have not left yet.
    is_crowded: bool,
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
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(MOST_EVENTS);
        while !self.parts.stop.load(Ordering::Acquire) {
            let timeout = self.timeout();
            match self.parts.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "a TURN worker cannot wait for packets and ends");
                    return;
                }
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

    fn read_listener(&mut self, index: usize) -> bool {
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

    fn read_relay(&mut self, relay: RelayId) -> bool {
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
    fn read_connection(&mut self, index: u32) -> bool {
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
            let place = if connection.partial.is_empty()
                && let Some(length) = frame_length(bytes).map_err(|_| End::NotStun)?
                && length <= bytes.len()
            {
                let frame = range.start..range.start + length;
                range.start = frame.end;
                Place { range: frame, is_crowded: true }
            } else {
                range.start += connection.partial.fill(bytes).map_err(|_| End::NotStun)?;
                let Some(whole) = connection.partial.whole() else { continue };
                let frame = self.arena.copy(whole);
                connection.partial.clear();
                let Some(frame) = frame else { continue };
                Place { range: frame, is_crowded: false }
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

    /// Lets the engine judge a packet and does what it says; returns whether that was more than dropping it.
    fn handle(&mut self, origin: Origin, place: Place) -> bool {
        let Place { range, is_crowded } = place;
        let base = range.start - HEADROOM;
        let around = is_crowded.then(|| Around::keep(self.arena.bytes(), &range));
        let buffer = &mut self.arena.bytes_mut()[base..range.end + TAILROOM];
        let mut packet = Packet { buffer, range: HEADROOM..HEADROOM + range.len() };
        let Parts { engine, relays, .. } = &mut self.parts;
        let verdict = match origin {
            Origin::Client { client, local } => engine.handle_client(client, local, &mut packet, self.now, relays),
            Origin::Peer { relay, peer } => engine.handle_peer(relay, peer, &mut packet, self.now),
            Origin::Worker { relayed, from } => engine.handle_hairpin(relayed, from, &mut packet, self.now),
        };
        let at = |inner: Range<usize>| base + inner.start..base + inner.end;
        match verdict {
            Verdict::Drop => return false,
            Verdict::Reply => self.reply(origin),
            Verdict::ReplyFrom { local, to } => self.reply_from(local, to),
            Verdict::ToPeer { relay, peer, payload, dont_fragment } => {
                let flow = Flow { source: Source::Relay(relay), to: peer, whole: dont_fragment };
                let segment = Segment { head: Piece::default(), body: Piece::new(at(payload)) };
                self.outbox.push(flow, segment);
            }
            Verdict::ToClient { client, packet, .. } => self.queue_packet(client, at(packet), &range, around.is_some()),
            Verdict::ToWorker { worker, relayed, from, payload } => {
                let payload = &self.arena.bytes()[at(payload)];
                if !self.parts.post.push(worker, relayed, from, payload) {
                    self.counters.dropped_worker += 1;
                }
            }
        }
        if let Some(around) = around {
            around.restore(self.arena.bytes_mut(), &range);
        }
        true
    }

    /// Queues `packet`, which was made of what came in at `came`.
    fn queue_packet(&mut self, client: Client, packet: Range<usize>, came: &Range<usize>, is_crowded: bool) {
        match client.via {
            Via::Udp(endpoint) => {
                let flow = Flow { source: Source::Endpoint(endpoint), to: client.remote, whole: false };
                let segment = if is_crowded && packet.start < came.start {
                    // The header lies where the packet before ends: it leaves from elsewhere.
                    let mut header = [0; HEADROOM];
                    let header = &mut header[..came.start - packet.start];
                    header.copy_from_slice(&self.arena.bytes()[packet.start..came.start]);
                    let Some(head) = self.arena.copy(header) else { return };
                    Segment { head: Piece::new(head), body: Piece::new(came.start..packet.end) }
                } else {
                    Segment { head: Piece::default(), body: Piece::new(packet) }
                };
                self.outbox.push(flow, segment);
            }
            Via::Tcp(index) | Via::Tls(index) => self.push_frame(index, Kind::Datagram, Frame::InArena(packet)),
        }
    }

    /// Sends the engine's answer back.
    fn reply(&mut self, origin: Origin) {
        let Origin::Client { client, .. } = origin else { return };
        match client.via {
            Via::Udp(endpoint) => self.answer(endpoint, client.remote),
            Via::Tcp(index) | Via::Tls(index) => self.push_frame(index, Kind::Answer, Frame::Reply),
        }
    }

    /// Sends the engine's answer from another address than the one that was asked, or to another port (RFC 5780).
    fn reply_from(&mut self, local: SocketAddr, to: SocketAddr) {
        if let Some(endpoint) = self.parts.endpoints.at(local) {
            self.answer(endpoint, to);
        }
    }

    fn answer(&mut self, endpoint: u16, to: SocketAddr) {
        let Some(endpoint) = self.parts.endpoints.find(endpoint) else { return };
        let Some(listener) = self.parts.endpoints.listeners.get_mut(endpoint.listener) else { return };
        self.counters.sends += 1;
        let route = Route { to, from: endpoint.from };
        if let Err(error) = listener.port.answer(&mut self.parts.sys, route, self.parts.engine.reply()) {
            note_failure(&mut self.counters, 1, &error);
        }
    }

    /// Queues a frame for a connection.
    fn push_frame(&mut self, index: u32, kind: Kind, frame: Frame) {
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

    /// Handles what other workers have sent.
    fn take_mail(&mut self) {
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

    /// Sends everything that waits, and begins with an empty arena.
    fn flush(&mut self) {
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
            End::Closed | End::Broken => {}
            End::Tls | End::NotStun | End::SlowHandshake | End::SlowGreeting | End::Idle | End::Unread => {
                self.counters.connections_given_up += 1;
            }
        }
        tracing::trace!(index, %end, "a TURN connection ends");
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

/// Where a frame's bytes are.
enum Frame {
    InArena(Range<usize>),
    Reply,
}

/// The bytes around a packet that the engine may write and that belong to others.
struct Around {
    before: [u8; HEADROOM],
    behind: [u8; TAILROOM],
}

impl Around {
    fn keep(bytes: &[u8], range: &Range<usize>) -> Self {
        let (mut before, mut behind) = ([0; HEADROOM], [0; TAILROOM]);
        before.copy_from_slice(&bytes[range.start - HEADROOM..range.start]);
        behind.copy_from_slice(&bytes[range.end..range.end + TAILROOM]);
        Self { before, behind }
    }

    fn restore(&self, bytes: &mut [u8], range: &Range<usize>) {
        bytes[range.start - HEADROOM..range.start].copy_from_slice(&self.before);
        bytes[range.end..range.end + TAILROOM].copy_from_slice(&self.behind);
    }
}

/// Receives once, past errors that are none of the socket's own (answers of the network to what was sent); returns whether
/// there is more.
fn receive(port: &mut super::port::Port, sys: &mut Sys, arena: &mut Arena, received: &mut Vec<Received>) -> bool {
    for _ in 0..MOST_FAILURES {
        match port.receive(sys, arena, received) {
            Ok(is_empty) => return !is_empty,
            Err(error) => tracing::trace!(%error, "a receive failed"),
        }
    }
    true
}

/// Counts what the system did not send: full buffers, filters and ways that do not exist happen, and UDP may lose.
fn note_failure(counters: &mut Counters, datagrams: usize, error: &io::Error) {
    counters.dropped_send += datagrams as u64;
    tracing::trace!(%error, datagrams, "a send failed");
}

fn now() -> Now {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { instant: Instant::now(), unix }
}

const _: () = assert!(MOST_FRAME + HEADROOM + TAILROOM < super::arena::RECEIVE_ROOM);
