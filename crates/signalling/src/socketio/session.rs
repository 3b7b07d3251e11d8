//! A session that begins with polling: requests that wait, packets that wait for requests, and the move to a WebSocket
//! (Engine.IO protocol, "Transports" and "Upgrade").
//!
//! The order of packets is kept in both directions, through the move too: whatever waits is written to the WebSocket
//! before anything that comes later.

mod polling;
mod upgrade;

use std::collections::VecDeque;

use switchboard_wire::rooms::{ClientMessage, ServerMessage};
use switchboard_wire::{Instant, directory};

use super::event::{self, Encoded};
use super::handshake::{Fault, Query, Reply, Sid, Transport, write_open};
use super::limits::{LAST_POLL, UPGRADE_POLL};
use super::link::{Link, Received};
use super::packet::{Packet, Protocol};
use super::payload::decode_again;
use super::{CloseReason, Delivery, encode_directory};
use polling::Polling;
use upgrade::Probe;

/// One of a session's WebSockets: the one that it moved to, or one that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId(u32);

/// An effect that the shell carries out, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The session is known by this id from now on (Engine.IO 3 only: it is the peer's).
    Opened(Sid),
    /// Answer the GET that waits.
    Poll(Reply),
    /// Write a text frame.
    Frame {
        /// Where.
        socket: SocketId,
        /// The text.
        text: Vec<u8>,
    },
    /// Close this WebSocket after what was written.
    CloseSocket {
        /// Which.
        socket: SocketId,
    },
    /// The session is over: forget its id, tell the core. Comes last and once.
    Closed(CloseReason),
}

/// What carries the session now.
#[derive(Debug)]
enum State {
    /// Requests.
    Polling(Box<Polling>),
    /// Requests, while a WebSocket proves itself.
    Probing { polling: Box<Polling>, probe: Probe },
    /// A WebSocket.
    WebSocket(SocketId),
    /// Nothing; the last words wait `until` for one more GET.
    Leaving { polling: Box<Polling>, until: Instant },
    /// Nothing.
    Closed,
}

/// A session that begins with polling.
#[derive(Debug)]
pub struct Session {
    sid: Sid,
    link: Link,
    state: State,
    /// How many WebSockets there have been.
    sockets: u32,
    outputs: VecDeque<Output>,
}

impl Session {
    /// Begins a session; its first GET waits. `sid` is random; with Engine.IO 3 the peer id takes its place.
    ///
    /// The hello, if there is one, is to be given to the core at once: its answer is what the GET waits for.
    pub fn open(protocol: Protocol, query: &Query, sid: Sid, now: Instant) -> (Self, Option<ClientMessage<'static>>) {
        let (link, hello) = Link::begin(protocol, now);
        let state = State::Polling(Box::new(Polling::new(protocol, query.script)));
        let mut session = Self { sid, link, state, sockets: 0, outputs: VecDeque::new() };
        if hello.is_none() {
            session.send_open();
        }
        (session, hello)
    }

    /// The id that requests name this session by.
    pub fn sid(&self) -> Sid {
        self.sid
    }

    /// Whether requests have to come from the address that began the session: with Engine.IO 3 its id is the peer id,
    /// which is no secret. Answer others with [`Fault::UnknownSession`].
    pub fn binds_address(&self) -> bool {
        self.link.protocol() == Protocol::V3
    }

    /// Whether the move to a WebSocket is done: what the core says can then go past the session, through
    /// [`encode`](super::encode).
    pub fn on_websocket(&self) -> bool {
        match self.state {
            State::WebSocket(_) => true,
            State::Polling(_) | State::Probing { .. } | State::Leaving { .. } | State::Closed => false,
        }
    }

    /// The version that the client speaks.
    pub fn protocol(&self) -> Protocol {
        self.link.protocol()
    }

