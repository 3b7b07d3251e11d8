//! Telling webrtc-star peers of each other.
//!
//! Whoever is there hears of a newcomer at once. The newcomer hears of the others by digest, at its own time within the
//! first period: if both heard at once, both would call. Digests repeat, for clients forget peers that they lost; what
//! they hold is bounded, so that the cost of each peer does not grow with their number.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use switchboard_wire::Instant;
use switchboard_wire::directory::{Message, Name, Namespace};

use super::Directory;
use super::roster::Portion;
use crate::core::{ConnId, Core, Rate, Timer};

/// How a connection is told of others.
#[derive(Debug)]
pub(super) struct Hearing {
    /// When its next digest is due.
    pub(super) due: Instant,
    /// It has heard of what came before this.
    heard: u64,
    /// It had no digest yet.
    fresh: bool,
}

impl Core {
    /// Puts a name on the roster, tells others of it, and begins to tell its new holder of others.
    pub(super) fn announce(&mut self, conn: ConnId, name: &Name, now: Instant) {
        self.directory.roster.note(name);
        self.stats.star_peers = self.directory.roster.len() as u64;
        let hearers = self.choose_hearers(conn, name);
        let rate = self.config.directory.announce_rate;
        let cost = u32::try_from(hearers.len()).unwrap_or(u32::MAX);
        if self.directory.announced.admits(Rate { per_second: rate, burst: rate }, cost, now) {
            let known: Arc<[Name]> = Arc::from([name.clone()]);
            for hearer in hearers {
                self.tell_directory(hearer, Message::Known(Arc::clone(&known)));
            }
        }
        self.listen(conn, now);
    }

    /// Connections that hear of a newcomer at once, each once: all there are, or a random part.
    fn choose_hearers(&mut self, conn: ConnId, newcomer: &Name) -> Vec<ConnId> {
        let Directory { roster, realms, .. } = &self.directory;
        let Some(realm) = realms.get(&Namespace::Star) else { return Vec::new() };
        let names = roster.sample(&mut self.rng, self.config.directory.announce_most.saturating_add(1));
        let holders = names.filter(|name| *name != newcomer).filter_map(|name| realm.names.get(name)?.latest());
        let mut hearers: Vec<ConnId> = holders.take(self.config.directory.announce_most).collect();
        hearers.sort_unstable();
        hearers.dedup();
        hearers.retain(|hearer| {
            let holds =
                |hearer| self.connections.get(hearer).is_some_and(|c| c.holding.holds(Namespace::Star, newcomer));
            *hearer != conn && !holds(hearer)
        });
        hearers
    }

    /// Begins the digests of a connection, at a random time of the period, so that those of many are spread.
    fn listen(&mut self, conn: ConnId, now: Instant) {
        let every = self.config.directory.announce_every;
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if every.is_zero() || connection.holding.hearing.is_some() {
            return;
        }
        let due = now + every.mul_f64(self.rng.random::<f64>());
        let heard = self.directory.roster.age();
        connection.holding.hearing = Some(Box::new(Hearing { due, heard, fresh: true }));
        self.timers.set(due, Timer::Digest(conn));
    }

    /// Ends the digests of a connection that holds no address any more.
    pub(super) fn mute(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if connection.holding.count(Namespace::Star) == 0
            && let Some(hearing) = connection.holding.hearing.take()
        {
            self.timers.unset(hearing.due, Timer::Digest(conn));
        }
    }

    /// Tells a connection of others: first of those that came since it heard last.
    pub(in crate::core) fn send_digest(&mut self, conn: ConnId, now: Instant) {
        let Self { connections, directory, config, rng, timers, .. } = self;
        let config = &config.directory;
        let Some(connection) = connections.get_mut(&conn) else { return };
        let Some(hearing) = connection.holding.hearing.as_mut() else { return };
        let fill = if hearing.fresh { config.announce_most } else { config.announce_again.min(config.announce_most) };
        let (most, bytes) = (config.announce_most, config.announce_bytes);
        let portion = Portion { since: hearing.heard, most, fill, bytes };
        hearing.heard = directory.roster.age();
        hearing.fresh = false;
        hearing.due = next_due(hearing.due, config.announce_every, now);
        timers.set(hearing.due, Timer::Digest(conn));
        let own: Vec<&Name> = connection.holding.names.iter().map(|(_, name)| name).collect();
        let known = directory.roster.digest(rng, portion, &own);
        if !known.is_empty() {
            self.tell_directory(conn, Message::Known(known.into()));
        }
    }
}

/// Keeps the phase, and skips what was missed.
fn next_due(due: Instant, every: Duration, now: Instant) -> Instant {
    let next = due + every;
    if next > now { next } else { now + every }
}
