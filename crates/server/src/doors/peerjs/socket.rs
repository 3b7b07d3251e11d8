//! The WebSocket of one PeerJS client: opens it under an id, and passes on what it says and hears.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Query, Request};
use axum::response::Response;
use futures_util::future::Either;
use http::Uri;
use switchboard_signalling::core::{Caller, Pace, Refusal, Returning};
use switchboard_wire::Dialect;
use switchboard_wire::directory::{self, Absent, Claim, Malformed, Name, Namespace, Recipients, Secret, Send};
use switchboard_wire::limits::MESSAGE_BYTES;
use switchboard_wire::peerjs::{ClientMessage, Kind, Notice, Relayed};
use switchboard_wire::rooms::{GoodbyeCode, Reference, ServerMessage};

use super::correspondents::Client;
use super::namespace;
use crate::client_addr::{client_addr, host_name};
use crate::config::{Limits, PeerJsConfig};
use crate::doors::opening::{not_claimable, refuse_handshake, switch};
use crate::hooks::Unwelcome;
use crate::http::Peer;
use crate::hub::{self, Admission, Attached, Line};
use crate::mailbox::{Mailbox, Queued};
use crate::metrics;
use crate::server::Shared;
use crate::websocket::connection::{Connection, Ending, Handler, Heartbeat, Message, Next, Options};
use crate::websocket::frame::{self, Opcode, Violation};
use crate::websocket::handshake;
use crate::websocket::stream::Stream;

/// Longest token in bytes; the official client makes eleven characters, and an application may give its own.
const TOKEN_BYTES: usize = 512;

/// Longest header of a frame, and the close frame that may follow.
const FRAMING_BYTES: usize = 16;

