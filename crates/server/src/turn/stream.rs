//! TCP and TLS: listeners, connections and their deadlines.
//!
//! TLS carries nothing but the same stream (RFC 8656 §2.1): told apart by the listener, not by ALPN, for TURN clients send none.

pub(super) mod connection;
pub(super) mod queue;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use rustls::ServerConnection;
use switchboard_signalling::core::ClientAddr;
use switchboard_turn::{Client, Via};

use super::counters::Counters;
use super::tls::Certificate;
use super::token::Token;
use crate::config::TurnLimits;
use crate::seats::Seats;
use connection::{Accepted, Connection, End};
use queue::Bounds;

/// Connections that one pass accepts at most, so that a flood of them does not keep a worker from relaying.
const MOST_ACCEPTED: usize = 32;

/// How long to wait when the system has no descriptor or memory for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often that is worth a line in the log.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How often a connection that its allocation keeps is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Bytes that the kernel takes beyond what is on its way: more would wait there, out of reach of the queue's age limit.
#[cfg(target_os = "linux")]
const NOT_SENT: u32 = 64 * 1024;

/// Bytes of plain text that TLS holds back at most.
const TLS_BUFFER: usize = 64 * 1024;

/// A listening socket of one worker.
#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    is_tls: bool,
    is_ready: bool,
    /// Set while the system has no descriptor.
    paused: Option<Instant>,
}

/// What [`Streams::accept`] left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backlog {
    Empty,
    More,
}

/// The stream sockets of one worker.
#[derive(Debug)]
pub(super) struct Streams {
    registry: Registry,
    limits: TurnLimits,
    /// What may wait for one client.
    pub(super) bounds: Bounds,
    tls: Option<Arc<Certificate>>,
    seats: Arc<Seats>,
    listeners: Vec<Listener>,
    connections: Vec<Option<Connection>>,
    free: Vec<u32>,
    /// Connections to be written at the end of the round.
    dirty: Vec<u32>,
    /// When to look at which connection, told from later ones of the same number by the serial; at
    /// most two entries each.
    deadlines: BinaryHeap<Reverse<(Instant, u32, u64)>>,
    serial: u64,
    last_logged: Option<Instant>,
}

impl Streams {
    /// No listener yet.
    pub(super) fn new(
        registry: Registry,
        limits: TurnLimits,
        tls: Option<Arc<Certificate>>,
        seats: Arc<Seats>,
    ) -> Self {
        Self {
            registry,
            bounds: Bounds { bytes: limits.queue_bytes, age: limits.queue_age },
            limits,
            tls,
            seats,
            listeners: Vec::new(),
            connections: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            deadlines: BinaryHeap::new(),
            serial: 0,
            last_logged: None,
        }
    }

    /// Adds a listening socket.
    ///
    /// # Errors
    /// The poll does not take it.
    pub(super) fn listen(&mut self, mut socket: TcpListener, is_tls: bool) -> io::Result<()> {
        let token = Token::Stream(self.listeners.len() as u32);
        self.registry.register(&mut socket, token.into(), Interest::READABLE)?;
        self.listeners.push(Listener { socket, is_tls, is_ready: false, paused: None });
        Ok(())
    }

    /// Begins anew on the same listeners, which count as ready: nobody says again that they are. Connections are closed.
    pub(super) fn renew(self) -> Self {
        let listeners =
            self.listeners.into_iter().map(|listener| Listener { is_ready: true, paused: None, ..listener });
        let listeners = listeners.collect();
        Self { listeners, ..Self::new(self.registry, self.limits, self.tls, self.seats) }
    }

    /// How many listeners there are.
    pub(super) fn listeners(&self) -> u32 {
        self.listeners.len() as u32
    }

    /// Marks a listener as ready; returns whether it was not so already.
    pub(super) fn note_backlog(&mut self, listener: u32) -> bool {
        let found = self.listeners.get_mut(listener as usize);
        found.is_some_and(|listener| !std::mem::replace(&mut listener.is_ready, true))
    }