    /// Checks a request with this session's id, in the original's order; `upgrade` if it asks for a WebSocket.
    pub fn check(&self, query: &Query, upgrade: bool) -> Result<(), Fault> {
        let carries = match self.state {
            State::Closed => return Err(Fault::UnknownSession),
            State::WebSocket(_) => Transport::WebSocket,
            State::Polling(_) | State::Probing { .. } | State::Leaving { .. } => Transport::Polling,
        };
        let fits = if upgrade { query.transport == Transport::WebSocket } else { query.transport == carries };
        // A request for a WebSocket that is none reaches no transport.
        let fits = fits && (upgrade || query.transport == Transport::Polling);
        if fits && query.protocol == Some(self.link.protocol()) { Ok(()) } else { Err(Fault::BadRequest) }
    }

    /// Takes a GET, which waits for [`Output::Poll`].
    ///
    /// # Errors
    /// The answer to this GET. A second one while the first waits ends the session.
    pub fn handle_poll(&mut self, now: Instant) -> Result<(), Reply> {
        match &mut self.state {
            State::Polling(polling) | State::Probing { polling, .. } if polling.is_waiting() => {
                self.close(CloseReason::Overlap);
                Err(Reply::empty(400))
            }
            State::Polling(polling) => {
                polling.wait();
                self.flush();
                Ok(())
            }
            State::Probing { polling, probe } => {
                polling.wait();
                probe.release_at = probe.answered.then_some(now + UPGRADE_POLL);
                self.flush();
                Ok(())
            }
            State::Leaving { polling, .. } => {
                polling.wait();
                self.leave();
                Ok(())
            }
            State::WebSocket(_) => Err(Fault::BadRequest.reply()),
            State::Closed => Err(Fault::UnknownSession.reply()),
        }
    }

    /// Learns that the client dropped its GET: it is gone.
    pub fn handle_poll_lost(&mut self) {
        match &mut self.state {
            State::Polling(polling) | State::Probing { polling, .. } if polling.is_waiting() => {
                polling.stop_waiting();
                self.close(CloseReason::TransportLost);
            }
            State::Polling(_) | State::Probing { .. } | State::Leaving { .. } | State::WebSocket(_) | State::Closed => {
            }
        }
    }

    /// Takes the head of a POST, `binary` if its `Content-Type` is `application/octet-stream`. The shell then reads at
    /// most [`MAX_PAYLOAD`](super::limits::MAX_PAYLOAD) bytes and calls one of
    /// [`handle_body`](Self::handle_body), [`handle_body_too_large`](Self::handle_body_too_large) and
    /// [`handle_post_lost`](Self::handle_post_lost).
    ///
    /// # Errors
    /// The answer to this POST, unread. A second one while the first is read ends the session.
    pub fn handle_post(&mut self, binary: bool) -> Result<(), Reply> {
        match &mut self.state {
            State::Polling(polling) | State::Probing { polling, .. } => {
                if let Err(reason) = polling.begin_post(binary) {
                    self.close(reason);
                    return Err(Reply::empty(400));
                }
                Ok(())
            }
            State::WebSocket(_) => Err(Fault::BadRequest.reply()),
            State::Leaving { .. } | State::Closed => Err(Fault::UnknownSession.reply()),
        }
    }

