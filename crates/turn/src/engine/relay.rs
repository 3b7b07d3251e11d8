//! The data path (RFC 8656 §11, §12.6, §12.7): one look-up for a packet, no copy, no memory.
//!
//! Packets for one of this server's own relayed addresses never reach a socket. They go to the allocation that has the
//! address, as if they had come from its peer, so the permissions of both sides hold; and as each packet is handed on once,
//! there is no loop.

use std::net::SocketAddr;
use std::ops::Range;

use rand::RngCore as _;
use stun_types::prelude::*;
use turn_types::attribute::XorPeerAddress;

use super::Engine;
use super::allocation::{Allocation, Slot};
use super::meter::Meter;
use super::peers::{Route, Way};
use crate::channel_data;
use crate::message::{self, Class, Family, Message, Method, TransactionId, known};
use crate::shared::Owner;
use crate::stats::{Dropped, Transport};
use crate::{Client, Now, Packet, RelayId, Verdict};

/// A Send indication that was read: its peer, and where its data lies in the message.
pub(super) struct Send {
    peer: SocketAddr,
    data: Range<usize>,
    dont_fragment: bool,
}

impl Send {
    /// None, if something is missing, malformed or not understood (RFC 8656 §11.2).
    pub(super) fn read(message: &Message<'_>) -> Option<Self> {
        if message.unknown_required(&[]).next().is_some() {
            return None;
        }
        let (peer, data) = (message.peer()?.ok()?, message.attribute_range(known::DATA)?);
        Some(Self { peer, data, dont_fragment: message.dont_fragment() })
    }
}

/// What a client sends to a peer.
struct Outgoing {
    slot: Slot,
    peer: SocketAddr,
    /// In the packet's buffer.
    payload: Range<usize>,
    way: Way,
    dont_fragment: bool,
}

impl Engine {
    /// Takes a datagram that came in on a relay socket.
    pub fn handle_peer(&mut self, relay: RelayId, peer: SocketAddr, packet: &mut Packet<'_>, now: Now) -> Verdict {
        let Some(&slot) = self.relays.get(&relay) else { return self.drop(Dropped::NoAllocation) };
        let payload = packet.range.clone();
        self.deliver(slot, Origin::Socket(peer), payload, packet, now)
    }

    /// Takes what another worker's allocation sent to `relayed`, an address of this worker. `from` is the relayed address
    /// that it comes from.
    pub fn handle_hairpin(
        &mut self,
        relayed: SocketAddr,
        from: SocketAddr,
        packet: &mut Packet<'_>,
        now: Now,
    ) -> Verdict {
        let Some(&slot) = self.relayed.get(&relayed) else { return self.drop(Dropped::Hairpin) };
        let payload = packet.range.clone();
        self.deliver(slot, Origin::Relay(from), payload, packet, now)
    }

    /// ChannelData of a client.
    pub(super) fn handle_channel_data(&mut self, client: Client, packet: &mut Packet<'_>, now: Now) -> Verdict {
        let Some(&slot) = self.clients.get(&client) else { return self.drop(Dropped::NoAllocation) };
        let Some((number, data)) = channel_data::parse(packet.bytes()) else { return self.drop(Dropped::Malformed) };
        let bound = self.allocations.at(slot).and_then(|allocation| allocation.peers.peer_of(number, now.instant));
        let Some((peer, way)) = bound else { return self.drop(Dropped::NoChannel) };
        let payload = packet.range.start + data.start..packet.range.start + data.end;
        self.send_on(Outgoing { slot, peer, payload, way, dont_fragment: false }, packet, now)
    }

    /// A Send indication of a client.
    pub(super) fn handle_send(
        &mut self,
        client: Client,
        send: Option<Send>,
        packet: &mut Packet<'_>,
        now: Now,
    ) -> Verdict {
        let Some(&slot) = self.clients.get(&client) else { return self.drop(Dropped::NoAllocation) };
        let Some(Send { peer, data, dont_fragment }) = send else { return self.drop(Dropped::Malformed) };
        let permitted = |allocation: &Allocation| allocation.peers.is_permitted(peer.ip(), now.instant);
        if !self.allocations.at(slot).is_some_and(permitted) {
            return self.drop(Dropped::NoPermission);
        }
        // The permission was for an address; the policy has a say about ports too.
        let Some(way) = self.way(peer) else { return self.drop(Dropped::Policy) };
        let payload = packet.range.start + data.start..packet.range.start + data.end;
        self.send_on(Outgoing { slot, peer, payload, way, dont_fragment }, packet, now)
    }

    fn send_on(&mut self, outgoing: Outgoing, packet: &mut Packet<'_>, now: Now) -> Verdict {
        let Outgoing { slot, peer, payload, way, dont_fragment } = outgoing;
        let rate = self.shared.settings().bandwidth;
        let Some(allocation) = self.allocations.at_mut(slot) else { return self.drop(Dropped::NoAllocation) };
        let Some(relay) = allocation.relay(Family::of(peer.ip())).copied() else {
            return self.drop(Dropped::NoPermission);
        };
        let [upwards, _] = &mut allocation.meters;
        if !passes(upwards, payload.len(), rate, now) {
            return self.drop(Dropped::Bandwidth);
        }
        self.stats.to_peers[Transport::from(allocation.client.via) as usize].count(payload.len());
        let owner = if way.own { self.shared.owner(peer) } else { None };
        match owner {
            Some(Owner::Worker(worker, relayed)) if worker == self.worker => {
                let Some(&slot) = self.relayed.get(&relayed) else { return self.drop(Dropped::Hairpin) };
                self.deliver(slot, Origin::Relay(relay.external), payload, packet, now)
            }
            Some(Owner::Worker(worker, relayed)) => {
                Verdict::ToWorker { worker, relayed, from: relay.external, payload }
            }
            Some(Owner::Nobody) | None if way.direct => {
                Verdict::ToPeer { relay: relay.id, peer, payload, dont_fragment }
            }
            Some(Owner::Nobody) | None => self.drop(Dropped::Hairpin),
        }
    }

