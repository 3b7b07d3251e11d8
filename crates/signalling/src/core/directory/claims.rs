//! Who holds a name: claims, takeovers, contests, and the end of them.

use switchboard_wire::Instant;
use switchboard_wire::directory::{Claim, Message, Name, Namespace, Refusal, Secret};
use switchboard_wire::rooms::{GoodbyeCode, LeaveReason};

use super::{ANNOUNCED_COST, Claimant, Contest, Entry, Holding, Owner};
use crate::core::{ConnId, Core, Event, Output, Standing, Timer};

/// Most connections that wait for one contested name; more are refused at once.
const CLAIMANTS: usize = 8;

impl Core {
    /// Gives a name to the connection, or says why not; returns what that costs besides one message.
    pub(super) fn claim(&mut self, conn: ConnId, namespace: Namespace, name: Name, claim: Claim, now: Instant) -> u32 {
        let Some(connection) = self.connections.get(&conn) else { return 0 };
        if namespace == Namespace::Star {
            self.stats.star_joins_total += 1;
        }
        if connection.holding.holds(namespace, &name) {
            self.tell_directory(conn, Message::Held { name });
            return 0;
        }
        let limit = self.limits_of(namespace).per_connection;
        if connection.holding.claiming.is_some() || connection.holding.count(namespace) >= limit {
            self.deny_claim(conn, namespace, Refusal::TooManyNames { limit });
            return 0;
        }
        match claim {
            Claim::Exclusive { secret } => {
                self.claim_alone(conn, namespace, name, secret, now);
                0
            }
            Claim::Shared => self.claim_shared(conn, namespace, name, now),
        }
    }

    fn claim_alone(&mut self, conn: ConnId, namespace: Namespace, name: Name, secret: Secret, now: Instant) {
        let full = self.is_full(namespace);
        let realm = self.directory.realms.entry(namespace).or_default();
        match realm.names.get_mut(&name) {
            None if full => self.deny_full(conn, namespace),
            None => self.install(conn, namespace, name, secret),
            Some(Entry::Many(_)) => self.deny_claim(conn, namespace, Refusal::NameTaken { name }),
            Some(Entry::One(owner)) if owner.secret == secret => {
                let old = std::mem::replace(&mut owner.conn, conn);
                let contest = owner.contest.take();
                self.take_over(old, conn, namespace, name, contest);
            }
            Some(Entry::One(_)) => self.contest(conn, namespace, name, secret, now),
        }
    }

    fn claim_shared(&mut self, conn: ConnId, namespace: Namespace, name: Name, now: Instant) -> u32 {
        let limit = self.limits_of(namespace).holders;
        let full = self.is_full(namespace);
        let realm = self.directory.realms.entry(namespace).or_default();
        match realm.names.get_mut(&name) {
            None if full => {
                self.deny_full(conn, namespace);
                return 0;
            }
            None => {
                realm.names.insert(name.clone(), Entry::Many(vec![conn]));
                self.stats.names[namespace.dialect()] += 1;
            }
            Some(Entry::One(_)) => {
                self.deny_claim(conn, namespace, Refusal::NameTaken { name });
                return 0;
            }
            Some(Entry::Many(holders)) if holders.len() < limit => holders.push(conn),
            // Of a peer whose sockets were lost one by one the oldest is the deadest; refusing would lock the peer out.
            Some(Entry::Many(holders)) if namespace == Namespace::Star => {
                let oldest = holders.remove(0);
                holders.push(conn);
                self.disown(oldest, namespace, &name);
            }
            Some(Entry::Many(_)) => {
                self.deny_claim(conn, namespace, Refusal::TooManyHolders { name, limit });
                return 0;
            }
        }
        self.grant(conn, namespace, &name);
        if namespace != Namespace::Star {
            return 0;
        }
        self.announce(conn, &name, now);
        ANNOUNCED_COST
    }

    fn is_full(&self, namespace: Namespace) -> bool {
        self.name_count(namespace) >= self.limits_of(namespace).names
    }

    fn deny_full(&mut self, conn: ConnId, namespace: Namespace) {
        let limit = self.limits_of(namespace).names;
        self.deny_claim(conn, namespace, Refusal::Full { limit });
    }

    fn deny_claim(&mut self, conn: ConnId, namespace: Namespace, refusal: Refusal) {
        let Some(dialect) = self.dialect_of(conn) else { return };
        self.stats.claim_refused_total[dialect] += 1;
        if namespace == Namespace::Star {
            self.stats.star_joins_failure_total += 1;
        }
        self.deny(conn, refusal);
    }

