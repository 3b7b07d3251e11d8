//! The engine's verdict on a packet, and what follows from it: queued for its destination in place, or answered.

use std::net::SocketAddr;
use std::ops::Range;

use switchboard_turn::framing::MOST_FRAME;
use switchboard_turn::{Client, HEADROOM, Packet, RelayId, TAILROOM, Verdict, Via};

use super::delivery::Frame;
use super::{Parts, Worker};
use crate::turn::arena::Piece;
use crate::turn::outbox::{Flow, Source};
use crate::turn::stream::queue::Kind;
use crate::turn::sys::Segment;

/// Where a packet came from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    Client { client: Client, local: SocketAddr },
    Peer { relay: RelayId, peer: SocketAddr },
    Worker { relayed: SocketAddr, from: SocketAddr },
}

/// A packet in the arena.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) range: Range<usize>,
    /// Whether the bytes around it belong to other packets that have not left yet.
    pub(super) is_crowded: bool,
}

impl Worker {
    /// Lets the engine judge a packet and does what it says; returns whether that was more than dropping it.
    pub(super) fn handle(&mut self, origin: Origin, place: Place) -> bool {
        let Place { range, is_crowded } = place;
        let base = range.start - HEADROOM;
        let around = is_crowded.then(|| Around::keep(self.arena.bytes(), &range));
        let buffer = &mut self.arena.bytes_mut()[base..range.end + TAILROOM];
        let mut packet = Packet { buffer, range: HEADROOM..HEADROOM + range.len() };
        let Parts { engine, relays, .. } = &mut self.parts;
        let verdict = match origin {
            Origin::Client { client, local } => engine.handle_client(client, local, &mut packet, self.now, relays),
            Origin::Peer { relay, peer } => engine.handle_peer(relay, peer, &mut packet, self.now),
            Origin::Worker { relayed, from } => engine.handle_hairpin(relayed, from, &mut packet, self.now),
        };
        let at = |inner: Range<usize>| base + inner.start..base + inner.end;
        match verdict {
            Verdict::Drop => return false,
            Verdict::Reply => {
                self.tell_refusal(origin);
                self.reply(origin);
            }
            Verdict::ReplyFrom { local, to } => self.reply_from(local, to),
            Verdict::ToPeer { relay, peer, payload, dont_fragment } => {
                let flow = Flow { source: Source::Relay(relay), to: peer, whole: dont_fragment };
                let segment = Segment { head: Piece::default(), body: Piece::new(at(payload)) };
                self.outbox.push(flow, segment);
            }
            Verdict::ToClient { client, packet, .. } => self.queue_packet(client, at(packet), &range, around.is_some()),
            Verdict::ToWorker { worker, relayed, from, payload } => {
                let payload = &self.arena.bytes()[at(payload)];
                if !self.parts.post.push(worker, relayed, from, payload) {
                    self.counters.dropped_worker += 1;
                }
            }
        }
        if let Some(around) = around {
            around.restore(self.arena.bytes_mut(), &range);
        }
        true
    }

    /// Queues `packet`, which was made of what came in at `came`.
    fn queue_packet(&mut self, client: Client, packet: Range<usize>, came: &Range<usize>, is_crowded: bool) {
        match client.via {
            Via::Udp(endpoint) => {
                let flow = Flow { source: Source::Endpoint(endpoint), to: client.remote, whole: false };
                let segment = if is_crowded && packet.start < came.start {
                    // The header lies where the packet before ends: it leaves from elsewhere.
                    let mut header = [0; HEADROOM];
                    let header = &mut header[..came.start - packet.start];
                    header.copy_from_slice(&self.arena.bytes()[packet.start..came.start]);
                    let Some(head) = self.arena.copy(header) else { return };
                    Segment { head: Piece::new(head), body: Piece::new(came.start..packet.end) }
                } else {
                    Segment { head: Piece::default(), body: Piece::new(packet) }
                };
                self.outbox.push(flow, segment);
            }
            Via::Tcp(index) | Via::Tls(index) => self.push_frame(index, Kind::Datagram, Frame::InArena(packet)),
        }
    }

    /// Tells the operator of a refusal. Only requests that are answered come here, never data.
    fn tell_refusal(&self, origin: Origin) {
        if let (Some(refused), Origin::Client { client, .. }) = (self.parts.engine.refused(), origin) {
            self.parts.refusals.tell(client, refused, self.now.instant);
        }
    }

    /// Sends the engine's answer back.
    fn reply(&mut self, origin: Origin) {
        let Origin::Client { client, .. } = origin else { return };
        match client.via {
            Via::Udp(endpoint) => self.answer(endpoint, client.remote),
            Via::Tcp(index) | Via::Tls(index) => self.push_frame(index, Kind::Answer, Frame::Reply),
        }
    }

    /// Sends the engine's answer from another address than the one that was asked, or to another port (RFC 5780).
    fn reply_from(&mut self, local: SocketAddr, to: SocketAddr) {
        if let Some(endpoint) = self.parts.endpoints.at(local) {
            self.answer(endpoint, to);
        }
    }
}

/// The bytes around a packet that the engine may write and that belong to others.
struct Around {
    before: [u8; HEADROOM],
    behind: [u8; TAILROOM],
}

impl Around {
    fn keep(bytes: &[u8], range: &Range<usize>) -> Self {
        let (mut before, mut behind) = ([0; HEADROOM], [0; TAILROOM]);
        before.copy_from_slice(&bytes[range.start - HEADROOM..range.start]);
        behind.copy_from_slice(&bytes[range.end..range.end + TAILROOM]);
        Self { before, behind }
    }

    fn restore(&self, bytes: &mut [u8], range: &Range<usize>) {
        bytes[range.start - HEADROOM..range.start].copy_from_slice(&self.before);
        bytes[range.end..range.end + TAILROOM].copy_from_slice(&self.behind);
    }
}

const _: () = assert!(MOST_FRAME + HEADROOM + TAILROOM < crate::turn::arena::RECEIVE_ROOM);
