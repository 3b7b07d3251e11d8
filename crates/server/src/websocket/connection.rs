//! One open WebSocket: reads frames, answers pings, keeps time and ends in good order.
//!
//! Bytes are read into a buffer of the thread and acted on there; a connection keeps only what came of a frame that is
//! not whole. Writing is the [`Mailbox`]'s.

use std::cell::RefCell;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use switchboard_signalling::core::{Closing, Pace};
use tokio::io::ReadBuf;

use super::alarm::Alarm;
use super::frame::{self, CONTROL_BYTES, Decoder, Event, Frame, Opcode, Violation};
use crate::hub;
use crate::mailbox::{Mailbox, Progress, Queued};

/// Bytes taken by one read: a dozen relayed descriptions.
const READ_BYTES: usize = 16 * 1024;

/// How long a client may take to read the last messages and to close its side. Not reading is the reason for many ends,
/// so it is short.
const LINGER: Duration = Duration::from_secs(5);

/// How long a socket without a deadline of its own waits before it looks at the clock again.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// A message from the client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
}

/// How a connection ended that the server did not close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By a close frame that says that all is well: 1000, or no code, as `close()` of a page sends.
    Orderly,
    /// By the close frame that a browser sends when the page is closed or left: 1001.
    Departed,
    /// In any other way.
    Abrupt,
    /// By saying nothing for too long, also not when asked; the client may still hear.
    Silent,
}

impl Ending {
    /// What it means for the peer behind the connection.
    pub(crate) fn closing(self) -> Closing {
        match self {
            Self::Orderly | Self::Departed => Closing::Left,
            Self::Abrupt | Self::Silent => Closing::Lost,
        }
    }
}

/// How to go on after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// With the next one.
    ReadOn,
    /// With the next one, but not before.
    Pause(Instant),
    /// Not at all: the handler has closed its mailbox.
    End,
}

impl From<Pace> for Next {
    fn from(pace: Pace) -> Self {
        pace.resume_at.map_or(Self::ReadOn, Self::Pause)
    }
}

/// What stands behind a socket.
pub(crate) trait Handler: Send + Unpin {
    /// Where the socket's messages wait.
    fn mailbox(&self) -> &Mailbox;
    /// Whether messages may come. A handler that takes none yet wakes the socket's task when it does: [`Mailbox::wake`].
    fn takes_messages(&self) -> bool {
        true
    }
    /// Acts on a message.
    fn on_message(&mut self, message: Message<'_>, now: Instant) -> Next;
    /// Something came, if only a part of a frame: the client lives.
    fn on_heard(&mut self, _now: Instant) {}
    /// The client broke the framing, and the close frame that says so follows: a dialect may say it in its own words before, for pages
    /// are not shown close frames by every library.
    fn on_violation(&mut self, _violation: Violation) {}
    /// All is written, as [`Mailbox::await_written`] asked.
    fn on_written(&mut self) {}
    /// The connection ended; called once, and not if the server closed it. Who was silent is told so, which closes the mailbox.
    fn on_end(&mut self, ending: Ending);
    /// When [`Self::on_deadline`] is due, for dialects that keep time themselves.
    fn deadline(&self) -> Option<Instant> {
        None
    }
    /// Does what is due.
    fn on_deadline(&mut self, _now: Instant) -> Next {
        Next::ReadOn
    }
}

/// When to ask a silent client for a sign of life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    /// Silence before a ping.
    pub(crate) interval: Duration,
    /// How long the answer may take.
    pub(crate) timeout: Duration,
}

/// What differs between doors.
#[derive(Debug)]
pub(crate) struct Options {
    /// Longest message in bytes.
    pub(crate) message_bytes: usize,
    /// None where the dialect has its own.
    pub(crate) heartbeat: Option<Heartbeat>,
}

/// An open WebSocket: a future that serves it until it is closed, as a task of its own.
pub(crate) struct Connection<H> {
    handler: H,
    decoder: Decoder,
    /// What came of a frame that is not whole, or was not acted on because the client is paced or has to wait.
    unread: Vec<u8>,
    heartbeat: Option<Heartbeat>,
    last_heard: Instant,
    pinged: bool,
    phase: Phase,
    alarm: Alarm,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Reads and acts.
    Open,
    /// Sent too much; reads on at the time.
    Paced(Instant),
    /// Said something before the handler takes messages; reads on when it does. What comes meanwhile stays in the kernel.
    Waiting,
    /// Ends; what comes is only searched for the client's close frame, until it closes or the time is up.
    Ending(Instant),
}

