//! One packet a call, with the standard library alone.

use std::io;

use mio::net::UdpSocket;
use switchboard_turn::{HEADROOM, TAILROOM};

use super::{Received, Receiving, Route, Segment, Sent};
use crate::turn::arena::{Arena, LARGEST_DATAGRAM};

/// The calls, with a buffer for datagrams that lie in two pieces.
#[derive(Debug, Default)]
pub(in crate::turn) struct Calls {
    joined: Vec<u8>,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn receive(
        socket: &UdpSocket,
        receiving: Receiving,
        arena: &mut Arena,
        out: &mut Vec<Received>,
    ) -> io::Result<bool> {
        for _ in 0..receiving.want {
            let (offset, spare) = arena.spare();
            let Some(buffer) = spare.get_mut(HEADROOM..HEADROOM + LARGEST_DATAGRAM) else { return Ok(false) };
            match socket.recv_from(buffer) {
                Ok((length, from)) => {
                    let start = offset + HEADROOM;
                    arena.keep(HEADROOM + length + TAILROOM);
                    out.push(Received { range: start..start + length, segment: length, from, to: None });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Sends the only segment: nobody hands over more where [`super::splits`] is false.
    pub(super) fn send(&mut self, socket: &UdpSocket, route: Route, arena: &Arena, segments: &[Segment]) -> Sent {
        let [segment] = segments else { return Sent::CannotSplit };
        let sent = if segment.head.len() == 0 {
            Self::send_one(socket, route, arena.piece(segment.body))
        } else {
            self.joined.clear();
            self.joined.extend_from_slice(arena.piece(segment.head));
            self.joined.extend_from_slice(arena.piece(segment.body));
            Self::send_one(socket, route, &self.joined)
        };
        match sent {
            Ok(()) => Sent::All,
            Err(error) => Sent::Failed(error),
        }
    }

    pub(super) fn send_one(socket: &UdpSocket, route: Route, datagram: &[u8]) -> io::Result<()> {
        loop {
            match socket.send_to(datagram, route.to) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
