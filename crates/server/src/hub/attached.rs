//! How a connection comes to its line, and how it goes.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use switchboard_signalling::core::{Closing, ConnId, Pace};
use switchboard_wire::directory::{self, Claim, Malformed, Name, Namespace};
use switchboard_wire::rooms::{ClientMessage, DecodeError, GoodbyeCode};

use super::{Hub, Line};
use crate::mailbox::Queued;
use crate::websocket::connection::Ending;

/// A connection that was admitted and has no line yet; dropping it gives its place back.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(super) hub: Arc<Hub>,
    pub(super) conn: ConnId,
    pub(super) attached: bool,
}

/// The core closed the connection before its line was there: no hello in time, or a drain.
#[derive(Debug)]
pub(crate) struct AlreadyClosed;

/// The line of a connection, for whoever acts on what its client says; dropping it ends the connection.
#[derive(Debug)]
pub(crate) struct Attached<L> {
    hub: Arc<Hub>,
    conn: ConnId,
    line: Arc<L>,
}

impl Admission {
    /// Which connection it is.
    pub(crate) fn conn(&self) -> ConnId {
        self.conn
    }

    /// Gives the connection its line. Whoever does has to see to it that the hub learns of the end.
    ///
    /// # Errors
    /// If the core has closed it meanwhile.
    pub(crate) fn attach(mut self, line: Arc<dyn Line>) -> Result<(), AlreadyClosed> {
        self.attached = true;
        let mut state = self.hub.lock();
        let slot = state.lines.get_mut(&self.conn).ok_or(AlreadyClosed)?;
        *slot = Some(line);
        Ok(())
    }

    /// Gives the connection the line of a socket. If the core has closed it meanwhile the client is told so, as all are that a
    /// drain closes.
    pub(crate) fn attach_or_tell<L: Line + 'static>(self, line: L) -> Attached<L> {
        let line = Arc::new(line);
        let attached = Attached { hub: Arc::clone(&self.hub), conn: self.conn, line: Arc::clone(&line) };
        if let Err(AlreadyClosed) = self.attach(line) {
            attached.dismiss(GoodbyeCode::ShuttingDown);
        }
        attached
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.attached {
            self.hub.close(self.conn, Closing::Left);
        }
    }
}

impl<L> Attached<L> {
    /// Passes on what the client said; see [`Hub::message`].
    pub(crate) fn message(&self, message: Result<ClientMessage<'_>, DecodeError>, now: Instant) -> Pace {
        self.hub.message(self.conn, message, now)
    }

    /// Passes on what the client asks of the directory; see [`Hub::directory`].
    pub(crate) fn directory(&self, request: Result<directory::Request<'_>, Malformed>, now: Instant) -> Pace {
        self.hub.directory(self.conn, request, now)
    }

    /// Claims the name that the client came for; see [`Hub::readmit`]. The caller flushes.
    pub(crate) fn claim(&self, namespace: Namespace, name: Name, claim: Claim) {
        self.hub.with(|state| {
            let request = directory::Request::Claim { namespace, name, claim };
            // Nothing can be too fast yet.
            let _ = state.core.handle_directory(self.conn, Ok(request), Instant::now());
            state.core.handle_return(self.conn);
        });
    }

    /// Takes note that the client answered a [`Line::probe`]. The caller flushes.
    pub(crate) fn alive(&self) {
        self.hub.alive(self.conn);
    }

    /// Takes note that all is written, as [`Line::await_written`] asked. The caller flushes.
    pub(crate) fn written(&self) {
        self.hub.written(self.conn);
    }

    /// Ends the connection, not its line, and tells the others.
    pub(crate) fn detach(&self, closing: Closing) {
        self.hub.close(self.conn, closing);
    }
}

impl<L: Line> Attached<L> {
    /// Takes note of how the socket ended. A client that is silent is told, in case it can still hear.
    pub(crate) fn end(&self, ending: Ending) {
        self.detach(ending.closing());
        if ending == Ending::Silent {
            self.dismiss(GoodbyeCode::IdleTimeout);
        }
    }

    fn dismiss(&self, code: GoodbyeCode) {
        if self.line.dismiss(code) == Queued::First {
            self.line.flush();
        }
    }
}

impl<L> Deref for Attached<L> {
    type Target = L;

    fn deref(&self) -> &L {
        &self.line
    }
}

impl<L> Drop for Attached<L> {
    /// Covers a connection that is aborted; the hub ignores one that it knows to be over.
    fn drop(&mut self) {
        self.detach(Closing::Lost);
    }
}
