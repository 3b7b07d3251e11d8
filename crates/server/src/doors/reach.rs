//! `GET /app/reach.json`: tells the page, where it was opened as `localhost`, by which address others open it.
//!
//! For the page alone, whose link would otherwise lead every other device to itself. It is told on this machine only: what
//! the machine is called in its network is no stranger's business, nor that of a page whose name was made to lead here.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use serde::Serialize;

use crate::client_addr::{client_addr, host_name};
use crate::http::Peer;
use crate::server::Shared;

type Ask = dyn Fn() -> Option<String> + Send + Sync;

/// What knows the origin for others, if anything was named.
#[derive(Default)]
pub(crate) struct Reach(OnceLock<Box<Ask>>);

#[derive(Serialize)]
struct Answer {
    /// Such as `http://192.168.1.20:3000`; null where there is none, or where it is not told.
    origin: Option<String>,
}

impl Reach {
    /// Names what is asked, once.
    pub(crate) fn answered_by(&self, ask: Box<Ask>) {
        // A second one would come from a second caller of what is called once, at the start.
        let _ = self.0.set(ask);
    }

    fn origin(&self) -> Option<String> {
        self.0.get().and_then(|ask| ask())
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reach").field(&self.0.get().is_some()).finish()
    }
}

/// Answers a page.
pub(crate) async fn open(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let origin = if is_here(&shared, &request) {
        shared.config.public_url.clone().or_else(|| shared.reach.origin())
    } else {
        None
    };
    let body = serde_json::to_vec(&Answer { origin }).unwrap_or_default();
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether a request was sent on this machine, to this machine by that name.
fn is_here(shared: &Shared, request: &Request) -> bool {
    let Some(Peer(peer)) = request.extensions().get().copied() else { return false };
    let trusted = &shared.config.trusted_proxies;
    let client = client_addr(peer, request.headers(), trusted).ip().to_canonical();
    client.is_loopback()
        && host_name(peer, request.headers(), trusted).is_some_and(|host| names_this_machine(host.as_str()))
}

/// Whether a name means the machine that it is used on (RFC 6761 §6.3; the unspecified address is taken for it too).
fn names_this_machine(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let address: Option<IpAddr> = literal.parse().ok();
    address.is_some_and(|ip| ip.to_canonical().is_loopback() || ip.is_unspecified())
        || host == "localhost"
        || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_names_of_this_machine() {
        for host in ["localhost", "board.localhost", "127.0.0.1", "127.8.8.8", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
        {
            assert!(names_this_machine(host), "{host}");
        }
        for host in ["localhost.example", "notlocalhost", "192.168.1.20", "128.0.0.1", "[2001:db8::1]", "board.test"] {
            assert!(!names_this_machine(host), "{host}");
        }
    }
}
