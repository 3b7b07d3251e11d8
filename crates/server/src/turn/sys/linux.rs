//! `recvmmsg` and `sendmsg` with `UDP_SEGMENT`, `UDP_GRO` and packet information (Linux 5.0 and newer).
//!
//! The one place with unsafe code. Every pointer that the kernel gets points into memory that outlives the call: buffers of
//! [`Calls`], slices of the arena, or locals of the calling function. All calls are non-blocking.

#![allow(unsafe_code)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd as _;
use std::ptr;

use libc::{c_int, c_void, socklen_t};
use mio::net::UdpSocket;
use switchboard_turn::HEADROOM;

use super::{MOST_RECEIVED, MOST_SEGMENTS, Received, Receiving, Route, Segment, Sent};
use crate::turn::arena::{Arena, LARGEST_DATAGRAM};

/// Bytes of a datagram that land in the arena at once; what is longer, which is rare, is copied there.
const SLOT: usize = 2048;

/// From one slot to the next: headroom before, room for padding behind, a multiple of a cache line that is no power of two.
const STRIDE: usize = HEADROOM + SLOT + 64;

/// Bytes of a coalesced train.
const TRAIN: usize = LARGEST_DATAGRAM + 1;

/// From one train to the next.
const TRAIN_STRIDE: usize = HEADROOM + TRAIN + 64;

/// Trains of one receive.
const MOST_TRAINS: usize = 8;

/// Bytes for the longest datagrams beyond their slot.
const OVERFLOW: usize = LARGEST_DATAGRAM + 1 - SLOT;

/// Room for packet information and a segment size; asserted to suffice in the tests.
const CONTROL: usize = 128;

