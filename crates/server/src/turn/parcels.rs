//! Datagrams from an allocation of one worker to an allocation of another (hairpin), without a socket in between.
//!
//! One parcel a round and receiver: one call to wake it, however many datagrams. A worker that does not keep up loses them, as
//! a full socket would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use mio::Waker;
use switchboard_turn::WorkerId;

/// Parcels that wait for one worker.
const MOST_PARCELS: usize = 16;

/// Bytes of one parcel: with [`MOST_PARCELS`] as much as a listener's socket holds.
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

/// Datagrams of one round.
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
}

/// Where parcels for one worker go.
#[derive(Clone, Debug)]
pub(super) struct Address {
    sender: SyncSender<Parcel>,
    waker: Arc<Waker>,
}

/// Makes the way to one worker, who is woken by `waker`.
pub(super) fn way(waker: Arc<Waker>) -> (Address, Receiver<Parcel>) {
    let (sender, receiver) = sync_channel(MOST_PARCELS);
    (Address { sender, waker }, receiver)
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

    /// Adds a datagram to the parcel for `worker`; returns whether there was place.
    pub(super) fn push(&mut self, worker: WorkerId, relayed: SocketAddr, from: SocketAddr, datagram: &[u8]) -> bool {
        let Some(parcel) = self.parcels.get_mut(usize::from(worker.0)) else { return false };
        if parcel.bytes.len() + datagram.len() > MOST_BYTES {
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
            let parcel = std::mem::take(parcel);
            let count = parcel.items.len() as u64;
            if address.sender.try_send(parcel).is_err() {
                dropped += count;
            }
            // A worker that cannot be woken is at its end.
            let _ = address.waker.wake();
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use mio::Poll;

    use super::*;
    use crate::turn::token::Token;

    fn post() -> (Post, Receiver<Parcel>, Poll) {
        let poll = Poll::new().expect("poll");
        let waker = Arc::new(Waker::new(poll.registry(), Token::Wake.into()).expect("waker"));
        let (address, receiver) = way(waker);
        (Post::new(vec![address]), receiver, poll)
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn datagrams_arrive_whole_and_in_order() {
        let (mut post, receiver, _poll) = post();
        for (port, datagram) in [(1, &b"one"[..]), (2, b""), (3, b"three")] {
            assert!(post.push(WorkerId(0), address(port), address(9), datagram));
        }
        assert!(!post.push(WorkerId(1), address(1), address(9), b"nobody"));
        assert_eq!(post.dispatch(), 0);
        let parcel = receiver.try_recv().expect("parcel");
        let found: Vec<_> = parcel.datagrams().map(|(item, bytes)| (item.relayed.port(), bytes.to_vec())).collect();
        assert_eq!(found, [(1, b"one".to_vec()), (2, vec![]), (3, b"three".to_vec())]);
    }

    #[test]
    fn a_busy_worker_loses_what_is_too_much() {
        let (mut post, receiver, _poll) = post();
        let datagram = [0; 1024];
        let pushed = (0..300).filter(|_| post.push(WorkerId(0), address(1), address(2), &datagram)).count();
        assert_eq!(pushed, MOST_BYTES / datagram.len());
        let mut dropped = 0;
        for _ in 0..=MOST_PARCELS {
            post.push(WorkerId(0), address(1), address(2), b"x");
            dropped += post.dispatch();
        }
        assert_eq!(dropped, 1);
        assert_eq!(receiver.try_iter().count(), MOST_PARCELS);
    }
}
