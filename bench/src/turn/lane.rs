//! One flow of packets: the train that it sends, and the check of what arrives.

use super::session::CHANNEL;
use super::stun::CHANNEL_HEADER;
use anyhow::{Result, ensure};

/// Flow, sequence number and stamp at the beginning of each payload.
const STAMPED: usize = 4 + 4 + 8;
/// The rest of a payload.
const FILLER: u8 = 0xa5;

/// How the packets of one side are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// The payload alone, as peers send and receive it.
    Bare,
    /// ChannelData in a datagram.
    Channel,
    /// ChannelData in a stream: padded to four bytes (RFC 8656 §12.5).
    Stream,
}

impl Framing {
    /// Bytes of a framed payload.
    pub(crate) fn unit(self, payload: usize) -> usize {
        match self {
            Self::Bare => payload,
            Self::Channel => CHANNEL_HEADER + payload,
            Self::Stream => CHANNEL_HEADER + payload.next_multiple_of(4),
        }
    }

    fn header(self, payload: usize) -> Vec<u8> {
        match self {
            Self::Bare => Vec::new(),
            Self::Channel | Self::Stream => [CHANNEL.to_be_bytes(), (payload as u16).to_be_bytes()].concat(),
        }
    }
}

/// A packet that arrived as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) stamp: u64,
    /// Whether a later packet was here before.
    pub(crate) late: bool,
}

/// One flow.
#[derive(Debug)]
pub(crate) struct Lane {
    /// As many framed packets as leave at once.
    train: Vec<u8>,
    unit_out: usize,
    payload_at: usize,
    /// How a packet arrives, with zeros for the stamp.
    model: Vec<u8>,
    stamp_at: usize,
    arriving: Framing,
    /// Numbers of the next packet to send, and of the next to arrive.
    sequence: u32,
    expected: u32,
    /// The beginning of a packet in a stream.
    partial: Vec<u8>,
    /// Packets on the way.
    pub(crate) in_flight: usize,
    /// When something last left or arrived, in the schedule's time.
    pub(crate) moved: u64,
}

impl Lane {
    /// Flow `number` with `burst` payloads of `bytes` at once, framed this way where they leave and that where they arrive.
    pub(crate) fn new(number: usize, bytes: usize, burst: usize, out: Framing, arriving: Framing) -> Self {
        let mut payload = vec![FILLER; bytes.max(STAMPED)];
        payload[..4].copy_from_slice(&(number as u32).to_be_bytes());
        payload[4..STAMPED].fill(0);
        let framed = |framing: Framing| {
            let mut framed = framing.header(payload.len());
            framed.extend_from_slice(&payload);
            framed.resize(framing.unit(payload.len()), 0);
            framed
        };
        let (packet, model) = (framed(out), framed(arriving));
        Self {
            unit_out: packet.len(),
            payload_at: out.header(payload.len()).len(),
            train: packet.repeat(burst),
            stamp_at: arriving.header(payload.len()).len() + 4,
            model,
            arriving,
            sequence: 0,
            expected: 0,
            partial: Vec::new(),
            in_flight: 0,
            moved: 0,
        }
    }

    /// Bytes of a packet where it leaves.
    pub(crate) fn unit_out(&self) -> usize {
        self.unit_out
    }

    /// The next packets, stamped.
    pub(crate) fn next_train(&mut self, stamp: u64) -> &[u8] {
        for packet in self.train.chunks_exact_mut(self.unit_out) {
            let stamped = &mut packet[self.payload_at + 4..self.payload_at + STAMPED];
            stamped[..4].copy_from_slice(&self.sequence.to_be_bytes());
            stamped[4..].copy_from_slice(&stamp.to_be_bytes());
            self.sequence = self.sequence.wrapping_add(1);
        }
        &self.train
    }

    /// Checks whatever arrived together and hands out each packet of it.
    pub(crate) fn on_arrival(&mut self, bytes: &[u8], mut each: impl FnMut(Arrival)) -> Result<()> {
        let unit = self.model.len();
        let joined: Vec<u8>;
        let mut bytes = bytes;
        if !self.partial.is_empty() {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(bytes);
            joined = partial;
            bytes = &joined;
        }
        let mut packets = bytes.chunks_exact(unit);
        for packet in &mut packets {
            each(self.check(packet)?);
        }
        let rest = packets.remainder();
        ensure!(rest.is_empty() || self.arriving == Framing::Stream, "a packet arrived with another length");
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    fn check(&mut self, packet: &[u8]) -> Result<Arrival> {
        let (head, tail) = (self.stamp_at, self.stamp_at + 12);
        ensure!(
            packet[..head] == self.model[..head] && packet[tail..] == self.model[tail..],
            "a packet arrived altered, or in the wrong flow"
        );
        let sequence = u32::from_be_bytes(packet[head..head + 4].try_into()?);
        let late = sequence < self.expected;
        if !late {
            self.expected = sequence.wrapping_add(1);
        }
        Ok(Arrival { stamp: u64::from_be_bytes(packet[head + 4..tail].try_into()?), late })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(train: &[u8], from: &Lane, to: Framing) -> Vec<u8> {
        let payload = from.unit_out - from.payload_at;
        let packets = train.chunks_exact(from.unit_out).map(|packet| &packet[from.payload_at..]);
        packets.flat_map(|packet| [to.header(payload), packet.to_vec()].concat()).collect()
    }

    #[test]
    fn packets_arrive_whatever_the_framing() {
        for (out, arriving) in [(Framing::Channel, Framing::Bare), (Framing::Bare, Framing::Channel)] {
            let mut lane = Lane::new(7, 160, 3, out, arriving);
            let train = lane.next_train(99).to_vec();
            let arrived = relay(&train, &lane, arriving);
            let mut arrivals = Vec::new();

            lane.on_arrival(&arrived, |arrival| arrivals.push(arrival)).expect("intact");

            assert_eq!(arrivals, [Arrival { stamp: 99, late: false }; 3]);
        }
    }

    #[test]
    fn a_stream_may_be_cut_anywhere() {
        let mut lane = Lane::new(0, 101, 2, Framing::Stream, Framing::Stream);
        let train = lane.next_train(1).to_vec();
        let mut arrived = 0;

        for piece in train.chunks(7) {
            lane.on_arrival(piece, |_| arrived += 1).expect("intact");
        }

        assert_eq!((arrived, lane.unit_out()), (2, 4 + 104));
    }

    #[test]
    fn notices_altered_and_late_packets() {
        let mut lane = Lane::new(3, 160, 1, Framing::Bare, Framing::Bare);
        let (first, second) = (lane.next_train(1).to_vec(), lane.next_train(2).to_vec());
        let mut late = Vec::new();
        for packet in [&second, &first] {
            lane.on_arrival(packet, |arrival| late.push(arrival.late)).expect("intact");
        }
        assert_eq!(late, [false, true]);

        let mut altered = first.clone();
        altered[159] ^= 1;
        assert!(lane.on_arrival(&altered, |_| {}).is_err());
        let mut other = Lane::new(4, 160, 1, Framing::Bare, Framing::Bare);
        assert!(other.on_arrival(&first, |_| {}).is_err());
    }
}