/// A socket address of either family, as small as it gets.
#[repr(C)]
#[derive(Clone, Copy)]
union Name {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Control messages, aligned as their headers.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// Packet information of either family.
#[repr(C)]
#[derive(Clone, Copy)]
union PacketInfo {
    v4: libc::in_pktinfo,
    v6: libc::in6_pktinfo,
}

/// The buffers of the calls.
pub(in crate::turn) struct Calls {
    headers: Vec<libc::mmsghdr>,
    pieces: Vec<[libc::iovec; 2]>,
    names: Vec<Name>,
    controls: Vec<Control>,
    overflow: Vec<u8>,
    out: Vec<libc::iovec>,
}

// SAFETY: the pointers inside are written and used within one call that borrows the buffers exclusively; between calls nobody
// follows them.
unsafe impl Send for Calls {}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

impl Calls {
    pub(super) fn new() -> Self {
        let nothing = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        // SAFETY: all-zero bytes are a valid `mmsghdr`: integers and null pointers.
        let header: libc::mmsghdr = unsafe { mem::zeroed() };
        Self {
            headers: vec![header; MOST_RECEIVED],
            pieces: vec![[nothing; 2]; MOST_RECEIVED],
            // SAFETY: all-zero bytes are a valid `sockaddr_in6`.
            names: vec![Name { v6: unsafe { mem::zeroed() } }; MOST_RECEIVED],
            controls: vec![Control([0; CONTROL]); MOST_RECEIVED],
            overflow: vec![0; MOST_RECEIVED * OVERFLOW],
            out: vec![nothing; 2 * MOST_SEGMENTS],
        }
    }

    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        receiving: Receiving,
        arena: &mut Arena,
        out: &mut Vec<Received>,
    ) -> io::Result<bool> {
        let (stride, most) = if receiving.trains { (TRAIN_STRIDE, MOST_TRAINS) } else { (STRIDE, MOST_RECEIVED) };
        let (offset, spare) = arena.spare();
        let want = receiving.want.min(most).min(spare.len() / stride);
        self.prepare(&mut spare[..want * stride], stride, receiving.trains);
        // SAFETY: the first `want` headers were just prepared: they point to `spare`, which is borrowed until after the
        // call, and to buffers of `self` that are neither moved nor freed meanwhile.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                want as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let count = match usize::try_from(count) {
            Ok(count) => count,
            Err(_) => {
                let error = io::Error::last_os_error();
                return if error.kind() == io::ErrorKind::WouldBlock { Ok(true) } else { Err(error) };
            }
        };
        arena.keep(count * stride);
        for index in 0..count {
            out.extend(self.received(index, offset + index * stride + HEADROOM, receiving.trains, arena));
        }
        Ok(count < want)
    }

    /// Points as many headers as `spare` has strides to it.
    fn prepare(&mut self, spare: &mut [u8], stride: usize, trains: bool) {
        let messages = self.headers.iter_mut().zip(&mut self.pieces).zip(&mut self.names).zip(&mut self.controls);
        let rest = self.overflow.chunks_exact_mut(OVERFLOW);
        for (((((header, pieces), name), control), rest), slot) in
            messages.zip(rest).zip(spare.chunks_exact_mut(stride))
        {
            let slot = &mut slot[HEADROOM..stride - 64];
            pieces[0] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
            pieces[1] = libc::iovec { iov_base: rest.as_mut_ptr().cast(), iov_len: rest.len() };
            let header = &mut header.msg_hdr;
            header.msg_name = ptr::from_mut(name).cast();
            header.msg_namelen = mem::size_of::<Name>() as socklen_t;
            header.msg_iov = pieces.as_mut_ptr();
            header.msg_iovlen = if trains { 1 } else { 2 };
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL;
            header.msg_flags = 0;
        }
    }

    /// Reads what the kernel wrote about message `index`, which begins at `start`; none if it came from nowhere or is cut.
    fn received(&self, index: usize, start: usize, trains: bool, arena: &mut Arena) -> Option<Received> {
        let header = &self.headers[index];
        let length = header.msg_len as usize;
        let from = address(&self.names[index], header.msg_hdr.msg_namelen)?;
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let (to, segment) = self.control(&header.msg_hdr);
        let range = if trains || length <= SLOT {
            start..start + length
        } else {
            let rest = &self.overflow[index * OVERFLOW..][..length - SLOT];
            let whole = [&arena.bytes()[start..start + SLOT], rest].concat();
            arena.copy(&whole)?
        };
        let segment = segment.filter(|segment| (1..length).contains(segment)).unwrap_or(length);
        Some(Received { range, segment, from, to })
    }

    /// The local address and the segment size that came with a message.
    fn control(&self, header: &libc::msghdr) -> (Option<IpAddr>, Option<usize>) {
        let (mut to, mut segment) = (None, None);
        // SAFETY: `header` was filled by the kernel: `msg_control` points to `msg_controllen` bytes of control messages
        // in a buffer of `self`.
        let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
        while !message.is_null() {
            // SAFETY: the macros of the kernel's interface yield headers inside the buffer or null, and each header is
            // followed by the data of its kind, perhaps unaligned.
            unsafe {
                let data = libc::CMSG_DATA(message);
                match ((*message).cmsg_level, (*message).cmsg_type) {
                    (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                        let info: libc::in_pktinfo = ptr::read_unaligned(data.cast());
                        to = Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr))));
                    }
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                        let info: libc::in6_pktinfo = ptr::read_unaligned(data.cast());
                        to = Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                    }
                    (libc::SOL_UDP, libc::UDP_GRO) => {
                        let size: c_int = ptr::read_unaligned(data.cast());
                        segment = usize::try_from(size).ok();
                    }
                    _ => {}
                }
                message = libc::CMSG_NXTHDR(header, message);
            }
        }
        (to, segment)
    }

    pub(super) fn send(&mut self, socket: &UdpSocket, route: Route, arena: &Arena, segments: &[Segment]) -> Sent {
        let Some(first) = segments.first() else { return Sent::All };
        let mut pieces = 0;
        for segment in segments.iter().take(MOST_SEGMENTS) {
            for piece in [segment.head, segment.body] {
                if piece.len() > 0 {
                    let bytes = arena.piece(piece);
                    self.out[pieces] = libc::iovec { iov_base: bytes.as_ptr() as *mut c_void, iov_len: bytes.len() };
                    pieces += 1;
                }
            }
        }
        let several = (segments.len() > 1).then_some(first.len() as u16);
        match transmit(socket, route, &mut self.out[..pieces], several) {
            Ok(()) => Sent::All,
            Err(error) if several.is_some() => match error.raw_os_error() {
                // EIO: the interface computes no checksums; EINVAL also stands for a segment larger than the way allows.
                Some(libc::EIO) => Sent::CannotSplit,
                Some(libc::EINVAL) if first.len() <= ALWAYS_FITS => Sent::CannotSplit,
                Some(libc::EINVAL | libc::EMSGSIZE) => Sent::TooLargeToSplit,
                _ => Sent::Failed(error),
            },
            Err(error) => Sent::Failed(error),
        }
    }

    pub(super) fn send_one(&mut self, socket: &UdpSocket, route: Route, datagram: &[u8]) -> io::Result<()> {
        self.out[0] = libc::iovec { iov_base: datagram.as_ptr() as *mut c_void, iov_len: datagram.len() };
        transmit(socket, route, &mut self.out[..1], None)
    }
}

/// Bytes that every way carries in one packet: 1,280 (RFC 8200 §5) less the headers of IPv6 and UDP.
const ALWAYS_FITS: usize = 1_232;

