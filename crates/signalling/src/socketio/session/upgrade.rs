//! The move from polling to a WebSocket: the client asks on it (`2probe`), gets an answer (`3probe`), waits for its GET to
//! end, and says on it that it has moved (`5`).
//!
//! Until then the session goes on by polling, and a WebSocket that fails costs nothing.

use switchboard_wire::Instant;

use super::super::CloseReason;
use super::super::handshake::Fault;
use super::super::limits::UPGRADE_TIMEOUT;
use super::super::packet::Packet;
use super::{Output, Session, SocketId, State};

/// A WebSocket that wants to take over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) socket: SocketId,
    /// When it is given up.
    pub(super) until: Instant,
    /// Its question was answered, so the client waits for its GET to end.
    pub(super) answered: bool,
    /// When the GET that waits is ended, if one does.
    pub(super) release_at: Option<Instant>,
}

impl Session {
    /// Admits a WebSocket that wants to take over, before its handshake is answered.
    ///
    /// # Errors
    /// The session has one already, or is over.
    pub fn handle_upgrade(&mut self, now: Instant) -> Result<SocketId, Fault> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Polling(polling) => {
                self.sockets = self.sockets.wrapping_add(1);
                let socket = SocketId(self.sockets);
                let probe = Probe { socket, until: now + UPGRADE_TIMEOUT, answered: false, release_at: None };
                self.state = State::Probing { polling, probe };
                Ok(socket)
            }
            state @ (State::Probing { .. } | State::WebSocket(_)) => {
                self.state = state;
                Err(Fault::BadRequest)
            }
            state @ (State::Leaving { .. } | State::Closed) => {
                self.state = state;
                Err(Fault::UnknownSession)
            }
        }
    }

    /// Takes what a WebSocket says before it has taken over; none is what no packet can be.
    pub(super) fn handle_probe(&mut self, packet: Option<Packet<'_>>) {
        let State::Probing { polling, probe } = &mut self.state else { return };
        match packet {
            Some(Packet::Ping("probe")) => {
                probe.answered = true;
                self.outputs.push_back(Output::Frame { socket: probe.socket, text: b"3probe".to_vec() });
                self.outputs.extend(polling.release().map(Output::Poll));
            }
            Some(Packet::Upgrade) => self.take_over(),
            Some(
                Packet::Open(_)
                | Packet::Close
                | Packet::Ping(_)
                | Packet::Pong(_)
                | Packet::Message(_)
                | Packet::Noop
                | Packet::Binary(_),
            )
            | None => self.give_up_probe(true),
        }
    }

    /// Moves to the WebSocket, with everything that waits.
    fn take_over(&mut self) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Probing { mut polling, probe } => {
                self.outputs.extend(polling.release().map(Output::Poll));
                let socket = probe.socket;
                self.outputs.extend(polling.take_packets().map(|text| Output::Frame { socket, text }));
                self.state = State::WebSocket(socket);
            }
            state @ (State::Polling(_) | State::WebSocket(_) | State::Leaving { .. } | State::Closed) => {
                self.state = state;
            }
        }
    }

    /// Goes on with polling.
    pub(super) fn give_up_probe(&mut self, close: bool) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Probing { polling, probe } => {
                if close {
                    self.outputs.push_back(Output::CloseSocket { socket: probe.socket });
                }
                self.state = State::Polling(polling);
            }
            state @ (State::Polling(_) | State::WebSocket(_) | State::Leaving { .. } | State::Closed) => {
                self.state = state;
            }
        }
    }

    /// Learns that a WebSocket is closed, `orderly` if by a close frame with 1000, 1001 or no code.
    pub fn handle_socket_closed(&mut self, socket: SocketId, orderly: bool) {
        match &self.state {
            State::WebSocket(current) if *current == socket => {
                self.state = State::Closed;
                let reason = if orderly { CloseReason::Left } else { CloseReason::TransportLost };
                self.outputs.push_back(Output::Closed(reason));
            }
            State::Probing { probe, .. } if probe.socket == socket => self.give_up_probe(false),
            State::Polling(_) | State::Probing { .. } | State::WebSocket(_) | State::Leaving { .. } | State::Closed => {
            }
        }
    }
}
