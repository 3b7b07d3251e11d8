//! Sockets of generator and forwarder: UDP with segmentation offload both ways where trains are sent, TCP and TLS for the
//! client leg. One send call for a train, one receive call for whatever arrived together.

use super::tls::{Trust, Tunnel};
use anyhow::{Context, Result};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use std::cell::RefCell;
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// More than all that is ever on the way to one socket, so that nothing is lost on the generator's side.
const BUFFER: usize = 4 * 1024 * 1024;
/// The most that one receive call returns: what the kernel glues together fits into an IP packet.
pub(crate) const LARGEST: usize = 65_536;

/// A socket that never blocks.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    tunnel: Option<Box<RefCell<Tunnel>>>,
}

impl Socket {
    /// A UDP socket on a free port of `ip` that receives trains in one piece.
    pub(crate) fn bind(ip: IpAddr) -> Result<Self> {
        Self::bind_to(SocketAddr::new(ip, 0))
    }

    /// The same on a certain port.
    pub(crate) fn bind_to(address: SocketAddr) -> Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = net::socket_with(family(address.ip()), SocketType::DGRAM, flags, None)?;
        let socket = Self { fd, tunnel: None };
        net::sockopt::set_socket_recv_buffer_size(&socket, BUFFER)?;
        net::sockopt::set_socket_send_buffer_size(&socket, BUFFER)?;
        net::bind(&socket.fd, &address).with_context(|| format!("cannot bind to {address}"))?;
        setsockopt(&socket.fd, sockopt::UdpGroSegment, &true).context("the kernel has no UDP_GRO")?;
        Ok(socket)
    }

    /// A TCP connection from `ip` to `server`, with TLS in it if there is something to trust.
    pub(crate) fn connect_stream(ip: IpAddr, server: SocketAddr, trust: Option<&Trust>) -> Result<Self> {
        let fd = net::socket(family(ip), SocketType::STREAM, None)?;
        net::bind(&fd, &SocketAddr::new(ip, 0)).with_context(|| format!("cannot bind to {ip}"))?;
        net::connect(&fd, &server).with_context(|| format!("cannot connect to {server}"))?;
        net::sockopt::set_tcp_nodelay(&fd, true)?;
        let tunnel = trust.map(|trust| trust.shake_hands(&fd)).transpose()?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self { fd, tunnel: tunnel.map(|tunnel| Box::new(RefCell::new(tunnel))) })
    }

    /// From now on sends to and receives from `remote` alone.
    pub(crate) fn connect(&self, remote: SocketAddr) -> Result<()> {
        net::connect(&self.fd, &remote).with_context(|| format!("cannot connect to {remote}"))
    }

    /// From now on cuts whatever is sent at once into datagrams of `bytes`.
    pub(crate) fn cut_into(&self, bytes: usize) -> Result<()> {
        setsockopt(&self.fd, sockopt::UdpGsoSegment, &i32::try_from(bytes)?).context("the kernel has no UDP_SEGMENT")
    }

    /// The same if `cut`, the length so far, is another.
    pub(crate) fn cut_into_again(&self, cut: &mut usize, bytes: usize) -> Result<()> {
        if *cut != bytes {
            self.cut_into(bytes)?;
            *cut = bytes;
        }
        Ok(())
    }

    /// Its own address.
    pub(crate) fn local(&self) -> Result<SocketAddr> {
        Ok(net::getsockname(&self.fd)?.try_into()?)
    }

    /// Sends; `Ok(false)` when there is no room. What a stream does not take is an error: it would cut a message.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<bool> {
        if let Some(tunnel) = &self.tunnel {
            tunnel.borrow_mut().send(&self.fd, bytes)?;
            return Ok(true);
        }
        match net::send(&self.fd, bytes, net::SendFlags::NOSIGNAL) {
            Ok(sent) => {
                anyhow::ensure!(sent == bytes.len(), "a socket took {sent} of {} bytes", bytes.len());
                Ok(true)
            }
            // The last is an ICMP error for an earlier datagram: its receiver is gone.
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::CONNREFUSED) => Ok(false),
            Err(error) => Err(error).context("cannot send"),
        }
    }

    /// Sends to an address; what finds no room is lost.
    pub(crate) fn send_to(&self, bytes: &[u8], to: SocketAddr) -> Result<()> {
        lose_what_finds_no_room(net::sendto(&self.fd, bytes, net::SendFlags::NOSIGNAL, &to))
    }

    /// Sends a train that lies in pieces; what finds no room is lost.
    pub(crate) fn send_slices(&self, slices: &[IoSlice<'_>]) -> Result<()> {
        lose_what_finds_no_room(rustix::io::writev(&self.fd, slices))
    }

    /// The same to an address.
    pub(crate) fn send_slices_to(&self, slices: &[IoSlice<'_>], to: SocketAddr) -> Result<()> {
        let mut control = net::SendAncillaryBuffer::default();
        let flags = net::SendFlags::NOSIGNAL;
        lose_what_finds_no_room(net::sendmsg_addr(&self.fd, &to, slices, &mut control, flags))
    }

    /// Receives what arrived together; 0 when there is nothing.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Result<usize> {
        if let Some(tunnel) = &self.tunnel {
            return tunnel.borrow_mut().receive(&self.fd, buffer);
        }
        match net::recv(&self.fd, buffer, net::RecvFlags::empty()) {
            Ok((received, _)) => Ok(received),
            Err(Errno::AGAIN | Errno::CONNREFUSED | Errno::INTR) => Ok(0),
            Err(error) => Err(error).context("cannot receive"),
        }
    }

    /// The same, and how long each datagram of a train was.
    pub(crate) fn receive_train(&self, buffer: &mut [u8]) -> Result<(usize, usize)> {
        let mut control = nix::cmsg_space!(i32);
        let mut pieces = [IoSliceMut::new(buffer)];
        let message = match recvmsg::<()>(self.fd.as_raw_fd(), &mut pieces, Some(&mut control), MsgFlags::empty()) {
            Ok(message) => message,
            Err(nix::Error::EAGAIN | nix::Error::ECONNREFUSED | nix::Error::EINTR) => return Ok((0, 0)),
            Err(error) => return Err(error).context("cannot receive"),
        };
        let cut = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::UdpGroSegments(bytes) => usize::try_from(bytes).ok(),
            _ => None,
        });
        Ok((message.bytes, cut.unwrap_or(message.bytes)))
    }

    /// Receives what arrived together from one sender.
    pub(crate) fn receive_from(&self, buffer: &mut [u8]) -> Result<Option<(usize, SocketAddr)>> {
        match net::recvfrom(&self.fd, buffer, net::RecvFlags::empty()) {
            Ok((received, _, Some(from))) => Ok(Some((received, from.try_into()?))),
            Ok((_, _, None)) | Err(Errno::AGAIN | Errno::CONNREFUSED | Errno::INTR) => Ok(None),
            Err(error) => Err(error).context("cannot receive"),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn lose_what_finds_no_room(sent: rustix::io::Result<usize>) -> Result<()> {
    match sent {
        Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS | Errno::CONNREFUSED) => Ok(()),
        Err(error) => Err(error).context("cannot send"),
    }
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_arrives_in_order_and_complete() {
        for ip in ["127.0.0.1", "::1"].map(|ip| ip.parse::<IpAddr>().expect("an address")) {
            let (left, right) = (Socket::bind(ip).expect("a socket"), Socket::bind(ip).expect("another"));
            left.connect(right.local().expect("bound")).expect("connected");
            left.cut_into(100).expect("UDP_SEGMENT");
            let train: Vec<u8> = (0..250).map(|at| at as u8).collect();

            assert!(left.send(&train).expect("sent"));

            let (mut all, mut buffer) = (Vec::new(), vec![0; LARGEST]);
            while all.len() < train.len() {
                let received = right.receive(&mut buffer).expect("received");
                all.extend_from_slice(&buffer[..received]);
            }
            assert_eq!(all, train);

            assert!(left.send(&train).expect("sent"));
            assert_eq!(right.receive_train(&mut buffer).expect("received"), (250, 100));
        }
    }
}
