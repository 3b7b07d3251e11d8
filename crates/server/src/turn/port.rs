//! One UDP socket, and what was learned about the best way to use it.

use std::io;
use std::net::SocketAddr;

use mio::net::UdpSocket;

use super::arena::Arena;
use super::sys::{self, MOST_RECEIVED, Received, Receiving, Route, Segment, Sent, Sys};
use crate::config::PacketIo;

/// Datagrams of the first receive: most sockets have one or two.
const FIRST_WANT: usize = 4;

/// A receive in which one datagram in as many begins a run of its own shows that coalescing pays: a run is of one sender
/// and of one length, as a train is.
const PAYS: Ratio = Ratio { packets: 3, per: 2 };

/// Receives without trains after which a socket stops to coalesce: it then reads 8 packets a call instead of 64.
const PATIENCE: u32 = 16;

/// Receives with long runs that a socket waits for after it stopped; doubled each time it stops.
const FIRST_HESITATION: u32 = 4;

/// The longest such wait, in receives.
const MOST_HESITATION: u32 = 1 << 12;

/// More than `packets` for each `per`.
#[derive(Clone, Copy)]
struct Ratio {
    packets: usize,
    per: usize,
}

impl Ratio {
    fn is_exceeded(self, packets: usize, trains: usize) -> bool {
        packets * self.per > trains * self.packets
    }
}

/// A socket with what is known of it.
#[derive(Debug)]
pub(super) struct Port {
    socket: UdpSocket,
    io: PacketIo,
    ipv6: bool,
    /// Datagrams to ask for next time.
    want: usize,
    /// Whether one send may carry several; ends for good when the interface cannot.
    splits: bool,
    /// Whether routers are told not to cut; none where the system has no such switch.
    whole: Option<bool>,
    trains: Trains,
}

/// Whether coalescing pays on a socket.
#[derive(Clone, Copy, Debug)]
enum Trains {
    /// The system cannot.
    Never,
    /// Off, until so many more receives show long runs.
    Off { hesitation: u32, left: u32 },
    /// On; receives in a row without trains, and the hesitation if they become too many.
    On { single: u32, hesitation: u32 },
}

impl Port {
    /// Wraps a bound, non-blocking socket.
    pub(super) fn new(socket: UdpSocket, ipv6: bool, io: PacketIo) -> Self {
        let many = sys::splits(io);
        let whole = sys::forbid_fragments(io, &socket, ipv6, false).is_ok().then_some(false);
        let trains =
            if many { Trains::Off { hesitation: FIRST_HESITATION, left: FIRST_HESITATION } } else { Trains::Never };
        Self { socket, io, ipv6, want: FIRST_WANT, splits: many, whole, trains }
    }

    /// The socket, to be registered.
    pub(super) fn socket_mut(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    /// Receives once. Returns whether the socket is empty now.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn receive(&mut self, sys: &mut Sys, arena: &mut Arena, out: &mut Vec<Received>) -> io::Result<bool> {
        let trains = matches!(self.trains, Trains::On { .. });
        let before = out.len();
        let empty = sys.receive(&self.socket, Receiving { want: self.want, trains }, arena, out)?;
        self.learn(&out[before..], empty);
        Ok(empty)
    }

    /// Asks for more next time if there was more, and for less if there was much less; switches coalescing.
    fn learn(&mut self, received: &[Received], empty: bool) {
        if !empty {
            self.want = (self.want * 4).min(MOST_RECEIVED);
        } else if received.len() * 4 < self.want {
            self.want = (self.want / 2).max(FIRST_WANT);
        }
        self.trains = match self.trains {
            Trains::Never => Trains::Never,
            Trains::Off { hesitation, left } if received.len() >= FIRST_WANT && pays(received) => {
                if left > 1 {
                    Trains::Off { hesitation, left: left - 1 }
                } else if sys::coalesce(self.io, &self.socket, true).is_ok() {
                    Trains::On { single: 0, hesitation }
                } else {
                    Trains::Never
                }
            }
            Trains::Off { .. } => self.trains,
            Trains::On { hesitation, .. } if pays(received) => Trains::On { single: 0, hesitation },
            Trains::On { single, hesitation } if single < PATIENCE => Trains::On { single: single + 1, hesitation },
            Trains::On { hesitation, .. } => {
                let hesitation = (hesitation * 2).min(MOST_HESITATION);
                if sys::coalesce(self.io, &self.socket, false).is_ok() {
                    Trains::Off { hesitation, left: hesitation }
                } else {
                    Trains::On { single: 0, hesitation }
                }
            }
        };
    }

    /// Sends datagrams of equal length, in one call where that works. Returns how many went, with what stopped the others.
    pub(super) fn send(
        &mut self,
        sys: &mut Sys,
        route: Route,
        whole: bool,
        arena: &Arena,
        segments: &[Segment],
    ) -> (usize, Option<io::Error>) {
        self.keep_whole(whole);
        if self.splits || segments.len() == 1 {
            match sys.send(&self.socket, route, arena, segments) {
                Sent::All => return (segments.len(), None),
                Sent::CannotSplit => self.splits = false,
                Sent::TooLargeToSplit => {}
                Sent::Failed(error) => return (0, Some(error)),
            }
        }
        let mut outcome = (0, None);
        for segment in segments {
            match sys.send(&self.socket, route, arena, std::slice::from_ref(segment)) {
                Sent::All => outcome.0 += 1,
                Sent::Failed(error) => outcome.1 = Some(error),
                Sent::CannotSplit | Sent::TooLargeToSplit => outcome.1 = Some(io::ErrorKind::InvalidInput.into()),
            }
        }
        outcome
    }

    /// Sends an answer.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn answer(&mut self, sys: &mut Sys, route: Route, datagram: &[u8]) -> io::Result<()> {
        sys.send_one(&self.socket, route, datagram)
    }

    /// Sets the DF bit of what is sent from now on, if it is not as it should be.
    fn keep_whole(&mut self, whole: bool) {
        if self.whole.is_some_and(|is| is != whole) {
            self.whole = sys::forbid_fragments(self.io, &self.socket, self.ipv6, whole).is_ok().then_some(whole);
        }
    }
}

/// Whether datagrams came in runs (coalescing off) or trains (on) that are long enough.
fn pays(received: &[Received]) -> bool {
    let mut packets = 0;
    let mut runs = 0;
    let mut previous: Option<(SocketAddr, usize)> = None;
    for datagram in received {
        packets += datagram.range.len().div_ceil(datagram.segment.max(1)).max(1);
        let run = (datagram.from, datagram.segment);
        if previous != Some(run) {
            runs += 1;
        }
        previous = Some(run);
    }
    PAYS.is_exceeded(packets, runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(from: u16, length: usize, segment: usize) -> Received {
        let from = SocketAddr::from(([192, 0, 2, 1], from));
        Received { range: 64..64 + length, segment, from, to: None }
    }

    #[test]
    fn runs_of_one_sender_and_trains_pay() {
        let alternating: Vec<_> = (0..8).map(|index| received(index % 2, 100, 100)).collect();
        assert!(!pays(&alternating));
        let runs: Vec<_> = (0..8).map(|index| received(index / 4, 100, 100)).collect();
        assert!(pays(&runs));
        assert!(pays(&[received(1, 350, 100)]));
        assert!(!pays(&[received(1, 100, 100)]));
        assert!(!pays(&[]));
    }
}
