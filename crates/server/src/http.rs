//! HTTP/1.1 on one socket, until a door takes the socket over.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt as _;
use http::StatusCode;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tower::Service as _;

use crate::embed::Guests;
use crate::patient::PatientStream;
use crate::seats::Seat;
use crate::server::{Shared, Stage};
use crate::websocket::stream::Stream;

/// Longest head of a request: cookies of other applications on the same host come along.
const HEAD_BYTES: usize = 16 * 1024;

/// Most headers of a request.
const HEADERS: usize = 64;

/// The address of the other end of the socket, which may be a proxy's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What a door does with a socket, ready to become a task: one of its own, for that of HTTP is much larger.
pub(crate) struct Door(Box<Spawn>);

type Spawn = dyn FnOnce(&mut Connections, Option<Seat>) + Send;

/// The tasks of a listener's connections. One that speaks HTTP may end with a door that goes on with its socket.
pub(crate) type Connections = JoinSet<Option<Taken>>;

/// A door that took a socket over, and what its connection holds.
pub(crate) struct Taken {
    pub(crate) door: Door,
    pub(crate) seat: Option<Seat>,
}

impl Door {
    fn new(door: impl Future<Output = ()> + Send + 'static) -> Self {
        // `map` and not an `async` block, in which what it awaits would be there twice.
        Self(Box::new(|connections, seat| drop(connections.spawn(door.map(|()| end(seat))))))
    }
}

impl Taken {
    /// Serves it as a task.
    pub(crate) fn spawn_on(self, connections: &mut Connections) {
        (self.door.0)(connections, self.seat);
    }
}

/// Gives the seat back.
fn end(seat: Option<Seat>) -> Option<Taken> {
    drop(seat);
    None
}

/// How a door takes over: the socket, and what was read of it already.
type TakeOver = Box<dyn FnOnce(Stream, Vec<u8>) -> Door + Send>;

/// Where a handler leaves word that it wants the socket.
type Claim = Mutex<Option<(OnUpgrade, TakeOver)>>;

/// The way from a request to its socket.
#[derive(Clone)]
pub(crate) enum Handoff {
    /// The connection goes on as the door when HTTP is done.
    Own(Arc<Claim>),
    /// The connection is a foreign server's; its door gets a task of its own.
    Guest(Guests),
}

impl Handoff {
    /// Takes the socket of `request` over once the answer 101 is written.
    pub(crate) fn claim<D: Future<Output = ()> + Send + 'static>(
        request: &mut Request,
        take_over: impl FnOnce(Stream, Vec<u8>) -> D + Send + 'static,
    ) -> Result<(), NotClaimable> {
        let handoff = request.extensions_mut().remove::<Self>().ok_or(NotClaimable)?;
        let on_upgrade = hyper::upgrade::on(request);
        match handoff {
            Self::Own(claim) => {
                let take_over: TakeOver = Box::new(|stream, early| Door::new(take_over(stream, early)));
                *claim.lock().unwrap_or_else(PoisonError::into_inner) = Some((on_upgrade, take_over));
            }
            Self::Guest(guests) => guests.spawn(async move {
                // It fails if the host never writes the 101, or knows no upgrades.
                let Ok(upgraded) = on_upgrade.await else { return };
                let (stream, early) = Stream::from_upgraded(upgraded);
                take_over(stream, early).await;
            }),
        }
        Ok(())
    }
}

/// The request did not come over a socket that can be taken over.
#[derive(Debug)]
pub(crate) struct NotClaimable;

/// Serves requests until the connection ends; returns what is to be done with the socket if a door claimed it.
pub(crate) async fn serve(stream: TcpStream, peer: IpAddr, router: Router, shared: Arc<Shared>) -> Option<Door> {
    // Small messages must not wait for each other. Fails only if the socket is gone, as reading will show.
    let _ = stream.set_nodelay(true);
    let limits = &shared.config.limits;
    let io = TokioIo::new(PatientStream::new(stream, limits.body_timeout, Arc::clone(&shared.metrics.http)));
    let claim: Arc<Claim> = Arc::default();
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(Handoff::Own(Arc::clone(&claim)));
        router.clone().call(request.map(Body::new))
    });
    let mut stage = shared.stage.subscribe();
    // Who comes during the drain gets one answer; who was there may end what it began.
    let late = *stage.borrow_and_update() != Stage::Serving;
    let mut connection = std::pin::pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEADERS)
            .keep_alive(!late)
            .serve_connection(io, service)
            .with_upgrades()
    );
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = Stage::serving_ends(&mut stage), if !late => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
        return None;
    }
    let (on_upgrade, take_over) = claim.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    let parts = on_upgrade.await.ok()?.downcast::<TokioIo<PatientStream>>().ok()?;
    Some(take_over(Stream::Tcp(parts.io.into_inner().into_inner()), parts.read_buf.to_vec()))
}

/// An answer of one sentence.
pub(crate) fn sentence(status: StatusCode, text: impl std::fmt::Display) -> Response {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, http::HeaderValue::from_static("nosniff"));
    response
}
