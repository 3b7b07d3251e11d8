//! Where all connections meet: the signalling core under one lock, and the line of each connection.
//!
//! A line only queues while the lock is held. What was queued is written by [`flush`], which whoever called the hub does
//! once it has read all it had: several messages to one client become one write.
//!
//! Never call the hub while holding a lock that a [`Line`] takes.

mod attached;

pub(crate) use attached::{Admission, AlreadyClosed, Attached};

use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use switchboard_signalling::core::{
    self, Caller, Closing, ConnId, Core, Event, Output, OwnKeys, Pace, Refusal, Returning, Stats,
};
use switchboard_wire::PeerId;
use switchboard_wire::directory::{self, Malformed, Name, Namespace, Secret};
use switchboard_wire::rooms::{ClientMessage, DecodeError, Dialect, GoodbyeCode, Reference, ServerMessage};
use tokio::sync::{Notify, broadcast};

use crate::mailbox::Queued;

/// Events that may wait for a host to read them: a second of a busy server.
const EVENTS: usize = 1024;

thread_local! {
    /// Lines that something was queued for and that nobody writes yet.
    static UNWRITTEN: RefCell<Vec<Arc<dyn Line>>> = const { RefCell::new(Vec::new()) };
}

/// The way to one client: a socket, or what stands for one. Called with the hub's lock held, so it must not call the hub.
pub(crate) trait Line: fmt::Debug + Send + Sync {
    /// Encodes a message for the client's dialect and queues it.
    fn deliver(&self, message: &ServerMessage, reference: Option<&Reference>) -> Queued;
    /// Encodes a message of the directory and queues it; dialects whose clients hold no names never get one.
    fn deliver_directory(&self, _message: &directory::Message) -> Queued {
        Queued::Quiet
    }
    /// Asks the client for a sign of life, which goes to [`Hub::alive`].
    fn probe(&self) -> Queued {
        Queued::Quiet
    }
    /// Sees to it that [`Attached::written`] is called when nothing is left to write.
    fn await_written(&self) {}
    /// Ends in good order once all is written. The goodbye that gives the reason was delivered before.
    fn close(&self, code: GoodbyeCode) -> Queued;
    /// Ends for a reason that was not delivered before, and says it even if there is no room.
    fn dismiss(&self, code: GoodbyeCode) -> Queued {
        self.close(code)
    }
    /// Writes what is queued, without the hub's lock.
    fn flush(&self);
}

/// The meeting point.
pub(crate) struct Hub {
    state: Mutex<State>,
    /// The core's next timeout came closer.
    sooner: Notify,
}

struct State {
    core: Core,
    /// Every connection that the core knows; without a line while its handshake is on the way.
    lines: OwnKeys<ConnId, Option<Arc<dyn Line>>>,
    /// What the timer waits for.
    armed: Option<Instant>,
    /// Drops the oldest when a reader is too slow, so that sending never waits.
    events: broadcast::Sender<Event>,
}

impl Hub {
    /// Makes a hub without connections.
    pub(crate) fn new(config: core::Config) -> Self {
        let events = broadcast::Sender::new(if config.events { EVENTS } else { 1 });
        let core = Core::new(config, StdRng::from_os_rng());
        let state = State { core, lines: OwnKeys::default(), armed: None, events };
        Self { state: Mutex::new(state), sooner: Notify::new() }
    }

    /// Asks for a place for a connection.
    pub(crate) fn admit(self: &Arc<Self>, from: impl Into<Caller>, dialect: Dialect) -> Result<Admission, Refusal> {
        self.admission(|core| core.handle_connect(from, dialect, Instant::now()))
    }

    /// Asks for a place for a connection that comes for a name; see [`Core::handle_reconnect`].
    pub(crate) fn readmit(
        self: &Arc<Self>,
        from: Caller,
        dialect: Dialect,
        returning: Returning<'_>,
    ) -> Result<Admission, Refusal> {
        self.admission(|core| core.handle_reconnect(from, dialect, returning, Instant::now()))
    }

    fn admission(
        self: &Arc<Self>,
        connect: impl FnOnce(&mut Core) -> Result<ConnId, Refusal>,
    ) -> Result<Admission, Refusal> {
        let conn = self.with(|state| {
            let conn = connect(&mut state.core)?;
            state.lines.insert(conn, None);
            Ok(conn)
        })?;
        Ok(Admission { hub: Arc::clone(self), conn, attached: false })
    }

    /// Passes on what a client said. The caller flushes when it has no more.
    pub(crate) fn message(&self, conn: ConnId, message: Result<ClientMessage<'_>, DecodeError>, now: Instant) -> Pace {
        self.with(|state| state.core.handle_message(conn, message, now))
    }

