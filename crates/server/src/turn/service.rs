//! STUN and TURN as a whole: sockets bound, threads started, and their end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use mio::net::{TcpListener, UdpSocket};
use mio::{Poll, Waker};
use rand::Rng as _;
use switchboard_turn::nat::{NatDetection, NatDetectionError};
use switchboard_turn::{
    Credentials, CredentialsError, Engine, NeverAllowed, PeerPolicy, QuotaLimits, RelayAddress, Secret, Settings,
    Shared, WorkerId,
};
use tokio_util::task::AbortOnDropHandle;

use super::addrs::TurnAddrs;
use super::bind::{self, Bound};
use super::endpoints::Endpoints;
use super::interfaces;
use super::own::{OwnAddresses, Reading};
use super::parcels::{self, Address, Inbox, Post};
use super::refusals::Refusals;
use super::relays::Relays;
use super::stats::Board;
use super::stream::Streams;
use super::sys::Sys;
use super::tls::{Certificate, TlsError};
use super::token::Token;
use super::worker::{Parts, Worker};
use crate::config::{DEFAULT_TURN_TLS_PORT, TurnConfig, TurnListen};
use crate::seats::Seats;
use crate::server::SpawnError;

/// The most workers: their number has 8 bits, and a machine with more processors has other bottlenecks first.
const MOST_WORKERS: usize = 128;

/// Why STUN and TURN did not start, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is an address for TLS and no certificate.
    #[error("TURN over TLS needs a certificate; name its file and that of its key, or do not listen for TLS.")]
    NoCertificate,
    /// Realm or users break the standard's limits.
    #[error("{0}.")]
    Credentials(#[from] CredentialsError),
    /// An allowed network contains what is nobody's peer.
    #[error("{0}.")]
    Policy(#[from] NeverAllowed),
    /// The addresses for NAT detection are no pair.
    #[error("{0}.")]
    NatDetection(#[from] NatDetectionError),
    /// There is no address to pair the second one with.
    #[error("NAT detection at {alternate} needs a UDP listener of the same family.")]
    NoPrimary {
        /// The second address.
        alternate: SocketAddr,
    },
    /// Which addresses are this machine's cannot be had, so nobody could be kept from them.
    #[error(
        "cannot list the addresses of this machine, which relays must not lead to: {0}; let the server open netlink sockets \
         (AF_NETLINK), or set turn.listen to \"none\"."
    )]
    Interfaces(io::Error),
    /// The range of relay ports is empty.
    #[error("the range of relay ports is empty; write the lower port first.")]
    NoPorts,
    /// A relay address is none of this machine's.
    #[error(
        "{address} cannot be used for relays: {source}; see `ip address` for this machine's, and behind a 1:1 NAT give both, \
         as in 203.0.113.7/10.0.0.4."
    )]
    RelayAddress {
        /// The address.
        address: IpAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The system has no thread or descriptor.
    #[error("cannot start the threads that relay: {0}.")]
    Threads(io::Error),
}

/// The running threads.
#[derive(Debug)]
pub(crate) struct Turn {
    addrs: TurnAddrs,
    credentials: Arc<Credentials>,
    /// That of the listeners for TLS, if there are any.
    certificate: Option<Arc<Certificate>>,
    board: Board,
    stop: Arc<AtomicBool>,
    wakers: Vec<Arc<Waker>>,
    threads: Vec<JoinHandle<()>>,
    /// Keeps the peer policy up to date with this machine's addresses.
    _watch: Option<AbortOnDropHandle<()>>,
}

impl Turn {
    /// Binds every address and starts to serve; none if there is nowhere to listen.
    ///
    /// # Errors
    /// Says what cannot be had, and what to do.
    pub(crate) fn spawn(config: &TurnConfig) -> Result<Option<Self>, SpawnError> {
        Self::spawn_on(config, interfaces::own_addresses)
    }

