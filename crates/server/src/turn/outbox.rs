//! Datagrams that wait for the end of the round, collected by destination.
//!
//! At the end each destination gets one send, which the kernel cuts into datagrams (`UDP_SEGMENT`): most of what a packet
//! costs is its way through the kernel, and a train goes that way once. Within a flow the order is kept: a flow's batches are
//! sent in the order in which they began, and one that is closed is not reopened.

use std::collections::HashMap;
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use switchboard_turn::RelayId;

use super::sys::{MOST_BYTES, MOST_SEGMENTS, Segment};

/// A socket that datagrams leave from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// The listener's socket, from one of its addresses.
    Endpoint(u16),
    /// A relay socket.
    Relay(RelayId),
}

/// One direction of one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    pub(super) source: Source,
    pub(super) to: SocketAddr,
    /// Whether routers may not cut it.
    pub(super) whole: bool,
}

/// Datagrams for one send: equally long, but for the last.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) flow: Flow,
    pub(super) segments: Vec<Segment>,
    bytes: usize,
    /// Whether a datagram may still be appended.
    open: bool,
}

impl Batch {
    fn accepts(&self, length: usize) -> bool {
        let first = self.segments.first().map_or(0, |segment| segment.len());
        self.open
            && length > 0
            && length <= first
            && self.segments.len() < MOST_SEGMENTS
            && self.bytes + length <= MOST_BYTES
    }

    fn append(&mut self, segment: Segment) {
        // A shorter datagram is the last of its train. An empty one is no train at all.
        let first = self.segments.first().map_or(segment.len(), |segment| segment.len());
        self.open = segment.len() == first && first > 0;
        self.bytes += segment.len();
        self.segments.push(segment);
    }
}

/// The datagrams of a round.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// In the order in which they began; those from `live` on are spare.
    batches: Vec<Batch>,
    live: usize,
    /// The latest batch of each flow.
    latest: HashMap<Flow, usize, RandomState>,
    /// The batch that was last appended to: the next datagram is often of the same flow.
    last: Option<usize>,
}

impl Outbox {
    /// Appends a datagram to its flow. The flow's sends carry several datagrams only if its socket can.
    pub(super) fn push(&mut self, flow: Flow, segment: Segment) {
        let found = match self.last {
            Some(last) if self.batches[last].flow == flow => Some(last),
            Some(_) | None => self.latest.get(&flow).copied(),
        };
        let index = match found {
            Some(index) if self.batches[index].accepts(segment.len()) => index,
            Some(_) | None => self.begin(flow),
        };
        self.batches[index].append(segment);
        self.last = Some(index);
    }

    fn begin(&mut self, flow: Flow) -> usize {
        let index = self.live;
        self.live += 1;
        match self.batches.get_mut(index) {
            Some(batch) => {
                batch.segments.clear();
                (batch.flow, batch.bytes, batch.open) = (flow, 0, true);
            }
            None => self.batches.push(Batch { flow, segments: Vec::new(), bytes: 0, open: true }),
        }
        self.latest.insert(flow, index);
        index
    }

    /// Everything that waits, in the order in which it is to be sent.
    pub(super) fn batches(&self) -> &[Batch] {
        &self.batches[..self.live]
    }

    /// Forgets what was sent, and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.live = 0;
        self.last = None;
        self.latest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::arena::Piece;

    fn flow(port: u16) -> Flow {
        Flow { source: Source::Endpoint(0), to: SocketAddr::from(([192, 0, 2, 1], port)), whole: false }
    }

    fn segment(start: usize, length: usize) -> Segment {
        Segment { head: Piece::default(), body: Piece::new(start..start + length) }
    }

    fn lengths(outbox: &Outbox) -> Vec<(u16, Vec<usize>)> {
        let lengths = |batch: &Batch| batch.segments.iter().map(|segment| segment.len()).collect();
        outbox.batches().iter().map(|batch| (batch.flow.to.port(), lengths(batch))).collect()
    }

    #[test]
    fn interleaved_flows_become_one_batch_each() {
        let mut outbox = Outbox::default();
        for start in 0..6 {
            outbox.push(flow(start % 2), segment(start.into(), 10));
        }
        assert_eq!(lengths(&outbox), [(0, vec![10; 3]), (1, vec![10; 3])]);
    }

    #[test]
    fn a_shorter_datagram_ends_its_batch_and_a_longer_one_begins_the_next() {
        let mut outbox = Outbox::default();
        for length in [10, 10, 4, 10, 12, 12, 0, 0, 5] {
            outbox.push(flow(1), segment(0, length));
        }
        let expected = [vec![10, 10, 4], vec![10], vec![12, 12], vec![0], vec![0], vec![5]];
        assert_eq!(lengths(&outbox), expected.map(|lengths| (1, lengths)));
    }

    #[test]
    fn batches_keep_to_the_kernels_limits() {
        let mut outbox = Outbox::default();
        for _ in 0..MOST_SEGMENTS + 1 {
            outbox.push(flow(1), segment(0, 10));
        }
        for _ in 0..60 {
            outbox.push(flow(2), segment(0, 1_200));
        }
        let counts: Vec<_> = outbox.batches().iter().map(|batch| batch.segments.len()).collect();
        assert_eq!(counts, [64, 1, 54, 6]);
    }

    #[test]
    fn a_cleared_outbox_begins_anew() {
        let mut outbox = Outbox::default();
        outbox.push(flow(1), segment(0, 10));
        outbox.clear();
        assert!(outbox.batches().is_empty());
        outbox.push(flow(2), segment(5, 7));
        outbox.push(flow(1), segment(9, 10));
        assert_eq!(lengths(&outbox), [(2, vec![7]), (1, vec![10])]);
    }
}
