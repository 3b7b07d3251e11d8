//! The server's engine: one for each worker, with the allocations of the clients that this worker serves (RFC 8656).
//!
//! A packet and the time go in, a [`Verdict`] comes out. Unlike the other cores there is no queue of outputs: a relayed
//! packet stays where it is, gets its header in place, and the verdict says where it goes. Deliberately not here: sockets,
//! rings between workers, and the framing of streams.
//!
//! Nothing is stored for a client before its request has shown a password. Answers go to requests alone, never to
//! indications or answers, so that no two servers can be set against each other.

mod allocate;
mod allocation;
mod answer;
mod authenticate;
mod binding;
mod life;
mod meter;
mod peers;
mod permit;
mod relay;
mod timers;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::FixedState;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::message::{Class, Message, Method};
use crate::nonce::Nonces;
use crate::shared::{Owner, Shared};
use crate::stats::{Dropped, Refused, Stats};
use crate::{Budget, Client, Host, Now, Packet, RelayId, Verdict, WorkerId, channel_data};
use allocation::{Slot, Table};
use timers::Timers;

/// A map whose keys outsiders choose, seeded so that they cannot choose where these collide.
type Map<K, V> = HashMap<K, V, FixedState>;

/// One worker's STUN and TURN server.
#[derive(Debug)]
pub struct Engine {
    worker: WorkerId,
    shared: Arc<Shared>,
    nonces: Nonces,
    budget: Budget,
    rng: StdRng,
    allocations: Table,
    /// Allocations by their 5-tuple: the look-up of a client's packets.
    clients: Map<Client, Slot>,
    /// Allocations by their sockets: the look-up of peers' packets.
    relays: Map<RelayId, Slot>,
    /// Allocations by their relayed address as clients are told it: the look-up of hairpin packets.
    relayed: Map<SocketAddr, Slot>,
    timers: Timers,
    reply: Vec<u8>,
    /// Why the last request was refused, if it was.
    refused: Option<Refused>,
    /// The peer that the request in hand may not have.
    denied: Option<IpAddr>,
    stats: Stats,
}

/// A request, and who sent it.
struct Request<'m> {
    message: Message<'m>,
    client: Client,
    local: SocketAddr,
    /// The allocation that this client has already.
    slot: Option<Slot>,
    now: Now,
}

impl Request<'_> {
    /// The address that the client is told: IPv4 as such, also where a socket of both families names it otherwise.
    fn seen(&self) -> SocketAddr {
        SocketAddr::new(self.client.remote.ip().to_canonical(), self.client.remote.port())
    }
}