    /// As [`Self::spawn`], on a machine whose addresses `read` lists.
    fn spawn_on(config: &TurnConfig, mut read: impl Reading) -> Result<Option<Self>, SpawnError> {
        let workers = worker_count(config);
        let tls = config.tls.as_ref().map(Certificate::load).transpose().map_err(TurnError::from)?.map(Arc::new);
        let Some(mut sockets) = Sockets::bind(config, workers, tls.is_some())? else { return Ok(None) };
        let addrs = TurnAddrs { alternate: config.nat_detection, ..sockets.addrs() };
        let own = read().map_err(TurnError::Interfaces)?;
        let relay_addresses = relay_addresses(config, &own)?;
        let external: Vec<IpAddr> = relay_addresses.iter().map(|address| address.external).collect();
        let policy = Arc::new(policy(config, own.iter().chain(&external).copied().collect())?);
        let detection = sockets.bind_alternates(config.nat_detection, &relay_addresses)?;
        let credentials = Arc::new(credentials(config)?);
        let settings = Settings {
            relay_addresses,
            alternate: detection,
            workers: workers as u8,
            ..settings(config, &credentials, &policy)?
        };
        let shared = Shared::new(settings, rand::rng().random());
        let mut turn = Self {
            addrs,
            credentials,
            certificate: tls.clone(),
            board: Board::default(),
            stop: Arc::default(),
            wakers: Vec::new(),
            threads: Vec::new(),
            _watch: OwnAddresses::new(read, policy, external, own).watch(),
        };
        turn.start(config, &shared, sockets, tls).map_err(TurnError::Threads)?;
        Ok(Some(turn))
    }

    /// What is bound.
    pub(crate) fn addrs(&self) -> &TurnAddrs {
        &self.addrs
    }

