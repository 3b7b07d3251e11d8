//! What waits for one socket, and how far its end is; the writing is the mailbox's.
//!
//! Buffers go round within a thread: an empty mailbox holds none.

use std::cell::RefCell;
use std::mem;

use super::{Progress, Queued};

/// Buffers that a thread keeps for the next message.
const SPARE_BUFFERS: usize = 8;

/// Largest buffer that is worth keeping, in bytes.
const SPARE_BYTES: usize = 64 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// What a mailbox keeps under its lock.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Bytes of whole frames, except that the first may have been written in part.
    pub(super) pending: Vec<u8>,
    /// Bytes that somebody is writing just now, outside the lock.
    pub(super) in_flight: usize,
    /// The kernel's buffer is full; the socket's own task waits for room.
    pub(super) blocked: bool,
    /// The socket's own task is to know when all is written.
    pub(super) awaited: bool,
    /// Nothing more may be queued.
    pub(super) ending: bool,
    /// Nothing more is expected of the client: the socket may be closed.
    pub(super) released: bool,
    pub(super) shut: bool,
    pub(super) broken: bool,
}

/// How a write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    All,
    Full,
    Failed,
}

impl State {
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Queued {
        let first = self.is_written();
        if self.pending.capacity() == 0 {
            self.pending = SPARE.with_borrow_mut(|spare| spare.pop().unwrap_or_default());
        }
        write(&mut self.pending);
        if first { Queued::First } else { Queued::Quiet }
    }

    /// Takes what is queued, to write it without the lock.
    pub(super) fn take_batch(&mut self) -> Vec<u8> {
        let batch = mem::take(&mut self.pending);
        self.in_flight = batch.len();
        batch
    }

    /// Takes back a batch of which the first bytes are written.
    pub(super) fn give_back(&mut self, mut batch: Vec<u8>, written: usize, outcome: Outcome) {
        self.in_flight = 0;
        self.blocked = outcome == Outcome::Full;
        match outcome {
            Outcome::All => recycle(batch),
            Outcome::Full => {
                batch.drain(..written);
                batch.append(&mut self.pending);
                self.pending = batch;
            }
            Outcome::Failed => {
                self.pending = Vec::new();
                self.broken = true;
            }
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_written(&self) -> bool {
        self.pending.is_empty() && self.in_flight == 0 && !self.blocked
    }

    /// How it ended, if it did.
    pub(super) fn over(&self) -> Option<Progress> {
        match (self.broken, self.shut) {
            (true, _) => Some(Progress::Broken),
            (false, true) => Some(Progress::Finished),
            (false, false) => None,
        }
    }

    /// Whether the socket is to be closed when nothing is left to write.
    pub(super) fn is_closing(&self) -> bool {
        self.ending && self.released
    }

    pub(super) fn waiting(&self) -> Progress {
        if self.ending { Progress::Finishing } else { Progress::Open }
    }
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
