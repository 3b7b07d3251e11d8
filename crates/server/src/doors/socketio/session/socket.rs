//! A WebSocket that wants to take a polling session over, and does.

use std::sync::Arc;
use std::time::Instant;

use switchboard_signalling::socketio::{Fault, SocketId};
use switchboard_wire::limits::MESSAGE_BYTES;

use super::PollingSession;
use super::link;
use crate::mailbox::{Mailbox, Queued};
use crate::server::Shared;
use crate::websocket::connection::{Connection, Ending, Handler, Message, Next, Options};
use crate::websocket::stream::Stream;

/// A WebSocket that the session expects; dropping it tells the session that it will not come.
#[derive(Debug)]
pub(in crate::doors::socketio) struct Upgrade {
    session: Arc<PollingSession>,
    socket: SocketId,
}

impl PollingSession {
    /// Admits a WebSocket before its handshake is answered.
    pub(in crate::doors::socketio) fn begin_upgrade(self: &Arc<Self>, now: Instant) -> Result<Upgrade, Fault> {
        self.act(|state| {
            let socket = state.session.handle_upgrade(now)?;
            state.sockets.push((socket, None));
            Ok(Upgrade { session: Arc::clone(self), socket })
        })
    }

    /// Gives a WebSocket its mailbox; false if it was given up meanwhile.
    fn open_socket(&self, socket: SocketId, mailbox: &Arc<Mailbox>) -> bool {
        let mut state = self.lock();
        let slot = state.sockets.iter_mut().find(|(id, _)| *id == socket);
        slot.map(|(_, slot)| *slot = Some(Arc::clone(mailbox))).is_some()
    }
}

impl Upgrade {
    /// Serves the socket from its handshake to its end.
    pub(in crate::doors::socketio) fn start(
        self,
        stream: Stream,
        early: Vec<u8>,
        shared: &Shared,
    ) -> impl Future<Output = ()> + use<> {
        let traffic = Arc::clone(&shared.metrics.socketio);
        let mailbox = Arc::new(Mailbox::new(stream, shared.config.limits.queue_bytes, traffic));
        if !self.session.open_socket(self.socket, &mailbox) && link::finish(&mailbox) == Queued::First {
            mailbox.flush();
        }
        let options = Options { message_bytes: MESSAGE_BYTES, heartbeat: None };
        let handler = SocketHandler { upgrade: self, mailbox };
        Connection::new(handler, early, options)
    }
}

impl Drop for Upgrade {
    /// Covers every way to end; the session ignores a socket that it knows to be closed.
    fn drop(&mut self) {
        self.closed(false);
    }
}

impl Upgrade {
    fn closed(&self, orderly: bool) {
        self.session.act(|state| {
            state.session.handle_socket_closed(self.socket, orderly);
            state.sockets.retain(|(id, _)| *id != self.socket);
        });
    }
}

/// What acts on the packets of the socket.
#[derive(Debug)]
struct SocketHandler {
    upgrade: Upgrade,
    mailbox: Arc<Mailbox>,
}

impl Handler for SocketHandler {
    fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    fn on_message(&mut self, message: Message<'_>, now: Instant) -> Next {
        let Upgrade { session, socket } = &self.upgrade;
        let delivery = session.act(|state| match message {
            Message::Text(text) => state.session.handle_frame(*socket, text, now),
            Message::Binary(_) => state.session.handle_binary_frame(*socket, now),
        });
        match delivery {
            Some(delivery) => session.say(delivery, now).into(),
            None => Next::ReadOn,
        }
    }

    fn on_end(&mut self, ending: Ending) {
        self.upgrade.closed(matches!(ending, Ending::Orderly | Ending::Departed));
    }
}
