//! Datagrams from an allocation of one worker to an allocation of another (hairpin), without a socket in between.
//!
//! What one round brings for a worker is handed over at once, and wakes it only if nothing waited: one call, however many
//! datagrams and rounds. A worker that does not keep up loses them by the byte, as a full socket would.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use mio::Waker;
use switchboard_turn::WorkerId;

/// Bytes that wait for one worker, however many rounds of the others they come from: as much as a listener's socket holds.
/// A worker that has to wait for its turn on a busy machine finds everything still there.
const MOST_WAITING: usize = 4 * 1024 * 1024;

/// Bytes of one round for one worker.
const MOST_BYTES: usize = 256 * 1024;

/// A datagram in a parcel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// The relayed address it is meant for.
    pub(super) relayed: SocketAddr,
    /// The relayed address it comes from.
    pub(super) from: SocketAddr,
    length: usize,
}

/// Datagrams on their way.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    items: Vec<Item>,
    bytes: Vec<u8>,
}

impl Parcel {
    /// The datagrams, in the order in which they came in.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (Item, &[u8])> {
        let mut start = 0;
        self.items.iter().map(move |item| {
            let bytes = &self.bytes[start..start + item.length];
            start += item.length;
            (*item, bytes)
        })
    }

    /// Bytes of memory in use. Empty datagrams cost as well.
    fn size(&self) -> usize {
        self.bytes.len() + self.items.len() * size_of::<Item>()
    }

    /// Appends another, which is empty afterwards and keeps its memory.
    fn append(&mut self, other: &mut Self) {
        self.items.append(&mut other.items);
        self.bytes.append(&mut other.bytes);
    }

    fn clear(&mut self) {
        self.items.clear();
        self.bytes.clear();
    }
}

/// What waits for one worker. Nothing can fail half-way while it is locked: a poisoned lock holds a whole parcel.
type Waiting = Mutex<Parcel>;

/// Where parcels for one worker go.
#[derive(Clone, Debug)]
pub(super) struct Address {
    waiting: Arc<Waiting>,
    waker: Arc<Waker>,
}

/// Where one worker finds its parcels.
#[derive(Debug)]
pub(super) struct Inbox {
    waiting: Arc<Waiting>,
}

impl Inbox {
    /// Puts everything that waits into `parcel`, instead of what it held.
    pub(super) fn take(&self, parcel: &mut Parcel) {
        parcel.clear();
        std::mem::swap(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner), parcel);
    }
}

/// Makes the way to one worker, who is woken by `waker`.
pub(super) fn way(waker: Arc<Waker>) -> (Address, Inbox) {
    let waiting = Arc::new(Waiting::default());
    (Address { waiting: Arc::clone(&waiting), waker }, Inbox { waiting })
}

/// The parcels of one worker to the others.
#[derive(Debug)]
pub(super) struct Post {
    addresses: Vec<Address>,
    parcels: Vec<Parcel>,
}

impl Post {
    /// To each of `addresses`, which stand in the order of the workers.
    pub(super) fn new(addresses: Vec<Address>) -> Self {
        let parcels = addresses.iter().map(|_| Parcel::default()).collect();
        Self { addresses, parcels }
    }

    /// Begins anew: what was not sent yet is lost.
    pub(super) fn renew(self) -> Self {
        Self::new(self.addresses)
    }

    /// Adds a datagram to the parcel for `worker`; returns whether there was place.
    pub(super) fn push(&mut self, worker: WorkerId, relayed: SocketAddr, from: SocketAddr, datagram: &[u8]) -> bool {
        let Some(parcel) = self.parcels.get_mut(usize::from(worker.0)) else { return false };
        if parcel.size() + datagram.len() > MOST_BYTES {
            return false;
        }
        parcel.items.push(Item { relayed, from, length: datagram.len() });
        parcel.bytes.extend_from_slice(datagram);
        true
    }

    /// Sends the parcels of this round; returns how many datagrams found their worker too busy.
    pub(super) fn dispatch(&mut self) -> u64 {
        let mut dropped = 0;
        for (address, parcel) in self.addresses.iter().zip(&mut self.parcels) {
            if parcel.items.is_empty() {
                continue;
            }
            let mut waiting = address.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let is_first = waiting.items.is_empty();
            if waiting.size() + parcel.size() > MOST_WAITING {
                drop(waiting);
                dropped += parcel.items.len() as u64;
                parcel.clear();
                continue;
            }
            waiting.append(parcel);
            drop(waiting);
            if is_first {
                // A worker that cannot be woken is at its end.
                let _ = address.waker.wake();
            }
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use mio::Poll;

    use super::*;
    use crate::turn::token::Token;

    fn post() -> (Post, Inbox, Poll) {
        let poll = Poll::new().expect("poll");
        let waker = Arc::new(Waker::new(poll.registry(), Token::Wake.into()).expect("waker"));
        let (address, inbox) = way(waker);
        (Post::new(vec![address]), inbox, poll)
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn ports(inbox: &Inbox) -> Vec<(u16, Vec<u8>)> {
        let mut parcel = Parcel::default();
        inbox.take(&mut parcel);
        parcel.datagrams().map(|(item, bytes)| (item.relayed.port(), bytes.to_vec())).collect()
    }

    #[test]
    fn datagrams_arrive_whole_and_in_order() {
        let (mut post, inbox, _poll) = post();
        for (port, datagram) in [(1, &b"one"[..]), (2, b""), (3, b"three")] {
            assert!(post.push(WorkerId(0), address(port), address(9), datagram));
        }
        assert!(!post.push(WorkerId(1), address(1), address(9), b"nobody"));
        assert_eq!(post.dispatch(), 0);
        assert_eq!(ports(&inbox), [(1, b"one".to_vec()), (2, vec![]), (3, b"three".to_vec())]);
        assert_eq!(ports(&inbox), []);
    }

    #[test]
    fn a_worker_that_sleeps_for_many_rounds_loses_nothing() {
        let (mut post, inbox, _poll) = post();
        for round in 0..1000_u16 {
            assert!(post.push(WorkerId(0), address(round), address(9), &round.to_be_bytes()));
            assert_eq!(post.dispatch(), 0);
        }
        let expected: Vec<_> = (0..1000_u16).map(|round| (round, round.to_be_bytes().to_vec())).collect();
        assert_eq!(ports(&inbox), expected);
    }

    #[test]
    fn a_busy_worker_loses_what_is_too_much() {
        let (mut post, inbox, _poll) = post();
        let datagram = [0; 1024];
        let fits = MOST_BYTES / (datagram.len() + size_of::<Item>());
        let mut rounds = 0;
        let dropped = loop {
            let pushed = (0..300).filter(|_| post.push(WorkerId(0), address(1), address(2), &datagram)).count();
            assert!((fits..=fits + 1).contains(&pushed), "{pushed} of {fits}");
            let dropped = post.dispatch();
            if dropped > 0 {
                assert_eq!(dropped, pushed as u64);
                break rounds;
            }
            rounds += 1;
        };
        assert_eq!(dropped, MOST_WAITING / MOST_BYTES);
        let mut parcel = Parcel::default();
        inbox.take(&mut parcel);
        assert!(parcel.size() <= MOST_WAITING);
        // Room again.
        assert!(post.push(WorkerId(0), address(1), address(2), b"x"));
        assert_eq!(post.dispatch(), 0);
    }
}
