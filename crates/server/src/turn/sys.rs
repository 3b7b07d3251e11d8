//! System calls that move packets, many in one call where the system can.
//!
//! All unsafe code of the data plane is in `linux`; `portable` does the same with the standard library alone, one packet a
//! call. Both are tested by the same tests.

#[cfg(target_os = "linux")]
mod linux;
mod portable;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use mio::net::UdpSocket;

use super::arena::{Arena, Piece};
use crate::config::PacketIo;

/// The most segments that one send may have (the kernel's `UDP_MAX_SEGMENTS` before 6.9).
pub(super) const MOST_SEGMENTS: usize = 64;

/// The most bytes that one send may have, headers not counted: what fits an IPv4 datagram, with a margin for options.
pub(super) const MOST_BYTES: usize = 65_000;

/// Datagrams that one receive may yield.
pub(super) const MOST_RECEIVED: usize = 64;

/// What one receive has put into the arena.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// Where in the arena; before and behind it is room.
    pub(super) range: Range<usize>,
    /// The length of each of several datagrams in it, the last of which may be shorter; `range.len()` if it is one.
    pub(super) segment: usize,
    /// Who sent it.
    pub(super) from: SocketAddr,
    /// The local address it was sent to, on sockets that were told to learn it.
    pub(super) to: Option<IpAddr>,
}

/// How to receive from one socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receiving {
    /// How many datagrams at most.
    pub(super) want: usize,
    /// Whether the socket coalesces (`UDP_GRO` is on).
    pub(super) trains: bool,
}

/// One datagram to send, in two pieces of the arena; the first is often empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Segment {
    pub(super) head: Piece,
    pub(super) body: Piece,
}

impl Segment {
    /// Its length in bytes.
    pub(super) fn len(self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// Where datagrams go, and from where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) to: SocketAddr,
    /// The local address, on sockets that have several.
    pub(super) from: Option<IpAddr>,
}

/// What a send did.
#[derive(Debug)]
pub(super) enum Sent {
    /// Everything went.
    All,
    /// The socket or its interface cannot split: nothing went, send one at a time from now on.
    CannotSplit,
    /// These datagrams are too large to be split for this way: nothing went, send these one at a time.
    TooLargeToSplit,
    /// Nothing went.
    Failed(io::Error),
}

/// The calls of one worker, with their buffers.
#[derive(Debug)]
pub(super) enum Sys {
    #[cfg(target_os = "linux")]
    Linux(Box<linux::Calls>),
    Portable(portable::Calls),
}

impl Sys {
    /// The best that this system has, or what every system has.
    pub(super) fn new(io: PacketIo) -> Self {
        match io {
            #[cfg(target_os = "linux")]
            PacketIo::Native => Self::Linux(Box::new(linux::Calls::new())),
            #[cfg(not(target_os = "linux"))]
            PacketIo::Native => Self::Portable(portable::Calls::new()),
            PacketIo::Portable => Self::Portable(portable::Calls::new()),
        }
    }

    /// Receives what there is, at most `receiving.want` datagrams, and appends it to `out`. Returns whether the socket is
    /// empty now.
    ///
    /// # Errors
    /// What the system says, other than that there is nothing; the socket may have more.
    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        receiving: Receiving,
        arena: &mut Arena,
        out: &mut Vec<Received>,
    ) -> io::Result<bool> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Linux(calls) => calls.receive(socket, receiving, arena, out),
            Self::Portable(_) => portable::Calls::receive(socket, receiving, arena, out),
        }
    }

    /// Sends segments of the arena, all of one length but for the last, which may be shorter.
    pub(super) fn send(&mut self, socket: &UdpSocket, route: Route, arena: &Arena, segments: &[Segment]) -> Sent {
        match self {
            #[cfg(target_os = "linux")]
            Self::Linux(calls) => calls.send(socket, route, arena, segments),
            Self::Portable(calls) => calls.send(socket, route, arena, segments),
        }
    }

    /// Sends one datagram that is not in the arena.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn send_one(&mut self, socket: &UdpSocket, route: Route, datagram: &[u8]) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Linux(calls) => calls.send_one(socket, route, datagram),
            Self::Portable(_) => portable::Calls::send_one(socket, route, datagram),
        }
    }
}

