//! The rooms sample (`docs/protocol/socketio.md`) and webrtc-star (`docs/protocol/webrtc-star.md`) over Socket.IO: the
//! requests and WebSockets of the official clients.
//!
//! What they mean is decided by [`switchboard_signalling::socketio`]; this door carries it out.

mod link;
mod polling;
mod reply;
mod session;
mod sessions;

pub(crate) use sessions::Sessions;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::response::Response;
use http::Method;
use http::header::{CONTENT_TYPE, ORIGIN};
use http::request::Parts;
use rand::Rng as _;
use switchboard_signalling::core::{ClientAddr, Refusal};
use switchboard_signalling::socketio::{Delivery, Fault, Protocol, Query, Sid, Transport};
use switchboard_wire::rooms::Dialect;

use super::opening::{not_claimable, refuse_client, refuse_handshake, switch};
use crate::client_addr::client_addr;
use crate::http::Peer;
use crate::metrics;
use crate::origins::OriginPolicy;
use crate::server::Shared;
use crate::websocket::handshake;
use crate::websocket::stream::Stream;
use session::PollingSession;

/// What a session may speak.
#[derive(Clone, Copy, Debug)]
struct Scope {
    /// The rooms sample; pages of strangers may not.
    rooms: bool,
    /// webrtc-star.
    star: bool,
}

impl Scope {
    /// Takes what may not be spoken here for unknown or refused.
    fn narrow(self, delivery: Delivery<'_>) -> Delivery<'_> {
        let delivery = if self.star { delivery } else { delivery.without_star() };
        if self.rooms { delivery } else { delivery.without_rooms() }
    }
}

/// What the door knows of a request before it decides.
struct Visit {
    shared: Arc<Shared>,
    from: ClientAddr,
    query: Query,
    upgrade: bool,
    scope: Scope,
}

/// Why a WebSocket with a proper handshake is not opened.
enum Denied {
    /// There is no room for the client.
    Client(Refusal),
    /// Its session does not want it.
    Socket(Fault),
}

/// Answers a request of the door.
pub(crate) async fn open(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let Some(scope) = scope(&shared, &request) else {
        shared.origins.tell_refusal(request.headers(), request.extensions());
        metrics::count(&shared.metrics.refusals.foreign_origin);
        return reply::fault(Fault::Forbidden);
    };
    if *request.method() == Method::OPTIONS
        && let Some(origin) = &origin
    {
        return reply::preflight(origin, request.headers());
    }
    let mut response = answer(shared, request, scope).await;
    if let Some(origin) = origin {
        reply::share(&mut response, origin);
    }
    response
}

/// What the page may speak that sent a request; none if nothing.
///
/// Pages of webrtc-star are elsewhere than its servers. Their clients open WebSockets, and since 2021 at an address of their own;
/// to all other requests of strangers the answer is the one that a page of the rooms sample can read.
fn scope(shared: &Shared, request: &Request) -> Option<Scope> {
    let star = shared.config.star.enabled;
    let admits = |origins: &OriginPolicy| origins.admits(request.headers(), request.extensions());
    if admits(&shared.origins) {
        return Some(Scope { rooms: true, star });
    }
    let asks_for_star = request.uri().path().starts_with("/socket.io-next") || handshake::is_upgrade(request.headers());
    (star && asks_for_star && admits(&shared.star_origins)).then_some(Scope { rooms: false, star })
}

async fn answer(shared: Arc<Shared>, request: Request, scope: Scope) -> Response {
    let query = match Query::parse(request.uri().query().unwrap_or_default()) {
        Ok(query) => query,
        Err(fault) => return reply::fault(fault),
    };
    let Some(Peer(peer)) = request.extensions().get().copied() else { return not_claimable() };
    let from = client_addr(peer, request.headers(), &shared.config.trusted_proxies);
    let upgrade = handshake::is_upgrade(request.headers());
    let visit = Visit { shared, from, query, upgrade, scope };
    match visit.query.sid {
        None => begin(visit, request).await,
        Some(sid) => match visit.shared.sessions.find(sid, from) {
            Some(session) => go_on(visit, &session, request).await,
            None => reply::fault(Fault::UnknownSession),
        },
    }
}

/// Begins a session, by a GET or by a WebSocket.
async fn begin(visit: Visit, request: Request) -> Response {
    let protocol = match visit.query.opening(*request.method() == Method::GET, visit.upgrade) {
        Ok(protocol) => protocol,
        Err(fault) => return reply::fault(fault),
    };
    if let Err(unwelcome) = visit.shared.hooks.ask((&request).into(), visit.from, Dialect::SocketIo).await {
        return reply::unwelcome(&unwelcome);
    }
    match visit.query.transport {
        Transport::WebSocket => begin_socket(visit, protocol, request),
        Transport::Polling => {
            let admission = match visit.shared.hub.admit(visit.from, Dialect::SocketIo) {
                Ok(admission) => admission,
                Err(refusal) => return refuse_client(refusal),
            };
            polling::begin(&visit, protocol, admission).await
        }
    }
}

fn begin_socket(visit: Visit, protocol: Protocol, request: Request) -> Response {
    let scope = visit.scope;
    accept_socket(visit.shared, scope, request, |shared| {
        let admission = shared.hub.admit(visit.from, Dialect::SocketIo).map_err(Denied::Client)?;
        Ok(move |stream, early| link::start((stream, early), protocol, scope, admission, &shared))
    })
}

/// Takes a request of a session that there is.
async fn go_on(visit: Visit, session: &Arc<PollingSession>, request: Request) -> Response {
    if let Err(fault) = session.check(&visit.query, visit.upgrade) {
        return reply::fault(fault);
    }
    if !visit.scope.rooms && session.scope().rooms {
        return reply::fault(Fault::Forbidden);
    }
    if visit.upgrade {
        return accept_socket(visit.shared, visit.scope, request, |shared| {
            let upgrade = session.begin_upgrade(Instant::now()).map_err(Denied::Socket)?;
            Ok(move |stream, early| upgrade.start(stream, early, &shared))
        });
    }
    match *request.method() {
        Method::GET => polling::poll(session).await,
        Method::POST => {
            let binary = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/octet-stream");
            polling::post(&visit.shared, session, binary, request.into_body()).await
        }
        _ => reply::fault(Fault::BadRequest),
    }
}

/// Answers a WebSocket's handshake; `admit` has the last word before the answer, and returns what to do with the socket.
fn accept_socket<D, T>(
    shared: Arc<Shared>,
    scope: Scope,
    request: Request,
    admit: impl FnOnce(Arc<Shared>) -> Result<T, Denied>,
) -> Response
where
    D: Future<Output = ()> + Send + 'static,
    T: FnOnce(Stream, Vec<u8>) -> D + Send + 'static,
{
    let (parts, body): (Parts, _) = request.into_parts();
    let origins = if scope.rooms { &shared.origins } else { &shared.star_origins };
    let accepted = match handshake::accept(&parts, origins) {
        Ok(headers) => headers,
        Err(refused) => return refuse_handshake(&shared, refused),
    };
    let start = match admit(shared) {
        Ok(start) => start,
        Err(Denied::Client(refusal)) => return refuse_client(refusal),
        Err(Denied::Socket(fault)) => return reply::fault(fault),
    };
    switch(Request::from_parts(parts, body), accepted, start)
}

/// An id that nobody can guess: the generator is seeded by the operating system and cryptographic.
fn random_sid() -> Sid {
    Sid::from_random(rand::rng().random())
}