    /// Passes on what a client asks of the directory. The caller flushes when it has no more.
    pub(crate) fn directory(
        &self,
        conn: ConnId,
        request: Result<directory::Request<'_>, Malformed>,
        now: Instant,
    ) -> Pace {
        self.with(|state| state.core.handle_directory(conn, request, now))
    }

    fn alive(&self, conn: ConnId) {
        self.with(|state| state.core.handle_alive(conn));
    }

    fn written(&self, conn: ConnId) {
        self.with(|state| state.core.handle_room(conn));
    }

    /// At most `most` of the names that are held; see [`Core::names`].
    pub(crate) fn names(&self, namespace: Namespace, most: usize) -> Vec<Name> {
        self.lock().core.names(namespace, most)
    }

    /// Whether a client holds a name and showed this secret for it; see [`Core::holds`].
    pub(crate) fn holds(&self, namespace: Namespace, name: &str, secret: &Secret) -> bool {
        self.lock().core.holds(namespace, name, secret)
    }

    /// Takes note that a connection ended, and tells the others.
    pub(crate) fn close(&self, conn: ConnId, closing: Closing) {
        self.with(|state| {
            state.lines.remove(&conn);
            state.core.handle_close(conn, closing, Instant::now());
        });
        flush();
    }

    /// Says goodbye to everybody; see [`Core::handle_drain`].
    pub(crate) fn drain(&self, retry: Duration) {
        self.with(|state| state.core.handle_drain(retry));
        flush();
    }

    /// Does what the core has to do by time, for ever.
    pub(crate) async fn keep_time(&self) {
        loop {
            let next = {
                let mut state = self.lock();
                state.armed = state.core.poll_timeout();
                state.armed
            };
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {
                    self.with(|state| state.core.handle_timeout(Instant::now()));
                    flush();
                }
                () = self.sooner.notified() => {}
            }
        }
    }

    /// The connected peer that this resume token speaks for; see [`Core::session`].
    pub(crate) fn session(&self, token: &str) -> Option<PeerId> {
        self.lock().core.session(token)
    }

    /// What happens from now on, if the core was told that somebody listens.
    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        self.lock().events.subscribe()
    }

    /// The core's counters, and how many rooms there are.
    pub(crate) fn stats(&self) -> (Stats, usize) {
        let state = self.lock();
        (*state.core.stats(), state.core.room_count())
    }

    fn with<R>(&self, handle: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = handle(&mut state);
        state.carry_out();
        let next = state.core.poll_timeout();
        if next.is_some_and(|next| state.armed.is_none_or(|armed| next < armed)) {
            state.armed = next;
            self.sooner.notify_one();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn carry_out(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Message { conn, message, reference } => {
                    self.queue(conn, |line| line.deliver(&message, reference.as_ref()));
                }
                Output::Directory { conn, message } => self.queue(conn, |line| line.deliver_directory(&message)),
                Output::More { conn } => {
                    if let Some(Some(line)) = self.lines.get(&conn) {
                        line.await_written();
                    }
                }
                Output::Probe { conn } => self.queue(conn, |line| line.probe()),
                Output::Close { conn, code } => {
                    if let Some(Some(line)) = self.lines.remove(&conn)
                        && line.close(code) == Queued::First
                    {
                        mark_unwritten(&line);
                    }
                }
                // Fails only where nobody listens.
                Output::Event(event) => drop(self.events.send(event)),
            }
        }
    }

    fn queue(&mut self, conn: ConnId, deliver: impl FnOnce(&dyn Line) -> Queued) {
        let Some(Some(line)) = self.lines.get(&conn) else { return };
        match deliver(line.as_ref()) {
            Queued::Quiet => {}
            Queued::First => mark_unwritten(line),
            Queued::Overflow => self.give_up(conn),
        }
    }

    /// Drops a client that does not read; the others learn of it by what the core puts out next.
    fn give_up(&mut self, conn: ConnId) {
        if let Some(Some(line)) = self.lines.remove(&conn) {
            self.core.handle_close(conn, Closing::Removed, Instant::now());
            if line.dismiss(GoodbyeCode::TooSlow) == Queued::First {
                mark_unwritten(&line);
            }
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

fn mark_unwritten(line: &Arc<dyn Line>) {
    UNWRITTEN.with_borrow_mut(|lines| lines.push(Arc::clone(line)));
}

/// Writes what this thread queued.
pub(crate) fn flush() {
    let mut lines = UNWRITTEN.with_borrow_mut(mem::take);
    for line in lines.drain(..) {
        line.flush();
    }
    UNWRITTEN.with_borrow_mut(|kept| {
        if kept.capacity() == 0 {
            *kept = lines;
        }
    });
}
