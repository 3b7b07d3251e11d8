//! A running server: spawned, addressed, shut down and joined.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use switchboard_signalling::core::{self, IceSource};
use switchboard_turn::Secret;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::Config;
use crate::assets::PackedFiles;
use crate::config::{AdminListen, TlsFiles};
use crate::doors::ice::Gate;
use crate::doors::peerjs::PeerJs;
use crate::doors::reach::Reach;
use crate::doors::socketio::Sessions;
use crate::hooks::Hooks;
use crate::hub::Hub;
use crate::ice::{IceOffers, OwnServers};
use crate::listener::{self, Listener};
use crate::metrics::{self, Metrics};
use crate::mounts::PathTaken;
use crate::origins::OriginPolicy;
use crate::routes;
use crate::seats::Seats;
use crate::turn::{Certificate, TlsError, Turn, TurnAddrs, TurnError};

/// When clients are told to come back after a shutdown, at the earliest: most restarts take less.
pub(crate) const COME_BACK: Duration = Duration::from_secs(1);

/// Why a server did not start, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// Another program listens there.
    #[error("{address} is in use by another program; stop it, or listen elsewhere.")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// Ports below 1024 are for the administrator.
    #[error("no permission to listen on {address}; ports below 1024 need CAP_NET_BIND_SERVICE, or take a higher one.")]
    PermissionDenied {
        /// The address.
        address: SocketAddr,
    },
    /// No interface has this address.
    #[error("{address} is not an address of this machine; see `ip address` for those that are.")]
    NotAvailable {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}.")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// `listen` is empty.
    #[error("there is no address to listen on; give at least one.")]
    NoAddress,
    /// `public_url` or an entry of `origins` is not an origin.
    #[error("{text:?} is not an origin; write scheme, host and port, as in https://example.org:8443.")]
    BadOrigin {
        /// What was configured.
        text: String,
    },
    /// Two doors want the same path.
    #[error(transparent)]
    PathTaken(#[from] PathTaken),
    /// STUN and TURN cannot start.
    #[error(transparent)]
    Turn(#[from] TurnError),
}

impl SpawnError {
    pub(crate) fn from_io(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { address },
            io::ErrorKind::AddrNotAvailable => Self::NotAvailable { address },
            _ => Self::Listen { address, source },
        }
    }
}

/// How far a server's life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Serving,
    Draining,
    Stopped,
}

impl Stage {
    /// Waits until the server is told to stop.
    pub(crate) async fn serving_ends(stage: &mut watch::Receiver<Self>) {
        if stage.wait_for(|stage| *stage != Self::Serving).await.is_err() {
            // The server is gone, and the task that waits with it.
            std::future::pending::<()>().await;
        }
    }
}

/// What every request can reach.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) origins: OriginPolicy,
    pub(crate) hub: Arc<Hub>,
    pub(crate) ice: Arc<IceOffers>,
    pub(crate) ice_gate: Gate,
    pub(crate) peerjs: PeerJs,
    /// Which pages may speak webrtc-star, beside those that may speak everything.
    pub(crate) star_origins: OriginPolicy,
    /// Which pages may use the relay of topics.
    pub(crate) relay_origins: OriginPolicy,
    /// Which pages may use matchbox.
    pub(crate) matchbox_origins: OriginPolicy,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) registry: Registry,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) packed: PackedFiles,
    pub(crate) stage: watch::Sender<Stage>,
    pub(crate) hooks: Hooks,
    pub(crate) reach: Reach,
}

impl Shared {
    /// Puts together what stands behind the doors. No hook of the host's is asked, and no event made, unless it says so.
    pub(crate) fn new(config: Config, turn: Option<&Turn>, hooks: Hooks) -> Result<Arc<Self>, SpawnError> {
        let own =
            turn.map(|turn| OwnServers { addrs: turn.addrs().clone(), credentials: Arc::clone(turn.credentials()) });
        let ice = Arc::new(IceOffers::new(&config, own));
        let hub = Arc::new(Hub::new(core::Config {
            events: hooks.events,
            ..config.core(Arc::clone(&ice) as Arc<dyn IceSource>)
        }));
        let metrics = Arc::new(Metrics::default());
        let board = turn.map(|turn| turn.board().clone());
        Ok(Arc::new(Self {
            origins: OriginPolicy::new("origins", &config.origins, &config)?,
            star_origins: OriginPolicy::new("star.origins", &config.star.origins, &config)?,
            registry: metrics::registry(Arc::clone(&hub), Arc::clone(&metrics), board),
            hub,
            ice,
            ice_gate: Gate::new(&config.turn.api_tokens),
            relay_origins: OriginPolicy::new("relay.origins", &config.relay.origins, &config)?,
            matchbox_origins: OriginPolicy::new("matchbox.origins", &config.matchbox.origins, &config)?,
            peerjs: PeerJs::new(&config)?,
            metrics,
            sessions: Arc::default(),
            packed: PackedFiles::default(),
            stage: watch::Sender::new(Stage::Serving),
            config,
            hooks,
            reach: Reach::default(),
        }))
    }

    /// Does what is due, until the set is dropped.
    pub(crate) fn keep_time(&self) -> JoinSet<()> {
        let mut clocks = JoinSet::new();
        let hub = Arc::clone(&self.hub);
        clocks.spawn(async move { hub.keep_time().await });
        let sessions = Arc::clone(&self.sessions);
        clocks.spawn(async move { sessions.keep_time().await });
        clocks
    }
}

/// A running server. Dropping it aborts everything.
#[derive(Debug)]
pub struct Server {
    local: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    turn: TurnAddrs,
    certificate: Option<Arc<Certificate>>,
    shared: Arc<Shared>,
    main: AbortOnDropHandle<()>,
}

