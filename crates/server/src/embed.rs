//! The signalling for somebody else's program: every door as an axum [`Router`], without listeners and without pages
//! (`docs/embed.md`).
//!
//! The host owns sockets, TLS, limits on connections and the rest of the site; what a client says from then on is the same
//! as with [`Server`](crate::Server).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use http::StatusCode;
use switchboard_turn::Secret;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::Config;
use crate::hooks::{Events, Hooks};
use crate::http::{Handoff, Peer, sentence};
use crate::metrics;
use crate::mounts::Mounted;
use crate::routes;
use crate::server::{COME_BACK, Shared, SpawnError, Stage};
use crate::turn::{Turn, TurnAddrs};

/// Every signalling door, to be mounted in a host's own router. Dropping it ends everything at once.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::net::SocketAddr;
///
/// use axum::Router;
/// use switchboard_server::{Config, Signalling};
///
/// let signalling = Signalling::new(Config::embedded())?;
/// let app = Router::new().nest("/signal", signalling.router());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let stop = std::future::ready(());
/// let app = app.into_make_service_with_connect_info::<SocketAddr>();
/// axum::serve(listener, app).with_graceful_shutdown(stop).await?;
/// signalling.shutdown();
/// signalling.join().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Signalling {
    shared: Arc<Shared>,
    guests: Guests,
    /// Ends the doors with the value.
    _end: DropGuard,
    /// The clocks of the core and of the sessions.
    _clocks: JoinSet<()>,
    turn: Option<Turn>,
    turn_addrs: TurnAddrs,
}

/// The tasks of sockets that a foreign server handed over.
#[derive(Clone, Debug)]
pub(crate) struct Guests {
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Guests {
    pub(crate) fn spawn(&self, door: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        self.tasks.spawn(async move {
            // Whether the door ended by itself or was ended: it is over.
            let _ = end.run_until_cancelled(door).await;
        });
    }
}

impl Signalling {
    /// Makes the doors, without hooks, on the current tokio runtime; see [`Self::with_hooks`].
    ///
    /// # Errors
    /// As [`Self::with_hooks`].
    pub fn new(config: Config) -> Result<Self, SpawnError> {
        Self::with_hooks(config, Hooks::default())
    }

    /// Makes the doors, on the current tokio runtime. Of `config`, the listeners and the limits on bare HTTP are not used:
    /// those are the host's. STUN and TURN are, if they are configured, with sockets of their own.
    ///
    /// # Errors
    /// If two doors want the same path, an origin is none, or TURN cannot start.
    pub fn with_hooks(config: Config, hooks: Hooks) -> Result<Self, SpawnError> {
        config.check_paths(Mounted::is_door)?;
        let turn = Turn::spawn(&config.turn)?;
        let turn_addrs = turn.as_ref().map(|turn| turn.addrs().clone()).unwrap_or_default();
        let shared = Shared::new(config, turn.as_ref(), hooks.with_events())?;
        let end = CancellationToken::new();
        let guests = Guests { tasks: TaskTracker::new(), end: end.clone() };
        Ok(Self { _clocks: shared.keep_time(), shared, guests, _end: end.drop_guard(), turn, turn_addrs })
    }

    /// The doors, and the browser module at `/switchboard.js`. Mount it at `/` with [`Router::merge`] or under a prefix
    /// with [`Router::nest`], as often as you like: all mounts are one switchboard.
    ///
    /// It has to know who calls: serve it with `into_make_service_with_connect_info::<SocketAddr>()`, or insert a
    /// [`ConnectInfo<SocketAddr>`] into the extensions of each request yourself. Proxies are believed as the configuration
    /// says.
    pub fn router(&self) -> Router {
        let receive = middleware::from_fn_with_state(self.guests.clone(), receive);
        routes::embedded(&self.shared.config).route_layer(receive).with_state(Arc::clone(&self.shared))
    }

    /// What happens from now on. Ask for it before you serve, to miss nothing.
    pub fn events(&self) -> Events {
        Events::new(self.shared.hub.events())
    }

    /// What there is to count, in the text format of OpenMetrics, for a page that only the operator reaches.
    pub fn metrics(&self) -> String {
        metrics::encode(&self.shared.registry)
    }

    /// Where STUN and TURN are; empty where they are not.
    pub fn turn_addrs(&self) -> &TurnAddrs {
        &self.turn_addrs
    }

    /// Signs TURN credentials with another secret. What the last one signed is good until it expires.
    pub fn rotate_turn_secret(&self, secret: Secret) {
        self.shared.ice.rotate(secret);
    }

    /// Tells clients goodbye and admits nobody any more; also answers the requests that wait, so that the host's own
    /// graceful shutdown does not have to wait for them. [`Self::join`] returns when all are gone.
    pub fn shutdown(&self) {
        self.shared.stage.send_replace(Stage::Draining);
        self.shared.hub.drain(COME_BACK);
        self.guests.tasks.close();
    }

    /// Waits until the sockets are closed after [`Self::shutdown`], at most [`Config::drain_timeout`], then ends what is
    /// left.
    pub async fn join(self) {
        self.guests.tasks.close();
        let all = tokio::time::timeout(self.shared.config.drain_timeout, self.guests.tasks.wait());
        if all.await.is_err() {
            tracing::info!("some clients did not take their leave in time");
        }
        self.guests.end.cancel();
        self.guests.tasks.wait().await;
        if let Some(turn) = self.turn {
            turn.join().await;
        }
    }
}

/// Gives a host's request what one of our own listeners would have.
async fn receive(State(guests): State<Guests>, mut request: Request, next: Next) -> Response {
    let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() else {
        tracing::error!(
            "the host does not say who calls; serve with into_make_service_with_connect_info::<SocketAddr>()"
        );
        return sentence(StatusCode::INTERNAL_SERVER_ERROR, "This program does not tell its switchboard who calls.");
    };
    request.extensions_mut().insert(Peer(peer.ip()));
    request.extensions_mut().insert(Handoff::Guest(guests));
    next.run(request).await
}
