//! A session that begins as a WebSocket: one socket, one task, no entry among the sessions.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use switchboard_signalling::socketio::{
    CloseReason, Delivery, Encoded, Link, Opening, Protocol, Received, encode, encode_directory,
};
use switchboard_wire::directory;
use switchboard_wire::limits::MESSAGE_BYTES;
use switchboard_wire::rooms::{GoodbyeCode, Reference, ServerMessage};

use super::Scope;
use crate::hub::{self, Admission, Attached, Line};
use crate::mailbox::{Mailbox, Queued};
use crate::server::Shared;
use crate::websocket::connection::{Connection, Ending, Handler, Message, Next, Options};
use crate::websocket::frame::{self, Opcode};
use crate::websocket::stream::Stream;

/// Longest headers of the frames that one message makes.
const FRAMING_BYTES: usize = 20;

thread_local! {
    /// Where a message is written before its length is known.
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Serves a socket from its handshake to its end.
pub(super) fn start(
    (stream, early): (Stream, Vec<u8>),
    protocol: Protocol,
    scope: Scope,
    admission: Admission,
    shared: &Shared,
) -> impl Future<Output = ()> + use<> {
    let traffic = Arc::clone(&shared.metrics.socketio);
    let mailbox = Mailbox::new(stream, shared.config.limits.queue_bytes, traffic);
    let line = admission.attach_or_tell(LinkLine { mailbox, protocol });
    let now = Instant::now();
    let (link, opening) = Link::open(protocol, super::random_sid(), now);
    match opening {
        Opening::Send(text) => line.mailbox.send_text(&text),
        Opening::Greet(hello) => {
            // The first message of a connection is never held back.
            let _ = line.message(Ok(hello), now);
            hub::flush();
        }
    }
    let options = Options { message_bytes: MESSAGE_BYTES, heartbeat: None };
    Connection::new(LinkHandler { line, link, scope }, early, options)
}

/// Queues a message as the frames of a WebSocket session.
pub(super) fn queue(mailbox: &Mailbox, protocol: Protocol, message: &ServerMessage) -> Queued {
    TEXT.with_borrow_mut(|text| {
        text.clear();
        let first = match encode(message, protocol, text) {
            Encoded::Nothing => return Queued::Quiet,
            Encoded::Frame => text.len(),
            Encoded::TwoFrames { first } => first,
        };
        let (first, second) = text.split_at(first);
        mailbox.queue(text.len() + FRAMING_BYTES, |out| {
            frame::encode(Opcode::Text, first, out);
            if !second.is_empty() {
                frame::encode(Opcode::Text, second, out);
            }
        })
    })
}

/// Queues what the directory says as the frames of a WebSocket session: a digest of hundreds of names is one write.
pub(super) fn queue_directory(mailbox: &Mailbox, message: &directory::Message) -> Queued {
    TEXT.with_borrow_mut(|frames| {
        frames.clear();
        encode_directory(message, |packet| frame::encode(Opcode::Text, packet, frames));
        if frames.is_empty() {
            return Queued::Quiet;
        }
        mailbox.queue(frames.len(), |out| out.extend_from_slice(frames))
    })
}

/// Closes a session's WebSocket as the original does: without a reason.
pub(super) fn finish(mailbox: &Mailbox) -> Queued {
    mailbox.finish(|out| frame::encode(Opcode::Close, b"", out))
}

/// Closes a session's WebSocket with the reason in the words of the dialect, where it has some, beyond the limit if need be.
pub(super) fn dismiss(mailbox: &Mailbox, protocol: Protocol, code: GoodbyeCode) -> Queued {
    TEXT.with_borrow_mut(|text| {
        text.clear();
        let encoded = encode(&ServerMessage::goodbye(code, None), protocol, text);
        mailbox.finish(|out| {
            if encoded != Encoded::Nothing {
                frame::encode(Opcode::Text, text, out);
            }
            frame::encode(Opcode::Close, b"", out);
        })
    })
}

/// The way to a client.
#[derive(Debug)]
struct LinkLine {
    mailbox: Mailbox,
    protocol: Protocol,
}

impl Line for LinkLine {
    fn deliver(&self, message: &ServerMessage, _reference: Option<&Reference>) -> Queued {
        queue(&self.mailbox, self.protocol, message)
    }

    fn deliver_directory(&self, message: &directory::Message) -> Queued {
        queue_directory(&self.mailbox, message)
    }

    fn close(&self, _code: GoodbyeCode) -> Queued {
        finish(&self.mailbox)
    }

    fn dismiss(&self, code: GoodbyeCode) -> Queued {
        dismiss(&self.mailbox, self.protocol, code)
    }

    fn flush(&self) {
        self.mailbox.flush();
    }
}

/// What acts on the packets of one client.
#[derive(Debug)]
struct LinkHandler {
    line: Attached<LinkLine>,
    link: Link,
    scope: Scope,
}

impl LinkHandler {
    fn end(&self, reason: CloseReason) -> Next {
        tracing::debug!(%reason, "a Socket.IO session ended");
        self.line.detach(reason.closing());
        if finish(&self.line.mailbox) == Queued::First {
            self.line.mailbox.flush();
        }
        Next::End
    }
}

impl Handler for LinkHandler {
    fn mailbox(&self) -> &Mailbox {
        &self.line.mailbox
    }

    fn on_message(&mut self, message: Message<'_>, now: Instant) -> Next {
        let received = match message {
            Message::Text(text) => self.link.handle_frame(text, now),
            Message::Binary(_) => self.link.handle_binary_frame(now),
        };
        match received {
            Ok(Received::Nothing) => Next::ReadOn,
            Ok(Received::Deliver(delivery)) => match self.scope.narrow(delivery) {
                Delivery::Rooms(message) => self.line.message(message, now).into(),
                Delivery::Star(request) => self.line.directory(request, now).into(),
            },
            Ok(Received::Answer(answer)) => {
                self.line.mailbox.send_text_with(|out| answer.write_to(out));
                Next::ReadOn
            }
            Err(reason) => self.end(reason),
        }
    }

    fn on_end(&mut self, ending: Ending) {
        self.line.end(ending);
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.link.poll_timeout())
    }

    fn on_deadline(&mut self, now: Instant) -> Next {
        match self.link.handle_timeout(now) {
            Ok(None) => Next::ReadOn,
            Ok(Some(ping)) => {
                self.line.mailbox.send_text_with(|out| ping.write_to(out));
                Next::ReadOn
            }
            Err(reason) => self.end(reason),
        }
    }
}
