//! The rooms protocol over WebSocket at `/ws` (`docs/protocol/rooms.md`).

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::response::Response;
use switchboard_wire::limits::MESSAGE_BYTES;
use switchboard_wire::rooms::{ClientMessage, DecodeError, Dialect, ErrorCode, GoodbyeCode, Reference, ServerMessage};

use super::opening;
use crate::hub::{Admission, Attached, Line};
use crate::mailbox::{Mailbox, Queued};
use crate::server::Shared;
use crate::websocket::connection::{Connection, Ending, Handler, Heartbeat, Message, Next, Options};
use crate::websocket::frame::{self, Opcode};
use crate::websocket::stream::Stream;

thread_local! {
    /// Where a message is written before its length is known.
    static JSON: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Longest header of a frame, and the close frame that may follow.
const FRAMING_BYTES: usize = 16;

/// Answers a request of `/ws`: opens the WebSocket, or says why not.
pub(crate) async fn open(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    opening::open(shared, request, Dialect::Switchboard, |shared| &shared.origins, start).await
}

fn start(stream: Stream, early: Vec<u8>, admission: Admission, shared: Arc<Shared>) -> Connection<Attached<RoomsLine>> {
    let traffic = Arc::clone(&shared.metrics.rooms);
    let limits = &shared.config.limits;
    let mailbox = Mailbox::new(stream, limits.queue_bytes, traffic);
    let line = admission.attach_or_tell(RoomsLine(mailbox));
    let heartbeat = Heartbeat { interval: limits.heartbeat, timeout: limits.heartbeat_timeout };
    let options = Options { message_bytes: MESSAGE_BYTES, heartbeat: Some(heartbeat) };
    Connection::new(line, early, options)
}

/// The way to a client of the rooms protocol.
#[derive(Debug)]
struct RoomsLine(Mailbox);

impl Line for RoomsLine {
    fn deliver(&self, message: &ServerMessage, reference: Option<&Reference>) -> Queued {
        with_json(message, reference, |json| {
            self.0.queue(json.len() + FRAMING_BYTES, |out| frame::encode(Opcode::Text, json, out))
        })
    }

    fn close(&self, code: GoodbyeCode) -> Queued {
        self.0.finish(|out| frame::encode_close(code.close_code(), code.sentence(), out))
    }

    fn dismiss(&self, code: GoodbyeCode) -> Queued {
        with_json(&ServerMessage::goodbye(code, None), None, |json| {
            self.0.finish(|out| {
                frame::encode(Opcode::Text, json, out);
                frame::encode_close(code.close_code(), code.sentence(), out);
            })
        })
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// What acts on the messages of one client.
impl Handler for Attached<RoomsLine> {
    fn mailbox(&self) -> &Mailbox {
        &self.0
    }

    fn on_message(&mut self, message: Message<'_>, now: Instant) -> Next {
        let message = match message {
            Message::Text(text) => ClientMessage::decode(text),
            Message::Binary(_) => Err(DecodeError {
                code: ErrorCode::BinaryFrame,
                message: Cow::Borrowed("Messages are text frames; this one was binary."),
                reference: None,
            }),
        };
        self.message(message, now).into()
    }

    fn on_end(&mut self, ending: Ending) {
        self.end(ending);
    }
}

fn with_json<R>(message: &ServerMessage, reference: Option<&Reference>, use_it: impl FnOnce(&[u8]) -> R) -> R {
    JSON.with_borrow_mut(|json| {
        json.clear();
        message.write_json(reference, json);
        use_it(json)
    })
}

#[cfg(test)]
mod tests {
    use switchboard_signalling::core::FixedIce;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::Config;
    use crate::hub::Hub;

    /// What an idle connection costs beside its line and the core's entry: the future of its task.
    #[tokio::test]
    async fn the_task_of_a_connection_is_small() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let _client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        let stream = Stream::Tcp(listener.accept().await.expect("accepted").0);
        let hub = Arc::new(Hub::new(Config::default().core(Arc::new(FixedIce::default()))));
        let from = switchboard_signalling::core::ClientAddr::new(std::net::Ipv4Addr::LOCALHOST.into());
        let admission = hub.admit(from, Dialect::Switchboard).expect("room");
        let line = admission.attach_or_tell(RoomsLine(Mailbox::new(stream, 1000, Arc::default())));
        let options = Options { message_bytes: MESSAGE_BYTES, heartbeat: None };
        let connection = Connection::new(line, Vec::new(), options);
        assert!(size_of_val(&connection) <= 256, "{} bytes", size_of_val(&connection));
    }
}
