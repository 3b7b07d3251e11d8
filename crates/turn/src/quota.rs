//! How many allocations there may be: of one user, of one address, and in all (attacks by using up ports and descriptors).

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::address::prefix;

/// How many allocations there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaLimits {
    /// On this server; each is a socket.
    pub total: u32,
    /// Of one user, whatever time the names carry.
    pub per_user: u32,
    /// Of one IPv4 address, or of one IPv6 /64, which one subscriber commonly has whole (RFC 6177).
    pub per_address: u32,
}

impl Default for QuotaLimits {
    fn default() -> Self {
        // A peer of a room of 32 has 31 connections, each asks over UDP, TCP and TLS, and a renewal doubles that for a
        // moment; an office behind one address has several such peers.
        Self { total: 4_096, per_user: 256, per_address: 1_024 }
    }
}

/// Which quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaError {
    /// The user has as many as allowed, or makes new ones too fast (486, RFC 8656 §7.2).
    #[error("the user has too many allocations")]
    User,
    /// The address has as many as allowed (486).
    #[error("the address has too many allocations")]
    Address,
    /// The server has as many as allowed (508).
    #[error("the server has too many allocations")]
    Total,
}

/// Counts allocations; shared by the workers. Whoever acquires releases.
pub struct Quotas {
    limits: QuotaLimits,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    total: u32,
    users: HashMap<Arc<str>, User>,
    addresses: HashMap<IpAddr, u32>,
    /// With so many users those are forgotten that have nothing and owe nothing.
    sweep_at: usize,
}

/// What one user has.
#[derive(Default)]
struct User {
    allocations: u32,
    /// When everything that was taken up to now would be earned back; see [`RETURNS_IN`].
    debt_until: Option<Instant>,
}

/// A user who makes an allocation for each one that goes uses up ports, since these rest after use. So within this time
/// one user gets no more than [`TURNS`] times the quota, and as often as the quota in each further span of it.
const RETURNS_IN: Duration = Duration::from_secs(60);
/// A page that reloads, or whose connections restart, makes all its allocations again.
const TURNS: u32 = 4;
/// A sweep looks at every user; below this many it is not worth the thought.
const SWEEP_LEAST: usize = 256;

impl Quotas {
    /// Nothing is taken yet.
    pub fn new(limits: QuotaLimits) -> Self {
        Self { limits, counts: Mutex::default() }
    }

    /// Takes one allocation for a user at an address.
    pub fn acquire(&self, user: &Arc<str>, ip: IpAddr, now: Instant) -> Result<(), QuotaError> {
        let address = prefix(ip, 32, 64);
        let limits = self.limits;
        let mut counts = self.counts();
        counts.sweep(now);
        if counts.total >= limits.total {
            return Err(QuotaError::Total);
        }
        if counts.addresses.get(&address).copied().unwrap_or(0) >= limits.per_address {
            return Err(QuotaError::Address);
        }
        if limits.per_user == 0 {
            return Err(QuotaError::User);
        }
        let entry = counts.users.entry(Arc::clone(user)).or_default();
        if entry.allocations >= limits.per_user || !entry.turn(limits.per_user, now) {
            return Err(QuotaError::User);
        }
        entry.allocations += 1;
        *counts.addresses.entry(address).or_default() += 1;
        counts.total += 1;
        Ok(())
    }

    /// Gives one allocation back.
    pub fn release(&self, user: &Arc<str>, ip: IpAddr) {
        let mut counts = self.counts();
        counts.total = counts.total.saturating_sub(1);
        if let Some(user) = counts.users.get_mut(user) {
            user.allocations = user.allocations.saturating_sub(1);
        }
        decrement(&mut counts.addresses, &prefix(ip, 32, 64));
    }

    /// How many allocations there are.
    pub fn total(&self) -> u32 {
        self.counts().total
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Forgets users, at a cost that each new user pays a constant part of.
    fn sweep(&mut self, now: Instant) {
        if self.users.len() < self.sweep_at.max(SWEEP_LEAST) {
            return;
        }
        self.users.retain(|_, user| user.allocations > 0 || user.debt_until.is_some_and(|until| until > now));
        self.sweep_at = self.users.len() * 2;
    }
}

impl User {
    /// Counts one more unless the user makes them too fast: a token bucket kept as one instant.
    fn turn(&mut self, quota: u32, now: Instant) -> bool {
        let until = self.debt_until.map_or(now, |until| until.max(now)) + RETURNS_IN / quota;
        let in_time = until <= now + RETURNS_IN * TURNS;
        if in_time {
            self.debt_until = Some(until);
        }
        in_time
    }
}

fn decrement<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    let Some(count) = counts.get_mut(key) else { return };
    *count = count.saturating_sub(1);
    if *count == 0 {
        counts.remove(key);
    }
}

