//! Whom each client may have connections with, so that they learn of it when its page is closed.
//!
//! What is known belongs to the client, its id and token, not to the socket that it came on: a page that reconnects, or that takes its
//! id over from a socket that was lost, still has its direct connections. It is kept for a while after a socket ended, and only for
//! whoever comes with the same token.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use switchboard_wire::directory::{NAME_BYTES, Name, Namespace, Secret};
use switchboard_wire::peerjs::{Kind, Relayed};

/// Whom a client may have connections with at once, as far as its departure is told: a browser bears a few dozen.
const CORRESPONDENTS: usize = 64;

/// How long a client may be without a socket. Some pages leave the server on purpose as long as they call nobody.
const KEPT: Duration = Duration::from_secs(10 * 60);

/// Most bytes that are kept for clients without a socket: 20,000 of them with a handful of others each.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// What an entry costs beside its texts, about.
const ENTRY_BYTES: usize = 400;

/// What an id costs beside its text, about.
const ID_BYTES: usize = 32;

/// The correspondents of all clients that have any.
#[derive(Debug, Default)]
pub(super) struct Correspondents {
    state: Mutex<State>,
    /// Makes digests of ids that nobody can foretell.
    digests: RandomState,
}

/// One client on one socket.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) namespace: Namespace,
    pub(super) name: Name,
    secret: Secret,
    /// Counts the sockets of all clients: of two of the same client the higher is the newer.
    socket: u64,
    /// Digest of the id that was noted last: offers and answers go to the same one many times over.
    noted: Option<u64>,
}

#[derive(Debug, Default)]
struct State {
    clients: HashMap<(Namespace, Name), Entry>,
    /// Those without a socket, by the last one that they had.
    gone: BTreeMap<u64, (Namespace, Name)>,
    /// Of those in `gone`.
    kept_bytes: usize,
    /// How many ever came.
    sockets: u64,
}

#[derive(Debug)]
struct Entry {
    secret: Secret,
    ids: Vec<Box<str>>,
    /// The last one that the client came on.
    socket: u64,
    /// When that ended.
    gone_since: Option<Instant>,
}

impl Correspondents {
    /// Takes note that a client comes on a new socket: what is known of it is that socket's from now on.
    pub(super) fn arrive(&self, namespace: Namespace, name: Name, secret: Secret, now: Instant) -> Client {
        let mut state = self.lock();
        state.forget_old(now);
        let client = Client { namespace, name, secret, socket: state.sockets, noted: None };
        state.sockets += 1;
        if state.entry(&client).is_some() {
            state.put_on(&client);
        }
        client
    }

    /// Takes note of what a client said to another.
    pub(super) fn note(&self, client: &mut Client, message: &Relayed<'_>) {
        let known = match message.kind {
            Kind::Candidate | Kind::Expire => return,
            // An id that is too long is nobody's.
            Kind::Offer | Kind::Answer if message.dst.len() > NAME_BYTES => return,
            Kind::Offer | Kind::Answer => true,
            Kind::Leave => false,
        };
        let digest = Some(self.digests.hash_one(&*message.dst));
        if known && client.noted == digest {
            return;
        }
        let mut state = self.lock();
        if state.is_replaced(client) {
            return;
        }
        client.noted = digest.filter(|_| known);
        if known {
            state.put_on(client).add(&message.dst);
        } else if let Some(entry) = state.entry(client) {
            entry.ids.retain(|known| **known != *message.dst);
        }
    }

    /// Forgets a client that gave its id up or whose page was closed, and says with whom it may have connections; with nobody, if it
    /// is on another socket by now.
    pub(super) fn forget(&self, client: &mut Client) -> Vec<Box<str>> {
        client.noted = None;
        let mut state = self.lock();
        if state.entry(client).is_none() || state.is_replaced(client) {
            return Vec::new();
        }
        state.remove(&client.key())
    }