thread_local! {
    /// Where a message is written before its length is known.
    static JSON: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Under which id a client comes.
#[derive(Debug)]
struct Ticket {
    namespace: Namespace,
    name: Name,
    secret: Secret,
}

/// Answers a request for the WebSocket. Whoever speaks WebSocket gets one, for only there a client reads why it is not served.
pub(super) async fn open(shared: Arc<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let accepted = match handshake::accept(&parts, &shared.peerjs.origins) {
        Ok(headers) => headers,
        Err(refused) => return refuse_handshake(&shared, refused),
    };
    let Some(Peer(peer)) = parts.extensions.get().copied() else { return not_claimable() };
    let address = client_addr(peer, &parts.headers, &shared.config.trusted_proxies);
    let host = host_name(peer, &parts.headers, &shared.config.trusted_proxies);
    let asked = shared.hooks.ask((&parts).into(), address, Dialect::PeerJs).await;
    let admitted = ticket(&shared.config.peerjs, &parts.uri).and_then(|ticket| {
        asked.map_err(Denied::Unwelcome)?;
        let returning = Returning { namespace: ticket.namespace, name: &ticket.name, secret: &ticket.secret };
        let admission = shared.hub.readmit(Caller { address, host }, Dialect::PeerJs, returning);
        admission.map(|admission| (ticket, admission)).map_err(Denied::Refused)
    });
    switch(Request::from_parts(parts, body), accepted, move |stream, early| {
        let socket = Opened { stream, early, shared };
        match admitted {
            Ok((ticket, admission)) => Either::Left(socket.start(ticket, admission)),
            Err(denied) => Either::Right(socket.deny(&denied)),
        }
    })
}

/// Why a client is not served.
#[derive(Debug)]
enum Denied {
    /// By what its URL says.
    Told(Notice<'static>),
    /// By the limits of the server.
    Refused(Refusal),
    /// By the program that the server is part of.
    Unwelcome(Unwelcome),
}

/// Reads the query; of parameters that stand twice the last one counts, as in the original.
fn ticket(config: &PeerJsConfig, uri: &Uri) -> Result<Ticket, Denied> {
    let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
        return Err(Denied::Told(Notice::INCOMPLETE));
    };
    let last = |name| pairs.iter().rev().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let (id, token, key) = (last("id"), last("token"), last("key"));
    if id.is_empty() || token.is_empty() || key.is_empty() {
        return Err(Denied::Told(Notice::INCOMPLETE));
    }
    let namespace = namespace(config, key).ok_or(Denied::Told(Notice::INVALID_KEY))?;
    let name = Name::new(id).map_err(|_| Denied::Told(Notice::LONG_ID))?;
    if id.chars().any(char::is_control) {
        return Err(Denied::Told(Notice::BAD_ID));
    }
    if token.len() > TOKEN_BYTES {
        return Err(Denied::Told(Notice::LONG_TOKEN));
    }
    Ok(Ticket { namespace, name, secret: Secret::new(token) })
}

/// A socket on which WebSocket is spoken by now.
struct Opened {
    stream: Stream,
    early: Vec<u8>,
    shared: Arc<Shared>,
}

impl Opened {
    /// Asks for the id.
    fn start(self, ticket: Ticket, admission: Admission) -> Connection<PeerJsHandler> {
        let Self { stream, early, shared } = self;
        let Ticket { namespace, name, secret } = ticket;
        let traffic = Arc::clone(&shared.metrics.peerjs);
        let mailbox = Mailbox::new(stream, shared.config.limits.queue_bytes, traffic);
        let line =
            PeerJsLine { mailbox, name: name.clone(), decided: AtomicBool::default(), probed: AtomicBool::default() };
        let line = admission.attach_or_tell(line);
        let client = shared.peerjs.correspondents.arrive(namespace, name.clone(), secret, Instant::now());
        line.claim(namespace, name, Claim::Exclusive { secret });
        hub::flush();
        let options = Options {
            message_bytes: MESSAGE_BYTES,
            heartbeat: Some(heartbeat(&shared.config.limits, shared.config.peerjs.alive_timeout)),
        };
        let handler = PeerJsHandler { shared, client, line };
        Connection::new(handler, early, options)
    }

    /// Says why not, and ends.
    fn deny(self, denied: &Denied) -> Connection<Turned> {
        let traffic = Arc::clone(&self.shared.metrics.peerjs);
        let mailbox = Mailbox::new(self.stream, self.shared.config.limits.queue_bytes, traffic);
        let (sentence, notice);
        match denied {
            Denied::Told(told) => {
                metrics::count(&self.shared.metrics.refusals.bad_url);
                notice = *told;
            }
            Denied::Refused(Refusal::ServerFull { .. }) => notice = Notice::FULL,
            Denied::Refused(refusal @ (Refusal::AddressFull { .. } | Refusal::Draining)) => {
                sentence = refusal.to_string();
                notice = Notice::Error(&sentence);
            }
            Denied::Unwelcome(unwelcome) => {
                sentence = unwelcome.to_string();
                notice = Notice::Error(&sentence);
            }
        }
        if finish_with(&mailbox, notice) == Queued::First {
            mailbox.flush();
        }
        let options = Options { message_bytes: MESSAGE_BYTES, heartbeat: None };
        Connection::new(Turned(mailbox), self.early, options)
    }
}

/// Silence is broken by a ping in time, so that a client has all of `alive` to answer from when it was last heard.
fn heartbeat(limits: &Limits, alive: Duration) -> Heartbeat {
    let interval = limits.heartbeat.min(alive / 2);
    Heartbeat { interval, timeout: alive - interval }
}

/// The way to a PeerJS client.
#[derive(Debug)]
struct PeerJsLine {
    mailbox: Mailbox,
    /// Its id.
    name: Name,
    /// Whether the id is its own is known: it was told one or the other.
    decided: AtomicBool,
    /// It was asked for a sign of life.
    probed: AtomicBool,
}

impl Line for PeerJsLine {
    /// No PeerJS client is in a room.
    fn deliver(&self, _message: &ServerMessage, _reference: Option<&Reference>) -> Queued {
        Queued::Quiet
    }

    fn deliver_directory(&self, message: &directory::Message) -> Queued {
        match message {
            directory::Message::Held { .. } => {
                let queued = self.tell(Notice::Open);
                self.decide();
                queued
            }
            directory::Message::Text(text) => self.queue(text),
            directory::Message::Expired { to, .. } => self.tell(Notice::Expire { from: to, to: &self.name }),
            directory::Message::Refused(refusal) => self.refuse(refusal),
            // Only other dialects ask for what is answered so.
            directory::Message::Absent { .. } | directory::Message::Known(_) => Queued::Quiet,
        }
    }

    fn probe(&self) -> Queued {
        self.probed.store(true, Ordering::Relaxed);
        self.mailbox.queue(FRAMING_BYTES, |out| frame::encode(Opcode::Ping, b"", out))
    }

    fn await_written(&self) {
        self.mailbox.await_written();
    }

    fn close(&self, code: GoodbyeCode) -> Queued {
        self.mailbox.finish(|out| frame::encode_close(code.close_code(), code.sentence(), out))
    }

    fn flush(&self) {
        self.mailbox.flush();
    }
}

impl PeerJsLine {
    /// Lets what the client said be acted on: pages call others before they are told `OPEN`, and an id may be in dispute for seconds.
    fn decide(&self) {
        if !self.decided.swap(true, Ordering::Release) {
            self.mailbox.wake();
        }
    }

    fn queue(&self, json: &[u8]) -> Queued {
        self.mailbox.queue(json.len() + FRAMING_BYTES, |out| frame::encode(Opcode::Text, json, out))
    }

    fn tell(&self, notice: Notice<'_>) -> Queued {
        with_json(|json| notice.write_json(json), |json| self.queue(json))
    }

    /// Answers what cannot be. Without its id a client has nothing here: then that is the end, as in the original.
    fn refuse(&self, refusal: &directory::Refusal) -> Queued {
        match refusal {
            directory::Refusal::NameTaken { .. } => finish_with(&self.mailbox, Notice::IdTaken),
            directory::Refusal::Full { .. } => finish_with(&self.mailbox, Notice::FULL),
            directory::Refusal::TooManyNames { .. } | directory::Refusal::TooManyHolders { .. } => {
                finish_with(&self.mailbox, Notice::Error(&refusal.to_string()))
            }
            // Its claim was decided before it was read, and who took its id over also closed it.
            directory::Refusal::NotYours => self.tell(Notice::GIVEN_UP),
            directory::Refusal::Malformed(malformed) => self.tell(Notice::Error(&malformed.to_string())),
        }
    }
}

/// Says it even if there is no room, and closes without a code, as the original does.
fn finish_with(mailbox: &Mailbox, notice: Notice<'_>) -> Queued {
    with_json(
        |json| notice.write_json(json),
        |json| {
            mailbox.finish(|out| {
                frame::encode(Opcode::Text, json, out);
                frame::encode(Opcode::Close, b"", out);
            })
        },
    )
}

fn with_json<R>(write: impl FnOnce(&mut Vec<u8>), use_it: impl FnOnce(&[u8]) -> R) -> R {
    JSON.with_borrow_mut(|json| {
        json.clear();
        write(json);
        use_it(json)
    })
}

/// What acts on the messages of one client.
#[derive(Debug)]
struct PeerJsHandler {
    shared: Arc<Shared>,
    client: Client,
    line: Attached<PeerJsLine>,
}

impl Handler for PeerJsHandler {
    fn mailbox(&self) -> &Mailbox {
        &self.line.mailbox
    }

    fn on_heard(&mut self, _now: Instant) {
        if self.line.probed.swap(false, Ordering::Relaxed) {
            self.line.alive();
        }
    }

    fn takes_messages(&self) -> bool {
        self.line.decided.load(Ordering::Acquire)
    }

    fn on_written(&mut self) {
        self.line.written();
    }

    fn on_message(&mut self, message: Message<'_>, now: Instant) -> Next {
        let frame = match message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        };
        let request = match ClientMessage::decode(frame) {
            Ok(ClientMessage::Relayed(message)) => return self.relay(&message, now),
            Ok(ClientMessage::Unreachable { dst }) => {
                let notice = Notice::Unreachable { from: dst.get(), to: &self.line.name };
                with_json(|json| notice.write_json(json), |json| self.line.mailbox.send_text(json));
                Ok(directory::Request::Alive)
            }
            // Counts against the rate like everything that is said.
            Ok(ClientMessage::Heartbeat | ClientMessage::Ignored) => Ok(directory::Request::Alive),
            Ok(ClientMessage::Release) => {
                self.shared.peerjs.correspondents.forget(&mut self.client);
                Ok(directory::Request::Release { namespace: self.client.namespace, name: None })
            }
            Err(error) => Err(Malformed(Cow::Owned(error.to_string()))),
        };
        self.line.directory(request, now).into()
    }

    fn on_violation(&mut self, violation: Violation) {
        let sentence = match violation {
            Violation::TooLarge { limit } => Cow::Owned(format!(
                "This message is too large: {limit} bytes are the limit, with the metadata of a connection; send more over the connection itself"
            )),
            Violation::ReservedBit
            | Violation::UnknownOpcode
            | Violation::Unmasked
            | Violation::BadControl
            | Violation::BadFragment
            | Violation::BadLength
            | Violation::BadClose
            | Violation::NotUtf8 => Cow::Owned(violation.to_string()),
        };
        with_json(|json| Notice::Error(&sentence).write_json(json), |json| self.line.mailbox.send_text(json));
    }

    /// Only a page that is gone takes its direct connections with it; they outlive `peer.disconnect()` and a lost socket.
    fn on_end(&mut self, ending: Ending) {
        if ending == Ending::Departed {
            self.say_goodbye();
        }
        self.line.end(ending);
    }
}

