//! The UDP listeners of one worker, and the local addresses under which clients have reached them.
//!
//! A client's 5-tuple names the address that it asked, so that one socket of a client may talk to two addresses of a wildcard
//! listener and have two allocations. Each pair of listener and address is an endpoint; answers leave from there.

use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;

use super::port::Port;
use super::sys::{self, Received};
use crate::config::PacketIo;

/// Addresses of one machine that are kept apart; a machine that answers for whole networks has more.
const MOST_ENDPOINTS: usize = 4_096;

/// A bound socket.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) port: Port,
    local: SocketAddr,
    /// The endpoint that was last used: the next datagram is most often for the same.
    last: Option<u16>,
    /// Whether it waits to be read in this round.
    pub(super) is_ready: bool,
}

/// An address of a listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    /// The place of its listener.
    pub(super) listener: usize,
    /// The address that clients ask.
    pub(super) local: SocketAddr,
    /// The address to be named in each send; none on sockets that have one only.
    pub(super) from: Option<IpAddr>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    pub(super) listeners: Vec<Listener>,
    endpoints: Vec<Endpoint>,
}

impl Endpoints {
    /// Adds a bound socket.
    ///
    /// # Errors
    /// The system cannot tell the local addresses of its datagrams.
    pub(super) fn add(&mut self, socket: UdpSocket, local: SocketAddr, io: PacketIo) -> std::io::Result<()> {
        if local.ip().is_unspecified() {
            sys::learn_local_address(io, &socket, local.is_ipv6())?;
        }
        let port = Port::new(socket, local.is_ipv6(), io);
        self.listeners.push(Listener { port, local, last: None, is_ready: false });
        Ok(())
    }

    /// Begins anew on the same sockets, which count as ready: nobody says again that they are.
    pub(super) fn renew(mut self) -> Self {
        for listener in &mut self.listeners {
            (listener.last, listener.is_ready) = (None, true);
        }
        Self { endpoints: Vec::new(), ..self }
    }

    /// The endpoint that a datagram came to; none if there are too many already.
    pub(super) fn of(&mut self, listener: usize, received: &Received) -> Option<u16> {
        let bound = self.listeners.get(listener)?;
        let ip = received.to.unwrap_or(bound.local.ip());
        if let Some(last) = bound.last
            && self.endpoints[usize::from(last)].local.ip() == ip
        {
            return Some(last);
        }
        let index = self.place(listener, ip, received.to)?;
        self.listeners[listener].last = Some(index);
        Some(index)
    }

    /// The endpoint to send from when an answer is to leave from another address than the one that was asked.
    pub(super) fn at(&mut self, local: SocketAddr) -> Option<u16> {
        let exact = self.listeners.iter().position(|listener| listener.local == local);
        let wildcard = || {
            let is_wide = |bound: SocketAddr| bound.ip().is_unspecified() && bound.is_ipv4() == local.is_ipv4();
            self.listeners.iter().position(|bound| is_wide(bound.local) && bound.local.port() == local.port())
        };
        match exact {
            Some(listener) => self.place(listener, local.ip(), None),
            None => self.place(wildcard()?, local.ip(), Some(local.ip())),
        }
    }

    /// The number of an endpoint, a new one if it was not used before; none if there are too many.
    fn place(&mut self, listener: usize, ip: IpAddr, from: Option<IpAddr>) -> Option<u16> {
        let is_known = |known: &Endpoint| known.listener == listener && known.local.ip() == ip;
        let index = match self.endpoints.iter().position(is_known) {
            Some(index) => index,
            None if self.endpoints.len() < MOST_ENDPOINTS => {
                let local = SocketAddr::new(ip, self.listeners.get(listener)?.local.port());
                self.endpoints.push(Endpoint { listener, local, from });
                self.endpoints.len() - 1
            }
            None => return None,
        };
        u16::try_from(index).ok()
    }

    /// The endpoint of this number.
    pub(super) fn find(&self, endpoint: u16) -> Option<Endpoint> {
        self.endpoints.get(usize::from(endpoint)).copied()
    }
}
