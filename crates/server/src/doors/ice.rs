//! `GET /ice`: STUN and TURN servers with fresh credentials, for programs that hold no socket (`docs/protocol/ice.md`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ORIGIN,
    RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use switchboard_signalling::core::{IceGrant, IceRequest, IceSource as _, Rate};
use switchboard_wire::rooms::IceServers;

use super::opening::not_claimable;
use super::peerjs;
use crate::budget::Budgets;
use crate::client_addr::{client_addr, host_name};
use crate::http::{Peer, sentence};
use crate::ice::{USER_MAX, is_user};
use crate::metrics;
use crate::server::Shared;

/// How often an address may ask: a school behind one address, whose pages ask when they open and then twice an hour.
pub(crate) const RATE: Rate = Rate { per_second: 5, burst: 50 };

/// How long browsers may remember that they are admitted: a day; they cut it to two hours.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// Who may ask, and how often.
#[derive(Debug)]
pub(crate) struct Gate {
    /// SHA-256 of each of the operator's tokens: comparing hashes takes the same time whatever differs.
    tokens: Vec<[u8; 32]>,
    budgets: Budgets,
}

/// What may be asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// For whom, if an operator asks.
    user: Option<String>,
    /// The id of a PeerJS client, which shows the token that it opened its socket with.
    peerjs: Option<String>,
    /// The key of that client, if it is another than PeerJS clients usually have.
    key: Option<String>,
}

/// The client's fault: why there is nothing for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("Pages of this origin may not use this server; its operator can list it under `origins`.")]
    ForeignOrigin,
    #[error("Only GET is answered here.")]
    NotGet,
    #[error(
        "Say who asks, with `Authorization: Bearer` and a token: the resume token of your /ws welcome while its socket \
         stands, the token of a PeerJS client with `?peerjs=` and its id, or one of `turn.api_tokens`."
    )]
    NoToken,
    #[error(
        "This token is neither that of a peer that is connected nor one of the operator's; take the resume token of the \
         last welcome."
    )]
    BadToken,
    #[error("No PeerJS client with this id, key and token is connected; ask when the peer is open.")]
    NoPeer,
    #[error("Only an operator's token can ask for a user; a peer gets its own credentials.")]
    NotAnOperator,
    #[error(
        "The parameters are `user`, of 1 to {USER_MAX} characters out of A-Z a-z 0-9 . _ @ + -, or else `peerjs` and \
         `key`."
    )]
    BadWish,
    #[error("This address asks too often; wait {} s.", .0.as_secs() + 1)]
    TooOften(Duration),
}

impl Refused {
    fn response(self) -> Response {
        let status = match self {
            Self::ForeignOrigin | Self::NotAnOperator => StatusCode::FORBIDDEN,
            Self::NotGet => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoToken | Self::BadToken | Self::NoPeer => StatusCode::UNAUTHORIZED,
            Self::BadWish => StatusCode::BAD_REQUEST,
            Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
        };
        let mut response = sentence(status, self);
        let headers = response.headers_mut();
        match self {
            Self::NoToken | Self::BadToken | Self::NoPeer => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::NotGet => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, OPTIONS"));
            }
            Self::TooOften(wait) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            }
            Self::ForeignOrigin | Self::NotAnOperator | Self::BadWish => {}
        }
        response
    }
}

impl Gate {
    pub(crate) fn new(tokens: &[String]) -> Self {
        Self { tokens: tokens.iter().map(|token| digest(token)).collect(), budgets: Budgets::new(RATE) }
    }

    /// Whether this is one of the operator's tokens. Looks at all of them in any case.
    fn is_operator(&self, token: &str) -> bool {
        let shown = digest(token);
        self.tokens.iter().fold(false, |found, held| found | equal(held, &shown))
    }
}

