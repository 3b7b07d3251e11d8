//! Answers of the door as HTTP.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, CACHE_CONTROL, CONTENT_TYPE,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use switchboard_signalling::socketio::{Fault, Reply};

use crate::hooks::Unwelcome;

/// How long browsers may remember that they are admitted: a day; they cut it to two hours.
const PREFLIGHT_SECONDS: &str = "86400";

/// An answer that the session made.
pub(super) fn send(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(kind) = reply.content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

/// A request that reached no session.
pub(super) fn fault(fault: Fault) -> Response {
    send(fault.reply())
}

/// A client that the host does not let in. The official clients show the sentence in their `connect_error`.
pub(super) fn unwelcome(unwelcome: &Unwelcome) -> Response {
    match unwelcome {
        Unwelcome::Refused(sentence) => {
            let Reply { status, content_type, .. } = Fault::Forbidden.reply();
            let body = serde_json::json!({ "code": Fault::Forbidden.code(), "message": sentence });
            send(Reply { status, content_type, body: body.to_string().into_bytes() })
        }
        Unwelcome::Undecided => unwelcome.response(),
    }
}

/// Lets a page of an admitted origin read the answer.
pub(super) fn share(response: &mut Response, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    // There are none, but clients that announce some insist on this.
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(VARY, HeaderValue::from_static("Origin"));
}

/// Tells a browser that a page of an admitted origin may send what it asks about (Fetch §3.2).
pub(super) fn preflight(origin: &HeaderValue, asked: &HeaderMap) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    share(&mut response, origin.clone());
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_SECONDS));
    if let Some(wanted) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}
