//! A TURN client with a socket: UDP, TCP or TLS to one address of a server.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use switchboard_turn::client::{Event, Login, Options, Retransmission, Transmit, Transport, TurnClient};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{timeout, timeout_at};

use super::fault::Fault;
use super::target::Carrier;
use super::tls::Trust;

/// How long a connection, with its TLS handshake, may take.
const CONNECT: Duration = Duration::from_secs(4);

/// The largest datagram.
const BUFFER: usize = 65_536;

trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

enum Socket {
    Datagrams(UdpSocket),
    Stream(Box<dyn Bytes>),
}

/// A way to a server.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// The server's name.
    pub(crate) host: String,
    /// Its address.
    pub(crate) server: SocketAddr,
    /// What carries the packets.
    pub(crate) carrier: Carrier,
}

/// A client that is connected.
pub(crate) struct Link {
    client: TurnClient,
    socket: Socket,
    server: SocketAddr,
    local: SocketAddr,
    buffer: Vec<u8>,
}

impl Link {
    /// Connects.
    pub(crate) async fn open(way: &Way, login: Option<Login>, trust: &Trust) -> Result<Self, Fault> {
        let (socket, local) = match way.carrier {
            Carrier::Udp => {
                let socket = udp_socket(way.server).await?;
                socket.connect(way.server).await.map_err(|error| fault_of(&error))?;
                let local = socket.local_addr();
                (Socket::Datagrams(socket), local)
            }
            Carrier::Tcp | Carrier::Tls => {
                let connected = timeout(CONNECT, stream(way, trust)).await;
                let (stream, local) = connected.map_err(|_| Fault::Silent)??;
                (Socket::Stream(stream), local)
            }
        };
        let transport = match way.carrier {
            Carrier::Udp => Transport::Datagram,
            Carrier::Tcp | Carrier::Tls => Transport::Stream,
        };
        let options = Options { login, retransmission: Retransmission::QUICK, ..Options::new(way.server, transport) };
        let client = TurnClient::new(options, rand::random());
        let local = local.map_err(|error| fault_of(&error))?;
        Ok(Self { client, socket, server: way.server, local, buffer: vec![0; BUFFER] })
    }

    /// The client, to ask for something.
    pub(crate) fn client(&mut self) -> &mut TurnClient {
        &mut self.client
    }

    /// The socket's own address.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends and receives until `pick` has found what it waits for among the events. Its future may be dropped.
    pub(crate) async fn until<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> Result<T, Fault> {
        loop {
            while let Some(event) = self.client.poll_event() {
                if let Event::Broken(_) = event {
                    return Err(Fault::NotStun);
                }
                if let Some(found) = pick(event) {
                    return Ok(found);
                }
            }
            self.flush().await?;
            self.receive().await?;
        }
    }

    /// Sends what there is to send.
    pub(crate) async fn flush(&mut self) -> Result<(), Fault> {
        while let Some(Transmit { payload, .. }) = self.client.poll_transmit() {
            let sent = match &mut self.socket {
                Socket::Datagrams(socket) => socket.send(&payload).await.map(drop),
                Socket::Stream(stream) => stream.write_all(&payload).await,
            };
            sent.map_err(|error| fault_of(&error))?;
        }
        match &mut self.socket {
            Socket::Datagrams(_) => Ok(()),
            Socket::Stream(stream) => stream.flush().await.map_err(|error| fault_of(&error)),
        }
    }

    async fn receive(&mut self) -> Result<(), Fault> {
        // Nothing to wait for but data of a peer: whoever waits has a limit of his own.
        let idle = Instant::now() + Duration::from_secs(3_600);
        let due = self.client.poll_timeout().unwrap_or(idle).into();
        let received = match &mut self.socket {
            Socket::Datagrams(socket) => timeout_at(due, socket.recv(&mut self.buffer)).await,
            Socket::Stream(stream) => timeout_at(due, stream.read(&mut self.buffer)).await,
        };
        match received {
            Err(_) => self.client.handle_timeout(Instant::now()),
            Ok(Err(error)) => return Err(fault_of(&error)),
            Ok(Ok(0)) if matches!(self.socket, Socket::Stream(_)) => {
                self.client.handle_closed();
                return Err(Fault::Closed);
            }
            Ok(Ok(length)) => self.client.handle_input(self.server, &self.buffer[..length], Instant::now()),
        }
        Ok(())
    }
}

/// A socket on any port, of the server's family.
pub(crate) async fn udp_socket(server: SocketAddr) -> Result<UdpSocket, Fault> {
    let any = if server.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    // It fails where there is no such family.
    UdpSocket::bind((any, 0)).await.map_err(|_| Fault::NoRoute)
}

async fn stream(way: &Way, trust: &Trust) -> Result<(Box<dyn Bytes>, io::Result<SocketAddr>), Fault> {
    let tcp = TcpStream::connect(way.server).await.map_err(|error| fault_of(&error))?;
    // Whether small packets wait is the kernel's business; they only arrive later.
    let _ = tcp.set_nodelay(true);
    let local = tcp.local_addr();
    Ok(match way.carrier {
        Carrier::Tls => (Box::new(trust.connect(&way.host, tcp).await?), local),
        Carrier::Udp | Carrier::Tcp => (Box::new(tcp), local),
    })
}

/// What an error of a socket means.
pub(crate) fn fault_of(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fault::PortClosed,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::AddrNotAvailable => {
            Fault::NoRoute
        }
        io::ErrorKind::TimedOut => Fault::Silent,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe => Fault::Closed,
        _ => Fault::Connection(error.to_string()),
    }
}