    /// What signs names.
    pub(crate) fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// What TLS begins with, to be read again.
    pub(crate) fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.certificate.as_ref()
    }

    /// What the workers count.
    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    /// Tells the threads to end; they do so within their round.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        for waker in &self.wakers {
            // A thread that cannot be woken has ended.
            let _ = waker.wake();
        }
    }

    /// Waits for the end of the threads.
    pub(crate) async fn join(mut self) {
        self.stop();
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a TURN worker failed");
                }
            }
        });
        // The closure does not panic, and is not cancelled once it runs.
        let _ = joined.await;
    }

    fn start(
        &mut self,
        config: &TurnConfig,
        shared: &Arc<Shared>,
        sockets: Sockets,
        tls: Option<Arc<Certificate>>,
    ) -> io::Result<()> {
        let limits = &config.limits;
        let seats = Arc::new(Seats::bounded(limits.connections, limits.connections_per_address));
        let refusals = Arc::<Refusals>::default();
        let (mut polls, mut addresses): (Vec<(Poll, Inbox)>, Vec<Address>) = Default::default();
        for _ in 0..sockets.workers {
            let poll = Poll::new()?;
            let waker = Arc::new(Waker::new(poll.registry(), Token::Wake.into())?);
            let (address, inbox) = parcels::way(Arc::clone(&waker));
            self.wakers.push(waker);
            polls.push((poll, inbox));
            addresses.push(address);
        }
        for (index, ((poll, inbox), sockets)) in (0..).zip(polls.into_iter().zip(sockets.deal())) {
            let registry = || poll.registry().try_clone();
            let mut streams = Streams::new(registry()?, limits.clone(), tls.clone(), Arc::clone(&seats));
            for (socket, is_tls) in sockets.streams {
                streams.listen(socket, is_tls)?;
            }
            let mut endpoints = Endpoints::default();
            for (socket, local) in sockets.udp {
                endpoints.add(socket, local, config.packet_io)?;
            }
            let worker = Worker::new(Parts {
                engine: Engine::new(WorkerId(index), Arc::clone(shared), rand::rng().random()),
                packet_io: config.packet_io,
                sys: Sys::new(config.packet_io),
                endpoints,
                relays: Relays::new(registry()?, config.packet_io),
                streams,
                post: Post::new(addresses.clone()),
                inbox,
                published: self.board.add(),
                refusals: Arc::clone(&refusals),
                stop: Arc::clone(&self.stop),
                poll,
            })?;
            let thread = std::thread::Builder::new().name(format!("turn-{index}"));
            self.threads.push(thread.spawn(move || worker.work())?);
        }
        Ok(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The sockets of all workers.
#[derive(Debug)]
struct Sockets {
    udp: Vec<Bound<UdpSocket>>,
    tcp: Vec<Bound<TcpListener>>,
    tls: Vec<Bound<TcpListener>>,
    workers: usize,
}

/// The sockets of one worker.
#[derive(Debug, Default)]
struct Share {
    udp: Vec<(UdpSocket, SocketAddr)>,
    /// With whether it is for TLS.
    streams: Vec<(TcpListener, bool)>,
}

impl Sockets {
    /// None where there is nowhere to listen.
    fn bind(config: &TurnConfig, workers: usize, has_certificate: bool) -> Result<Option<Self>, SpawnError> {
        let (udp, tcp) = match &config.listen {
            TurnListen::Off => Default::default(),
            TurnListen::At(addresses) => (bind::udp(addresses, workers)?, bind::tcp(addresses, workers)?),
            TurnListen::IfFree(address) => {
                let both = bind::udp(&[*address], workers).and_then(|udp| Ok((udp, bind::tcp(&[*address], workers)?)));
                both.unwrap_or_else(|error| {
                    tracing::warn!(%error, "there is no STUN and TURN, for their address cannot be had");
                    Default::default()
                })
            }
        };
        let tls = match (&config.tls_listen[..], has_certificate) {
            ([], false) => Vec::new(),
            ([], true) if config.listen == TurnListen::Off => Vec::new(),
            ([], true) => bind::tcp(&[default_tls_address()], workers)?,
            (_, false) => return Err(TurnError::NoCertificate.into()),
            (addresses, true) => bind::tcp(addresses, workers)?,
        };
        let is_nowhere = udp.is_empty() && tcp.is_empty() && tls.is_empty();
        Ok((!is_nowhere).then_some(Self { udp, tcp, tls, workers }))
    }

    /// Binds the three other pairs of address and port for NAT detection (RFC 5780 §6), as far as a wildcard does not have them.
    fn bind_alternates(
        &mut self,
        alternate: Option<SocketAddr>,
        relay_addresses: &[RelayAddress],
    ) -> Result<Option<NatDetection>, SpawnError> {
        let Some(alternate) = alternate else { return Ok(None) };
        let is_like = |address: &IpAddr| address.is_ipv4() == alternate.is_ipv4();
        let listener = self.udp.iter().map(|bound| bound.address).find(|bound| is_like(&bound.ip()));
        let Some(listener) = listener else { return Err(TurnError::NoPrimary { alternate }.into()) };
        let is_wide = listener.ip().is_unspecified();
        let named = relay_addresses.iter().map(|address| address.bind).find(is_like).filter(|_| is_wide);
        let primary = SocketAddr::new(named.unwrap_or(listener.ip()), listener.port());
        let detection = NatDetection::new(primary, alternate).map_err(TurnError::from)?;
        let wanted = if is_wide {
            vec![SocketAddr::new(listener.ip(), alternate.port())]
        } else {
            let crossed = |ip: SocketAddr, port: SocketAddr| SocketAddr::new(ip.ip(), port.port());
            vec![crossed(primary, alternate), crossed(alternate, primary), alternate]
        };
        self.udp.extend(bind::udp(&wanted, self.workers)?);
        Ok(Some(detection))
    }

    fn addrs(&self) -> TurnAddrs {
        let of = |bound: &[Bound<TcpListener>]| bound.iter().map(|bound| bound.address).collect();
        let udp = self.udp.iter().map(|bound| bound.address).collect();
        TurnAddrs { udp, tcp: of(&self.tcp), tls: of(&self.tls), alternate: None }
    }

    /// Gives each worker its sockets.
    fn deal(self) -> Vec<Share> {
        let mut shares: Vec<Share> = (0..self.workers).map(|_| Share::default()).collect();
        for bound in self.udp {
            for (share, socket) in shares.iter_mut().zip(bound.sockets) {
                share.udp.push((socket, bound.address));
            }
        }
        let streams = self.tcp.into_iter().map(|bound| (bound, false));
        for (bound, is_tls) in streams.chain(self.tls.into_iter().map(|bound| (bound, true))) {
            for (share, socket) in shares.iter_mut().zip(bound.sockets) {
                share.streams.push((socket, is_tls));
            }
        }
        shares
    }
}

fn default_tls_address() -> SocketAddr {
    SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, DEFAULT_TURN_TLS_PORT))
}