/// Answers a request of `/ice`.
pub(crate) async fn open(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let origin = request.headers().get(ORIGIN);
    // The page of a PeerJS client counts only if the operator named its origin: that everybody may be introduced lets nobody relay.
    let named = origin.is_some_and(|origin| shared.peerjs.names(origin));
    let mut response = if !named && !shared.origins.admits(request.headers(), request.extensions()) {
        shared.origins.tell_refusal(request.headers(), request.extensions());
        metrics::count(&shared.metrics.refusals.foreign_origin);
        Refused::ForeignOrigin.response()
    } else if *request.method() == Method::OPTIONS && origin.is_some() {
        shared_with(preflight(), origin)
    } else {
        let Some(Peer(peer)) = request.extensions().get().copied() else { return not_claimable() };
        let answer = match grant(&shared, peer, &request) {
            Ok(grant) => configuration(&grant),
            Err(refused) => refused.response(),
        };
        shared_with(answer, origin)
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    response
}

fn grant(shared: &Shared, peer: std::net::IpAddr, request: &Request) -> Result<IceGrant, Refused> {
    let headers = request.headers();
    if *request.method() != Method::GET {
        return Err(Refused::NotGet);
    }
    let trusted = &shared.config.trusted_proxies;
    let host = host_name(peer, headers, trusted);
    let token = bearer(headers);
    if token.is_some_and(|token| shared.ice_gate.is_operator(token)) {
        let user = wish(request.uri())?.user;
        return Ok(shared.ice.grant_to(user.as_deref(), host.as_ref()));
    }
    // Operators are not counted: all their users come from one address.
    let address = client_addr(peer, headers, trusted).key();
    shared.ice_gate.budgets.take(address, Instant::now()).map_err(Refused::TooOften)?;
    let token = token.ok_or(Refused::NoToken)?;
    let wish = match wish(request.uri())? {
        Wish { peerjs: None, key: Some(_), .. } | Wish { peerjs: Some(_), user: Some(_), .. } => {
            return Err(Refused::BadWish);
        }
        wish => wish,
    };
    let peer = match &wish.peerjs {
        Some(id) => peerjs::holder(shared, wish.key.as_deref(), id, token).ok_or(Refused::NoPeer)?,
        None => shared.hub.session(token).ok_or(Refused::BadToken)?,
    };
    match wish.user {
        Some(_) => Err(Refused::NotAnOperator),
        None => Ok(shared.ice.grant(IceRequest { peer, room: None, host: host.as_ref() })),
    }
}

/// The token of RFC 6750 §2.1.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn wish(uri: &Uri) -> Result<Wish, Refused> {
    let Query(wish) = Query::<Wish>::try_from_uri(uri).map_err(|_| Refused::BadWish)?;
    if wish.user.as_deref().is_none_or(is_user) { Ok(wish) } else { Err(Refused::BadWish) }
}

/// An `RTCConfiguration` (W3C WebRTC §4.2.1); browsers ignore the member that says how long it is good.
fn configuration(grant: &IceGrant) -> Response {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Configuration<'a> {
        ice_servers: &'a IceServers,
        #[serde(skip_serializing_if = "Option::is_none")]
        lifetime_seconds: Option<u64>,
    }
    let lifetime_seconds = grant.lifetime.map(|lifetime| lifetime.as_secs());
    let body = serde_json::to_vec(&Configuration { ice_servers: &grant.servers, lifetime_seconds }).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Tells a browser what a page of an admitted origin may send (Fetch §3.2).
fn preflight() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    response
}

/// Lets a page of an admitted origin read the answer.
fn shared_with(mut response: Response, origin: Option<&HeaderValue>) -> Response {
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    }
    response
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_bearer_token_and_no_other_scheme() {
        let token = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc").as_deref(), Some("abc"));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("Bearer"), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn users_are_short_and_plain_and_the_only_wish() {
        let user = |query: &str| wish(&format!("/ice{query}").parse().expect("a URI")).map(|wish| wish.user);
        assert_eq!(user(""), Ok(None));
        assert_eq!(user("?user=ann@example.org"), Ok(Some("ann@example.org".to_owned())));
        assert_eq!(user("?user=a%2Bb"), Ok(Some("a+b".to_owned())));
        let peer = wish(&"/ice?peerjs=a%20b&key=two".parse().expect("a URI")).expect("a wish");
        assert_eq!((peer.peerjs.as_deref(), peer.key.as_deref()), (Some("a b"), Some("two")));
        for query in ["?user=", "?user=a:b", "?user=a%20b", "?usr=a", "?user=%C3%A4", "?user=a&user=b"] {
            assert_eq!(user(query), Err(Refused::BadWish), "{query}");
        }
        assert_eq!(user(&format!("?user={}", "a".repeat(65))), Err(Refused::BadWish));
    }

    #[test]
    fn only_whole_tokens_are_the_operators() {
        let gate = Gate::new(&["first-token".to_owned(), "second-token".to_owned()]);
        assert!(gate.is_operator("first-token") && gate.is_operator("second-token"));
        for wrong in ["", "first", "first-token ", "first-token,second-token"] {
            assert!(!gate.is_operator(wrong), "{wrong:?}");
        }
        assert!(!Gate::new(&[]).is_operator(""));
    }
}
