//! Listening sockets: several on one address, so that each worker has its own (`SO_REUSEPORT`).
//!
//! The first socket of an address is bound alone and only then shared, so that a second server of the same user cannot slip in
//! beside us unnoticed. A wildcard of IPv6 becomes two sockets, one for each family.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::net::{TcpListener, UdpSocket};
use socket2::{Domain, Protocol, Socket, Type};

use crate::server::SpawnError;

/// Connections that the kernel holds until they are accepted; it cuts the number to its own `somaxconn`.
const BACKLOG: i32 = 1024;

/// Bytes that wait in the kernel until a worker comes to read them: 25 ms of 1 Gbit/s. The kernel cuts the number to its own
/// `rmem_max`.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// How often a free port of one family is given up because it is taken in the other.
const ATTEMPTS: usize = 16;

/// The sockets of one address, one for each worker.
#[derive(Debug)]
pub(super) struct Bound<S> {
    pub(super) address: SocketAddr,
    pub(super) sockets: Vec<S>,
}

/// Binds UDP sockets, `workers` for each address.
///
/// # Errors
/// Says which address cannot be had.
pub(super) fn udp(addresses: &[SocketAddr], workers: usize) -> Result<Vec<Bound<UdpSocket>>, SpawnError> {
    bind_all(addresses, workers, Type::DGRAM, |socket| {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        Ok(UdpSocket::from_std(socket.into()))
    })
}

/// Binds TCP sockets that listen, `workers` for each address.
///
/// # Errors
/// Says which address cannot be had.
pub(super) fn tcp(addresses: &[SocketAddr], workers: usize) -> Result<Vec<Bound<TcpListener>>, SpawnError> {
    bind_all(addresses, workers, Type::STREAM, |socket| {
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from_std(socket.into()))
    })
}

fn bind_all<S>(
    addresses: &[SocketAddr],
    workers: usize,
    kind: Type,
    finish: impl Fn(Socket) -> io::Result<S>,
) -> Result<Vec<Bound<S>>, SpawnError> {
    let mut bound = Vec::new();
    for asked in addresses {
        for first in first_sockets(*asked, kind).map_err(|source| SpawnError::from_io(*asked, source))? {
            bound.push(share(first, workers, kind, &finish).map_err(|source| SpawnError::from_io(*asked, source))?);
        }
    }
    Ok(bound)
}

/// The first socket for an address; two, on one port, for the wildcard of both families.
fn first_sockets(asked: SocketAddr, kind: Type) -> io::Result<Vec<Socket>> {
    if asked.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        return Ok(vec![bind(asked, kind, Sharing::Alone)?]);
    }
    for attempt in 1.. {
        let v6 = match bind(asked, kind, Sharing::Alone) {
            Err(error) if lacks_ipv6(&error) => return Ok(vec![bind(over_ipv4(asked.port()), kind, Sharing::Alone)?]),
            bound => bound?,
        };
        let port = local(&v6)?.port();
        match bind(over_ipv4(port), kind, Sharing::Alone) {
            Ok(v4) => return Ok(vec![v4, v6]),
            Err(error) if asked.port() == 0 && error.kind() == io::ErrorKind::AddrInUse && attempt < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Vec::new())
}

fn over_ipv4(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

/// Whether a machine has no IPv6 at all: then every address means every IPv4 address.
fn lacks_ipv6(error: &io::Error) -> bool {
    #[cfg(unix)]
    let unsupported = [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL];
    #[cfg(not(unix))]
    let unsupported = [10_047, 10_049];
    error.raw_os_error().is_some_and(|code| unsupported.contains(&code))
}

/// Binds the sockets of the other workers beside the first.
fn share<S>(
    first: Socket,
    workers: usize,
    kind: Type,
    finish: &impl Fn(Socket) -> io::Result<S>,
) -> io::Result<Bound<S>> {
    let address = local(&first)?;
    #[cfg(unix)]
    if workers > 1 {
        first.set_reuse_port(true)?;
    }
    let mut sockets = vec![finish(first)?];
    for _ in 1..workers {
        sockets.push(finish(bind(address, kind, Sharing::Beside)?)?);
    }
    Ok(Bound { address, sockets })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Beside,
}

fn bind(address: SocketAddr, kind: Type, sharing: Sharing) -> io::Result<Socket> {
    let protocol = if kind == Type::DGRAM { Protocol::UDP } else { Protocol::TCP };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    #[cfg(unix)]
    {
        // A restarted server takes the port back although old connections linger in TIME_WAIT.
        if kind == Type::STREAM {
            socket.set_reuse_address(true)?;
        }
        socket.set_reuse_port(sharing == Sharing::Beside)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn local(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    }

    #[test]
    fn a_wildcard_has_a_socket_for_each_family_and_worker_on_one_port() {
        for bound in [
            udp(&[any()], 3)
                .expect("bound")
                .iter()
                .map(|bound| (bound.address, bound.sockets.len()))
                .collect::<Vec<_>>(),
            tcp(&[any()], 3).expect("bound").iter().map(|bound| (bound.address, bound.sockets.len())).collect(),
        ] {
            let [(v4, 3), (v6, 3)] = bound[..] else { panic!("{bound:?}") };
            assert!(v4.is_ipv4() && v6.is_ipv6() && v4.port() == v6.port() && v4.port() != 0);
        }
    }

    #[test]
    fn a_second_server_of_the_same_user_is_refused() {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let first = udp(&[here], 2).expect("bound");
        assert!(matches!(udp(&[first[0].address], 2), Err(SpawnError::InUse { .. })));
        let first = tcp(&[here], 2).expect("bound");
        assert!(matches!(tcp(&[first[0].address], 2), Err(SpawnError::InUse { .. })));
    }

    #[test]
    fn senders_are_spread_over_the_sockets() {
        let bound = udp(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], 2).expect("bound");
        let clients: Vec<_> = (0..64).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").expect("client")).collect();
        for client in &clients {
            client.send_to(b"x", bound[0].address).expect("sent");
        }
        let mut counts = [0; 2];
        for (count, socket) in counts.iter_mut().zip(&bound[0].sockets) {
            while socket.recv_from(&mut [0; 8]).is_ok() {
                *count += 1;
            }
        }
        assert_eq!(counts.iter().sum::<usize>(), 64);
        assert!(counts.iter().all(|count| *count > 8), "{counts:?}");
    }
}