/// Whether one send may carry several datagrams.
pub(super) fn splits(io: PacketIo) -> bool {
    match io {
        PacketIo::Native => cfg!(target_os = "linux"),
        PacketIo::Portable => false,
    }
}

/// Makes a wildcard socket tell the local address of each datagram, so that the answer leaves from there.
///
/// # Errors
/// What the system says.
pub(super) fn learn_local_address(io: PacketIo, socket: &UdpSocket, ipv6: bool) -> io::Result<()> {
    match io {
        #[cfg(target_os = "linux")]
        PacketIo::Native => linux::learn_local_address(socket, ipv6),
        #[cfg(not(target_os = "linux"))]
        PacketIo::Native => Ok(()),
        // Answers then leave from the address that the routes choose: on a host with one address the right one.
        PacketIo::Portable => Ok(()),
    }
}

/// Makes a socket coalesce what comes in, or not.
///
/// # Errors
/// What the system says; older kernels cannot.
pub(super) fn coalesce(io: PacketIo, socket: &UdpSocket, on: bool) -> io::Result<()> {
    match io {
        #[cfg(target_os = "linux")]
        PacketIo::Native => linux::coalesce(socket, on),
        #[cfg(not(target_os = "linux"))]
        PacketIo::Native => Err(io::ErrorKind::Unsupported.into()),
        PacketIo::Portable => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Makes routers drop what does not fit instead of cutting it, or not (the DF bit).
///
/// # Errors
/// What the system says.
pub(super) fn forbid_fragments(io: PacketIo, socket: &UdpSocket, ipv6: bool, on: bool) -> io::Result<()> {
    match io {
        #[cfg(target_os = "linux")]
        PacketIo::Native => linux::forbid_fragments(socket, ipv6, on),
        #[cfg(not(target_os = "linux"))]
        PacketIo::Native => Err(io::ErrorKind::Unsupported.into()),
        PacketIo::Portable => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    const PATHS: [PacketIo; 2] = [PacketIo::Native, PacketIo::Portable];

    fn socket(address: &str) -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind(address.parse().expect("address")).expect("bound");
        let address = socket.local_addr().expect("bound");
        (socket, address)
    }

    /// Receives `count` datagrams and takes trains apart.
    fn receive(sys: &mut Sys, socket: &mut UdpSocket, trains: bool, count: usize) -> Vec<(Vec<u8>, Received)> {
        let mut poll = mio::Poll::new().expect("poll");
        poll.registry().register(socket, mio::Token(0), mio::Interest::READABLE).expect("registered");
        let mut events = mio::Events::with_capacity(4);
        let mut found = Vec::new();
        while found.len() < count {
            let (mut arena, mut out) = (Arena::new(), Vec::new());
            let is_empty = sys.receive(socket, Receiving { want: 64, trains }, &mut arena, &mut out).expect("received");
            for received in out {
                let bytes = &arena.bytes()[received.range.clone()];
                let datagrams: Vec<&[u8]> =
                    if bytes.is_empty() { vec![bytes] } else { bytes.chunks(received.segment).collect() };
                found.extend(datagrams.into_iter().map(|datagram| (datagram.to_vec(), received.clone())));
            }
            if is_empty && found.len() < count {
                poll.poll(&mut events, Some(Duration::from_secs(5))).expect("polled");
                assert!(!events.is_empty(), "only {} of {count} came", found.len());
            }
        }
        poll.registry().deregister(socket).expect("deregistered");
        found
    }

    fn segment(arena: &mut Arena, head: &[u8], body: &[u8]) -> Segment {
        let head = arena.copy(head).expect("room");
        let body = arena.copy(body).expect("room");
        Segment { head: Piece::new(head), body: Piece::new(body) }
    }

    #[test]
    fn datagrams_of_every_length_come_through_whole() {
        for io in PATHS {
            for loopback in ["127.0.0.1:0", "[::1]:0"] {
                let mut sys = Sys::new(io);
                let ((from, source), (mut to, address)) = (socket(loopback), socket(loopback));
                let route = Route { to: address, from: None };
                let lengths = [0, 1, 160, 1200, 2047, 2048, 2049, 9000, 65_507];
                for length in lengths {
                    let datagram: Vec<u8> = (0..length).map(|index| index as u8).collect();
                    sys.send_one(&from, route, &datagram).expect("sent");
                }
                for ((bytes, received), length) in receive(&mut sys, &mut to, false, lengths.len()).iter().zip(lengths)
                {
                    assert_eq!(bytes.len(), length, "{io:?}");
                    assert!(bytes.iter().enumerate().all(|(index, byte)| *byte == index as u8), "{io:?} {length}");
                    assert_eq!(received.from, source);
                }
            }
        }
    }

    #[test]
    fn trains_keep_order_bytes_and_the_shorter_end() {
        for (io, trains) in [(PacketIo::Native, false), (PacketIo::Native, true), (PacketIo::Portable, false)] {
            let mut sys = Sys::new(io);
            let ((from, _), (mut to, address)) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
            if trains {
                coalesce(io, &to, true).expect("Linux coalesces");
            }
            let mut arena = Arena::new();
            let body = |index: u8| vec![index; if index == 39 { 7 } else { 1000 }];
            let segments: Vec<Segment> =
                (0..40).map(|index| segment(&mut arena, &[index, 1, 2, 3], &body(index))).collect();
            let route = Route { to: address, from: None };
            if splits(io) {
                assert!(matches!(sys.send(&from, route, &arena, &segments), Sent::All));
            } else {
                for segment in &segments {
                    assert!(matches!(sys.send(&from, route, &arena, std::slice::from_ref(segment)), Sent::All));
                }
            }
            let found = receive(&mut sys, &mut to, trains, 40);
            for (index, (bytes, received)) in (0u8..).zip(&found) {
                assert_eq!(*bytes, [&[index, 1, 2, 3][..], &body(index)].concat(), "{io:?}");
                assert_eq!(received.segment == received.range.len(), !trains);
            }
        }
    }

    #[test]
    fn answers_leave_from_the_address_that_was_asked() {
        let mut sys = Sys::new(PacketIo::Native);
        for (wildcard, asked) in [("0.0.0.0:0", "127.0.0.7"), ("[::]:0", "::1")] {
            let (mut server, bound) = socket(wildcard);
            learn_local_address(PacketIo::Native, &server, bound.is_ipv6()).expect("Linux tells");
            let asked: IpAddr = asked.parse().expect("address");
            let (mut client, client_address) = socket(if bound.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" });
            client.send_to(b"?", SocketAddr::new(asked, bound.port())).expect("sent");
            let (_, question) = receive(&mut sys, &mut server, false, 1).remove(0);
            assert_eq!(question.to, Some(asked));
            sys.send_one(&server, Route { to: client_address, from: question.to }, b"!").expect("sent");
            let (_, answer) = receive(&mut sys, &mut client, false, 1).remove(0);
            assert_eq!(answer.from, SocketAddr::new(asked, bound.port()));
        }
    }

    #[test]
    fn a_train_that_does_not_fit_the_way_is_told_from_one_that_cannot_be_split() {
        let mut sys = Sys::new(PacketIo::Native);
        let (from, _) = socket("127.0.0.1:0");
        let mut arena = Arena::new();
        // Loopback carries 65,536 bytes: two halves that are longer than a datagram together.
        let segments = [segment(&mut arena, b"", &[1; 60_000]), segment(&mut arena, b"", &[2; 60_000])];
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let sent = sys.send(&from, Route { to, from: None }, &arena, &segments);
        assert!(matches!(sent, Sent::TooLargeToSplit), "{sent:?}");
    }

    #[test]
    fn df_is_switched_where_the_system_can() {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let (socket, address) = socket(loopback);
            for on in [true, false] {
                forbid_fragments(PacketIo::Native, &socket, address.is_ipv6(), on).expect("switched");
            }
        }
    }
}
