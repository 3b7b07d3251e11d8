//! The requests of a polling session.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http_body_util::BodyExt as _;
use switchboard_signalling::socketio::limits::MAX_PAYLOAD;
use switchboard_signalling::socketio::{Protocol, Reply};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::session::PollingSession;
use super::{Visit, reply};
use crate::http::sentence;
use crate::hub::{self, Admission};
use crate::server::Shared;

/// What one description with its candidates takes in bytes; more comes only in a flood or from a very large page.
pub(super) const SMALL_BODY: usize = 64 * 1024;

/// Begins a session; its first GET is answered at once.
pub(super) async fn begin(visit: &Visit, protocol: Protocol, admission: Admission) -> Response {
    match PollingSession::begin(visit, protocol, admission) {
        Some((session, answer)) => wait(&session, answer).await,
        // Closed meanwhile by a drain.
        None => sentence(StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down; try again in a moment."),
    }
}

/// Takes a GET, which waits until there is something to say.
pub(super) async fn poll(session: &Arc<PollingSession>) -> Response {
    match session.begin_poll(Instant::now()) {
        Ok(answer) => wait(session, answer).await,
        Err(answer) => reply::send(answer),
    }
}

async fn wait(session: &Arc<PollingSession>, answer: oneshot::Receiver<Reply>) -> Response {
    let mut waiting = Waiting { session, answered: false };
    let answer = answer.await;
    waiting.answered = true;
    match answer {
        Ok(answer) => reply::send(answer),
        // Only if the session was torn down with the server.
        Err(_) => sentence(StatusCode::SERVICE_UNAVAILABLE, "The session is over."),
    }
}

/// Tells the session if the client goes away while its GET waits: then this is dropped early.
struct Waiting<'a> {
    session: &'a Arc<PollingSession>,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.session.lose_poll();
        }
    }
}

/// Takes a POST.
pub(super) async fn post(shared: &Shared, session: &Arc<PollingSession>, binary: bool, body: Body) -> Response {
    let resume_at = match session.begin_post(binary) {
        Ok(resume_at) => resume_at,
        Err(answer) => return reply::send(answer),
    };
    let mut posting = Posting { session, done: false };
    if let Some(at) = resume_at {
        // Whoever sends too much is read more slowly.
        tokio::time::sleep_until(at.into()).await;
    }
    let read = read(body, &shared.sessions.large_bodies);
    let read = tokio::time::timeout(shared.config.limits.body_timeout, read).await;
    match read {
        Ok(Ok((body, _permit))) => {
            posting.done = true;
            let answer = session.end_post(&body, Instant::now());
            hub::flush();
            reply::send(answer)
        }
        Ok(Err(Unreadable::TooLarge)) => {
            posting.done = true;
            let mut response = reply::send(session.refuse_post());
            response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
            response
        }
        Ok(Err(Unreadable::Lost)) => sentence(StatusCode::BAD_REQUEST, "The body ended early."),
        Err(_) => {
            let mut response = sentence(StatusCode::REQUEST_TIMEOUT, "The body took too long.");
            response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
            response
        }
    }
}

/// Tells the session if its POST does not come whole.
struct Posting<'a> {
    session: &'a Arc<PollingSession>,
    done: bool,
}

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.session.lose_post();
        }
    }
}

/// Why a body is of no use.
enum Unreadable {
    TooLarge,
    Lost,
}

/// Reads a body; one that is not small has to wait for a permit.
async fn read(mut body: Body, large: &Semaphore) -> Result<(Vec<u8>, Option<SemaphorePermit<'_>>), Unreadable> {
    let (mut read, mut permit) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unreadable::Lost)?.into_data() else { continue };
        if read.len() + data.len() > MAX_PAYLOAD {
            return Err(Unreadable::TooLarge);
        }
        if read.len() + data.len() > SMALL_BODY && permit.is_none() {
            permit = Some(large.acquire().await.map_err(|_| Unreadable::Lost)?);
        }
        read.extend_from_slice(&data);
    }
    Ok((read, permit))
}
