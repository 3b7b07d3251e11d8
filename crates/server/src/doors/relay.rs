//! Trystero's WebSocket relay, for its clients unchanged (`docs/protocol/ws-relay.md`): one WebSocket at each of the configured paths.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use switchboard_wire::Dialect;
use switchboard_wire::directory::{self, Refusal};
use switchboard_wire::limits::MESSAGE_BYTES;
use switchboard_wire::relay::{ClientMessage, write_error};
use switchboard_wire::rooms::{GoodbyeCode, Reference, ServerMessage};

use super::opening;
use crate::config::RelayConfig;
use crate::hub::{Admission, Attached, Line};
use crate::mailbox::{Mailbox, Queued};
use crate::server::Shared;
use crate::websocket::connection::{Connection, Ending, Handler, Heartbeat, Message, Next, Options};
use crate::websocket::frame::{self, Opcode, Violation};
use crate::websocket::stream::Stream;

thread_local! {
    /// Where a message is written before its length is known.
    static JSON: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Longest header of a frame.
const FRAMING_BYTES: usize = 16;

/// What a client hears that comes for nothing, in at most 123 bytes (RFC 6455 §5.5.1).
const IDLE: &str = "Nothing was subscribed to or published in time; do so as soon as the socket is open.";

/// Whether a path is the door's.
pub(crate) fn is_at(config: &RelayConfig, path: &str) -> bool {
    config.paths.iter().any(|mount| mount.rest(path).is_some_and(|rest| matches!(rest, "" | "/")))
}

/// Answers a request at one of the door's paths: opens the WebSocket, or says why not.
pub(crate) async fn open(shared: Arc<Shared>, request: Request) -> Response {
    opening::open(shared, request, Dialect::Relay, |shared| &shared.relay_origins, start).await
}

fn start(stream: Stream, early: Vec<u8>, admission: Admission, shared: Arc<Shared>) -> Connection<Attached<RelayLine>> {
    let (traffic, limits) = (Arc::clone(&shared.metrics.relay), &shared.config.limits);
    let mailbox = Mailbox::new(stream, limits.queue_bytes, traffic);
    let line = admission.attach_or_tell(RelayLine(mailbox));
    let heartbeat = Heartbeat { interval: limits.heartbeat, timeout: limits.heartbeat_timeout };
    let options = Options { message_bytes: MESSAGE_BYTES, heartbeat: Some(heartbeat) };
    Connection::new(line, early, options)
}

/// The way to a client.
#[derive(Debug)]
struct RelayLine(Mailbox);

impl Line for RelayLine {
    /// Nobody here is in a room.
    fn deliver(&self, _message: &ServerMessage, _reference: Option<&Reference>) -> Queued {
        Queued::Quiet
    }

    fn deliver_directory(&self, message: &directory::Message) -> Queued {
        match message {
            directory::Message::Text(text) => self.queue(text),
            directory::Message::Refused(refusal) => self.refuse(refusal),
            // The protocol knows no answer to what worked; only other dialects ask for the rest.
            directory::Message::Held { .. }
            | directory::Message::Absent { .. }
            | directory::Message::Expired { .. }
            | directory::Message::Known(_) => Queued::Quiet,
        }
    }

    /// Topics are held by as many as come, so that nobody's life is in question.
    fn probe(&self) -> Queued {
        Queued::Quiet
    }

    fn close(&self, code: GoodbyeCode) -> Queued {
        // There is no hello in this protocol.
        let sentence = if code == GoodbyeCode::HelloTimeout { IDLE } else { code.sentence() };
        self.0.finish(|out| frame::encode_close(code.close_code(), sentence, out))
    }

    fn flush(&self) {
        self.0.flush();
    }
}

impl RelayLine {
    fn queue(&self, json: &[u8]) -> Queued {
        self.0.queue(json.len() + FRAMING_BYTES, |out| frame::encode(Opcode::Text, json, out))
    }

    fn refuse(&self, refusal: &Refusal) -> Queued {
        let mut json = Vec::new();
        write_error(&sentence(refusal), &mut json);
        self.queue(&json)
    }
}

/// A refusal in the words of the protocol, in which names are topics.
fn sentence(refusal: &Refusal) -> String {
    match refusal {
        Refusal::TooManyNames { limit } => {
            format!("A client may subscribe to {limit} topics and no more; unsubscribe from one first.")
        }
        Refusal::TooManyHolders { name, limit } => {
            format!("The topic {name} has {limit} subscribers and can have no more; try again later.")
        }
        Refusal::Full { limit } => format!("The server holds {limit} topics and can take no more; try again later."),
        Refusal::NameTaken { .. } | Refusal::NotYours | Refusal::Malformed(_) => refusal.to_string(),
    }
}

/// What acts on the messages of one client.
impl Handler for Attached<RelayLine> {
    fn mailbox(&self) -> &Mailbox {
        &self.0
    }

    fn on_message(&mut self, message: Message<'_>, now: Instant) -> Next {
        let frame = match message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        };
        // The buffer is taken, not borrowed, for the hub delivers before it returns.
        let mut text = JSON.take();
        text.clear();
        let request = ClientMessage::decode(frame).map(|message| message.into_request(&mut text));
        let pace = self.directory(request, now);
        JSON.set(text);
        pace.into()
    }

    fn on_violation(&mut self, violation: Violation) {
        self.mailbox().send_text_with(|json| write_error(&violation.to_string(), json));
    }

    fn on_end(&mut self, ending: Ending) {
        self.end(ending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_fit_a_close_frame() {
        assert!(IDLE.len() <= 123, "{} bytes", IDLE.len());
    }
    use crate::config::MountPath;

    #[test]
    fn it_is_at_its_paths_and_nowhere_else() {
        let config = RelayConfig::default();
        assert!(is_at(&config, "/relay") && is_at(&config, "/relay/"));
        assert!(!is_at(&config, "/") && !is_at(&config, "/relays") && !is_at(&config, "/relay/x"));
        let config = RelayConfig { paths: vec![MountPath::root()], ..config };
        assert!(is_at(&config, "/") && !is_at(&config, "/relay"));
        assert!(!is_at(&RelayConfig { paths: Vec::new(), ..config }, "/relay"));
    }
}