    /// Puts down the one holder of a name that nobody holds.
    fn install(&mut self, conn: ConnId, namespace: Namespace, name: Name, secret: Secret) {
        let realm = self.directory.realms.entry(namespace).or_default();
        realm.names.insert(name.clone(), Entry::One(Owner { conn, secret, contest: None }));
        self.stats.names[namespace.dialect()] += 1;
        self.grant(conn, namespace, &name);
    }

    /// Tells a connection that a name is its own by now, and gives it what waits.
    fn grant(&mut self, conn: ConnId, namespace: Namespace, name: &Name) {
        self.introduce(conn);
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.holding.claiming = None;
        connection.holding.names.push((namespace, name.clone()));
        self.stats.claimed_total[connection.dialect] += 1;
        self.tell_host(|| Event::Named { conn, namespace, name: name.clone() });
        self.tell_directory(conn, Message::Held { name: name.clone() });
        self.deliver_waiting(conn, namespace, name);
    }

    /// The client is here again on a new connection; the old one ends without touching the name.
    fn take_over(
        &mut self,
        old: ConnId,
        conn: ConnId,
        namespace: Namespace,
        name: Name,
        contest: Option<Box<Contest>>,
    ) {
        self.stats.taken_over_total += 1;
        self.disown(old, namespace, &name);
        self.grant(conn, namespace, &name);
        if let Some(contest) = contest {
            self.timers.unset(contest.deadline, Timer::Contest(namespace, name.clone()));
            self.turn_away(contest.claimants, namespace, &name);
        }
        self.hang_up(old, GoodbyeCode::TakenOver);
    }

