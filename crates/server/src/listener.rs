//! A listening socket and everything that comes in over it.
//!
//! Today every connection is HTTP/1.1. Others (TLS, STUN, libp2p) are told apart by their first byte; the place for that
//! is [`Listener::serve`], before the HTTP server takes the socket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use futures_util::FutureExt as _;
use socket2::{Domain, Protocol, Socket, Type};
use switchboard_signalling::core::{ClientAddr, Refusal};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::is_in;
use crate::http::{self, Connections, Taken};
use crate::metrics;
use crate::seats::{Seat, Seats};
use crate::server::{Shared, SpawnError, Stage};

/// Connections that the kernel holds until they are accepted; it cuts the number to its own `somaxconn`.
const BACKLOG: i32 = 4096;

/// How long to wait when the system has no descriptor or memory for another socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often that is worth a line in the log.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Refused sockets that are held open until their client has read why. More are closed at once.
const REFUSALS_AT_A_TIME: usize = 64;

/// How long one of them is held.
const REFUSAL_LINGER: Duration = Duration::from_secs(1);

/// A bound socket, what answers on it, and what it counts.
pub(crate) struct Listener {
    socket: TcpListener,
    router: Router,
    shared: Arc<Shared>,
    /// None for the operator's listener.
    seats: Option<Arc<Seats>>,
}

/// Binds `address`; an IPv6 wildcard takes IPv4 too.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, SpawnError> {
    let bound = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        // A restarted server takes the port back although old connections linger in TIME_WAIT.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    bound().map_err(|source| SpawnError::from_io(address, source))
}

impl Listener {
    /// Puts `router` on a bound socket.
    pub(crate) fn new(socket: TcpListener, router: Router, shared: Arc<Shared>, seats: Option<Arc<Seats>>) -> Self {
        Self { socket, router, shared, seats }
    }

    /// Accepts until the drain, then until all connections are over; the operator's listener goes on, for how the drain is
    /// getting on is asked there. Dropping the future drops the connections.
    pub(crate) async fn run(self, mut stage: watch::Receiver<Stage>) {
        let (mut connections, mut refusals) = (Connections::new(), JoinSet::new());
        let (mut last_logged, mut pause) = (None, None);
        loop {
            tokio::select! {
                () = until(pause), if pause.is_some() => pause = None,
                accepted = self.socket.accept(), if pause.is_none() => match accepted {
                    Ok((stream, peer)) => match self.seat(peer.ip()) {
                        Ok(seat) => drop(connections.spawn(self.serve(stream, peer.ip(), seat))),
                        Err(refusal) => refuse(&mut refusals, stream, refusal),
                    },
                    Err(error) => pause = on_accept_error(&error, &mut last_logged),
                },
                Some(ended) = connections.join_next() => match ended {
                    Ok(Some(taken)) => taken.spawn_on(&mut connections),
                    Err(error) if error.is_panic() => tracing::error!(%error, "a connection failed; the others go on"),
                    Ok(None) | Err(_) => {}
                },
                Some(_) = refusals.join_next() => {}
                () = Stage::serving_ends(&mut stage), if connections.is_empty() && self.seats.is_some() => return,
            }
        }
    }

    fn seat(&self, peer: IpAddr) -> Result<Option<Seat>, Refusal> {
        let Some(seats) = &self.seats else { return Ok(None) };
        let proxy = is_in(&self.shared.config.trusted_proxies, peer);
        let taken = seats.take((!proxy).then(|| ClientAddr::new(peer).key()));
        if let Err(refusal) = taken {
            let refusals = &self.shared.metrics.refusals;
            match refusal {
                Refusal::AddressFull { .. } => metrics::count(&refusals.address_full),
                Refusal::ServerFull { .. } => metrics::count(&refusals.server_full),
                Refusal::Draining => {}
            }
        }
        taken.map(Some)
    }

    /// Speaks HTTP with one connection.
    fn serve(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        seat: Option<Seat>,
    ) -> impl Future<Output = Option<Taken>> + use<> {
        let http = http::serve(stream, peer, self.router.clone(), Arc::clone(&self.shared));
        http.map(|door| door.map(|door| Taken { door, seat }))
    }
}

/// Tells a client why it is not served, at bounded cost.
fn refuse(refusals: &mut JoinSet<()>, mut stream: TcpStream, refusal: Refusal) {
    let status = match refusal {
        Refusal::AddressFull { .. } => "429 Too Many Requests",
        Refusal::ServerFull { .. } | Refusal::Draining => "503 Service Unavailable",
    };
    let body = refusal.to_string();
    let length = body.len() + 1;
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Retry-After: 10\r\nConnection: close\r\n\r\n{body}\n"
    );
    if refusals.len() >= REFUSALS_AT_A_TIME {
        return;
    }
    refusals.spawn(async move {
        let linger = async {
            stream.writable().await?;
            stream.try_write(answer.as_bytes())?;
            socket2::SockRef::from(&stream).shutdown(std::net::Shutdown::Write)?;
            // Closing with a request unread would reset the connection and lose the answer.
            let mut request = [0; 1024];
            while stream.read(&mut request).await? > 0 {}
            io::Result::Ok(())
        };
        // Whether it was read or not: it is over.
        let _ = tokio::time::timeout(REFUSAL_LINGER, linger).await;
    });
}

async fn until(time: Option<Instant>) {
    if let Some(time) = time {
        tokio::time::sleep_until(time.into()).await;
    }
}

/// Says until when nothing is to be accepted. Who was accepted before goes on meanwhile.
fn on_accept_error(error: &io::Error, last_logged: &mut Option<Instant>) -> Option<Instant> {
    match error.kind() {
        // The client gave up before it was accepted.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => return None,
        _ => {}
    }
    if last_logged.is_none_or(|at| at.elapsed() >= ACCEPT_LOG_INTERVAL) {
        *last_logged = Some(Instant::now());
        tracing::warn!(%error, "cannot accept connections just now; is the limit of open files too low?");
    }
    Some(Instant::now() + ACCEPT_PAUSE)
}
