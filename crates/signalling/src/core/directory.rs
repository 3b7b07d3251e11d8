//! Names that connections hold, and the texts that are sent to them: what PeerJS, webrtc-star and the relay stand on.
//!
//! A name belongs to connections, not to peers: it ends with the last connection that holds it. How it is claimed is in
//! [`claims`], how texts find it in [`sending`], how they wait for it in [`parking`] and what waits in [`waiting`], and who
//! hears of it in [`announcing`].

mod announcing;
mod claims;
mod config;
mod parking;
mod roster;
mod sending;
mod waiting;

use std::collections::HashMap;

use smallvec::SmallVec;
use switchboard_wire::Instant;
use switchboard_wire::directory::{Malformed, Message, Name, Namespace, Refusal, Request, Secret};

pub use config::{DirectoryConfig, NameLimits, WaitingLimits};

use super::{ConnId, Core, Dialect, MALFORMED_COST, Output, OwnKeys, Pace, Standing, Timer};
use announcing::Hearing;
use roster::Roster;
use waiting::{Loads, Queue};

/// What a claim that others hear of costs besides the one message that it is.
const ANNOUNCED_COST: u32 = 3;

/// Everything that is known about names.
#[derive(Debug, Default)]
pub(super) struct Directory {
    realms: OwnKeys<Namespace, Realm>,
    /// The names in [`Namespace::Star`], for announcements.
    roster: Roster,
    /// How much waits, and from whom.
    loads: Loads,
    /// Counts those that heard of a newcomer at once.
    announced: super::pace::Meter,
}

/// One namespace.
#[derive(Debug, Default)]
struct Realm {
    /// Every name that is held; an entry never lacks a holder.
    names: HashMap<Name, Entry>,
    /// Texts for names that nobody holds, or whose holder is asked whether it lives or has not taken all of it yet; no queue
    /// is empty.
    waiting: HashMap<Name, Queue>,
}

/// Who holds a name. Each holder has it among its [`Holding::names`].
#[derive(Debug)]
enum Entry {
    One(Owner),
    /// In the order they came.
    Many(Vec<ConnId>),
}

/// The one holder of a name.
#[derive(Debug)]
struct Owner {
    conn: ConnId,
    /// What a connection has to show to take the name over.
    secret: Secret,
    contest: Option<Box<Contest>>,
}

/// Others want a name, and its holder has to show that it lives.
#[derive(Debug)]
struct Contest {
    /// When the holder is taken for dead, or when it would be asked again.
    deadline: Instant,
    /// It has shown that it lives; until the deadline, claims are refused without asking again.
    answered: bool,
    /// Who waits, in the order they came.
    claimants: Vec<Claimant>,
}

#[derive(Debug)]
struct Claimant {
    conn: ConnId,
    secret: Secret,
}

/// What one connection has to do with the directory.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// Most hold one, which is looked at for each text.
    names: SmallVec<[(Namespace, Name); 1]>,
    /// The contested name that it waits for.
    claiming: Option<(Namespace, Name)>,
    /// It was asked whether it lives.
    probed: bool,
    /// Something of it found no room: until then nothing of it begins to wait anywhere.
    refused: Option<Instant>,
    /// When it is told of others; only for those that hold a name in [`Namespace::Star`].
    hearing: Option<Box<Hearing>>,
}

impl Holding {
    /// Whether it is not known yet if the connection gets the name that it claimed.
    pub(super) fn awaits_name(&self) -> bool {
        self.claiming.is_some()
    }

    fn count(&self, namespace: Namespace) -> usize {
        self.names.iter().filter(|(held_in, _)| *held_in == namespace).count()
    }

    fn holds(&self, namespace: Namespace, name: &Name) -> bool {
        self.names.iter().any(|(held_in, held)| *held_in == namespace && held == name)
    }

    fn forget(&mut self, namespace: Namespace, name: &Name) {
        self.names.retain(|(held_in, held)| *held_in != namespace || held != name);
    }
}

impl Entry {
    fn holders(&self) -> &[ConnId] {
        match self {
            Self::One(owner) => std::slice::from_ref(&owner.conn),
            Self::Many(holders) => holders,
        }
    }

    /// Who claimed it last.
    fn latest(&self) -> Option<ConnId> {
        self.holders().last().copied()
    }

    /// Whether it is not known at the moment if the holder lives.
    fn in_doubt(&self) -> bool {
        match self {
            Self::One(owner) => owner.contest.as_ref().is_some_and(|contest| !contest.answered),
            Self::Many(_) => false,
        }
    }
}

impl Directory {
    fn entry(&self, namespace: Namespace, name: &str) -> Option<&Entry> {
        self.realms.get(&namespace)?.names.get(name)
    }

    /// Whether something waits for the name, held or not.
    fn has_waiting(&self, namespace: Namespace, name: &str) -> bool {
        self.realms.get(&namespace).is_some_and(|realm| realm.waiting.contains_key(name))
    }