/// Sends `pieces`, whose memory the caller keeps borrowed, cut into datagrams of `segment` bytes if there are several.
fn transmit(socket: &UdpSocket, route: Route, pieces: &mut [libc::iovec], segment: Option<u16>) -> io::Result<()> {
    let (mut name, length) = name(route.to);
    let mut control = Control([0; CONTROL]);
    // SAFETY: all-zero bytes are a valid `msghdr`: integers and null pointers.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_name = ptr::from_mut(&mut name).cast();
    header.msg_namelen = length;
    header.msg_iov = pieces.as_mut_ptr();
    header.msg_iovlen = pieces.len();
    if segment.is_some() || route.from.is_some() {
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL;
        header.msg_controllen = write_control(&header, route, segment);
    }
    loop {
        // SAFETY: `header` points to `name`, `control` and `pieces`, which live until the call returns, and each piece to
        // memory that the caller has borrowed; the kernel only reads them.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &header, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Writes the segment size and the local address behind `header.msg_control`; returns the bytes written.
fn write_control(header: &libc::msghdr, route: Route, segment: Option<u16>) -> usize {
    let mut used = 0;
    // SAFETY: the buffer behind `msg_control` has CONTROL bytes, aligned and zeroed, which suffice for one segment size and
    // one packet information (asserted below); so the macros yield headers inside it, with room for their data.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        let mut append = |level: c_int, kind: c_int, data: *const c_void, length: usize| {
            if message.is_null() {
                return;
            }
            (*message).cmsg_level = level;
            (*message).cmsg_type = kind;
            (*message).cmsg_len = libc::CMSG_LEN(length as u32) as _;
            ptr::copy_nonoverlapping(data.cast::<u8>(), libc::CMSG_DATA(message), length);
            used += libc::CMSG_SPACE(length as u32) as usize;
            message = libc::CMSG_NXTHDR(header, message);
        };
        if let Some(segment) = segment {
            append(libc::SOL_UDP, libc::UDP_SEGMENT, ptr::from_ref(&segment).cast(), mem::size_of::<u16>());
        }
        match route.from {
            Some(IpAddr::V4(from)) => {
                let info = v4_info(from);
                append(libc::IPPROTO_IP, libc::IP_PKTINFO, ptr::from_ref(&info).cast(), mem::size_of_val(&info));
            }
            Some(IpAddr::V6(from)) => {
                let info = v6_info(from, route.to);
                append(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, ptr::from_ref(&info).cast(), mem::size_of_val(&info));
            }
            None => {}
        }
    }
    used
}

const _: () = {
    // SAFETY: pure arithmetic.
    let needed = unsafe { libc::CMSG_SPACE(4) + libc::CMSG_SPACE(mem::size_of::<PacketInfo>() as u32) };
    assert!(needed as usize <= CONTROL);
};

fn v4_info(from: Ipv4Addr) -> libc::in_pktinfo {
    let none = libc::in_addr { s_addr: 0 };
    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: libc::in_addr { s_addr: u32::from(from).to_be() }, ipi_addr: none }
}

/// A link-local answer leaves over the link that the question came in on.
fn v6_info(from: Ipv6Addr, to: SocketAddr) -> libc::in6_pktinfo {
    let link = match to {
        SocketAddr::V6(to) => to.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: from.octets() }, ipi6_ifindex: link }
}

/// The kernel's form of an address.
fn name(address: SocketAddr) -> (Name, socklen_t) {
    match address {
        SocketAddr::V4(address) => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
                sin_zero: [0; 8],
            };
            (Name { v4 }, mem::size_of::<libc::sockaddr_in>() as socklen_t)
        }
        SocketAddr::V6(address) => {
            let v6 = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            };
            (Name { v6 }, mem::size_of::<libc::sockaddr_in6>() as socklen_t)
        }
    }
}

/// Our form of what the kernel wrote into the first `length` bytes of `name`.
fn address(name: &Name, length: socklen_t) -> Option<SocketAddr> {
    let length = length as usize;
    if length < mem::size_of::<libc::sockaddr_in>() {
        return None;
    }
    // SAFETY: the kernel wrote at least the 16 bytes of the smaller address, and every field is an integer, for which any
    // bytes are valid; the rest of the union has been initialised since its making.
    unsafe {
        match c_int::from(name.family) {
            libc::AF_INET => {
                let address = Ipv4Addr::from(u32::from_be(name.v4.sin_addr.s_addr));
                Some(SocketAddrV4::new(address, u16::from_be(name.v4.sin_port)).into())
            }
            libc::AF_INET6 if length >= mem::size_of::<libc::sockaddr_in6>() => {
                let address = Ipv6Addr::from(name.v6.sin6_addr.s6_addr);
                // The flow label is no part of who a peer is.
                Some(SocketAddrV6::new(address, u16::from_be(name.v6.sin6_port), 0, name.v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

pub(super) fn learn_local_address(socket: &UdpSocket, ipv6: bool) -> io::Result<()> {
    if ipv6 {
        option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

pub(super) fn coalesce(socket: &UdpSocket, on: bool) -> io::Result<()> {
    option(socket, libc::SOL_UDP, libc::UDP_GRO, c_int::from(on))
}

pub(super) fn forbid_fragments(socket: &UdpSocket, ipv6: bool, on: bool) -> io::Result<()> {
    if ipv6 {
        let discover = if on { libc::IPV6_PMTUDISC_DO } else { libc::IPV6_PMTUDISC_DONT };
        option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, discover)
    } else {
        let discover = if on { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_DONT };
        option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, discover)
    }
}

fn option(socket: &UdpSocket, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let value = MaybeUninit::new(value);
    // SAFETY: the pointer is to an initialised integer of the length given, which outlives the call.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), mem::size_of::<c_int>() as socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