impl std::fmt::Debug for Quotas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quotas").field("limits", &self.limits).field("total", &self.total()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: QuotaLimits = QuotaLimits { total: 6, per_user: 2, per_address: 3 };

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn user(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn limits_one_user_and_not_another() {
        let (quotas, now) = (Quotas::new(LIMITS), Instant::now());
        for address in ["8.8.8.8", "8.8.4.4"] {
            assert_eq!(quotas.acquire(&user("ann"), ip(address), now), Ok(()));
        }
        assert_eq!(quotas.acquire(&user("ann"), ip("9.9.9.9"), now), Err(QuotaError::User));
        assert_eq!(quotas.acquire(&user("ben"), ip("9.9.9.9"), now), Ok(()));
    }

    #[test]
    fn limits_an_address_whoever_asks_and_a_64_as_one() {
        let (quotas, now) = (Quotas::new(LIMITS), Instant::now());
        for (name, address) in [("a", "2600::1"), ("b", "2600::2"), ("c", "2600::ffff:0:0:1")] {
            assert_eq!(quotas.acquire(&user(name), ip(address), now), Ok(()));
        }
        assert_eq!(quotas.acquire(&user("d"), ip("2600::9"), now), Err(QuotaError::Address));
        assert_eq!(quotas.acquire(&user("d"), ip("2600:0:0:1::9"), now), Ok(()));
    }

    #[test]
    fn limits_all_together() {
        let (quotas, now) = (Quotas::new(LIMITS), Instant::now());
        for host in 1..=6 {
            let address = format!("8.8.8.{host}");
            assert_eq!(quotas.acquire(&user(&address), ip(&address), now), Ok(()));
        }
        assert_eq!(quotas.acquire(&user("ann"), ip("9.9.9.9"), now), Err(QuotaError::Total));
        quotas.release(&user("8.8.8.1"), ip("8.8.8.1"));
        assert_eq!(quotas.acquire(&user("ann"), ip("9.9.9.9"), now), Ok(()));
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let limits = QuotaLimits { total: 9, per_user: 1, per_address: 2 };
        let (quotas, now) = (Quotas::new(limits), Instant::now());
        assert_eq!(quotas.acquire(&user("ann"), ip("8.8.8.8"), now), Ok(()));
        for _ in 0..9 {
            assert_eq!(quotas.acquire(&user("ann"), ip("8.8.8.8"), now), Err(QuotaError::User));
        }
        assert_eq!(quotas.total(), 1);
        assert_eq!(quotas.acquire(&user("ben"), ip("8.8.8.8"), now), Ok(()));
    }

    #[test]
    fn who_comes_and_goes_is_slowed_down() {
        let (quotas, now) = (Quotas::new(LIMITS), Instant::now());
        let turn = |now| {
            let acquired = quotas.acquire(&user("ann"), ip("8.8.8.8"), now);
            if acquired.is_ok() {
                quotas.release(&user("ann"), ip("8.8.8.8"));
            }
            acquired.is_ok()
        };
        assert_eq!((0..100).filter(|_| turn(now)).count(), 8, "four times the quota");
        let minute = now + Duration::from_secs(60);
        assert_eq!((0..100).filter(|_| turn(minute)).count(), 2, "then the quota each minute");
        assert_eq!((0..100).filter(|_| turn(now + Duration::from_secs(3_600))).count(), 8);
    }

    #[test]
    fn forgets_who_has_nothing_and_owes_nothing() {
        let limits = QuotaLimits { total: u32::MAX, per_user: 2, per_address: u32::MAX };
        let (quotas, mut now) = (Quotas::new(limits), Instant::now());
        for number in 0..10_000 {
            let name = user(&number.to_string());
            assert_eq!(quotas.acquire(&name, ip("8.8.8.8"), now), Ok(()));
            quotas.release(&name, ip("8.8.8.8"));
            now += Duration::from_secs(1);
        }
        let counts = quotas.counts();
        assert!(counts.users.len() <= SWEEP_LEAST, "{} users", counts.users.len());
        assert!(counts.addresses.is_empty());
    }

    #[test]
    fn a_quota_of_zero_admits_nobody() {
        let quotas = Quotas::new(QuotaLimits { per_user: 0, ..LIMITS });
        assert_eq!(quotas.acquire(&user("ann"), ip("8.8.8.8"), Instant::now()), Err(QuotaError::User));
    }
}
