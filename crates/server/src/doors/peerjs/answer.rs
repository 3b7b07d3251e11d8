//! The door's answers over HTTP, with the words and the CORS headers of the original.

use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ORIGIN, RETRY_AFTER, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rand::Rng as _;
use switchboard_wire::directory::Namespace;

use super::Target;
use crate::client_addr::client_addr;
use crate::doors::opening::not_claimable;
use crate::http::{Peer, sentence};
use crate::server::Shared;

/// What the original says of itself; pages may look for it.
const ABOUT: &str = r#"{"name":"PeerJS Server","description":"A server side element to broker connections between PeerJS clients.","website":"https://peerjs.com/"}"#;

/// What the original lets pages of other origins do.
const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");

/// Most ids of one list: 10,000 of the server's own are 390 KB.
const LISTED: usize = 10_000;

pub(super) fn to(shared: &Shared, target: Target, request: &Request) -> Response {
    let mut response = match *request.method() {
        Method::OPTIONS => preflight(request.headers()),
        Method::GET | Method::HEAD => match target {
            Target::About => with_type(ABOUT.to_owned(), "application/json; charset=utf-8"),
            // Not written by anybody, so there is nothing in it that a browser could take for a page.
            Target::Id => with_type(fresh_id(rand::rng().random()), "text/html; charset=utf-8"),
            Target::Peers(namespace) => peers(shared, namespace, request),
            Target::Socket => not_claimable(),
        },
        _ => {
            let mut response = sentence(StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered here.");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
            response
        }
    };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(origin) = request.headers().get(ORIGIN)
        && shared.peerjs.origins.admits(request.headers(), request.extensions())
    {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    response
}

fn with_type(body: String, kind: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Tells a browser what a page may send (Fetch §3.2); whether this page may is what its origin decides.
fn preflight(asked: &HeaderMap) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    if let Some(wanted) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}

fn peers(shared: &Shared, namespace: Option<Namespace>, request: &Request) -> Response {
    let config = &shared.config;
    let Some(namespace) = namespace.filter(|_| config.peerjs.allow_discovery) else {
        let mut response = with_type("Unauthorized".to_owned(), "text/plain; charset=utf-8");
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        return response;
    };
    let Some(Peer(peer)) = request.extensions().get().copied() else { return not_claimable() };
    let address = client_addr(peer, request.headers(), &config.trusted_proxies).key();
    if let Err(wait) = shared.peerjs.listings.take(address, Instant::now()) {
        let seconds = wait.as_secs() + 1;
        let mut response =
            sentence(StatusCode::TOO_MANY_REQUESTS, format_args!("This address asks too often; wait {seconds} s."));
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        return response;
    }
    let names = shared.hub.names(namespace, LISTED);
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    // Strings have no way to fail.
    with_type(serde_json::to_string(&names).unwrap_or_default(), "application/json; charset=utf-8")
}

/// A UUID of version 4 (RFC 9562 §5.4).
fn fresh_id(random: u128) -> String {
    let id = random & !(0xf << 76) | (0x4 << 76);
    let id = id & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{id:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_4() {
        assert_eq!(fresh_id(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(fresh_id(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(fresh_id(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), "01234567-89ab-4def-8123-456789abcdef");
    }
}