impl<H: Handler> Connection<H> {
    /// Takes over the socket of the handler's mailbox, and acts on what was read of it already. There must be a tokio runtime
    /// around.
    pub(crate) fn new(handler: H, early: Vec<u8>, options: Options) -> Self {
        let now = Instant::now();
        let mut connection = Self {
            handler,
            decoder: Decoder::new(options.message_bytes),
            unread: early,
            heartbeat: options.heartbeat,
            last_heard: now,
            pinged: false,
            phase: Phase::Open,
            alarm: Alarm::new(),
        };
        connection.act_on_unread(now);
        connection
    }

    fn serve(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.handler.mailbox().poll(cx) {
            Progress::Open => {}
            Progress::Finishing | Progress::Finished => self.end(Instant::now()),
            Progress::Broken => {
                self.client_ended(Ending::Abrupt);
                return Poll::Ready(());
            }
        }
        // What this queues is written at once; if the mailbox is asked again, it wakes the task.
        if self.handler.mailbox().take_written() {
            self.handler.on_written();
            hub::flush();
        }
        loop {
            if self.poll_read(cx).is_ready() {
                return Poll::Ready(());
            }
            let deadline = self.deadline();
            ready!(self.alarm.poll(cx, deadline));
            if self.on_alarm(Instant::now()).is_ready() {
                return Poll::Ready(());
            }
        }
    }

