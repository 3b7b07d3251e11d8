//! CreatePermission and ChannelBind (RFC 8656 §10, §12): which peers a client may talk to.

use std::net::{IpAddr, SocketAddr};

use super::answer::Granted;
use super::authenticate::Caller;
use super::peers::{Full, Unbound, Way};
use super::{Engine, Request};
use crate::channel_data;
use crate::message::Family;

impl Engine {
    /// Admits all peers that the request names, or none.
    pub(super) fn create_permission(&mut self, request: &Request<'_>, caller: Caller) -> Result<Granted, u16> {
        self.owned(request, &caller)?;
        let peers = request.message.peers().collect::<Result<Vec<_>, _>>().map_err(|_| 400_u16)?;
        if peers.is_empty() {
            return Err(400);
        }
        let mut ips: Vec<IpAddr> = peers.iter().map(SocketAddr::ip).collect();
        ips.sort_unstable();
        ips.dedup();
        for ip in &ips {
            self.check_family(request, *ip)?;
            // Relays of this server are reached without a socket, whatever the policy says of their address.
            if !self.shared.is_relay_ip(*ip) && !self.shared.settings().policy.permits(*ip) {
                return Err(self.deny(*ip));
            }
        }
        let peers = request.slot.and_then(|slot| self.allocations.at_mut(slot)).map(|allocation| &mut allocation.peers);
        peers.ok_or(437_u16)?.permit(&ips, request.now.instant).map_err(|Full| 508_u16)?;
        Ok(Granted::Done)
    }

    /// Binds a channel, or refreshes it.
    pub(super) fn bind_channel(&mut self, request: &Request<'_>, caller: Caller) -> Result<Granted, u16> {
        self.owned(request, &caller)?;
        let (Some(Ok(number)), Some(Ok(peer))) = (request.message.channel_number(), request.message.peer()) else {
            return Err(400);
        };
        if !channel_data::ACCEPTED.contains(&number) {
            return Err(400);
        }
        self.check_family(request, peer.ip())?;
        let way = self.way(peer).ok_or_else(|| self.deny(peer.ip()))?;
        let peers = request.slot.and_then(|slot| self.allocations.at_mut(slot)).map(|allocation| &mut allocation.peers);
        let bound = peers.ok_or(437_u16)?.bind(number, peer, way, request.now.instant);
        bound.map(|()| Granted::Done).map_err(|unbound| match unbound {
            Unbound::Conflict => 400,
            Unbound::Full => 508,
        })
    }

    /// 403, and which peer it is for.
    fn deny(&mut self, peer: IpAddr) -> u16 {
        self.denied = Some(peer);
        403
    }

    /// How a peer is reached, if it may be: the policy says so of all but the relays of this server, which need no socket.
    pub(super) fn way(&self, peer: SocketAddr) -> Option<Way> {
        let direct = self.shared.settings().policy.permits_peer(peer);
        let relay = self.shared.owner(peer).is_some();
        (direct || relay).then(|| Way { own: self.shared.is_relay_ip(peer.ip()), direct })
    }

    /// 437 where there is no allocation, 441 where it is somebody else's.
    pub(super) fn owned(&self, request: &Request<'_>, caller: &Caller) -> Result<(), u16> {
        let allocation = request.slot.and_then(|slot| self.allocations.at(slot)).ok_or(437_u16)?;
        if caller.owns(allocation) { Ok(()) } else { Err(441) }
    }

    /// 443 where the allocation has no relayed address of the peer's family.
    fn check_family(&self, request: &Request<'_>, ip: IpAddr) -> Result<(), u16> {
        let allocation = request.slot.and_then(|slot| self.allocations.at(slot)).ok_or(437_u16)?;
        allocation.relay(Family::of(ip)).map(|_| ()).ok_or(443)
    }
}
