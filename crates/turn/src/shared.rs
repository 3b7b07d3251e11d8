//! What the workers of one server share: settings, who has which relayed port, quotas.
//!
//! The data path of channels reads one atomic byte here, and only for packets to this server's own relayed addresses. Locks
//! are taken when allocations come and go; Send indications ask the policy, which has one for readers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::address::canonical;
use crate::message::{Family, Integrity, Key};
use crate::{Credentials, NatDetection, PeerPolicy, QuotaLimits, Quotas, Rate, RelayAddress, RelayPorts, WorkerId};

/// How a server behaves. The realm is that of the credentials.
#[derive(Debug)]
pub struct Settings {
    /// Where relays are opened; the first of a family is used, and the next ones when its ports are used up.
    pub relay_addresses: Vec<RelayAddress>,
    /// The ports of relays.
    pub relay_ports: RangeInclusive<u16>,
    /// Which peers packets may go to. Whoever keeps it can replace the server's own addresses in it.
    pub policy: Arc<PeerPolicy>,
    /// Who may allocate.
    pub credentials: Arc<Credentials>,
    /// How many allocations there may be.
    pub quotas: QuotaLimits,
    /// The longest lifetime of an allocation that is granted at once.
    pub max_lifetime: Duration,
    /// The lifetime of an allocation whose client names none, and the shortest one (RFC 8656 §7.2).
    pub default_lifetime: Duration,
    /// Bytes of payload per second for each allocation in each direction.
    pub bandwidth: Option<u64>,
    /// Answers per second to clients of a prefix that have not shown a password, from all workers together.
    pub answers_per_prefix: Rate,
    /// NAT detection (RFC 5780), where a second address is configured.
    pub alternate: Option<NatDetection>,
    /// The weakest signature that requests may have.
    pub min_integrity: Integrity,
    /// How many engines share this.
    pub workers: u8,
}

impl Settings {
    /// The defaults around credentials and a policy, without relay addresses.
    pub fn new(credentials: Arc<Credentials>, policy: impl Into<Arc<PeerPolicy>>) -> Self {
        Self {
            relay_addresses: Vec::new(),
            relay_ports: 49152..=65535,
            policy: policy.into(),
            credentials,
            quotas: QuotaLimits::default(),
            max_lifetime: Duration::from_secs(3600),
            default_lifetime: Duration::from_secs(600),
            bandwidth: None,
            answers_per_prefix: Rate::default(),
            alternate: None,
            min_integrity: Integrity::Sha1,
            workers: 1,
        }
    }

    /// The lifetime that is granted to who asks for `requested` seconds (RFC 8656 §7.2).
    pub(crate) fn lifetime(&self, requested: Option<u32>) -> Duration {
        let requested = requested.map_or(self.default_lifetime, |seconds| Duration::from_secs(seconds.into()));
        requested.max(self.default_lifetime).min(self.max_lifetime)
    }
}

/// Nobody has this port.
const FREE: u8 = u8::MAX;

/// One address that relays are opened on, and who has its ports.
pub(crate) struct RelayRange {
    pub(crate) address: RelayAddress,
    ports: Mutex<RelayPorts>,
    /// For each port of the range the worker whose allocation has it, or [`FREE`].
    owners: Box<[AtomicU8]>,
}

impl RelayRange {
    /// The ports that are free; a lock for the time of an allocation's coming or going.
    pub(crate) fn ports(&self) -> MutexGuard<'_, RelayPorts> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the workers of one server share.
pub struct Shared {
    settings: Settings,
    first_port: u16,
    ranges: Box<[RelayRange]>,
    quotas: Quotas,
    nonce_secret: [u8; 32],
}

/// Where one of this server's own relayed addresses leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// To an allocation of this worker, under this address.
    Worker(WorkerId, SocketAddr),
    /// Nowhere: nobody has this port now.
    Nobody,
}

impl Shared {
    /// Takes the settings and a seed from the system's generator, of which ports, tokens and nonces come.
    pub fn new(settings: Settings, seed: [u8; 32]) -> Arc<Self> {
        let seed = Key::new(&seed);
        let first_port = *settings.relay_ports.start();
        let count = settings.relay_ports.clone().count();
        let ranges = settings.relay_addresses.iter().enumerate().map(|(index, address)| RelayRange {
            address: *address,
            ports: Mutex::new(RelayPorts::new(
                settings.relay_ports.clone(),
                seed.sha256(&[b"ports", &index.to_be_bytes()]),
            )),
            owners: (0..count).map(|_| AtomicU8::new(FREE)).collect(),
        });
        Arc::new(Self {
            ranges: ranges.collect(),
            first_port,
            quotas: Quotas::new(settings.quotas),
            nonce_secret: seed.sha256(&[b"nonces"]),
            settings,
        })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who may allocate.
    pub fn credentials(&self) -> &Arc<Credentials> {
        &self.settings.credentials
    }

    pub(crate) fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    pub(crate) fn nonce_secret(&self) -> &[u8; 32] {
        &self.nonce_secret
    }

    /// The ranges of a family, by their index.
    pub(crate) fn ranges(&self, family: Family) -> impl Iterator<Item = (usize, &RelayRange)> {
        self.ranges.iter().enumerate().filter(move |(_, range)| Family::of(range.address.external) == family)
    }

    pub(crate) fn range(&self, index: usize) -> &RelayRange {
        &self.ranges[index]
    }

    /// Notes that a worker has a port, or that nobody has it any more.
    pub(crate) fn set_owner(&self, range: usize, port: u16, owner: Option<WorkerId>) {
        if let Some(slot) = self.slot(&self.ranges[range], port) {
            slot.store(owner.map_or(FREE, |worker| worker.0), Ordering::Release);
        }
    }

    /// Whether an address is one that relays are opened on: its ports are reached here and never through a socket.
    pub(crate) fn is_relay_ip(&self, ip: IpAddr) -> bool {
        self.own_range(ip).is_some()
    }

    /// Where a peer address leads that is one of this server's own relayed addresses; none for all others.
    pub(crate) fn owner(&self, peer: SocketAddr) -> Option<Owner> {
        let range = self.own_range(peer.ip())?;
        let worker = self.slot(range, peer.port())?.load(Ordering::Acquire);
        Some(match worker {
            FREE => Owner::Nobody,
            worker => Owner::Worker(WorkerId(worker), SocketAddr::new(range.address.external, peer.port())),
        })
    }

    fn own_range(&self, ip: IpAddr) -> Option<&RelayRange> {
        let ip = canonical(ip);
        self.ranges.iter().find(|range| range.address.external == ip || range.address.bind == ip)
    }

    fn slot<'a>(&self, range: &'a RelayRange, port: u16) -> Option<&'a AtomicU8> {
        range.owners.get(usize::from(port.checked_sub(self.first_port)?))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}
