//! The least that a relay can cost on this machine, and the proof that the generator is not what limits the others:
//! trains in, rewritten in place, trains out.
//!
//! Not a server: it answers whoever asks, checks nothing, and knows TURN only as far as the generator speaks it.

use super::datagram::{LARGEST, Socket};
use super::session::CHANNEL;
use super::stun::{Attribute, CHANNEL_HEADER, Message, Method, Writer};
use anyhow::{Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use std::collections::HashMap;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const LISTENERS: u64 = u64::MAX - 2;
const STDIN: u64 = u64::MAX;
/// Trains that are read from one socket before the next has its turn.
const TURN: usize = 64;

/// The forwarder.
#[derive(Debug)]
struct Forwarder {
    epoll: OwnedFd,
    /// For IPv4 and for IPv6, each with the length that it cuts trains into.
    listeners: [(Socket, usize); 2],
    allocations: Vec<Option<Allocation>>,
    by_client: HashMap<SocketAddr, usize>,
    by_relay: HashMap<SocketAddr, usize>,
}

#[derive(Debug)]
struct Allocation {
    client: SocketAddr,
    relay: Socket,
    relayed: SocketAddr,
    /// The peer is the client of this allocation.
    hairpin: Option<usize>,
    /// The length that `relay` cuts trains into.
    cut: usize,
    /// The length of the peer's packets, which is that of its first.
    payload: usize,
}

/// Serves on `port` of loopback until standard input ends.
pub(crate) fn run(port: u16) -> Result<()> {
    let listener = |ip: IpAddr, which: u64, epoll: &OwnedFd| -> Result<(Socket, usize)> {
        let socket = Socket::bind_to(SocketAddr::new(ip, port))?;
        epoll::add(epoll, &socket, EventData::new_u64(LISTENERS + which), EventFlags::IN)?;
        Ok((socket, 0))
    };
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, std::io::stdin(), EventData::new_u64(STDIN), EventFlags::IN)?;
    let listeners =
        [listener(Ipv4Addr::LOCALHOST.into(), 0, &epoll)?, listener(Ipv6Addr::LOCALHOST.into(), 1, &epoll)?];
    let mut forwarder =
        Forwarder { epoll, listeners, allocations: Vec::new(), by_client: HashMap::new(), by_relay: HashMap::new() };
    let (mut events, mut buffer) = (Vec::with_capacity(64), vec![0; LARGEST]);
    loop {
        match epoll::wait(&forwarder.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            match event.data.u64() {
                STDIN => return Ok(()),
                which @ LISTENERS.. => forwarder.on_listener((which - LISTENERS) as usize, &mut buffer)?,
                index => forwarder.on_relay(index as usize, &mut buffer)?,
            }
        }
    }
}

impl Forwarder {
    fn on_listener(&mut self, which: usize, buffer: &mut [u8]) -> Result<()> {
        for _ in 0..TURN {
            let Some((received, from)) = self.listeners[which].0.receive_from(buffer)? else { break };
            let bytes = &buffer[..received];
            // The two first bits tell ChannelData from STUN (RFC 8656 §12).
            if bytes.first().is_some_and(|byte| byte >> 6 == 1) {
                self.on_channel_data(which, bytes, from)?;
            } else if let Ok(message) = Message::parse(bytes) {
                self.on_request(which, &message, from)?;
            }
        }
        Ok(())
    }

    fn on_channel_data(&mut self, which: usize, bytes: &[u8], from: SocketAddr) -> Result<()> {
        let Some(&index) = self.by_client.get(&from) else { return Ok(()) };
        let Some(Some(allocation)) = self.allocations.get_mut(index) else { return Ok(()) };
        let [_, _, high, low, ..] = *bytes else { return Ok(()) };
        let payload = usize::from(u16::from_be_bytes([high, low]));
        if let Some(other) = allocation.hairpin {
            let Some(Some(Allocation { client, .. })) = self.allocations.get(other) else { return Ok(()) };
            let (listener, cut) = &mut self.listeners[which];
            listener.cut_into_again(cut, CHANNEL_HEADER + payload)?;
            return listener.send_to(bytes, *client);
        }
        allocation.relay.cut_into_again(&mut allocation.cut, payload)?;
        let payloads = bytes.chunks(CHANNEL_HEADER + payload).filter_map(|packet| packet.get(CHANNEL_HEADER..));
        let slices: Vec<IoSlice<'_>> = payloads.map(IoSlice::new).collect();
        allocation.relay.send_slices(&slices)
    }

    fn on_relay(&mut self, index: usize, buffer: &mut [u8]) -> Result<()> {
        let Some(Some(allocation)) = self.allocations.get_mut(index) else { return Ok(()) };
        let (listener, cut) = &mut self.listeners[usize::from(allocation.client.is_ipv6())];
        for _ in 0..TURN {
            let received = if allocation.payload == 0 {
                let (received, payload) = allocation.relay.receive_train(buffer)?;
                allocation.payload = payload;
                received
            } else {
                allocation.relay.receive(buffer)?
            };
            if received == 0 {
                break;
            }
            let payload = allocation.payload;
            listener.cut_into_again(cut, CHANNEL_HEADER + payload)?;
            let [channel, length] = [CHANNEL, payload as u16].map(u16::to_be_bytes);
            let header = [channel, length].concat();
            let slices: Vec<IoSlice<'_>> = buffer[..received]
                .chunks(payload)
                .flat_map(|packet| [IoSlice::new(&header), IoSlice::new(packet)])
                .collect();
            listener.send_slices_to(&slices, allocation.client)?;
        }
        Ok(())
    }

    fn on_request(&mut self, which: usize, message: &Message<'_>, from: SocketAddr) -> Result<()> {
        let mut answer = Writer::success(message);
        if message.requests(Method::Binding) {
            answer.put_address(Attribute::XorMappedAddress, from);
        } else if message.requests(Method::Allocate) {
            let relayed = self.allocate(from)?;
            answer.put_address(Attribute::XorRelayedAddress, relayed);
        } else if message.requests(Method::ChannelBind) {
            self.bind(from, message.address(Attribute::XorPeerAddress)?)?;
        } else if message.requests(Method::Refresh) {
            self.release(from);
        }
        self.listeners[which].0.send_to(&answer.finish(), from)
    }

    fn allocate(&mut self, client: SocketAddr) -> Result<SocketAddr> {
        self.release(client);
        let ip = if client.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        let relay = Socket::bind(ip)?;
        let (relayed, index) = (relay.local()?, self.allocations.len());
        epoll::add(&self.epoll, &relay, EventData::new_u64(index as u64), EventFlags::IN)?;
        self.by_client.insert(client, index);
        self.by_relay.insert(relayed, index);
        self.allocations.push(Some(Allocation { client, relay, relayed, hairpin: None, cut: 0, payload: 0 }));
        Ok(relayed)
    }

    fn bind(&mut self, client: SocketAddr, peer: SocketAddr) -> Result<()> {
        let index = *self.by_client.get(&client).context("a channel without an allocation")?;
        let hairpin = self.by_relay.get(&peer).copied();
        if let Some(Some(allocation)) = self.allocations.get_mut(index) {
            allocation.hairpin = hairpin;
            allocation.relay.connect(peer)?;
        }
        Ok(())
    }

    /// Closing the relay socket takes it out of the epoll set.
    fn release(&mut self, client: SocketAddr) {
        let Some(index) = self.by_client.remove(&client) else { return };
        if let Some(allocation) = self.allocations[index].take() {
            self.by_relay.remove(&allocation.relayed);
        }
    }
}
