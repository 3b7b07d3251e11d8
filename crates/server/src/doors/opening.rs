//! How a WebSocket is opened, as far as it is the same for every dialect.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use switchboard_signalling::core::{Caller, Refusal};
use switchboard_wire::Dialect;

use crate::client_addr::{client_addr, host_name};
use crate::http::{Handoff, Peer, sentence};
use crate::hub::Admission;
use crate::metrics;
use crate::origins::OriginPolicy;
use crate::server::Shared;
use crate::websocket::connection::{Connection, Handler};
use crate::websocket::handshake::{self, Accepted, Refused};
use crate::websocket::stream::Stream;

/// Answers a request for a WebSocket that stands for one connection of the core: opens it, or says in HTTP why not.
///
/// `start` says what the dialect makes of the socket.
pub(super) async fn open<H: Handler + 'static>(
    shared: Arc<Shared>,
    request: Request,
    dialect: Dialect,
    origins: fn(&Shared) -> &OriginPolicy,
    start: impl FnOnce(Stream, Vec<u8>, Admission, Arc<Shared>) -> Connection<H> + Send + 'static,
) -> Response {
    let (parts, body) = request.into_parts();
    let accepted = match handshake::accept(&parts, origins(&shared)) {
        Ok(accepted) => accepted,
        Err(refused) => return refuse_handshake(&shared, refused),
    };
    let Some(Peer(peer)) = parts.extensions.get().copied() else { return not_claimable() };
    let address = client_addr(peer, &parts.headers, &shared.config.trusted_proxies);
    let host = host_name(peer, &parts.headers, &shared.config.trusted_proxies);
    if let Err(unwelcome) = shared.hooks.ask((&parts).into(), address, dialect).await {
        return unwelcome.response();
    }
    let admission = match shared.hub.admit(Caller { address, host }, dialect) {
        Ok(admission) => admission,
        Err(refusal) => return refuse_client(refusal),
    };
    switch(Request::from_parts(parts, body), accepted, move |stream, early| start(stream, early, admission, shared))
}

/// Answers 101 and takes the socket over.
pub(super) fn switch<D>(
    mut request: Request,
    accepted: Accepted,
    take_over: impl FnOnce(Stream, Vec<u8>) -> D + Send + 'static,
) -> Response
where
    D: Future<Output = ()> + Send + 'static,
{
    if Handoff::claim(&mut request, take_over).is_err() {
        return not_claimable();
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().extend(accepted);
    response
}

/// Says why a request opens no WebSocket.
pub(super) fn refuse_handshake(shared: &Shared, refused: Refused) -> Response {
    if let Refused::ForeignOrigin { .. } = refused {
        metrics::count(&shared.metrics.refusals.foreign_origin);
    }
    let mut response = sentence(refused.status(), refused);
    response.headers_mut().extend(refused.headers().iter().cloned());
    response
}

/// Says why a client is not admitted, and when to try again.
pub(super) fn refuse_client(refusal: Refusal) -> Response {
    let status = match refusal {
        Refusal::AddressFull { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::ServerFull { .. } | Refusal::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = sentence(status, refusal);
    response.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static("10"));
    response
}

pub(super) fn not_claimable() -> Response {
    sentence(StatusCode::INTERNAL_SERVER_ERROR, "This request did not come over a socket of this server.")
}
