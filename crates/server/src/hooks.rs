//! What a program around the signalling may decide and learn: who is admitted, and what happens then.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use switchboard_signalling::core::{ClientAddr, Event};
use switchboard_wire::rooms::Dialect;
use tokio::sync::{Semaphore, broadcast};

use crate::http::sentence;

/// How long a decision may take: the patience of people, and less than browsers have with a socket that opens.
const DECISION_TIMEOUT: Duration = Duration::from_secs(10);

/// Decisions that may be under way at a time; they hold a request each.
const DECISIONS: usize = 1024;

/// A client that wants to connect, before it is answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Visit {
    /// What it speaks.
    pub dialect: Dialect,
    /// Where it comes from, proxies considered.
    pub address: IpAddr,
    /// What it asked for, with the query; where the router is nested, without the prefix.
    pub uri: Uri,
    /// The headers of its request, cookies among them.
    pub headers: HeaderMap,
}

/// What becomes of a visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is let in, if there is room.
    Admit,
    /// It is answered 403 with this sentence, which it should be told.
    Refuse(String),
}

type Decide = dyn Fn(Visit) -> Pin<Box<dyn Future<Output = Verdict> + Send>> + Send + Sync;

/// What a host wants to be asked.
pub struct Hooks {
    authorise: Option<Box<Decide>>,
    deciding: Semaphore,
    /// Whether somebody may listen to what happens.
    pub(crate) events: bool,
}

impl Hooks {
    /// Lets everybody in.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `decide` about everybody who connects, in every dialect, before the answer. A session that moves from polling
    /// to a WebSocket, or a socket that a client opens after it lost one, is a visit of its own only where it begins a
    /// connection. No decision in ten seconds is none: the client is told to come back.
    #[must_use]
    pub fn authorise<F, V>(mut self, decide: F) -> Self
    where
        F: Fn(Visit) -> V + Send + Sync + 'static,
        V: Future<Output = Verdict> + Send + 'static,
    {
        self.authorise = Some(Box::new(move |visit| Box::pin(decide(visit))));
        self
    }

    /// Lets somebody listen to what happens.
    pub(crate) fn with_events(self) -> Self {
        Self { events: true, ..self }
    }

    /// Asks the host about a request.
    pub(crate) async fn ask(&self, request: Head<'_>, from: ClientAddr, dialect: Dialect) -> Result<(), Unwelcome> {
        let Some(decide) = &self.authorise else { return Ok(()) };
        let Ok(_deciding) = self.deciding.try_acquire() else { return Err(Unwelcome::Undecided) };
        let Head { uri, headers } = request;
        let visit = Visit { dialect, address: from.ip(), uri: uri.clone(), headers: headers.clone() };
        match tokio::time::timeout(DECISION_TIMEOUT, decide(visit)).await {
            Ok(Verdict::Admit) => Ok(()),
            Ok(Verdict::Refuse(sentence)) => Err(Unwelcome::Refused(sentence)),
            Err(_) => Err(Unwelcome::Undecided),
        }
    }
}

impl Default for Hooks {
    fn default() -> Self {
        Self { authorise: None, deciding: Semaphore::new(DECISIONS), events: false }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("authorise", &self.authorise.is_some()).finish()
    }
}

/// The part of a request that is decided by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> From<&'a Request> for Head<'a> {
    fn from(request: &'a Request) -> Self {
        Self { uri: request.uri(), headers: request.headers() }
    }
}

impl<'a> From<&'a http::request::Parts> for Head<'a> {
    fn from(parts: &'a http::request::Parts) -> Self {
        Self { uri: &parts.uri, headers: &parts.headers }
    }
}

/// Why a client is not let in by the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unwelcome {
    #[error("{0}")]
    Refused(String),
    #[error("Whether you may connect could not be decided in time; try again later.")]
    Undecided,
}

impl Unwelcome {
    /// As an answer over HTTP.
    pub(crate) fn response(&self) -> Response {
        match self {
            Self::Refused(_) => sentence(StatusCode::FORBIDDEN, self),
            Self::Undecided => {
                let mut response = sentence(StatusCode::SERVICE_UNAVAILABLE, self);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
                response
            }
        }
    }
}

/// What happens, as it happens. A bounded number waits to be read; the signalling never waits for a reader.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

/// A reader was too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were not read in time and are lost.")]
pub struct Missed(pub u64);

impl Events {
    pub(crate) fn new(events: broadcast::Receiver<Event>) -> Self {
        Self(events)
    }

    /// The next event; none when the signalling is gone.
    ///
    /// # Errors
    /// If some were lost because they were not read in time; the ones after them can still be read.
    pub async fn next(&mut self) -> Option<Result<Event, Missed>> {
        match self.0.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Err(Missed(lost))),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    async fn ask(hooks: &Hooks) -> Result<(), Unwelcome> {
        let from = ClientAddr::new(Ipv4Addr::LOCALHOST.into());
        let (uri, headers) = (Uri::from_static("/ws?token=secret"), HeaderMap::new());
        hooks.ask(Head { uri: &uri, headers: &headers }, from, Dialect::Switchboard).await
    }

    #[tokio::test]
    async fn a_host_decides_by_the_head_of_the_request() {
        assert_eq!(ask(&Hooks::new()).await, Ok(()), "nobody to ask");
        let hooks = Hooks::new().authorise(|visit| async move {
            match visit.uri.query() {
                Some("token=secret") => Verdict::Admit,
                _ => Verdict::Refuse("Log in first.".into()),
            }
        });
        assert_eq!(ask(&hooks).await, Ok(()));
        let hooks = Hooks::new().authorise(|_| std::future::ready(Verdict::Refuse("Log in first.".into())));
        let refused = ask(&hooks).await.expect_err("refused");
        assert_eq!(
            (refused.to_string().as_str(), refused.response().status()),
            ("Log in first.", StatusCode::FORBIDDEN)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_decision_that_never_comes_is_given_up() {
        let hooks = Hooks::new().authorise(|_| std::future::pending());
        let undecided = ask(&hooks).await.expect_err("undecided");
        assert_eq!(undecided.response().status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(hooks.deciding.available_permits(), DECISIONS);
    }

    #[tokio::test]
    async fn decisions_under_way_are_bounded() {
        let hooks = Hooks::new().authorise(|_| std::future::ready(Verdict::Admit));
        let _busy = hooks.deciding.try_acquire_many(DECISIONS as u32).expect("free");
        assert_eq!(ask(&hooks).await, Err(Unwelcome::Undecided));
    }

    #[tokio::test]
    async fn who_reads_too_slowly_learns_how_much_was_lost() {
        let (sender, receiver) = broadcast::channel(2);
        let mut events = Events::new(receiver);
        let event = |n: u8| Event::Joined {
            peer: switchboard_wire::PeerId::from_random([n; 15]),
            room: "a-room".parse().expect("a room"),
            dialect: Dialect::SocketIo,
        };
        for n in 0..3 {
            sender.send(event(n)).expect("a reader");
        }
        drop(sender);
        assert_eq!(events.next().await, Some(Err(Missed(1))));
        assert_eq!(events.next().await, Some(Ok(event(1))));
        assert_eq!(events.next().await, Some(Ok(event(2))));
        assert_eq!(events.next().await, None);
    }
}