impl Server {
    /// Binds every address and starts to serve, on the current tokio runtime.
    ///
    /// Give it one worker thread for each processor. A message is written to its target by the task that read it, so
    /// threads share little; more threads than processors cost a fifth more per message at low rates, in wake-ups.
    ///
    /// # Errors
    /// Says which address or path cannot be had, and what to do.
    pub async fn spawn(config: Config) -> Result<Self, SpawnError> {
        config.check_paths(|_| true)?;
        let (sockets, local) = bind_all(&config.listen)?;
        let (admin_socket, admin) = bind_admin(config.admin_listen)?.unzip();
        let turn = Turn::spawn(&config.turn)?;
        let turn_addrs = turn.as_ref().map(|turn| turn.addrs().clone()).unwrap_or_default();
        let certificate = turn.as_ref().and_then(Turn::certificate).cloned();
        let shared = Shared::new(config, turn.as_ref(), Hooks::default())?;
        let seats = Arc::new(Seats::new(&shared.config.limits));
        let public = routes::public(&shared);
        let listeners: Vec<Listener> = sockets
            .into_iter()
            .map(|socket| Listener::new(socket, public.clone(), Arc::clone(&shared), Some(Arc::clone(&seats))))
            .collect();
        let operators =
            admin_socket.map(|socket| Listener::new(socket, routes::admin(&shared), Arc::clone(&shared), None));
        let main = AbortOnDropHandle::new(tokio::spawn(run(listeners, operators, turn, Arc::clone(&shared))));
        Ok(Self { local, admin, turn: turn_addrs, certificate, shared, main })
    }

    /// The addresses that people connect to, ports resolved.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local
    }

    /// Where metrics and health are, if anywhere.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Where STUN and TURN are; empty where they are not.
    pub fn turn_addrs(&self) -> &TurnAddrs {
        &self.turn
    }

    /// Names what knows by which origin other devices open the page, such as `http://192.168.1.20:3000`; the first counts.
    ///
    /// The page asks where it was opened as `localhost` and [`Config::public_url`] says nothing, and offers the link
    /// that others can open. It is asked each time, for machines change networks, and must not block.
    pub fn reached_by(&self, origin: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.shared.reach.answered_by(Box::new(origin));
    }

    /// Signs TURN credentials with another secret. What the last one signed is good until it expires; nobody is disturbed.
    pub fn rotate_turn_secret(&self, secret: Secret) {
        self.shared.ice.rotate(secret);
    }

    /// Reads certificate and key of TURN over TLS again, for connections that come from now on. Returns whether there is TLS at
    /// all; it can neither begin nor end without a restart.
    ///
    /// # Errors
    /// Says which file is at fault; what was read before stays in use.
    pub fn reload_turn_certificate(&self, files: &TlsFiles) -> Result<bool, TlsError> {
        self.certificate.as_ref().map(|certificate| certificate.reload(files)).transpose().map(|done| done.is_some())
    }

    /// Tells clients goodbye and admits nobody any more; [`Self::join`] returns when they are gone or
    /// [`Config::drain_timeout`] has passed. A second call waits no longer.
    pub fn shutdown(&self) {
        self.shared.stage.send_modify(|stage| {
            *stage = match stage {
                Stage::Serving => Stage::Draining,
                Stage::Draining | Stage::Stopped => Stage::Stopped,
            }
        });
    }

    /// Waits until the server has shut down.
    pub async fn join(self) {
        if let Err(error) = self.main.await
            && error.is_panic()
        {
            tracing::error!(%error, "the server failed");
        }
    }
}

/// Serves until told to stop, then until clients are gone or the time is up. What is still there is aborted. Relays go on until
/// then, but do not hold up the end: nothing tells when a call is over. Nor does the operator, who is answered until all is over.
async fn run(listeners: Vec<Listener>, operators: Option<Listener>, turn: Option<Turn>, shared: Arc<Shared>) {
    let mut stage = shared.stage.subscribe();
    let (mut serving, mut watching) = (JoinSet::new(), JoinSet::new());
    if let Some(listener) = operators {
        watching.spawn(listener.run(stage.clone()));
    }
    for listener in listeners {
        serving.spawn(listener.run(stage.clone()));
    }
    let _clocks = shared.keep_time();

    Stage::serving_ends(&mut stage).await;
    tracing::info!("shutting down");
    shared.hub.drain(COME_BACK);
    tokio::select! {
        () = async { while serving.join_next().await.is_some() {} } => {}
        () = tokio::time::sleep(shared.config.drain_timeout) => {
            tracing::info!("some clients did not take their leave in time");
        }
        _ = stage.wait_for(|stage| *stage == Stage::Stopped) => {}
    }
    serving.shutdown().await;
    if let Some(turn) = turn {
        turn.join().await;
    }
    watching.shutdown().await;
}

fn bind_all(addresses: &[SocketAddr]) -> Result<(Vec<TcpListener>, Vec<SocketAddr>), SpawnError> {
    if addresses.is_empty() {
        return Err(SpawnError::NoAddress);
    }
    addresses.iter().map(|address| bind_one(*address)).collect()
}

fn bind_one(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SpawnError> {
    let socket = listener::bind(address)?;
    let local = socket.local_addr().map_err(|source| SpawnError::from_io(address, source))?;
    Ok((socket, local))
}

fn bind_admin(listen: AdminListen) -> Result<Option<(TcpListener, SocketAddr)>, SpawnError> {
    match listen {
        AdminListen::Off => Ok(None),
        AdminListen::At(address) => bind_one(address).map(Some),
        AdminListen::IfFree(address) => match bind_one(address) {
            Ok(bound) => Ok(Some(bound)),
            Err(error) => {
                tracing::warn!(%error, "there are no metrics, for their address cannot be had");
                Ok(None)
            }
        },
    }
}
