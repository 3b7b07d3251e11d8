//! The relay sockets of one worker: the engine's [`Host`].

use std::io;
use std::net::SocketAddr;

use mio::net::UdpSocket;
use mio::{Interest, Registry};
use socket2::{Domain, Protocol, Socket, Type};
use switchboard_turn::{Host, OpenError, RelayId};

use super::port::Port;
use super::token::Token;
use crate::config::PacketIo;

/// The sockets, by number.
#[derive(Debug)]
pub(super) struct Relays {
    registry: Registry,
    ports: Vec<Option<Relay>>,
    free: Vec<u32>,
    /// Closed in this round: datagrams may still be addressed to these numbers, so they are not given anew before it ends.
    closed: Vec<u32>,
    io: PacketIo,
}

/// One socket.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) port: Port,
    /// Whether it waits to be read in this round.
    pub(super) is_ready: bool,
}

impl Relays {
    /// None yet; they are registered with `registry`.
    pub(super) fn new(registry: Registry, io: PacketIo) -> Self {
        Self { registry, ports: Vec::new(), free: Vec::new(), closed: Vec::new(), io }
    }

    /// Begins anew: every socket is closed.
    pub(super) fn renew(self) -> Self {
        Self::new(self.registry, self.io)
    }

    /// The socket of this number, unless it is closed.
    pub(super) fn find(&mut self, relay: RelayId) -> Option<&mut Relay> {
        self.ports.get_mut(relay.0 as usize)?.as_mut()
    }

    /// Ends a round: what was closed in it may be reused.
    pub(super) fn end_round(&mut self) {
        self.free.append(&mut self.closed);
    }

    fn open(&mut self, bind: SocketAddr) -> io::Result<RelayId> {
        let mut socket = bind_relay(bind)?;
        let index = self.free.pop().unwrap_or(self.ports.len() as u32);
        if let Err(error) = self.registry.register(&mut socket, Token::Relay(index).into(), Interest::READABLE) {
            if (index as usize) < self.ports.len() {
                self.free.push(index);
            }
            return Err(error);
        }
        let relay = Relay { port: Port::new(socket, bind.is_ipv6(), self.io), is_ready: false };
        match self.ports.get_mut(index as usize) {
            Some(place) => *place = Some(relay),
            None => self.ports.push(Some(relay)),
        }
        Ok(RelayId(index))
    }
}

impl Host for Relays {
    fn open_relay(&mut self, bind: SocketAddr) -> Result<RelayId, OpenError> {
        self.open(bind).map_err(|error| {
            tracing::debug!(%error, "cannot open a relay");
            open_error(&error)
        })
    }

    fn close_relay(&mut self, relay: RelayId) {
        let Some(mut closed) = self.ports.get_mut(relay.0 as usize).and_then(Option::take) else { return };
        // Closing the socket ends its registration too; a failure here changes nothing.
        let _ = self.registry.deregister(closed.port.socket_mut());
        self.closed.push(relay.0);
    }
}

/// Binds a socket of one family that cannot broadcast.
fn bind_relay(bind: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if bind.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&bind.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

fn open_error(error: &io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::AddrInUse => return OpenError::InUse,
        io::ErrorKind::OutOfMemory => return OpenError::Exhausted,
        _ => {}
    }
    #[cfg(unix)]
    if let Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) = error.raw_os_error() {
        return OpenError::Exhausted;
    }
    OpenError::Other
}
