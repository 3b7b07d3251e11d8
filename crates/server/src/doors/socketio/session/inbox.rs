//! What the core says to a polling session, until the session takes it; nothing of it stays longer than a flush.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use switchboard_signalling::socketio::Protocol;
use switchboard_wire::directory;
use switchboard_wire::rooms::{GoodbyeCode, ServerMessage};

use super::link;
use crate::mailbox::{Mailbox, Queued};

/// Messages that may wait for one flush. A join of a full room makes dozens; thousands are one client's flood.
const MESSAGES: usize = 8192;

/// The inbox of one session.
#[derive(Debug)]
pub(super) struct Inbox {
    protocol: Protocol,
    /// Bytes of payload that may wait.
    limit: usize,
    state: Mutex<State>,
}

/// One message of the core's.
#[derive(Debug)]
pub(super) enum Letter {
    Rooms(ServerMessage),
    Star(directory::Message),
}

#[derive(Debug, Default)]
struct State {
    letters: Vec<Letter>,
    bytes: usize,
    dismissed: bool,
    /// Somebody took messages that the session has not seen yet.
    busy: bool,
    /// The WebSocket that the session moved to: nothing needs the session any more to be written.
    direct: Option<Arc<Mailbox>>,
}

/// What is to be told to the session.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) letters: Vec<Letter>,
    /// The core closed the connection after them.
    pub(super) dismissed: bool,
}

impl Inbox {
    pub(super) fn new(protocol: Protocol, limit: usize) -> Self {
        Self { protocol, limit, state: Mutex::default() }
    }

    /// Takes a message from the hub.
    pub(super) fn deliver(&self, message: &ServerMessage) -> Queued {
        let bytes = match message {
            ServerMessage::Signal(signal) => signal.data.get().len(),
            _ => 0,
        };
        let direct = |mailbox: &Mailbox| link::queue(mailbox, self.protocol, message);
        self.take_in(bytes, || Letter::Rooms(message.clone()), direct)
    }

    /// Takes a message of the directory from the hub.
    pub(super) fn deliver_directory(&self, message: &directory::Message) -> Queued {
        let bytes = match message {
            directory::Message::Text(text) | directory::Message::Absent { text, .. } => text.len(),
            directory::Message::Known(names) => names.iter().map(|name| name.len()).sum(),
            directory::Message::Held { .. } | directory::Message::Expired { .. } | directory::Message::Refused(_) => 0,
        };
        let direct = |mailbox: &Mailbox| link::queue_directory(mailbox, message);
        self.take_in(bytes, || Letter::Star(message.clone()), direct)
    }

    /// Puts a letter behind the others, or past them if there are none and the session needs not see it.
    fn take_in(
        &self,
        bytes: usize,
        letter: impl FnOnce() -> Letter,
        direct: impl FnOnce(&Mailbox) -> Queued,
    ) -> Queued {
        let mut state = self.lock();
        if let Some(mailbox) = &state.direct
            && state.is_idle()
        {
            return direct(mailbox);
        }
        if state.bytes + bytes > self.limit || state.letters.len() >= MESSAGES {
            return Queued::Overflow;
        }
        let first = state.is_idle();
        state.bytes += bytes;
        state.letters.push(letter());
        if first { Queued::First } else { Queued::Quiet }
    }

    /// Tells the client of a WebSocket why it is dropped; one that polls learns at its next request that the session is over.
    pub(super) fn say_last(&self, code: GoodbyeCode) -> Queued {
        match &self.lock().direct {
            Some(mailbox) => link::dismiss(mailbox, self.protocol, code),
            None => Queued::Quiet,
        }
    }

    /// Takes note that the core closed the connection.
    pub(super) fn dismiss(&self) -> Queued {
        let mut state = self.lock();
        let first = state.is_idle();
        state.dismissed = true;
        if first { Queued::First } else { Queued::Quiet }
    }

    /// What has come since the last time; called with the session's lock held, until there is nothing.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut state = self.lock();
        state.busy = !state.letters.is_empty() || state.dismissed;
        state.bytes = 0;
        state.busy.then(|| Batch { letters: mem::take(&mut state.letters), dismissed: mem::take(&mut state.dismissed) })
    }

    /// From now on, what finds the inbox empty goes to this WebSocket.
    pub(super) fn go_direct(&self, mailbox: Option<Arc<Mailbox>>) {
        let mut state = self.lock();
        if state.direct.is_none() {
            state.direct = mailbox;
        }
    }

    /// Writes what went past the inbox; true if that is all there is.
    pub(super) fn flush_direct(&self) -> bool {
        let (direct, idle) = {
            let state = self.lock();
            (state.direct.clone(), state.is_idle())
        };
        if let Some(mailbox) = direct {
            mailbox.flush();
        }
        idle
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.letters.is_empty() && !self.dismissed && !self.busy
    }
}
