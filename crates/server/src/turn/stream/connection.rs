//! One TCP or TLS connection of a client.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rustls::ServerConnection;
use switchboard_turn::framing::Partial;
use switchboard_turn::{Client, HEADROOM, TAILROOM};

use super::queue::{Bounds, Kind, Queue, Unread};
use crate::config::TurnLimits;
use crate::seats::Seat;
use crate::turn::arena::Arena;

/// Bytes that one read takes at most, so that no connection keeps a worker to itself.
const MOST_READ: usize = 64 * 1024;

/// Pieces of one write.
const MOST_PIECES: usize = 64;

/// Bytes of one write to the kernel.
const MOST_WRITTEN: usize = 256 * 1024;

/// Bytes that are encrypted at a time: a train of datagrams goes to the kernel at once, and little waits beyond the queue.
const MOST_ENCRYPTED: usize = 32 * 1024;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::turn) enum End {
    #[error("the client closed it")]
    Closed,
    #[error("the network broke it")]
    Broken,
    #[error("what came in is no TLS that we speak")]
    Tls,
    #[error("what came in is neither STUN nor ChannelData")]
    NotStun,
    #[error("the TLS handshake took too long")]
    SlowHandshake,
    #[error("no message came")]
    SlowGreeting,
    #[error("it was idle without an allocation")]
    Idle,
    #[error("the client does not read")]
    Unread,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// TLS is not there yet.
    Handshake,
    /// No message has come that was worth an answer or was relayed.
    Greeting,
    /// In use.
    Open,
}

/// What a read found.
#[derive(Debug)]
pub(in crate::turn) struct Input {
    /// Where in the arena.
    pub(in crate::turn) range: Range<usize>,
    /// Whether there is nothing more just now.
    pub(in crate::turn) is_all: bool,
}

/// A connection with what waits in both directions.
#[derive(Debug)]
pub(in crate::turn) struct Connection {
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
    client: Client,
    local: SocketAddr,
    /// The frame whose end has not come in yet.
    pub(in crate::turn) partial: Partial,
    queue: Queue,
    stage: Stage,
    /// When the stage began, or the last message came.
    since: Instant,
    /// Since when the client has not taken what waits.
    blocked: Option<Instant>,
    /// Tells this connection from an earlier one of the same number.
    pub(in crate::turn) serial: u64,
    /// Whether it waits to be read in this round.
    pub(in crate::turn) is_ready: bool,
    /// Whether it waits to be written at the end of this round.
    pub(in crate::turn) is_dirty: bool,
    /// Whether the client has closed its side: then a read that comes short is not the last.
    pub(in crate::turn) is_ending: bool,
    /// Its place among all connections and those of its address.
    _seat: Seat,
}

/// What is known of a connection when it is accepted.
#[derive(Debug)]
pub(in crate::turn) struct Accepted {
    pub(in crate::turn) socket: TcpStream,
    pub(in crate::turn) tls: Option<Box<ServerConnection>>,
    pub(in crate::turn) client: Client,
    pub(in crate::turn) local: SocketAddr,
    pub(in crate::turn) serial: u64,
    pub(in crate::turn) seat: Seat,
}

impl Connection {
    pub(in crate::turn) fn new(accepted: Accepted, now: Instant) -> Self {
        let Accepted { socket, tls, client, local, serial, seat } = accepted;
        Self {
            stage: if tls.is_some() { Stage::Handshake } else { Stage::Greeting },
            socket,
            tls,
            client,
            local,
            partial: Partial::default(),
            queue: Queue::default(),
            since: now,
            blocked: None,
            serial,
            is_ready: false,
            is_dirty: false,
            is_ending: false,
            _seat: seat,
        }
    }

    /// Whose it is.
    pub(in crate::turn) fn client(&self) -> Client {
        self.client
    }

    /// The server's side of it.
    pub(in crate::turn) fn local(&self) -> SocketAddr {
        self.local
    }

    /// The socket, to be registered.
    pub(in crate::turn) fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Reads once into the arena.
    ///
    /// # Errors
    /// It is over.
    pub(in crate::turn) fn read(&mut self, arena: &mut Arena, now: Instant) -> Result<Input, End> {
        let (offset, spare) = arena.spare();
        let buffer = &mut spare[HEADROOM..HEADROOM + MOST_READ];
        let (length, is_all) = match &mut self.tls {
            None => read_plain(&mut self.socket, buffer, self.is_ending)?,
            Some(tls) => read_tls(&mut self.socket, tls, buffer, self.client)?,
        };
        if length > 0 {
            arena.keep(HEADROOM + length + TAILROOM);
        }
        if self.stage == Stage::Handshake && self.tls.as_ref().is_some_and(|tls| !tls.is_handshaking()) {
            (self.stage, self.since) = (Stage::Greeting, now);
        }
        let start = offset + HEADROOM;
        Ok(Input { range: start..start + length, is_all })
    }

    /// Notes that a message came which was worth an answer or was relayed; returns whether it was the first.
    pub(in crate::turn) fn heard(&mut self, now: Instant) -> bool {
        self.since = now;
        std::mem::replace(&mut self.stage, Stage::Open) != Stage::Open
    }

    /// Queues a frame; returns how many datagrams had to go for it.
    ///
    /// # Errors
    /// The client reads no answers.
    pub(in crate::turn) fn push(
        &mut self,
        frame: &[u8],
        kind: Kind,
        bounds: Bounds,
        now: Instant,
    ) -> Result<usize, Unread> {
        self.queue.push(frame, kind, bounds, now)
    }