impl PeerJsHandler {
    fn relay(&mut self, message: &Relayed<'_>, now: Instant) -> Next {
        self.shared.peerjs.correspondents.note(&mut self.client, message);
        self.send(message, now).into()
    }

    /// Tells those who have a connection with the page that it is gone: it cannot any more, and they would notice only when ICE does,
    /// half a minute later.
    fn say_goodbye(&mut self) {
        let now = Instant::now();
        for dst in self.shared.peerjs.correspondents.forget(&mut self.client) {
            let leave = Relayed { kind: Kind::Leave, dst: Cow::Owned(dst.into()), payload: None };
            // Nothing will be read of it any more, so that its pace does not matter.
            let _ = self.send(&leave, now);
        }
    }

    fn send(&self, message: &Relayed<'_>, now: Instant) -> Pace {
        // The buffer is taken, not borrowed: what the hub delivers from here is written with it, too.
        let mut text = JSON.take();
        text.clear();
        message.write_json(&self.line.name, &mut text);
        let send = Send {
            namespace: self.client.namespace,
            from: Some(self.line.name.clone()),
            to: Cow::Borrowed(&message.dst),
            text: Cow::Borrowed(&text),
            recipients: Recipients::Latest,
            absent: if message.kind.waits() { Absent::Wait } else { Absent::Drop },
        };
        let pace = self.line.directory(Ok(directory::Request::Send(send)), now);
        JSON.set(text);
        pace
    }
}