    /// Asks the holder whether it lives, on behalf of a connection that does not know its secret.
    fn contest(&mut self, conn: ConnId, namespace: Namespace, name: Name, secret: Secret, now: Instant) {
        let probe = self.config.directory.probe;
        let Some(owner) = self.directory.owner(namespace, &name) else { return };
        let opened = owner.contest.is_none() && !probe.is_zero();
        if opened {
            let deadline = now + probe;
            owner.contest = Some(Box::new(Contest { deadline, answered: false, claimants: Vec::new() }));
            self.timers.set(deadline, Timer::Contest(namespace, name.clone()));
            self.outputs.push_back(Output::Probe { conn: owner.conn });
            if let Some(holder) = self.connections.get_mut(&owner.conn) {
                holder.holding.probed = true;
            }
        }
        let Some(contest) = owner.contest.as_mut().filter(|contest| !contest.answered) else {
            return self.deny_claim(conn, namespace, Refusal::NameTaken { name });
        };
        let again = contest.claimants.iter_mut().find(|claimant| claimant.secret == secret);
        let replaced = again.map(|claimant| std::mem::replace(&mut claimant.conn, conn));
        if replaced.is_none() {
            if contest.claimants.len() >= CLAIMANTS {
                return self.deny_claim(conn, namespace, Refusal::NameTaken { name });
            }
            contest.claimants.push(Claimant { conn, secret });
        }
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.holding.claiming = Some((namespace, name));
        }
        if let Some(old) = replaced {
            if let Some(connection) = self.connections.get_mut(&old) {
                connection.holding.claiming = None;
            }
            self.hang_up(old, GoodbyeCode::TakenOver);
        }
    }

    /// The holder of a name lives: whoever waits for it is refused, and the holder gets what was held back.
    pub(super) fn uphold(&mut self, namespace: Namespace, name: &Name) {
        let Some(owner) = self.directory.owner(namespace, name) else { return };
        let conn = owner.conn;
        let Some(contest) = owner.contest.as_mut().filter(|contest| !contest.answered) else { return };
        contest.answered = true;
        let claimants = std::mem::take(&mut contest.claimants);
        self.turn_away(claimants, namespace, name);
        self.deliver_waiting(conn, namespace, name);
    }

    fn turn_away(&mut self, claimants: Vec<Claimant>, namespace: Namespace, name: &Name) {
        for Claimant { conn, .. } in claimants {
            if let Some(connection) = self.connections.get_mut(&conn) {
                connection.holding.claiming = None;
                self.deny_claim(conn, namespace, Refusal::NameTaken { name: name.clone() });
            }
        }
    }

    /// The time of a contest is over: a holder that has not answered is dead.
    pub(in crate::core) fn end_contest(&mut self, namespace: Namespace, name: &Name) {
        let Some(owner) = self.directory.owner(namespace, name) else { return };
        let Some(contest) = &owner.contest else { return };
        if contest.answered {
            owner.contest = None;
            return;
        }
        let holder = owner.conn;
        self.stats.contested_total += 1;
        self.hang_up(holder, GoodbyeCode::IdleTimeout);
    }

    /// Gives up names of a connection that stays.
    pub(super) fn release_names(&mut self, conn: ConnId, namespace: Namespace, name: Option<&Name>) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let released = |held_in: &Namespace, held: &Name| *held_in == namespace && name.is_none_or(|name| name == held);
        if let Some((_, name)) = connection.holding.claiming.take_if(|(held_in, held)| released(held_in, held)) {
            self.withdraw(conn, namespace, &name);
        }
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let names = std::mem::take(&mut connection.holding.names).into_iter();
        let (given_up, kept) = names.partition(|(held_in, held)| released(held_in, held));
        connection.holding.names = kept;
        for (namespace, name) in given_up {
            self.let_go(conn, namespace, &name);
        }
        self.mute(conn);
    }

    /// Gives up all that a connection held, which the core has forgotten already.
    pub(in crate::core) fn release_holding(&mut self, conn: ConnId, holding: Holding) {
        if let Some(hearing) = holding.hearing {
            self.timers.unset(hearing.due, Timer::Digest(conn));
        }
        if let Some((namespace, name)) = holding.claiming {
            self.withdraw(conn, namespace, &name);
        }
        for (namespace, name) in holding.names {
            self.let_go(conn, namespace, &name);
        }
    }

    /// A claimant waits no longer. The holder still has to show that it lives.
    fn withdraw(&mut self, conn: ConnId, namespace: Namespace, name: &Name) {
        if let Some(Owner { contest: Some(contest), .. }) = self.directory.owner(namespace, name) {
            contest.claimants.retain(|claimant| claimant.conn != conn);
        }
    }

    /// Takes a name from a connection that others hold on to.
    fn disown(&mut self, conn: ConnId, namespace: Namespace, name: &Name) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.holding.forget(namespace, name);
            self.mute(conn);
            self.tell_host(|| Event::Unnamed { conn, namespace, name: name.clone() });
        }
    }

    /// Ends the hold of one connection on a name, which has it among its names no more. What somebody else holds by now
    /// stays untouched.
    fn let_go(&mut self, conn: ConnId, namespace: Namespace, name: &Name) {
        if !self.draining {
            self.tell_host(|| Event::Unnamed { conn, namespace, name: name.clone() });
        }
        let Some(realm) = self.directory.realms.get_mut(&namespace) else { return };
        let Some(entry) = realm.names.get_mut(name) else { return };
        let contest = match entry {
            Entry::One(owner) if owner.conn == conn => owner.contest.take(),
            Entry::One(_) => return,
            Entry::Many(holders) => {
                holders.retain(|holder| *holder != conn);
                if !holders.is_empty() {
                    return;
                }
                None
            }
        };
        realm.names.remove(name);
        self.stats.names[namespace.dialect()] -= 1;
        if namespace == Namespace::Star {
            self.directory.roster.remove(name);
            self.stats.star_peers = self.directory.roster.len() as u64;
        }
        if let Some(contest) = contest {
            self.timers.unset(contest.deadline, Timer::Contest(namespace, name.clone()));
            self.hand_over(contest.claimants, namespace, name);
        }
    }

    /// Gives a name that just became free to whoever waits for it longest.
    fn hand_over(&mut self, claimants: Vec<Claimant>, namespace: Namespace, name: &Name) {
        let mut claimants = claimants.into_iter();
        let Some(Claimant { conn, secret }) = claimants.next() else { return };
        self.install(conn, namespace, name.clone(), secret);
        self.turn_away(claimants.collect(), namespace, name);
    }

    /// Closes a connection; a peer behind it is lost.
    fn hang_up(&mut self, conn: ConnId, code: GoodbyeCode) {
        if let Some(connection) = self.connections.get(&conn)
            && let Standing::Greeted { peer, .. } = connection.state
        {
            self.depart(peer, LeaveReason::Lost);
        }
        self.dismiss(conn, code, None);
    }
}
