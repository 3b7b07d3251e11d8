//! Allocate (RFC 8656 §7.2): the checks in the standard's order, then ports and sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use super::allocation::{Allocation, Birth, Relay, Slot};
use super::answer::Granted;
use super::authenticate::Caller;
use super::meter::Meter;
use super::peers::Peers;
use super::{Engine, Request};
use crate::message::{BadValue, Family, Message};
use crate::{Host, OpenError, QuotaError, RelayId};

/// IANA's number of UDP, the only transport that relays have here.
const UDP: u8 = 17;

/// Ports of one address that are tried before an allocation is refused; each failure means that another program has the
/// port. Where others have 95 of 100 ports, all of these fail once in 10^11, and for pairs, whose both ports must be free,
/// where others have 80 of 100, once in 10^9. They cost some milliseconds, and a port that failed is not tried again for a
/// minute, by nobody: a range that is full is refused without a try.
const ATTEMPTS: usize = 512;

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wish {
    families: Families,
    port: Port,
    lifetime: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Families {
    One(Family),
    /// IPv4, and IPv6 too (ADDITIONAL-ADDRESS-FAMILY).
    Both,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Port {
    Any,
    Even,
    /// An even one, and the next one for another allocation.
    Pair,
    /// The one that a token stands for.
    Reserved([u8; 8]),
}

impl Wish {
    fn read(message: &Message<'_>) -> Result<Self, u16> {
        match message.requested_transport() {
            None | Some(Err(BadValue)) => return Err(400),
            Some(Ok(UDP)) => {}
            Some(Ok(_)) => return Err(442),
        }
        let bad = |BadValue| 400_u16;
        let token = message.reservation_token().transpose().map_err(bad)?;
        let even = message.even_port().transpose().map_err(bad)?;
        let requested = message.requested_family().transpose().map_err(bad)?;
        let additional = message.additional_family().transpose().map_err(bad)?;
        let lifetime = message.lifetime().transpose().map_err(bad)?;
        // A reserved port has its address already; two ways to ask for families contradict each other.
        let contradiction = token.is_some() && (even.is_some() || requested.is_some() || additional.is_some())
            || requested.is_some() && additional.is_some()
            || additional.is_some() && even == Some(true);
        if contradiction {
            return Err(400);
        }
        let families = match (requested, additional) {
            (None, None) => Families::One(Family::V4),
            (Some(family), _) => Families::One(family.map_err(|_| 440_u16)?),
            (None, Some(Ok(Family::V6))) => Families::Both,
            (None, Some(_)) => return Err(400),
        };
        let port = match (token, even) {
            (Some(token), _) => Port::Reserved(token),
            (None, Some(true)) => Port::Pair,
            (None, Some(false)) => Port::Even,
            (None, None) => Port::Any,
        };
        Ok(Self { families, port, lifetime })
    }
}

/// Relays that were opened for one request.
#[derive(Default)]
struct Opened {
    relays: [Option<Relay>; 2],
    token: Option<[u8; 8]>,
    refused: Option<(Family, u16)>,
}

/// A port that could not be had, and why.
struct Failed {
    port: u16,
    error: OpenError,
}

/// Opens a relay. Of a pair, the second port must be there too: whoever comes with the token is to find it, and it is
/// tried now.
fn open_at(bind: SocketAddr, is_pair: bool, host: &mut impl Host) -> Result<RelayId, Failed> {
    let port = bind.port();
    let id = host.open_relay(bind).map_err(|error| Failed { port, error })?;
    if is_pair {
        let port = port + 1;
        match host.open_relay(SocketAddr::new(bind.ip(), port)) {
            Ok(second) => host.close_relay(second),
            Err(error) => {
                host.close_relay(id);
                return Err(Failed { port, error });
            }
        }
    }
    Ok(id)
}

impl Engine {
    /// Makes an allocation, or repeats the answer to a request that was resent.
    pub(super) fn allocate(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        host: &mut impl Host,
    ) -> Result<Granted, u16> {
        if let Some((slot, allocation)) = request.slot.and_then(|slot| Some((slot, self.allocations.at(slot)?))) {
            let resent = allocation.birth.transaction == request.message.transaction();
            // Streams do not lose answers: there, two equal ids are two requests (RFC 8656 §7.2).
            let same = resent && !request.client.via.is_stream() && caller.owns(allocation);
            return if same { Ok(Granted::Allocated(slot)) } else { Err(437) };
        }
        let wish = Wish::read(&request.message)?;
        let (shared, ip) = (Arc::clone(&self.shared), request.client.remote.ip());
        let user = Arc::clone(&caller.account.user);
        shared.quotas().acquire(&user, ip, request.now.instant).map_err(|refused| match refused {
            QuotaError::User | QuotaError::Address => 486_u16,
            QuotaError::Total => 508,
        })?;
        match self.open_wished(&wish, request, &caller, host) {
            Ok(opened) => Ok(Granted::Allocated(self.enter(request, caller, &wish, opened))),
            Err(code) => {
                shared.quotas().release(&user, ip);
                Err(code)
            }
        }
    }

    fn open_wished(
        &mut self,
        wish: &Wish,
        request: &Request<'_>,
        caller: &Caller,
        host: &mut impl Host,
    ) -> Result<Opened, u16> {
        let mut opened = Opened::default();
        let mut open = |engine: &Self, family: Family, opened: &mut Opened| {
            let (relay, token) = engine.open(family, wish, request, caller, host)?;
            let family = Family::of(relay.external.ip());
            opened.relays[family as usize] = Some(relay);
            opened.token = opened.token.or(token);
            Ok(())
        };
        match wish.families {
            Families::One(family) => open(self, family, &mut opened)?,
            Families::Both => {
                let first = open(self, Family::V4, &mut opened).err().map(|code| (Family::V4, code));
                let second = open(self, Family::V6, &mut opened).err().map(|code| (Family::V6, code));
                match (first, second) {
                    (Some(_), Some((_, code))) => return Err(code),
                    // One of the two will do, and the client is told why there is no other (RFC 8656 §7.2).
                    (refused, None) | (None, refused) => opened.refused = refused,
                }
            }
        }
        Ok(opened)
    }

    /// Opens one relay on the first address of the family that has a port left.
    fn open(
        &self,
        family: Family,
        wish: &Wish,
        request: &Request<'_>,
        caller: &Caller,
        host: &mut impl Host,
    ) -> Result<(Relay, Option<[u8; 8]>), u16> {
        if let Port::Reserved(token) = wish.port {
            return self.open_reserved(token, wish, request, caller, host).map(|relay| (relay, None));
        }
        let mut code = 440;
        for (range, place) in self.shared.ranges(family) {
            code = 508;
            for _ in 0..ATTEMPTS {
                let Some(port) = self.take(range, wish.port, request) else { break };
                let bind = SocketAddr::new(place.address.bind, port);
                let now = request.now.instant;
                match open_at(bind, wish.port == Port::Pair, host) {
                    Ok(id) => {
                        let user = || Arc::clone(&caller.account.user);
                        let token = (wish.port == Port::Pair).then(|| place.ports().reserve(port + 1, user(), now));
                        return Ok((self.relay(id, range, port, wish, request), token));
                    }
                    Err(Failed { port: failed, error }) => {
                        let mut ports = place.ports();
                        if error == OpenError::InUse {
                            ports.release(failed, now);
                        }
                        ports.put_back(port, now);
                        if wish.port == Port::Pair {
                            ports.put_back(port + 1, now);
                        }
                        if error != OpenError::InUse {
                            break;
                        }
                    }
                }
            }
        }
        Err(code)
    }

    fn open_reserved(
        &self,
        token: [u8; 8],
        wish: &Wish,
        request: &Request<'_>,
        caller: &Caller,
        host: &mut impl Host,
    ) -> Result<Relay, u16> {
        let (user, now) = (&caller.account.user, request.now.instant);
        let all = self.shared.ranges(Family::V4).chain(self.shared.ranges(Family::V6));
        let redeemed = all.filter_map(|(range, place)| Some((range, place, place.ports().redeem(token, user, now)?)));
        // Unknown, another user's or too old: there is no such port (RFC 8656 §7.2).
        let (range, place, port) = { redeemed }.next().ok_or(508_u16)?;
        match host.open_relay(SocketAddr::new(place.address.bind, port)) {
            Ok(id) => Ok(self.relay(id, range, port, wish, request)),
            Err(_) => {
                place.ports().release(port, now);
                Err(508)
            }
        }
    }

    fn take(&self, range: usize, port: Port, request: &Request<'_>) -> Option<u16> {
        let (mut ports, now) = (self.shared.range(range).ports(), request.now.instant);
        match port {
            Port::Any => ports.take(now),
            Port::Even => ports.take_even(now),
            Port::Pair => ports.take_pair(now),
            Port::Reserved(_) => None,
        }
    }

    fn relay(&self, id: RelayId, range: usize, port: u16, wish: &Wish, request: &Request<'_>) -> Relay {
        let external = SocketAddr::new(self.shared.range(range).address.external, port);
        let expires = request.now.instant + self.shared.settings().lifetime(wish.lifetime);
        Relay { id, external, range, expires }
    }

    /// Enters an allocation into every table.
    fn enter(&mut self, request: &Request<'_>, caller: Caller, wish: &Wish, opened: Opened) -> Slot {
        let now = request.now.instant;
        let settings = self.shared.settings();
        let lifetime = settings.lifetime(wish.lifetime);
        let meter = Meter::new(settings.bandwidth.unwrap_or(0), now);
        let Opened { relays, token, refused } = opened;
        let slot = self.allocations.insert(Allocation {
            client: request.client,
            local: request.local,
            owner: caller.into_owner(),
            birth: Birth { transaction: request.message.transaction(), lifetime, token, refused },
            relays,
            peers: Peers::default(),
            meters: [meter; 2],
            scheduled: now + lifetime,
        });
        self.clients.insert(request.client, slot);
        for relay in relays.iter().flatten() {
            self.relays.insert(relay.id, slot);
            self.relayed.insert(relay.external, slot);
            self.shared.set_owner(relay.range, relay.external.port(), Some(self.worker));
            *self.stats.living_mut(request.client.via, relay.external) += 1;
        }
        self.timers.add(now + lifetime, slot);
        self.stats.allocated += 1;
        slot
    }
}
