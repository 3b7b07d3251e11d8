//! What waits to be written to one socket, bounded in bytes, and the writing of it.
//!
//! Whoever puts something into an empty mailbox writes it to the socket at once, from its own task: a relayed message
//! costs one system call and no wake-up. Only what the kernel does not take waits for the socket's own task. An empty
//! mailbox holds no buffer.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;
use socket2::SockRef;
use tokio::net::tcp::OwnedWriteHalf;

use crate::metrics::Traffic;

/// Buffers that a thread keeps for the next message.
const SPARE_BUFFERS: usize = 8;

/// Largest buffer that is worth keeping, in bytes.
const SPARE_BYTES: usize = 64 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Queued {
    /// Somebody is writing already, or the mailbox is closed and the message is dropped.
    Quiet,
    /// It is the first; the caller has to [`Mailbox::flush`].
    First,
    /// There is no room; the message is dropped.
    Overflow,
}

/// How far the writing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More may be queued.
    Open,
    /// The last bytes are queued, but not written.
    Finishing,
    /// All is written and the socket's sending side is shut.
    Finished,
    /// The socket is broken.
    Broken,
}

/// The writing half of a socket and what waits for it.
#[derive(Debug)]
pub(crate) struct Mailbox {
    socket: OwnedWriteHalf,
    /// Most bytes that may wait.
    limit: usize,
    state: Mutex<State>,
    /// The socket's own task.
    task: AtomicWaker,
    traffic: Arc<Traffic>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of whole frames, except that the first may have been written in part.
    pending: Vec<u8>,
    /// Bytes that somebody is writing just now, outside the lock.
    in_flight: usize,
    /// The kernel's buffer is full; the socket's own task waits for room.
    blocked: bool,
    /// Nothing more may be queued.
    ending: bool,
    shut: bool,
    broken: bool,
}

impl Mailbox {
    /// Wraps a socket for which at most `limit` bytes may wait.
    pub(crate) fn new(socket: OwnedWriteHalf, limit: usize, traffic: Arc<Traffic>) -> Self {
        Self { socket, limit, state: Mutex::default(), task: AtomicWaker::new(), traffic }
    }

    /// Queues `bytes`, whole frames.
    pub(crate) fn queue(&self, bytes: usize, write: impl FnOnce(&mut Vec<u8>)) -> Queued {
        let mut state = self.lock();
        if state.ending || state.broken {
            return Queued::Quiet;
        }
        if state.pending.len() + state.in_flight + bytes > self.limit {
            return Queued::Overflow;
        }
        state.append(write)
    }

    /// Queues the last bytes, beyond the limit if need be, and closes the socket once all is written.
    pub(crate) fn finish(&self, write: impl FnOnce(&mut Vec<u8>)) -> Queued {
        let mut state = self.lock();
        if state.ending || state.broken {
            return Queued::Quiet;
        }
        state.ending = true;
        let queued = state.append(write);
        drop(state);
        self.task.wake();
        queued
    }

    /// Writes what is queued, as far as the kernel takes it.
    pub(crate) fn flush(&self) {
        let mut state = self.lock();
        if state.in_flight > 0 || state.blocked || state.broken {
            return;
        }
        while !state.pending.is_empty() {
            let mut batch = mem::take(&mut state.pending);
            state.in_flight = batch.len();
            drop(state);
            let (written, outcome) = self.write(&batch);
            state = self.lock();
            state.in_flight = 0;
            match outcome {
                Outcome::All => recycle(batch),
                Outcome::Full => {
                    batch.drain(..written);
                    batch.append(&mut state.pending);
                    state.pending = batch;
                    state.blocked = true;
                    drop(state);
                    self.task.wake();
                    return;
                }
                Outcome::Failed => {
                    state.pending = Vec::new();
                    state.broken = true;
                    drop(state);
                    self.task.wake();
                    return;
                }
            }
        }
        if state.ending && !state.shut {
            state.shut = true;
            // Fails only if the socket is gone, which the reading side notices.
            let _ = SockRef::from(self.socket.as_ref()).shutdown(Shutdown::Write);
            drop(state);
            self.task.wake();
        }
    }

    /// For the socket's own task: writes on if the socket has room again, and says how far it is.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Progress {
        self.register(cx.waker());
        loop {
            let state = self.lock();
            if state.broken {
                return Progress::Broken;
            }
            if state.shut {
                return Progress::Finished;
            }
            if !state.blocked {
                return if state.ending { Progress::Finishing } else { Progress::Open };
            }
            let ending = state.ending;
            drop(state);
            match self.socket.as_ref().poll_write_ready(cx) {
                Poll::Pending => return if ending { Progress::Finishing } else { Progress::Open },
                Poll::Ready(_) => {
                    self.lock().blocked = false;
                    self.flush();
                }
            }
        }
    }

    /// How many bytes wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        let state = self.lock();
        state.pending.len() + state.in_flight
    }

    fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    fn write(&self, batch: &[u8]) -> (usize, Outcome) {
        let mut written = 0;
        let outcome = loop {
            match self.socket.try_write(&batch[written..]) {
                Ok(0) => break Outcome::Failed,
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Outcome::Full,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break Outcome::Failed,
            }
            if written == batch.len() {
                break Outcome::All;
            }
        };
        self.traffic.count_out(written);
        (written, outcome)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Queued {
        let first = self.pending.is_empty() && self.in_flight == 0 && !self.blocked;
        if self.pending.capacity() == 0 {
            self.pending = SPARE.with_borrow_mut(|spare| spare.pop().unwrap_or_default());
        }
        write(&mut self.pending);
        if first { Queued::First } else { Queued::Quiet }
    }
}

enum Outcome {
    All,
    Full,
    Failed,
}

fn recycle(mut buffer: Vec<u8>) {
    if buffer.capacity() <= SPARE_BYTES {
        buffer.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARE_BUFFERS {
                spare.push(buffer);
            }
        });
    }
}