    fn waiting_for(&mut self, namespace: Namespace, name: &Name) -> Option<&mut Queue> {
        self.realms.get_mut(&namespace)?.waiting.get_mut(name)
    }

    fn owner(&mut self, namespace: Namespace, name: &Name) -> Option<&mut Owner> {
        match self.realms.get_mut(&namespace)?.names.get_mut(name)? {
            Entry::One(owner) => Some(owner),
            Entry::Many(_) => None,
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Core {
    /// Acts on one request, or answers that it could not be read; unknown connections are ignored.
    ///
    /// Returns when the next message of this connection may be read, as [`Self::handle_message`] does.
    pub fn handle_directory(&mut self, conn: ConnId, request: Result<Request<'_>, Malformed>, now: Instant) -> Pace {
        if !self.connections.contains_key(&conn) {
            return Pace::default();
        }
        let cost = if request.is_ok() { 1 } else { MALFORMED_COST };
        let pace = self.charge(conn, cost, now);
        self.handle_alive(conn);
        let more = match request {
            Ok(Request::Claim { namespace, name, claim }) => self.claim(conn, namespace, name, claim, now),
            Ok(Request::Release { namespace, name }) => {
                self.release_names(conn, namespace, name.as_ref());
                0
            }
            Ok(Request::Send(send)) => self.send_text(conn, send, now),
            Ok(Request::Alive) => 0,
            Err(malformed) => {
                self.count_malformed(conn);
                self.deny(conn, Refusal::Malformed(malformed));
                0
            }
        };
        if more == 0 { pace } else { pace.or_later(self.charge(conn, more, now)) }
    }

    /// Takes note that a client lives, in answer to [`Output::Probe`]. Any request shows it, too.
    pub fn handle_alive(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if std::mem::take(&mut connection.holding.probed) {
            for (namespace, name) in connection.holding.names.clone() {
                self.uphold(namespace, &name);
            }
        }
    }

    /// Takes note that a client that [`Output::More`] waits for has been written all it had.
    pub fn handle_room(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get(&conn) else { return };
        for (namespace, name) in connection.holding.names.clone() {
            let entry = self.directory.entry(namespace, &name);
            if entry.is_some_and(|entry| !entry.in_doubt() && entry.latest() == Some(conn)) {
                self.deliver_waiting(conn, namespace, &name);
            }
        }
    }

    /// The names that are held, at most `most` of them, in no order.
    pub fn names(&self, namespace: Namespace, most: usize) -> Vec<Name> {
        let realm = self.directory.realms.get(&namespace);
        realm.map_or_else(Vec::new, |realm| realm.names.keys().take(most).cloned().collect())
    }

    /// Whether the name is held and has this secret.
    pub fn holds(&self, namespace: Namespace, name: &str, secret: &Secret) -> bool {
        self.holder(namespace, name, secret).is_some()
    }

    /// Who holds the name with this secret.
    pub(super) fn holder(&self, namespace: Namespace, name: &str, secret: &Secret) -> Option<ConnId> {
        match self.directory.entry(namespace, name) {
            Some(Entry::One(owner)) if owner.secret == *secret => Some(owner.conn),
            Some(Entry::One(_) | Entry::Many(_)) | None => None,
        }
    }

    /// How many names are held.
    pub fn name_count(&self, namespace: Namespace) -> usize {
        self.directory.realms.get(&namespace).map_or(0, |realm| realm.names.len())
    }

    /// How many texts wait for names.
    pub fn waiting_count(&self) -> usize {
        self.directory.loads.in_all().messages
    }

    fn tell_directory(&mut self, conn: ConnId, message: Message) {
        self.outputs.push_back(Output::Directory { conn, message });
    }

    fn deny(&mut self, conn: ConnId, refusal: Refusal) {
        self.stats.errors_total += 1;
        self.tell_directory(conn, Message::Refused(refusal));
    }

    fn dialect_of(&self, conn: ConnId) -> Option<Dialect> {
        self.connections.get(&conn).map(|connection| connection.dialect)
    }

    /// A connection that need not say hello has shown what it came for.
    fn introduce(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if let Standing::Expected { deadline } = connection.state
            && !connection.dialect.has_rooms()
        {
            connection.state = Standing::Introduced;
            self.timers.unset(deadline, Timer::Greeting(conn));
        }
    }

    fn limits_of(&self, namespace: Namespace) -> NameLimits {
        match namespace {
            Namespace::PeerJs(_) => self.config.directory.peerjs,
            Namespace::Star => self.config.directory.star,
            Namespace::Topics => self.config.directory.topics,
        }
    }

    fn count_malformed(&mut self, conn: ConnId) {
        if self.dialect_of(conn) == Some(Dialect::SocketIo) {
            self.stats.star_dials_total += 1;
            self.stats.star_dials_failure_total += 1;
        }
    }
}