    /// Writes what waits, as far as the kernel takes it; returns how many datagrams had grown too old.
    ///
    /// # Errors
    /// It is over.
    pub(in crate::turn) fn write(&mut self, age: Duration, now: Instant) -> Result<usize, End> {
        let dropped = self.queue.drop_old(age, now);
        let is_done = match &mut self.tls {
            None => write_plain(&mut self.socket, &mut self.queue),
            Some(tls) => write_tls(&mut self.socket, tls, &mut self.queue),
        };
        match is_done {
            Ok((_, true)) => self.blocked = None,
            Ok((true, false)) => self.blocked = Some(now),
            Ok((false, false)) => self.blocked = self.blocked.or(Some(now)),
            Err(_) => return Err(End::Broken),
        }
        Ok(dropped)
    }

    /// Says goodbye where the protocol knows one; what the kernel does not take at once is lost.
    pub(in crate::turn) fn close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // The connection ends either way.
            let _ = tls.write_tls(&mut self.socket);
        }
    }

    /// When it is to be given up, and why, if nothing happens until then; none where an allocation keeps it.
    pub(in crate::turn) fn deadline(&self, limits: &TurnLimits, is_allocated: bool) -> Option<(Instant, End)> {
        let blocked = self.blocked.map(|since| (since + limits.idle_timeout, End::Unread));
        let stage = match self.stage {
            Stage::Handshake => Some((self.since + limits.handshake_timeout, End::SlowHandshake)),
            Stage::Greeting => Some((self.since + limits.greeting_timeout, End::SlowGreeting)),
            Stage::Open if is_allocated => None,
            Stage::Open => Some((self.since + limits.idle_timeout, End::Idle)),
        };
        blocked.into_iter().chain(stage).min_by_key(|(at, _)| *at)
    }
}

/// Reads once; returns the length, and whether that is all there is just now.
fn read_plain(socket: &mut TcpStream, buffer: &mut [u8], is_ending: bool) -> Result<(usize, bool), End> {
    loop {
        return match socket.read(buffer) {
            Ok(0) => Err(End::Closed),
            // A read that comes short has emptied the socket; but for the end, which comes as a read of nothing.
            Ok(length) => Ok((length, length < buffer.len() && !is_ending)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Ok((0, true)),
                io::ErrorKind::Interrupted => continue,
                _ => Err(End::Broken),
            },
        };
    }
}

/// Reads records until the buffer is full or the socket is empty.
fn read_tls(
    socket: &mut TcpStream,
    tls: &mut ServerConnection,
    buffer: &mut [u8],
    client: Client,
) -> Result<(usize, bool), End> {
    let mut length = 0;
    loop {
        match tls.reader().read(&mut buffer[length..]) {
            // The client said goodbye; what came before is still worth an answer.
            Ok(0) if length < buffer.len() => return if length > 0 { Ok((length, false)) } else { Err(End::Closed) },
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) if length > 0 => return Ok((length, false)),
            Err(_) => return Err(End::Closed),
        }
        if length == buffer.len() {
            return Ok((length, false));
        }
        match tls.read_tls(socket) {
            Ok(0) => return if length > 0 { Ok((length, false)) } else { Err(End::Closed) },
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok((length, true)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(End::Broken),
        }
        if let Err(error) = tls.process_new_packets() {
            let client = client.remote.ip().to_canonical();
            tracing::debug!(%client, %error, handshake = tls.is_handshaking(), "TLS of a TURN client failed");
            // The alert tells the client what is wrong.
            let _ = tls.write_tls(socket);
            return Err(End::Tls);
        }
    }
}

/// Writes; returns whether anything left, and whether nothing waits any more.
fn write_plain(socket: &mut TcpStream, queue: &mut Queue) -> io::Result<(bool, bool)> {
    let mut is_moving = false;
    while !queue.is_empty() {
        let mut slices = [IoSlice::new(&[]); MOST_PIECES];
        let count = queue.next(&mut slices, MOST_WRITTEN);
        match socket.write_vectored(&slices[..count]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => queue.advance(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok((is_moving, false)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        is_moving = true;
    }
    Ok((is_moving, true))
}

/// As [`write_plain`]. More is encrypted only when the kernel has taken what was, so that the queue's bounds hold but for
/// [`MOST_ENCRYPTED`].
fn write_tls(socket: &mut TcpStream, tls: &mut ServerConnection, queue: &mut Queue) -> io::Result<(bool, bool)> {
    let mut is_moving = false;
    loop {
        while tls.wants_write() {
            match tls.write_tls(socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => is_moving = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok((is_moving, false)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if queue.is_empty() || tls.is_handshaking() {
            return Ok((is_moving, queue.is_empty()));
        }
        if encrypt(tls, queue)? == 0 {
            return Ok((is_moving, false));
        }
    }
}

/// Encrypts what waits, up to [`MOST_ENCRYPTED`], for one write; returns how many bytes.
fn encrypt(tls: &mut ServerConnection, queue: &mut Queue) -> io::Result<usize> {
    let mut encrypted = 0;
    while encrypted < MOST_ENCRYPTED && !queue.is_empty() {
        // One frame a record: there are clients, coturn's among them, that read no second message from a record.
        let mut frame = [IoSlice::new(&[])];
        queue.next(&mut frame, 1);
        let written = tls.writer().write(&frame[0])?;
        if written == 0 {
            break;
        }
        queue.advance(written);
        encrypted += written;
    }
    Ok(encrypted)
}