/// One for each processor; one in all where the system does not spread clients over the sockets of one address.
fn worker_count(config: &TurnConfig) -> usize {
    if !cfg!(target_os = "linux") {
        return 1;
    }
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    config.workers.map_or_else(processors, |workers| usize::from(workers.get())).min(MOST_WORKERS)
}

fn credentials(config: &TurnConfig) -> Result<Credentials, TurnError> {
    let secret = config.secret.clone().unwrap_or_else(|| Secret::generate(&mut rand::rng()));
    Ok(Credentials::new(&config.realm, secret, config.previous_secret.clone(), config.users.clone())?)
}

/// The addresses that relays get, each tried.
fn relay_addresses(config: &TurnConfig, own: &[IpAddr]) -> Result<Vec<RelayAddress>, TurnError> {
    let addresses = match &config.relay_addresses[..] {
        [] => interfaces::relay_addresses(own),
        configured => configured.to_vec(),
    };
    for RelayAddress { bind, .. } in &addresses {
        std::net::UdpSocket::bind((*bind, 0)).map_err(|source| TurnError::RelayAddress { address: *bind, source })?;
    }
    Ok(addresses)
}

fn policy(config: &TurnConfig, own: Vec<IpAddr>) -> Result<PeerPolicy, TurnError> {
    Ok(PeerPolicy::new(config.allow_peers.clone(), config.deny_peers.clone(), own, config.allow_loopback_peers)?)
}

/// What the configuration alone says of what the workers' engines share.
fn settings(
    config: &TurnConfig,
    credentials: &Arc<Credentials>,
    policy: &Arc<PeerPolicy>,
) -> Result<Settings, TurnError> {
    if config.relay_ports.is_empty() {
        return Err(TurnError::NoPorts);
    }
    let limits = &config.limits;
    Ok(Settings {
        relay_ports: config.relay_ports.clone(),
        quotas: QuotaLimits {
            total: limits.allocations,
            per_user: limits.allocations_per_user,
            per_address: limits.allocations_per_address,
        },
        max_lifetime: config.max_allocation_lifetime,
        bandwidth: limits.bytes_per_second,
        min_integrity: config.min_integrity,
        ..Settings::new(Arc::clone(credentials), Arc::clone(policy))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_relayed_where_it_cannot_be_known_which_addresses_are_own() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let config = TurnConfig {
            listen: TurnListen::At(vec![SocketAddr::new(loopback, 0)]),
            relay_addresses: vec![RelayAddress { bind: loopback, external: loopback }],
            ..TurnConfig::default()
        };
        let refused = Turn::spawn_on(&config, || Err(io::ErrorKind::PermissionDenied.into())).expect_err("no start");
        assert_eq!(
            refused.to_string(),
            "cannot list the addresses of this machine, which relays must not lead to: permission denied; let the server open \
             netlink sockets (AF_NETLINK), or set turn.listen to \"none\"."
        );
        assert!(Turn::spawn_on(&config, || Ok(Vec::new())).expect("a start").is_some());
    }
}
