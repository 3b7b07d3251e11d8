//! A session that begins with polling, and the way to it, through its move to a WebSocket.
//!
//! Locks are taken in this order: the session's state, the hub, the inbox, a mailbox. The hub delivers into the inbox
//! only; what is there goes through the session when the line is flushed, without the hub's lock.

mod inbox;
mod socket;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use switchboard_signalling::core::{ClientAddr, ConnId, Pace};
use switchboard_signalling::socketio::{
    CloseReason, Delivery, Fault, Output, Protocol, Query, Reply, Session, Sid, SocketId,
};
use switchboard_wire::directory;
use switchboard_wire::rooms::{GoodbyeCode, Reference, ServerMessage};
use tokio::sync::oneshot;

use super::sessions::Sessions;
use super::{Scope, Visit, link};
use crate::hub::{self, Admission, AlreadyClosed, Hub, Line};
use crate::mailbox::{Mailbox, Queued};
use crate::websocket::frame::{self, Opcode};
use inbox::{Inbox, Letter};

/// A session and what carries it.
#[derive(Debug)]
pub(crate) struct PollingSession {
    me: Weak<Self>,
    conn: ConnId,
    /// Who began it.
    from: ClientAddr,
    binds_address: bool,
    scope: Scope,
    /// Weak, like `sessions`: both hold sessions.
    hub: Weak<Hub>,
    sessions: Weak<Sessions>,
    state: Mutex<State>,
    inbox: Inbox,
}

#[derive(Debug)]
struct State {
    session: Session,
    /// The id that it is registered by.
    sid: Sid,
    /// The GET that waits.
    poll: Option<oneshot::Sender<Reply>>,
    /// WebSockets of this session; without a mailbox until their handshake is answered.
    sockets: Vec<(SocketId, Option<Arc<Mailbox>>)>,
    /// The earliest alarm that is set.
    alarm: Option<Instant>,
    /// Do not take the next POST before then.
    resume_at: Option<Instant>,
}

/// What is left to do once the lock is released.
#[derive(Debug, Default)]
struct Aftermath {
    written: Vec<Arc<Mailbox>>,
    closed: Option<CloseReason>,
}