    /// Takes the body of a POST and delivers what is in it, in order; returns the answer to the POST.
    pub fn handle_body(&mut self, body: &[u8], now: Instant, mut deliver: impl FnMut(Delivery<'_>)) -> Reply {
        let payload = match &mut self.state {
            State::Polling(polling) | State::Probing { polling, .. } => polling.end_post(body),
            State::Leaving { .. } | State::WebSocket(_) | State::Closed => None,
        };
        // The session was closed, or moved, between head and body.
        let Some(payload) = payload else { return Fault::UnknownSession.reply() };
        for packet in payload.packets() {
            let again = match (packet, self.link.protocol()) {
                (Ok(Packet::Message(text)), Protocol::V3) => decode_again(text),
                (Ok(_) | Err(_), Protocol::V3 | Protocol::V4) => None,
            };
            let packet = again.as_deref().map_or(packet, |text| Ok(Packet::Message(text)));
            let received = packet.map_err(CloseReason::from).and_then(|packet| self.link.handle_packet(packet, now));
            match received {
                Ok(Received::Nothing) => {}
                Ok(Received::Deliver(delivery)) => deliver(delivery),
                Ok(Received::Answer(answer)) => self.send(|out| answer.write_to(out)),
                Err(reason) => {
                    self.close(reason);
                    return match reason {
                        CloseReason::Left => polling::ok(),
                        CloseReason::TransportLost
                        | CloseReason::PingTimeout
                        | CloseReason::ConnectTimeout
                        | CloseReason::Malformed
                        | CloseReason::Overlap
                        | CloseReason::TooSlow
                        | CloseReason::Dismissed => Fault::BadRequest.reply(),
                    };
                }
            }
        }
        polling::ok()
    }

    /// Learns that the POST is larger than a payload may be; the session goes on. Returns the answer.
    pub fn handle_body_too_large(&mut self) -> Reply {
        if let State::Polling(polling) | State::Probing { polling, .. } = &mut self.state {
            polling.drop_post();
        }
        Reply::empty(413)
    }

    /// Learns that the client dropped its POST: it is gone.
    pub fn handle_post_lost(&mut self) {
        match &mut self.state {
            State::Polling(polling) | State::Probing { polling, .. } => {
                if polling.drop_post() {
                    self.close(CloseReason::TransportLost);
                }
            }
            State::Leaving { .. } | State::WebSocket(_) | State::Closed => {}
        }
    }

    /// Takes a text frame. Frames of a WebSocket that was given up are ignored.
    pub fn handle_frame<'a>(&mut self, socket: SocketId, text: &'a str, now: Instant) -> Option<Delivery<'a>> {
        match &self.state {
            State::WebSocket(current) if *current == socket => {
                let received = self.link.handle_frame(text, now);
                self.received(received)
            }
            State::Probing { probe, .. } if probe.socket == socket => {
                self.handle_probe(Packet::decode(text).ok());
                None
            }
            State::Polling(_) | State::Probing { .. } | State::WebSocket(_) | State::Leaving { .. } | State::Closed => {
                None
            }
        }
    }

    /// Takes a binary frame, which no protocol spoken here has.
    pub fn handle_binary_frame(&mut self, socket: SocketId, now: Instant) -> Option<Delivery<'static>> {
        match &self.state {
            State::WebSocket(current) if *current == socket => {
                let received = self.link.handle_binary_frame(now);
                self.received(received)
            }
            State::Probing { probe, .. } if probe.socket == socket => {
                self.handle_probe(None);
                None
            }
            State::Polling(_) | State::Probing { .. } | State::WebSocket(_) | State::Leaving { .. } | State::Closed => {
                None
            }
        }
    }

    fn received<'a>(&mut self, received: Result<Received<'a>, CloseReason>) -> Option<Delivery<'a>> {
        match received {
            Ok(Received::Nothing) => None,
            Ok(Received::Deliver(delivery)) => Some(delivery),
            Ok(Received::Answer(answer)) => {
                self.send(|out| answer.write_to(out));
                None
            }
            Err(reason) => {
                self.close(reason);
                None
            }
        }
    }

    /// Takes what the core says, in every state; [`encode`](super::encode) is the short way once the session is
    /// [on a WebSocket](Self::on_websocket).
    pub fn handle_message(&mut self, message: &ServerMessage) {
        if let (ServerMessage::Welcome(welcome), Protocol::V3) = (message, self.link.protocol()) {
            self.sid = Sid::from(welcome.id);
            self.outputs.push_back(Output::Opened(self.sid));
            self.send_open();
            self.send(|out| Packet::Message("0").write_to(out));
            return;
        }
        let mut packet = Vec::new();
        match event::encode(message, self.link.protocol(), &mut packet) {
            Encoded::Nothing => {}
            Encoded::Frame | Encoded::TwoFrames { .. } => self.send_packet(packet),
        }
    }

    /// Takes what the core's directory says, in every state; all of it goes with one answer to a GET.
    pub fn handle_directory(&mut self, message: &directory::Message) {
        encode_directory(message, |packet| self.queue_packet(packet.to_vec()));
        self.flush();
    }

    /// Learns that the core ended the session: what waits is still written.
    pub fn handle_dismissed(&mut self, now: Instant) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Polling(polling) => self.state = State::Leaving { polling, until: now + LAST_POLL },
            State::Probing { polling, probe } => {
                self.outputs.push_back(Output::CloseSocket { socket: probe.socket });
                self.state = State::Leaving { polling, until: now + LAST_POLL };
            }
            state @ State::Leaving { .. } => self.state = state,
            State::WebSocket(socket) => {
                self.outputs.extend([Output::CloseSocket { socket }, Output::Closed(CloseReason::Dismissed)]);
            }
            State::Closed => {}
        }
        if let State::Leaving { polling, .. } = &self.state
            && polling.is_waiting()
        {
            self.leave();
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; none once the session is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let link = self.link.poll_timeout();
        match &self.state {
            State::Polling(_) | State::WebSocket(_) => Some(link),
            State::Probing { probe, .. } => Some(link.min(probe.until).min(probe.release_at.unwrap_or(probe.until))),
            State::Leaving { until, .. } => Some(*until),
            State::Closed => None,
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Closed => return,
            State::Leaving { until, .. } => {
                if now >= *until {
                    self.state = State::Closed;
                    self.outputs.push_back(Output::Closed(CloseReason::Dismissed));
                }
                return;
            }
            State::Probing { polling, probe } => {
                if probe.release_at.is_some_and(|at| now >= at) {
                    probe.release_at = None;
                    self.outputs.extend(polling.release().map(Output::Poll));
                }
                if now >= probe.until {
                    self.give_up_probe(true);
                }
            }
            State::Polling(_) | State::WebSocket(_) => {}
        }
        match self.link.handle_timeout(now) {
            Ok(None) => {}
            Ok(Some(ping)) => self.send(|out| ping.write_to(out)),
            Err(reason) => self.close(reason),
        }
    }

    /// The next effect; drained after every `handle_`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn send_open(&mut self) {
        let sid = self.sid;
        self.send(|out| write_open(sid, Transport::Polling, out));
    }

    fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut packet = Vec::new();
        write(&mut packet);
        self.send_packet(packet);
    }

    fn send_packet(&mut self, text: Vec<u8>) {
        self.queue_packet(text);
        self.flush();
    }

    fn queue_packet(&mut self, text: Vec<u8>) {
        match &mut self.state {
            State::WebSocket(socket) => self.outputs.push_back(Output::Frame { socket: *socket, text }),
            State::Polling(polling) | State::Probing { polling, .. } => {
                if let Err(reason) = polling.push(text) {
                    self.close(reason);
                }
            }
            State::Leaving { .. } | State::Closed => {}
        }
    }

    /// Answers the GET that waits with the packets that wait, if there are both.
    fn flush(&mut self) {
        if let State::Polling(polling) | State::Probing { polling, .. } = &mut self.state {
            self.outputs.extend(polling.flush().map(Output::Poll));
        }
    }

    /// Answers the last GET with the last words.
    fn leave(&mut self) {
        if let State::Leaving { mut polling, .. } = std::mem::replace(&mut self.state, State::Closed) {
            self.outputs.extend(polling.finish(Packet::Close).map(Output::Poll));
            self.outputs.push_back(Output::Closed(CloseReason::Dismissed));
        }
    }

    fn close(&mut self, reason: CloseReason) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Polling(mut polling) => self.end_poll(&mut polling, reason),
            State::Probing { mut polling, probe } => {
                self.end_poll(&mut polling, reason);
                self.outputs.push_back(Output::CloseSocket { socket: probe.socket });
            }
            State::WebSocket(socket) => self.outputs.push_back(Output::CloseSocket { socket }),
            State::Leaving { .. } => {}
            State::Closed => return,
        }
        self.outputs.push_back(Output::Closed(reason));
    }

    /// Ends the GET that waits: the client that left gets nothing, any other hears that it is over.
    fn end_poll(&mut self, polling: &mut Polling, reason: CloseReason) {
        let last = if reason == CloseReason::Left { Packet::Noop } else { Packet::Close };
        self.outputs.extend(polling.finish(last).map(Output::Poll));
    }
}