    /// Takes note that a socket ended, in case its client comes back.
    pub(super) fn leave(&self, client: &Client, now: Instant) {
        let mut state = self.lock();
        state.forget_old(now);
        let Some(entry) = state.entry(client).filter(|entry| entry.socket == client.socket) else { return };
        entry.gone_since = Some(now);
        let bytes = entry.bytes();
        state.kept_bytes += bytes;
        state.gone.insert(client.socket, client.key());
        while state.kept_bytes > KEPT_BYTES {
            state.forget_oldest();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    fn key(&self) -> (Namespace, Name) {
        (self.namespace, self.name.clone())
    }
}

impl State {
    /// What is known of this client, and not of somebody else who had its id before.
    fn entry(&mut self, client: &Client) -> Option<&mut Entry> {
        self.clients.get_mut(&client.key()).filter(|entry| entry.secret == client.secret)
    }

    /// Whether somebody came on a newer socket under the same id.
    fn is_replaced(&self, client: &Client) -> bool {
        self.clients.get(&client.key()).is_some_and(|entry| entry.socket > client.socket)
    }

    /// The entry of a client that is on its socket; what is known of somebody else who had the id before is forgotten.
    fn put_on(&mut self, client: &Client) -> &mut Entry {
        let key = client.key();
        let is_same = self.entry(client).is_some();
        let before = self.remove(&key);
        let ids = if is_same { before } else { Vec::new() };
        let entry = Entry { secret: client.secret, ids, socket: client.socket, gone_since: None };
        self.clients.entry(key).or_insert(entry)
    }

    fn remove(&mut self, key: &(Namespace, Name)) -> Vec<Box<str>> {
        let Some(entry) = self.clients.remove(key) else { return Vec::new() };
        if self.gone.remove(&entry.socket).is_some() {
            self.kept_bytes -= entry.bytes();
        }
        entry.ids
    }

    fn forget_old(&mut self, now: Instant) {
        let is_old = |entry: &Entry| entry.gone_since.is_some_and(|since| now.saturating_duration_since(since) >= KEPT);
        while let Some((_, key)) = self.gone.first_key_value()
            && self.clients.get(key).is_none_or(is_old)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.gone.first_key_value() {
            let key = key.clone();
            self.remove(&key);
        }
    }
}

impl Entry {
    fn add(&mut self, id: &str) {
        if self.ids.iter().any(|known| **known == *id) {
            return;
        }
        if self.ids.len() >= CORRESPONDENTS {
            self.ids.remove(0);
        }
        self.ids.push(id.into());
    }

    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.ids.iter().map(|id| ID_BYTES + id.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: &str = "mine";

    fn arrive(all: &Correspondents, name: &str, token: &str, now: Instant) -> Client {
        all.arrive(Namespace::PeerJs(0), Name::new(name).expect("a name"), Secret::new(token), now)
    }

    fn note(all: &Correspondents, client: &mut Client, kind: Kind, dst: &str) {
        all.note(client, &Relayed { kind, dst: dst.into(), payload: None });
    }

    #[test]
    fn correspondents_are_those_who_may_have_a_connection() {
        let all = Correspondents::default();
        let mut ann = arrive(&all, "ann", MINE, Instant::now());
        note(&all, &mut ann, Kind::Candidate, "a");
        note(&all, &mut ann, Kind::Offer, "b");
        note(&all, &mut ann, Kind::Answer, "c");
        note(&all, &mut ann, Kind::Offer, "b");
        note(&all, &mut ann, Kind::Offer, &"x".repeat(NAME_BYTES + 1));
        note(&all, &mut ann, Kind::Offer, "d");
        note(&all, &mut ann, Kind::Leave, "b");
        assert_eq!(all.forget(&mut ann), ["c".into(), "d".into()]);
        assert_eq!(all.forget(&mut ann), []);
        // What was noted last counts anew once it is forgotten, or left.
        note(&all, &mut ann, Kind::Offer, "d");
        note(&all, &mut ann, Kind::Leave, "d");
        note(&all, &mut ann, Kind::Offer, "d");
        assert_eq!(all.forget(&mut ann), ["d".into()]);
        for number in 0..=CORRESPONDENTS {
            note(&all, &mut ann, Kind::Offer, &number.to_string());
        }
        let known = all.forget(&mut ann);
        assert_eq!((known.len(), &*known[0]), (CORRESPONDENTS, "1"));
    }

    #[test]
    fn who_comes_back_with_its_token_has_them_again_and_nobody_else_has() {
        let (all, now) = (Correspondents::default(), Instant::now());
        let mut ann = arrive(&all, "ann", MINE, now);
        note(&all, &mut ann, Kind::Offer, "b");
        all.leave(&ann, now);
        let mut other = arrive(&all, "ann", "another", now);
        assert_eq!(all.forget(&mut other), []);
        all.leave(&other, now);
        let late = now + KEPT - Duration::from_secs(1);
        let mut back = arrive(&all, "ann", MINE, late);
        note(&all, &mut back, Kind::Answer, "c");
        assert_eq!(all.forget(&mut back), ["b".into(), "c".into()]);
        // Whoever gets the id speaks for itself alone.
        note(&all, &mut back, Kind::Offer, "b");
        note(&all, &mut other, Kind::Offer, "d");
        let mut next = arrive(&all, "ann", "another", late);
        note(&all, &mut next, Kind::Offer, "e");
        assert_eq!(all.forget(&mut back), []);
        assert_eq!(all.forget(&mut next), ["e".into()]);
    }

    #[test]
    fn an_old_socket_says_nothing_for_a_newer_one() {
        let (all, now) = (Correspondents::default(), Instant::now());
        let mut before = arrive(&all, "ann", MINE, now);
        note(&all, &mut before, Kind::Offer, "b");
        let mut after = arrive(&all, "ann", MINE, now);
        note(&all, &mut before, Kind::Offer, "c");
        all.leave(&before, now);
        assert_eq!(all.forget(&mut before), []);
        assert_eq!(all.forget(&mut after), ["b".into()]);
    }

    #[test]
    fn clients_that_stay_away_are_forgotten_in_time_and_beyond_a_size() {
        let (all, now) = (Correspondents::default(), Instant::now());
        let mut ann = arrive(&all, "ann", MINE, now);
        note(&all, &mut ann, Kind::Offer, "b");
        all.leave(&ann, now);
        arrive(&all, "ben", MINE, now + KEPT);
        assert!(all.lock().clients.is_empty() && all.lock().gone.is_empty());
        let long = "x".repeat(NAME_BYTES - 3);
        for number in 0..1000 {
            let mut client = arrive(&all, &number.to_string(), MINE, now);
            for id in 0..CORRESPONDENTS {
                note(&all, &mut client, Kind::Offer, &format!("{long}{id}"));
            }
            all.leave(&client, now);
        }
        let state = all.lock();
        let kept: usize = state.clients.values().map(Entry::bytes).sum();
        assert_eq!((kept, state.clients.len()), (state.kept_bytes, state.gone.len()));
        assert!((KEPT_BYTES - 64 * 1024..=KEPT_BYTES).contains(&kept), "{kept} bytes");
        assert!(state.clients.contains_key(&(Namespace::PeerJs(0), Name::new("999").expect("a name"))));
    }
}