impl Engine {
    /// Begins with no allocation. The seed comes from the system's generator.
    pub fn new(worker: WorkerId, shared: Arc<Shared>, seed: [u8; 32]) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let mut map_state = || FixedState::with_seed(rng.random());
        let (clients, relays, relayed) =
            (Map::with_hasher(map_state()), Map::with_hasher(map_state()), Map::with_hasher(map_state()));
        Self {
            worker,
            nonces: Nonces::new(shared.nonce_secret()),
            budget: Budget::new(shared.settings().answers_per_prefix.share(shared.settings().workers), rng.random()),
            rng,
            allocations: Table::default(),
            clients,
            relays,
            relayed,
            timers: Timers::default(),
            reply: Vec::with_capacity(256),
            refused: None,
            denied: None,
            stats: Stats::default(),
            shared,
        }
    }

    /// Takes a packet of a client: a UDP datagram, or one whole STUN message or ChannelData frame of a stream.
    pub fn handle_client(
        &mut self,
        client: Client,
        local: SocketAddr,
        packet: &mut Packet<'_>,
        now: Now,
        host: &mut impl Host,
    ) -> Verdict {
        match packet.bytes().first() {
            Some(first) if channel_data::begins(*first) => self.handle_channel_data(client, packet, now),
            Some(first) if first & 0xc0 == 0 => self.handle_message(client, local, packet, now, host),
            _ => self.drop(Dropped::Malformed),
        }
    }

    /// Notes that a client's TCP or TLS connection is gone, and with it its allocation (RFC 8656 §3.2).
    pub fn handle_disconnect(&mut self, client: Client, now: Now, host: &mut impl Host) {
        if let Some(slot) = self.clients.get(&client) {
            self.remove(*slot, now.instant, host);
        }
    }

    /// Begins anew with no allocation, after a fault that may have left this engine in any state. Ports and quotas go back to
    /// what the workers share, and the numbers go on; sockets are the host's to close. What the request in hand had taken and
    /// not entered yet stays taken: one allocation's at most.
    pub fn renew(mut self, seed: [u8; 32], now: Instant) -> Self {
        for allocation in self.allocations.drain() {
            for relay in allocation.relays.iter().flatten() {
                self.shared.set_owner(relay.range, relay.external.port(), None);
                self.shared.range(relay.range).ports().release(relay.external.port(), now);
            }
            self.shared.quotas().release(&allocation.owner.account.user, allocation.client.remote.ip());
        }
        let mut stats = self.stats;
        stats.allocations = Default::default();
        Self { stats, ..Self::new(self.worker, self.shared, seed) }
    }

    /// When [`Engine::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Ends what has expired.
    pub fn handle_timeout(&mut self, now: Now, host: &mut impl Host) {
        while let Some((at, slot)) = self.timers.due(now.instant) {
            self.expire(slot, at, now.instant, host);
        }
    }

    /// The answer of the last call, when its verdict says so.
    pub fn reply(&self) -> &[u8] {
        &self.reply
    }

    /// Why the last call refused a request, when its verdict is an answer. The first answer to who has shown no password yet
    /// is no refusal.
    pub fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// What was counted so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Whether this client has an allocation, so that its connection may be idle.
    pub fn is_allocated(&self, client: Client) -> bool {
        self.clients.contains_key(&client)
    }

    fn handle_message(
        &mut self,
        client: Client,
        local: SocketAddr,
        packet: &mut Packet<'_>,
        now: Now,
        host: &mut impl Host,
    ) -> Verdict {
        let Ok(message) = Message::parse(packet.bytes()) else { return self.drop(Dropped::Malformed) };
        match (message.class(), message.method()) {
            (Class::Request, method) => {
                let slot = self.clients.get(&client).copied();
                let request = Request { message, client, local, slot, now };
                self.handle_request(method, &request, host)
            }
            (Class::Indication, Method::Send) => {
                let send = relay::Send::read(&message);
                self.handle_send(client, send, packet, now)
            }
            (Class::Indication | Class::Success | Class::Error, _) => self.drop(Dropped::Unexpected),
        }
    }

    fn handle_request(&mut self, method: Method, request: &Request<'_>, host: &mut impl Host) -> Verdict {
        (self.refused, self.denied) = (None, None);
        // A relayed address of this very server as a client: relays would nest without end.
        if request.slot.is_none() && matches!(self.shared.owner(request.client.remote), Some(Owner::Worker(..))) {
            return self.drop(Dropped::Hairpin);
        }
        match method {
            Method::Binding => self.binding(request),
            Method::Allocate => self.authenticated(request, |engine, caller| engine.allocate(request, caller, host)),
            Method::Refresh => self.authenticated(request, |engine, caller| engine.refresh(request, caller, host)),
            Method::CreatePermission => {
                self.authenticated(request, |engine, caller| engine.create_permission(request, caller))
            }
            Method::ChannelBind => self.authenticated(request, |engine, caller| engine.bind_channel(request, caller)),
            Method::Send | Method::Data => self.drop(Dropped::Unexpected),
        }
    }

    fn drop(&mut self, reason: Dropped) -> Verdict {
        self.stats.count_drop(reason);
        Verdict::Drop
    }
}
