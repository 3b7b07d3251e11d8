//! Refresh (RFC 8656 §8) and the end of allocations.

use std::time::Instant;

use super::allocation::{Relay, Slot};
use super::answer::Granted;
use super::authenticate::Caller;
use super::{Engine, Request};
use crate::message::{BadValue, Family};
use crate::{Host, Via};

impl Engine {
    /// Prolongs an allocation or ends it; of a dual one, where a family is named, that family's relay alone.
    pub(super) fn refresh(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        host: &mut impl Host,
    ) -> Result<Granted, u16> {
        self.owned(request, &caller)?;
        let bad = |BadValue| 400_u16;
        let requested = request.message.lifetime().transpose().map_err(bad)?;
        let family = match request.message.requested_family().transpose().map_err(bad)? {
            Some(Ok(family)) => Some(family),
            Some(Err(_)) => return Err(443),
            None => None,
        };
        let slot = request.slot.ok_or(437_u16)?;
        let allocation = self.allocations.at_mut(slot).ok_or(437_u16)?;
        if family.is_some_and(|family| allocation.relay(family).is_none()) {
            return Err(443);
        }
        let concerned = |relay: &Relay| family.is_none_or(|family| Family::of(relay.external.ip()) == family);
        if requested == Some(0) {
            self.close_relays(slot, request.now.instant, host, concerned);
            return Ok(Granted::Refreshed(0));
        }
        let lifetime = self.shared.settings().lifetime(requested);
        let expires = request.now.instant + lifetime;
        for relay in allocation.relays.iter_mut().flatten().filter(|relay| concerned(relay)) {
            relay.expires = expires;
        }
        self.schedule(slot);
        Ok(Granted::Refreshed(lifetime.as_secs() as u32))
    }

    /// Puts a deadline into the timers where the one that is there comes too late.
    fn schedule(&mut self, slot: Slot) {
        let Some(allocation) = self.allocations.at_mut(slot) else { return };
        if let Some(expires) = allocation.expires().filter(|expires| *expires < allocation.scheduled) {
            allocation.scheduled = expires;
            self.timers.add(expires, slot);
        }
    }

    /// Looks after an allocation whose timer is due.
    pub(super) fn expire(&mut self, slot: Slot, at: Instant, now: Instant, host: &mut impl Host) {
        // An entry that was overtaken by an earlier one, or that was made for whoever had the place before, is stale.
        if self.allocations.at(slot).is_none_or(|allocation| allocation.scheduled != at) {
            return;
        }
        self.close_relays(slot, now, host, |relay| relay.expires <= now);
        match self.allocations.at_mut(slot).map(|allocation| (allocation.expires(), &mut allocation.scheduled)) {
            Some((Some(expires), scheduled)) => {
                *scheduled = expires;
                self.timers.add(expires, slot);
            }
            Some((None, _)) | None => self.stats.expired += 1,
        }
    }

    /// Closes some of an allocation's relays; the allocation ends with its last one.
    fn close_relays(&mut self, slot: Slot, now: Instant, host: &mut impl Host, concerned: impl Fn(&Relay) -> bool) {
        let Some(allocation) = self.allocations.at_mut(slot) else { return };
        let via = allocation.client.via;
        if allocation.relays.iter().flatten().all(&concerned) {
            return self.remove(slot, now, host);
        }
        let mut closed = [None; 2];
        for (place, closed) in allocation.relays.iter_mut().zip(&mut closed) {
            *closed = place.take_if(|relay| concerned(relay));
        }
        let kept = allocation.relays;
        allocation.peers.retain_family(|ip| kept[Family::of(ip) as usize].is_some());
        for relay in closed.into_iter().flatten() {
            self.close(&relay, via, now, host);
        }
    }

    /// Ends an allocation: sockets, ports, quota and tables.
    pub(super) fn remove(&mut self, slot: Slot, now: Instant, host: &mut impl Host) {
        let Some(allocation) = self.allocations.remove(slot) else { return };
        self.clients.remove(&allocation.client);
        for relay in allocation.relays.iter().flatten() {
            self.close(relay, allocation.client.via, now, host);
        }
        self.shared.quotas().release(&allocation.owner.account.user, allocation.client.remote.ip());
    }

    fn close(&mut self, relay: &Relay, via: Via, now: Instant, host: &mut impl Host) {
        *self.stats.living_mut(via, relay.external) -= 1;
        self.relays.remove(&relay.id);
        self.relayed.remove(&relay.external);
        self.shared.set_owner(relay.range, relay.external.port(), None);
        host.close_relay(relay.id);
        self.shared.range(relay.range).ports().release(relay.external.port(), now);
    }
}
