//! Whom each client may have connections with, so that they learn of it when its page is closed.
//!
//! What is known belongs to the client, its id and token, not to the socket that it came on: a page that reconnects, or that takes its
//! id over from a socket that was lost, still has its direct connections. It is kept for a while after a socket ended, and only for
//! whoever comes with the same token.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
pub(super) struct Correspondents(Mutex<State>);

/// One client on one socket.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) namespace: Namespace,
    pub(super) name: Name,
    secret: Secret,
    /// Counts the sockets of all clients: of two of the same client the higher is the newer.
    socket: u64,
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
        let client = Client { namespace, name, secret, socket: state.sockets };
        state.sockets += 1;
        if state.entry(&client).is_some() {
            state.put_on(&client);
        }
        client
    }

    /// Takes note of what a client said to another.
    pub(super) fn note(&self, client: &Client, message: &Relayed<'_>) {
        let known = match message.kind {
            Kind::Candidate | Kind::Expire => return,
            // An id that is too long is nobody's.
            Kind::Offer | Kind::Answer if message.dst.len() > NAME_BYTES => return,
            Kind::Offer | Kind::Answer => true,
            Kind::Leave => false,
        };
        let mut state = self.lock();
        if state.is_replaced(client) {
            return;
        }
        if known {
            state.put_on(client).add(&message.dst);
        } else if let Some(entry) = state.entry(client) {
            entry.ids.retain(|known| **known != *message.dst);
        }
    }

    /// Forgets a client that gave its id up or whose page was closed, and says with whom it may have connections; with nobody, if it
    /// is on another socket by now.
    pub(super) fn forget(&self, client: &Client) -> Vec<Box<str>> {
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn note(all: &Correspondents, client: &Client, kind: Kind, dst: &str) {
        all.note(client, &Relayed { kind, dst: dst.into(), payload: None });
    }

    #[test]
    fn correspondents_are_those_who_may_have_a_connection() {
        let all = Correspondents::default();
        let ann = arrive(&all, "ann", MINE, Instant::now());
        note(&all, &ann, Kind::Candidate, "a");
        note(&all, &ann, Kind::Offer, "b");
        note(&all, &ann, Kind::Answer, "c");
        note(&all, &ann, Kind::Offer, "b");
        note(&all, &ann, Kind::Offer, &"x".repeat(NAME_BYTES + 1));
        note(&all, &ann, Kind::Offer, "d");
        note(&all, &ann, Kind::Leave, "b");
        assert_eq!(all.forget(&ann), ["c".into(), "d".into()]);
        assert_eq!(all.forget(&ann), []);
        for number in 0..=CORRESPONDENTS {
            note(&all, &ann, Kind::Offer, &number.to_string());
        }
        let known = all.forget(&ann);
        assert_eq!((known.len(), &*known[0]), (CORRESPONDENTS, "1"));
    }

    #[test]
    fn who_comes_back_with_its_token_has_them_again_and_nobody_else_has() {
        let (all, now) = (Correspondents::default(), Instant::now());
        let ann = arrive(&all, "ann", MINE, now);
        note(&all, &ann, Kind::Offer, "b");
        all.leave(&ann, now);
        let other = arrive(&all, "ann", "another", now);
        assert_eq!(all.forget(&other), []);
        all.leave(&other, now);
        let late = now + KEPT - Duration::from_secs(1);
        let back = arrive(&all, "ann", MINE, late);
        note(&all, &back, Kind::Answer, "c");
        assert_eq!(all.forget(&back), ["b".into(), "c".into()]);
        // Whoever gets the id speaks for itself alone.
        note(&all, &back, Kind::Offer, "b");
        note(&all, &other, Kind::Offer, "d");
        let next = arrive(&all, "ann", "another", late);
        note(&all, &next, Kind::Offer, "e");
        assert_eq!(all.forget(&back), []);
        assert_eq!(all.forget(&next), ["e".into()]);
    }

    #[test]
    fn an_old_socket_says_nothing_for_a_newer_one() {
        let (all, now) = (Correspondents::default(), Instant::now());
        let before = arrive(&all, "ann", MINE, now);
        note(&all, &before, Kind::Offer, "b");
        let after = arrive(&all, "ann", MINE, now);
        note(&all, &before, Kind::Offer, "c");
        all.leave(&before, now);
        assert_eq!(all.forget(&before), []);
        assert_eq!(all.forget(&after), ["b".into()]);
    }

    #[test]
    fn clients_that_stay_away_are_forgotten_in_time_and_beyond_a_size() {
        let (all, now) = (Correspondents::default(), Instant::now());
        let ann = arrive(&all, "ann", MINE, now);
        note(&all, &ann, Kind::Offer, "b");
        all.leave(&ann, now);
        arrive(&all, "ben", MINE, now + KEPT);
        assert!(all.lock().clients.is_empty() && all.lock().gone.is_empty());
        let long = "x".repeat(NAME_BYTES - 3);
        for number in 0..1000 {
            let client = arrive(&all, &number.to_string(), MINE, now);
            for id in 0..CORRESPONDENTS {
                note(&all, &client, Kind::Offer, &format!("{long}{id}"));
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