impl PollingSession {
    /// Begins a session whose first GET waits; none if the hub has closed the connection already.
    pub(super) fn begin(
        visit: &Visit,
        protocol: Protocol,
        admission: Admission,
    ) -> Option<(Arc<Self>, oneshot::Receiver<Reply>)> {
        let (shared, from) = (&visit.shared, visit.from);
        let now = Instant::now();
        let sid = super::random_sid();
        let (session, hello) = Session::open(protocol, &visit.query, sid, now);
        let (answer, answered) = oneshot::channel();
        let state = State { sid, poll: Some(answer), sockets: Vec::new(), alarm: None, resume_at: None, session };
        let this = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            conn: admission.conn(),
            from,
            binds_address: state.session.binds_address(),
            scope: visit.scope,
            hub: Arc::downgrade(&shared.hub),
            sessions: Arc::downgrade(&shared.sessions),
            state: Mutex::new(state),
            inbox: Inbox::new(protocol, shared.config.limits.queue_bytes),
        });
        if let Err(AlreadyClosed) = admission.attach(this.clone()) {
            return None;
        }
        shared.sessions.register(sid, this.clone());
        if let Some(hello) = hello {
            // The first message of a connection is never held back.
            let _ = this.say(Delivery::Rooms(Ok(hello)), now);
        }
        this.act(|_| ());
        hub::flush();
        Some((this, answered))
    }

    /// What may be spoken here.
    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether requests from this address may speak for the session.
    pub(super) fn admits(&self, from: ClientAddr) -> bool {
        !self.binds_address || self.from == from
    }

    pub(super) fn check(&self, query: &Query, upgrade: bool) -> Result<(), Fault> {
        self.lock().session.check(query, upgrade)
    }

    /// Takes a GET.
    ///
    /// # Errors
    /// Its answer, where it cannot wait.
    pub(super) fn begin_poll(&self, now: Instant) -> Result<oneshot::Receiver<Reply>, Reply> {
        let (answer, answered) = oneshot::channel();
        self.act(|state| {
            state.session.handle_poll(now)?;
            state.poll = Some(answer);
            Ok(answered)
        })
    }

    /// Learns that the client dropped its GET.
    pub(super) fn lose_poll(&self) {
        self.act(|state| {
            // One that was answered in the same moment was not lost; the next one is none of ours.
            if state.poll.take_if(|poll| poll.is_closed()).is_some() {
                state.session.handle_poll_lost();
            }
        });
    }

    /// Takes the head of a POST; says when its body may be read.
    ///
    /// # Errors
    /// Its answer, where it is refused.
    pub(super) fn begin_post(&self, binary: bool) -> Result<Option<Instant>, Reply> {
        self.act(|state| {
            state.session.handle_post(binary)?;
            Ok(state.resume_at)
        })
    }

    /// Takes the body of a POST. The caller flushes the hub.
    pub(super) fn end_post(&self, body: &[u8], now: Instant) -> Reply {
        self.act(|state| {
            let resume_at = &mut state.resume_at;
            state.session.handle_body(body, now, |delivery| {
                *resume_at = self.say(delivery, now).resume_at;
            })
        })
    }

    pub(super) fn refuse_post(&self) -> Reply {
        self.act(|state| state.session.handle_body_too_large())
    }

    pub(super) fn lose_post(&self) {
        self.act(|state| state.session.handle_post_lost());
    }

    pub(super) fn on_alarm(&self, now: Instant) {
        self.act(|state| {
            state.alarm.take_if(|alarm| *alarm <= now);
            if state.session.poll_timeout().is_some_and(|due| due <= now) {
                state.session.handle_timeout(now);
            }
        });
    }

    /// Does something with the session and carries out what comes of it.
    fn act<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut aftermath = Aftermath::default();
        let mut state = self.lock();
        let result = act(&mut state);
        self.carry_out(&mut state, &mut aftermath);
        drop(state);
        self.settle(aftermath);
        result
    }

    fn carry_out(&self, state: &mut State, aftermath: &mut Aftermath) {
        while let Some(output) = state.session.poll_output() {
            match output {
                Output::Opened(sid) => {
                    if let Some(sessions) = self.sessions.upgrade()
                        && let Some(session) = sessions.forget(state.sid)
                    {
                        sessions.register(sid, session);
                        state.sid = sid;
                    }
                }
                Output::Poll(reply) => {
                    // A client that is gone is noticed by whoever waited for the answer.
                    let _ = state.poll.take().map(|poll| poll.send(reply));
                }
                Output::Frame { socket, text } => {
                    let Some(mailbox) = state.mailbox(socket) else { continue };
                    let bytes = text.len() + frame::HEADER_BYTES;
                    match mailbox.queue(bytes, |out| frame::encode(Opcode::Text, &text, out)) {
                        Queued::Quiet => {}
                        Queued::First => aftermath.written.push(Arc::clone(mailbox)),
                        Queued::Overflow => aftermath.closed = Some(CloseReason::TooSlow),
                    }
                }
                Output::CloseSocket { socket } => {
                    let at = state.sockets.iter().position(|(id, _)| *id == socket);
                    if let Some((_, Some(mailbox))) = at.map(|at| state.sockets.swap_remove(at))
                        && link::finish(&mailbox) == Queued::First
                    {
                        aftermath.written.push(mailbox);
                    }
                }
                Output::Closed(reason) => {
                    tracing::debug!(%reason, "a Socket.IO session ended");
                    drop(self.sessions.upgrade().map(|sessions| sessions.forget(state.sid)));
                    aftermath.closed = Some(reason);
                }
            }
        }
        if state.session.on_websocket() {
            self.inbox.go_direct(state.sockets.last().and_then(|(_, mailbox)| mailbox.clone()));
        }
        if let Some(due) = state.session.poll_timeout()
            && state.alarm.is_none_or(|alarm| due < alarm)
        {
            state.alarm = Some(due);
            if let Some(sessions) = self.sessions.upgrade() {
                sessions.set_alarm(due, self.me.clone());
            }
        }
    }

    /// Does what must not be done under the session's lock.
    fn settle(&self, aftermath: Aftermath) {
        for mailbox in aftermath.written {
            mailbox.flush();
        }
        if let Some(reason) = aftermath.closed
            && let Some(hub) = self.hub.upgrade()
        {
            hub.close(self.conn, reason.closing());
        }
    }

    /// Tells the core what the client said. The caller flushes the hub.
    fn say(&self, delivery: Delivery<'_>, now: Instant) -> Pace {
        let Some(hub) = self.hub.upgrade() else { return Pace::default() };
        match self.scope.narrow(delivery) {
            Delivery::Rooms(message) => hub.message(self.conn, message, now),
            Delivery::Star(request) => hub.directory(self.conn, request, now),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn mailbox(&self, socket: SocketId) -> Option<&Arc<Mailbox>> {
        self.sockets.iter().find(|(id, _)| *id == socket).and_then(|(_, mailbox)| mailbox.as_ref())
    }
}

impl Line for PollingSession {
    fn deliver(&self, message: &ServerMessage, _reference: Option<&Reference>) -> Queued {
        self.inbox.deliver(message)
    }

    fn deliver_directory(&self, message: &directory::Message) -> Queued {
        self.inbox.deliver_directory(message)
    }

    fn close(&self, _code: GoodbyeCode) -> Queued {
        self.inbox.dismiss()
    }

    fn dismiss(&self, code: GoodbyeCode) -> Queued {
        let (said, closed) = (self.inbox.say_last(code), self.close(code));
        if said == Queued::First { said } else { closed }
    }

    fn flush(&self) {
        if self.inbox.flush_direct() {
            return;
        }
        let mut aftermath = Aftermath::default();
        let mut state = self.lock();
        while let Some(batch) = self.inbox.take() {
            for letter in &batch.letters {
                match letter {
                    Letter::Rooms(message) => state.session.handle_message(message),
                    Letter::Star(message) => state.session.handle_directory(message),
                }
                self.carry_out(&mut state, &mut aftermath);
            }
            if batch.dismissed {
                state.session.handle_dismissed(Instant::now());
                self.carry_out(&mut state, &mut aftermath);
            }
        }
        drop(state);
        self.settle(aftermath);
    }
}
