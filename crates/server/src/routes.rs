//! Which path leads where.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{any, get};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

use crate::Config;
use crate::assets;
use crate::config::MountPath;
use crate::doors;
use crate::http::sentence;
use crate::metrics;
use crate::server::{Shared, Stage};
use crate::websocket::handshake;

/// What everybody can reach.
pub(crate) fn public(shared: &Arc<Shared>) -> Router {
    let page = Router::new().route("/app/reach.json", get(doors::reach::open));
    health().merge(page).merge(doors(&shared.config)).fallback(elsewhere).with_state(Arc::clone(shared))
}

/// Every door, and the browser module that uses one of them.
pub(crate) fn doors(_config: &Config) -> Router<Arc<Shared>> {
    let socketio = ["/socket.io", "/socket.io/", "/socket.io-next", "/socket.io-next/"];
    let routes = Router::new()
        .route("/ws", any(doors::rooms::open))
        .route("/ice", any(doors::ice::open))
        .route("/switchboard.js", any(assets::serve))
        .route("/switchboard/{*part}", any(assets::serve));
    socketio.iter().fold(routes, |routes, path| routes.route(path, any(doors::socketio::open)))
}

/// The doors for a host, who keeps every path that is none of theirs.
pub(crate) fn embedded(config: &Config) -> Router<Arc<Shared>> {
    let peerjs = config.peerjs.paths.iter().map(MountPath::as_str).flat_map(doors::peerjs::patterns);
    let relay = config.relay.paths.iter().map(|path| path.as_str().to_owned());
    let matchbox = config.matchbox.paths.iter().map(MountPath::as_str).flat_map(doors::matchbox::patterns);
    // Several paths may lead to the same place.
    let chosen: BTreeSet<String> = peerjs.chain(relay).chain(matchbox).collect();
    chosen.iter().fold(doors(config), |routes, path| routes.route(path, any(elsewhere)))
}

/// Paths that the operator chose, and files.
async fn elsewhere(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let is_upgrade = handshake::is_upgrade(request.headers());
    // Of a URL that ends with a slash and a path that begins with one, clients make two.
    let path = format!("/{}", request.uri().path().trim_start_matches('/'));
    // The page stays where it is.
    if doors::relay::is_at(&shared.config.relay, &path) && (is_upgrade || path != "/") {
        return doors::relay::open(shared, request).await;
    }
    if let Some(room) = doors::matchbox::find(&shared.config.matchbox, &path) {
        return doors::matchbox::open(shared, room, request).await;
    }
    if let Some(target) = doors::peerjs::find(&shared.config.peerjs, &path, is_upgrade) {
        return doors::peerjs::open(shared, target, request).await;
    }
    if is_upgrade && let Some(room) = doors::matchbox::find_at_root(&shared.config.matchbox, &path) {
        return doors::matchbox::open(shared, room, request).await;
    }
    assets::serve(State(shared), request).await
}

/// What the operator can reach.
pub(crate) fn admin(shared: &Arc<Shared>) -> Router {
    health().route("/metrics", get(measures)).fallback(nothing).with_state(Arc::clone(shared))
}

fn health() -> Router<Arc<Shared>> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready))
}

async fn alive() -> Response {
    fresh(sentence(StatusCode::OK, "alive"))
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    fresh(match *shared.stage.borrow() {
        Stage::Serving => sentence(StatusCode::OK, "ready"),
        Stage::Draining | Stage::Stopped => sentence(StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
    })
}

async fn measures(State(shared): State<Arc<Shared>>) -> Response {
    let mut response = Response::new(metrics::encode(&shared.registry).into());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    fresh(response)
}

async fn nothing() -> Response {
    sentence(StatusCode::NOT_FOUND, "Here are /metrics, /healthz and /readyz; pages are on the other port.")
}

fn fresh(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