    /// Reads until there is nothing more; ready when the connection is over.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.phase, Phase::Waiting) && self.handler.takes_messages() {
            self.open_again(Instant::now());
        }
        while !matches!(self.phase, Phase::Paced(_) | Phase::Waiting) {
            let read = READ_BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let outcome = ready!(self.handler.mailbox().poll_read(cx, &mut buffer));
                let bytes = buffer.filled_mut();
                let open = outcome.is_ok() && !bytes.is_empty();
                if open {
                    self.on_bytes(bytes);
                }
                Poll::Ready(open)
            });
            hub::flush();
            if !ready!(read) {
                self.client_ended(Ending::Abrupt);
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    fn on_bytes(&mut self, bytes: &mut [u8]) {
        let now = Instant::now();
        self.last_heard = now;
        self.pinged = false;
        self.handler.on_heard(now);
        if self.unread.is_empty() {
            self.act_on(bytes, now);
        } else {
            let mut joined = mem::take(&mut self.unread);
            joined.extend_from_slice(bytes);
            self.act_on(&mut joined, now);
        }
    }

    /// Goes on after a time in which nothing was read, so that the client could not be heard.
    fn open_again(&mut self, now: Instant) {
        self.phase = Phase::Open;
        self.last_heard = now;
        self.act_on_unread(now);
    }

    fn act_on_unread(&mut self, now: Instant) {
        let mut unread = mem::take(&mut self.unread);
        if !unread.is_empty() {
            self.act_on(&mut unread, now);
            hub::flush();
        }
    }

    /// Acts on the whole frames in `bytes` and keeps the rest.
    fn act_on(&mut self, mut bytes: &mut [u8], now: Instant) {
        let mut ping = None;
        while matches!(self.phase, Phase::Open) {
            // Pings and the close are not for the handler, and wait for nothing.
            if begins_message(bytes) && !self.handler.takes_messages() {
                self.phase = Phase::Waiting;
                break;
            }
            let frame = match self.decoder.decode(bytes) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(violation) => return self.on_violation(violation, now),
            };
            let Frame { consumed, event } = frame;
            let message = match event {
                Some(Event::Text(text)) => Message::Text(text),
                Some(Event::Binary(bytes)) => Message::Binary(bytes),
                Some(Event::Ping(payload)) => {
                    ping = Some(Pong::to(payload));
                    bytes = &mut bytes[consumed..];
                    continue;
                }
                Some(Event::Close(code)) => return self.on_close(code, now),
                None | Some(Event::Pong) => {
                    bytes = &mut bytes[consumed..];
                    continue;
                }
            };
            match self.handler.on_message(message, now) {
                Next::ReadOn => {}
                Next::Pause(at) => self.phase = Phase::Paced(at),
                Next::End => self.end(now),
            }
            bytes = &mut bytes[consumed..];
        }
        if matches!(self.phase, Phase::Ending(_)) {
            return self.look_for_close(bytes);
        }
        self.unread.extend_from_slice(bytes);
        if let Some(pong) = ping {
            self.send_control(Opcode::Pong, pong.payload());
        }
    }

    /// Lets a socket go that is held for the client's close frame; what else comes after the end is discarded.
    fn look_for_close(&mut self, mut bytes: &mut [u8]) {
        let mailbox = self.handler.mailbox();
        while mailbox.is_held() {
            match self.decoder.decode(bytes) {
                Ok(Some(Frame { event: Some(Event::Close(_)), .. })) | Err(_) => mailbox.release(),
                Ok(Some(Frame { consumed, .. })) => bytes = &mut bytes[consumed..],
                Ok(None) => return self.unread.extend_from_slice(bytes),
            }
        }
    }

    fn on_close(&mut self, code: Option<u16>, now: Instant) {
        self.client_ended(match code {
            None | Some(1000) => Ending::Orderly,
            Some(1001) => Ending::Departed,
            Some(_) => Ending::Abrupt,
        });
        self.close(code.unwrap_or(1000), "", now);
    }

    /// Nothing that comes after can be understood, also not a close frame.
    fn on_violation(&mut self, violation: Violation, now: Instant) {
        tracing::debug!(%violation, "a client broke the framing");
        self.client_ended(Ending::Abrupt);
        self.handler.on_violation(violation);
        self.close(violation.close_code(), &violation.to_string(), now);
    }

    /// Closes without waiting for a close frame.
    fn close(&mut self, code: u16, reason: &str, now: Instant) {
        self.end(now);
        let mailbox = self.handler.mailbox();
        // Does nothing where the handler had its last word already.
        let _ = mailbox.finish(|out| frame::encode_close(code, reason, out));
        mailbox.release();
    }

    /// A ping or pong that finds no room is dropped: who does not read what waits will not read it either.
    fn send_control(&self, opcode: Opcode, payload: &[u8]) {
        let mailbox = self.handler.mailbox();
        if mailbox.queue(payload.len() + 2, |out| frame::encode(opcode, payload, out)) == Queued::First {
            mailbox.flush();
        }
    }

    fn end(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Ending(_)) {
            self.phase = Phase::Ending(now + LINGER);
            // Of a client that was paced the close frame may be there already; and frames are read on from where they begin.
            let mut unread = mem::take(&mut self.unread);
            self.look_for_close(&mut unread);
        }
    }

    fn client_ended(&mut self, ending: Ending) {
        if !matches!(self.phase, Phase::Ending(_)) {
            self.handler.on_end(ending);
        }
    }

    fn deadline(&self) -> Instant {
        match self.phase {
            Phase::Paced(at) | Phase::Ending(at) => at,
            // The handler knows what it waits for, and until when.
            Phase::Waiting => self.last_heard + FAR,
            Phase::Open => self.silent_until().min(self.handler.deadline().unwrap_or(self.last_heard + FAR)),
        }
    }

    /// When the silence has to be broken, by a ping or by the end.
    fn silent_until(&self) -> Instant {
        match self.heartbeat {
            Some(Heartbeat { interval, timeout }) => {
                self.last_heard + interval + if self.pinged { timeout } else { Duration::ZERO }
            }
            None => self.last_heard + FAR,
        }
    }

    /// Does what is due; ready when the connection is over.
    fn on_alarm(&mut self, now: Instant) -> Poll<()> {
        if self.deadline() > now {
            return Poll::Pending;
        }
        match self.phase {
            Phase::Ending(_) => return Poll::Ready(()),
            Phase::Paced(_) => self.open_again(now),
            Phase::Waiting => self.last_heard = now,
            Phase::Open if self.silent_until() > now => {
                if self.handler.on_deadline(now) == Next::End {
                    self.end(now);
                }
            }
            Phase::Open if self.pinged => {
                self.handler.on_end(Ending::Silent);
                self.end(now);
            }
            Phase::Open if self.heartbeat.is_some() => {
                self.pinged = true;
                self.send_control(Opcode::Ping, b"");
            }
            Phase::Open => self.last_heard = now,
        }
        hub::flush();
        Poll::Pending
    }
}

impl<H: Handler> Future for Connection<H> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().serve(cx)
    }
}

/// Whether a message begins here or a piece of one, not a control frame (RFC 6455 §5.5).
fn begins_message(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 0x08 == 0)
}

/// The payload of a ping, to be sent back. Only the last of several that came together is answered (§5.5.3).
struct Pong {
    bytes: [u8; CONTROL_BYTES],
    length: usize,
}

impl Pong {
    fn to(ping: &[u8]) -> Self {
        let mut bytes = [0; CONTROL_BYTES];
        let length = ping.len().min(CONTROL_BYTES);
        bytes[..length].copy_from_slice(&ping[..length]);
        Self { bytes, length }
    }

    fn payload(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