    /// Accepts what waits, up to a bound.
    pub(super) fn accept(&mut self, listener: u32, now: Instant, counters: &mut Counters) -> Backlog {
        for _ in 0..MOST_ACCEPTED {
            let Some(found) = self.listeners.get_mut(listener as usize) else { return Backlog::Empty };
            found.is_ready = false;
            let is_tls = found.is_tls;
            match found.socket.accept() {
                Ok((socket, remote)) => self.admit(socket, remote, is_tls, now, counters),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Backlog::Empty,
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {}
                    _ => {
                        found.paused = Some(now + ACCEPT_PAUSE);
                        self.log_pause(&error, now);
                        return Backlog::Empty;
                    }
                },
            }
        }
        if let Some(found) = self.listeners.get_mut(listener as usize) {
            found.is_ready = true;
        }
        Backlog::More
    }

    fn log_pause(&mut self, error: &io::Error, now: Instant) {
        if self.last_logged.is_none_or(|at| now.saturating_duration_since(at) >= ACCEPT_LOG_INTERVAL) {
            self.last_logged = Some(now);
            tracing::warn!(%error, "cannot accept TURN connections just now; is the limit of open files too low?");
        }
    }

    /// Takes a connection in, or closes it where there are too many.
    fn admit(&mut self, socket: TcpStream, remote: SocketAddr, is_tls: bool, now: Instant, counters: &mut Counters) {
        let Ok(seat) = self.seats.take(Some(ClientAddr::new(remote.ip()).key())) else {
            counters.connections_refused += 1;
            return;
        };
        let tls = match self.tls.as_ref().filter(|_| is_tls).map(|tls| ServerConnection::new(tls.current())) {
            None => None,
            Some(Ok(mut tls)) => {
                tls.set_buffer_limit(Some(TLS_BUFFER));
                Some(Box::new(tls))
            }
            Some(Err(_)) => return,
        };
        let Ok(local) = socket.local_addr() else { return };
        tune(&socket);
        let index = self.free.pop().unwrap_or(self.connections.len() as u32);
        let via = if is_tls { Via::Tls(index) } else { Via::Tcp(index) };
        self.serial += 1;
        let client = Client { via, remote };
        let accepted = Accepted { socket, tls, client, local, serial: self.serial, seat };
        let mut connection = Connection::new(accepted, now);
        let both = Interest::READABLE | Interest::WRITABLE;
        if self.registry.register(connection.socket_mut(), Token::Connection(index).into(), both).is_err() {
            if (index as usize) < self.connections.len() {
                self.free.push(index);
            }
            return;
        }
        counters.connection_opened(via);
        match self.connections.get_mut(index as usize) {
            Some(place) => *place = Some(connection),
            None => self.connections.push(Some(connection)),
        }
        self.schedule(index);
    }

    /// The connection of this number, unless it is closed.
    pub(super) fn find(&mut self, connection: u32) -> Option<&mut Connection> {
        self.connections.get_mut(connection as usize)?.as_mut()
    }

    /// Looks at a connection when its time is up from now on; for the first message may bring that forward.
    pub(super) fn schedule(&mut self, connection: u32) {
        let Some(found) = self.connections.get(connection as usize).and_then(Option::as_ref) else { return };
        if let Some((at, _)) = found.deadline(&self.limits, false) {
            self.deadlines.push(Reverse((at, connection, found.serial)));
        }
    }

    /// Notes that a connection is to be written at the end of the round.
    pub(super) fn mark_dirty(&mut self, connection: u32) {
        if let Some(found) = self.connections.get_mut(connection as usize).and_then(Option::as_mut)
            && !std::mem::replace(&mut found.is_dirty, true)
        {
            self.dirty.push(connection);
        }
    }

    /// The connections to be written; ends the round.
    pub(super) fn take_dirty(&mut self, into: &mut Vec<u32>) {
        std::mem::swap(&mut self.dirty, into);
    }

    /// Closes a connection and returns it.
    pub(super) fn close(&mut self, connection: u32, counters: &mut Counters) -> Option<Client> {
        let mut closed = self.connections.get_mut(connection as usize)?.take()?;
        closed.close();
        // Closing the socket ends its registration too; a failure here changes nothing.
        let _ = self.registry.deregister(closed.socket_mut());
        self.free.push(connection);
        counters.connection_closed(closed.client().via);
        Some(closed.client())
    }

    /// When [`Self::overdue`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let paused = self.listeners.iter().filter_map(|listener| listener.paused);
        self.deadlines.peek().map(|Reverse((at, _, _))| *at).into_iter().chain(paused).min()
    }

    /// Listeners whose pause is over.
    pub(super) fn unpause(&mut self, now: Instant, mut ready: impl FnMut(u32)) {
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            if listener.paused.is_some_and(|until| until <= now) {
                listener.paused = None;
                listener.is_ready = true;
                ready(index as u32);
            }
        }
    }

    /// The next connection whose time is up, with the reason.
    pub(super) fn overdue(&mut self, now: Instant, is_allocated: impl Fn(Client) -> bool) -> Option<(u32, End)> {
        while let Some(&Reverse((at, index, serial))) = self.deadlines.peek()
            && at <= now
        {
            self.deadlines.pop();
            let Some(found) = self.connections.get(index as usize).and_then(Option::as_ref) else { continue };
            if found.serial != serial {
                continue;
            }
            match found.deadline(&self.limits, is_allocated(found.client())) {
                Some((due, end)) if due <= now => return Some((index, end)),
                // What blocks may come to be a reason earlier than what is known now.
                Some((due, _)) => self.deadlines.push(Reverse((due.min(now + LOOK_AGAIN), index, serial))),
                None => self.deadlines.push(Reverse((now + LOOK_AGAIN, index, serial))),
            }
        }
        None
    }

    /// The numbers of all connections.
    pub(super) fn all(&self) -> Vec<u32> {
        (0..).zip(&self.connections).filter(|(_, place)| place.is_some()).map(|(index, _)| index).collect()
    }
}

/// Sends small frames at once, and keeps the kernel from hoarding what is to be dropped when it is old.
fn tune(socket: &TcpStream) {
    // A socket that is tuned less well still works.
    let _ = socket.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(socket).set_tcp_notsent_lowat(NOT_SENT);
}