impl Drop for PeerJsHandler {
    /// However the socket ended, its client may come back with its connections.
    fn drop(&mut self) {
        self.shared.peerjs.correspondents.leave(&self.client, Instant::now());
    }
}

/// A client that was told why it is not served, until it has read that.
#[derive(Debug)]
struct Turned(Mailbox);

impl Handler for Turned {
    fn mailbox(&self) -> &Mailbox {
        &self.0
    }

    fn on_message(&mut self, _message: Message<'_>, _now: Instant) -> Next {
        Next::End
    }

    fn on_end(&mut self, _ending: Ending) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(query: &str) -> Result<String, &'static str> {
        let config = PeerJsConfig { keys: vec!["peerjs".into(), "two".into()], ..PeerJsConfig::default() };
        let uri = format!("/peerjs{query}").parse().expect("a URI");
        match ticket(&config, &uri) {
            Ok(Ticket { namespace, name, .. }) => Ok(format!("{namespace:?} {name}")),
            Err(Denied::Told(Notice::Error(sentence))) => Err(sentence),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_the_query_as_the_original_does() {
        assert_eq!(told("?key=peerjs&id=a&token=t&version=1.5.5").as_deref(), Ok("PeerJs(0) a"));
        assert_eq!(told("?key=two&id=a%20b&token=t").as_deref(), Ok("PeerJs(1) a b"));
        assert_eq!(told("?id=a&token=t&key=peerjs&id=b").as_deref(), Ok("PeerJs(0) b"), "the last one counts");
        let incomplete = Err("No id, token, or key supplied to websocket server");
        for query in ["", "?key=peerjs&id=a", "?key=peerjs&id=&token=t", "?id=a&token=t", "?key=&id=a&token=t"] {
            assert_eq!(told(query), incomplete, "{query}");
        }
        assert_eq!(told("?key=peerjs2&id=a&token=t"), Err("Invalid key provided"));
    }

    #[test]
    fn ids_and_tokens_have_a_length_and_ids_no_control_characters() {
        assert!(told(&format!("?key=peerjs&id={}&token=t", "i".repeat(512))).is_ok());
        assert!(told(&format!("?key=peerjs&id={}&token=t", "i".repeat(513))).is_err());
        assert!(told(&format!("?key=peerjs&id=a&token={}", "t".repeat(513))).is_err());
        assert!(told("?key=peerjs&id=a%00b&token=t").is_err());
        assert_eq!(told("?key=peerjs&id=%C5%A1%2Fb&token=t").as_deref(), Ok("PeerJs(0) š/b"));
    }

    #[test]
    fn silence_ends_when_the_configuration_says() {
        let limits = Limits::default();
        for (alive, ping) in [(60, 25), (90, 25), (30, 15)] {
            let heartbeat = heartbeat(&limits, Duration::from_secs(alive));
            assert_eq!(heartbeat.interval, Duration::from_secs(ping));
            assert_eq!(heartbeat.interval + heartbeat.timeout, Duration::from_secs(alive));
        }
    }
}