    fn deliver(
        &mut self,
        slot: Slot,
        origin: Origin,
        payload: Range<usize>,
        packet: &mut Packet<'_>,
        now: Now,
    ) -> Verdict {
        let peer = origin.address();
        let rate = self.shared.settings().bandwidth;
        let Some(allocation) = self.allocations.at_mut(slot) else { return self.drop(Dropped::NoAllocation) };
        let route = allocation.peers.route(peer, now.instant);
        if let Some(reason) = self.denial(route, origin) {
            return self.drop(reason);
        }
        let Some(allocation) = self.allocations.at_mut(slot) else { return self.drop(Dropped::NoAllocation) };
        let (client, local) = (allocation.client, allocation.local);
        let [_, downwards] = &mut allocation.meters;
        if !passes(downwards, payload.len(), rate, now) {
            return self.drop(Dropped::Bandwidth);
        }
        let length = payload.len();
        let framed = match route {
            Route::Channel { number, .. } => frame(packet.buffer, payload, number, client.via.is_stream()),
            Route::Indication | Route::Denied => {
                let mut id = [0; 12];
                self.rng.fill_bytes(&mut id);
                indicate(packet.buffer, payload, peer, TransactionId(id))
            }
        };
        let Some(framed) = framed else { return self.drop(Dropped::TooLarge) };
        self.stats.to_clients[Transport::from(client.via) as usize].count(length);
        if let Origin::Relay(_) = origin {
            self.stats.hairpin.count(length);
        }
        Verdict::ToClient { client, local, packet: framed }
    }

    /// Why a peer's packet is not for the client, if it is not.
    #[inline]
    fn denial(&self, route: Route, origin: Origin) -> Option<Dropped> {
        match (route, origin) {
            (Route::Denied, _) => Some(Dropped::NoPermission),
            (_, Origin::Relay(_)) => None,
            (Route::Channel { way, .. }, Origin::Socket(peer)) => {
                if way.own {
                    self.forged(peer, way.direct)
                } else {
                    None
                }
            }
            (Route::Indication, Origin::Socket(peer)) if self.shared.is_relay_ip(peer.ip()) => {
                self.forged(peer, self.shared.settings().policy.permits(peer.ip()))
            }
            (Route::Indication, Origin::Socket(_)) => None,
        }
    }

    /// Relays of this server send nothing through sockets, and their address may be admitted for their sake alone.
    fn forged(&self, peer: SocketAddr, direct: bool) -> Option<Dropped> {
        match self.shared.owner(peer) {
            Some(Owner::Worker(..)) => Some(Dropped::Hairpin),
            Some(Owner::Nobody) | None => (!direct).then_some(Dropped::Policy),
        }
    }
}

/// Where a packet for a client comes from.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// A peer, through a relay socket.
    Socket(SocketAddr),
    /// Another allocation of this server, by its relayed address.
    Relay(SocketAddr),
}

impl Origin {
    fn address(self) -> SocketAddr {
        match self {
            Self::Socket(address) | Self::Relay(address) => address,
        }
    }
}

#[inline]
fn passes(meter: &mut Meter, bytes: usize, rate: Option<u64>, now: Now) -> bool {
    rate.is_none_or(|rate| meter.take(bytes, rate, now.instant))
}

/// Writes a ChannelData header before the payload, and padding behind it for streams.
#[inline]
fn frame(buffer: &mut [u8], payload: Range<usize>, number: u16, padded: bool) -> Option<Range<usize>> {
    let start = payload.start.checked_sub(channel_data::HEADER)?;
    let header = channel_data::header(number, u16::try_from(payload.len()).ok()?);
    buffer.get_mut(start..payload.start)?.copy_from_slice(&header);
    let end = if padded { pad(buffer, payload)? } else { payload.end };
    Some(start..end)
}

/// Writes a Data indication around the payload (RFC 8656 §11.4).
fn indicate(buffer: &mut [u8], payload: Range<usize>, peer: SocketAddr, id: TransactionId) -> Option<Range<usize>> {
    let length = u16::try_from(payload.len()).ok()?;
    let address = XorPeerAddress::new(peer, id.for_xor());
    let start = payload.start.checked_sub(message::HEADER + address.padded_len() + 4)?;
    let end = pad(buffer, payload.clone())?;
    let attributes = u16::try_from(end - start - message::HEADER).ok()?;
    let head = buffer.get_mut(start..payload.start)?;
    let (header, rest) = head.split_at_mut(message::HEADER);
    header.copy_from_slice(&message::header(Class::Indication, Method::Data, attributes, id));
    let (peer_address, data) = rest.split_at_mut(address.padded_len());
    address.write_into_unchecked(peer_address);
    let [a, b] = known::DATA.to_be_bytes();
    let [c, d] = length.to_be_bytes();
    data.copy_from_slice(&[a, b, c, d]);
    Some(start..end)
}

/// Writes zeroes behind the payload up to a multiple of four of its length.
fn pad(buffer: &mut [u8], payload: Range<usize>) -> Option<usize> {
    let end = payload.start + payload.len().next_multiple_of(4);
    buffer.get_mut(payload.end..end)?.fill(0);
    Some(end)
}
