//! The sockets of one round: clients with their allocations, peers, and between which of them each flow goes.

use super::contestants::{Access, FIRST_RELAY_PORT, Running};
use super::datagram::Socket;
use super::handshake::{self, Client};
use super::lane::{Framing, Lane};
use super::workload::{Family, Leg, Way, Workload};
use anyhow::Result;

/// All sockets of a round, ready to send.
#[derive(Debug)]
pub(crate) struct Ends {
    way: Way,
    clients: Vec<Client>,
    peers: Vec<Socket>,
}

impl Ends {
    /// Allocates and binds whatever `workload` needs on `server`.
    pub(crate) fn relayed(workload: &Workload, server: &Running, access: &Access) -> Result<Self> {
        let address = server.address(workload.family, workload.leg);
        let mut clients = (0..workload.clients())
            .map(|number| Client::connect(address, number, workload.family, workload.leg, access))
            .collect::<Result<Vec<_>>>()?;
        clients.iter_mut().try_for_each(|client| client.session.allocate())?;
        handshake::converse(&mut clients)?;
        let mut ends = Self { way: workload.way, clients, peers: Vec::new() };
        match workload.way {
            Way::Up | Way::Down => ends.add_peers(workload)?,
            Way::Relayed => ends.join_clients()?,
        }
        handshake::converse(&mut ends.clients)?;
        Ok(ends)
    }

    /// The same flows without a relay: what the generator and the kernel cost by themselves.
    pub(crate) fn direct(workload: &Workload, access: &Access) -> Result<Self> {
        let (mut clients, mut peers) = (Vec::new(), Vec::new());
        for number in 0..workload.flows {
            let peer = Socket::bind(workload.family.loopback())?;
            let client = Client::connect(peer.local()?, number, workload.family, Leg::Udp, access)?;
            peer.connect(client.socket.local()?)?;
            clients.push(client);
            peers.push(peer);
        }
        let way = if workload.way == Way::Down { Way::Down } else { Way::Up };
        Ok(Self { way, clients, peers })
    }

    fn add_peers(&mut self, workload: &Workload) -> Result<()> {
        for client in &mut self.clients {
            let peer = bind_peer(workload.family)?;
            peer.connect(client.session.relayed()?)?;
            client.session.bind(peer.local()?)?;
            self.peers.push(peer);
        }
        Ok(())
    }

    fn join_clients(&mut self) -> Result<()> {
        for pair in self.clients.chunks_exact_mut(2) {
            if let [left, right] = pair {
                left.session.bind(right.session.relayed()?)?;
                right.session.bind(left.session.relayed()?)?;
            }
        }
        Ok(())
    }

    /// Gives the allocations back.
    pub(crate) fn release(&mut self) -> Result<()> {
        self.clients.iter_mut().try_for_each(|client| client.session.release())?;
        handshake::converse(&mut self.clients)
    }

    /// Where flow `number` sends from.
    pub(crate) fn from(&self, number: usize) -> &Socket {
        match self.way {
            Way::Up => &self.clients[number].socket,
            Way::Down => &self.peers[number],
            Way::Relayed => &self.clients[number * 2].socket,
        }
    }

    /// Where it arrives.
    pub(crate) fn to(&self, number: usize) -> &Socket {
        match self.way {
            Way::Up => &self.peers[number],
            Way::Down => &self.clients[number].socket,
            Way::Relayed => &self.clients[number * 2 + 1].socket,
        }
    }

    /// The flows between these sockets.
    pub(crate) fn lanes(&self, workload: &Workload, is_relayed: bool) -> Result<Vec<Lane>> {
        let client = match workload.leg {
            _ if !is_relayed => Framing::Bare,
            Leg::Udp => Framing::Channel,
            Leg::Tcp | Leg::Tls => Framing::Stream,
        };
        let (out, arriving) = match self.way {
            Way::Up => (client, Framing::Bare),
            Way::Down => (Framing::Bare, client),
            Way::Relayed => (client, client),
        };
        let (bytes, burst) = (workload.pattern.bytes(), workload.pattern.burst());
        (0..workload.flows)
            .map(|number| {
                let lane = Lane::new(number, bytes, burst, out, arriving);
                if burst > 1 && out != Framing::Stream {
                    self.from(number).cut_into(lane.unit_out())?;
                }
                Ok(lane)
            })
            .collect()
    }
}

/// A peer's socket. It shares its address with the relay, so its port is one that no relay has: a server may take what goes
/// to its own relay ports for a matter between its clients.
fn bind_peer(family: Family) -> Result<Socket> {
    loop {
        let peer = Socket::bind(family.loopback())?;
        if peer.local()?.port() < FIRST_RELAY_PORT {
            return Ok(peer);
        }
    }
}
