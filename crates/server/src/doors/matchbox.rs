//! The signalling of matchbox, for its clients unchanged (`docs/protocol/matchbox.md`): one WebSocket for each room, below each of the
//! configured paths. Opening it is entering the room.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use switchboard_wire::Dialect;
use switchboard_wire::limits::MESSAGE_BYTES;
use switchboard_wire::matchbox::{self, Wanted};
use switchboard_wire::rooms::{self, ClientMessage, ErrorCode, GoodbyeCode, Reference, ServerMessage};

use super::opening;
use crate::config::MatchboxConfig;
use crate::http::sentence;
use crate::hub::{self, Admission, Attached, Line};
use crate::mailbox::{Mailbox, Queued};
use crate::server::Shared;
use crate::websocket::connection::{Connection, Ending, Handler, Heartbeat, Message, Next, Options};
use crate::websocket::frame::{self, Opcode};
use crate::websocket::stream::Stream;

thread_local! {
    /// Where a message is written before its length is known.
    static JSON: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Longest header of a frame.
const FRAMING_BYTES: usize = 16;

/// Closes a socket whose client may come later ("try again later", from IANA's registry of RFC 6455 §11.7).
const TRY_AGAIN_LATER: u16 = 1013;

/// The routes of a door at `mount`, for a router that has others beside it.
pub(crate) fn patterns(mount: &str) -> Vec<String> {
    let mount = mount.trim_end_matches('/');
    // The name of the parameter is PeerJS's, for a router does not let one place have two.
    let room = format!("{mount}/{{key}}");
    if mount.is_empty() { vec!["/".to_owned(), room] } else { vec![mount.to_owned(), format!("{mount}/"), room] }
}

/// The room that a path names below one of the door's own, as it is written there.
pub(crate) fn find<'p>(config: &MatchboxConfig, path: &'p str) -> Option<&'p str> {
    let mut own = config.paths.iter().filter(|mount| mount.as_str() != "/");
    own.find_map(|mount| mount.rest(path)).map(|rest| rest.strip_prefix('/').unwrap_or(rest))
}

/// The room that a path names where the door is at the root, beside everything else.
pub(crate) fn find_at_root<'p>(config: &MatchboxConfig, path: &'p str) -> Option<&'p str> {
    let at_root = config.paths.iter().any(|mount| mount.as_str() == "/");
    path.strip_prefix('/').filter(|room| at_root && !room.contains('/'))
}

/// Answers a request at one of the door's paths, of which `room` is what follows: opens the WebSocket, or says why not.
pub(crate) async fn open(shared: Arc<Shared>, room: &str, request: Request) -> Response {
    let wanted = match Wanted::parse(room, request.uri().query(), shared.config.limits.room_members) {
        Ok(wanted) => wanted,
        Err(invalid) => return sentence(StatusCode::BAD_REQUEST, invalid),
    };
    let start = move |stream, early, admission, shared| start(stream, early, admission, shared, wanted);
    opening::open(shared, request, Dialect::Matchbox, |shared| &shared.matchbox_origins, start).await
}

fn start(
    stream: Stream,
    early: Vec<u8>,
    admission: Admission,
    shared: Arc<Shared>,
    wanted: Wanted,
) -> Connection<Attached<MatchboxLine>> {
    let (traffic, limits) = (Arc::clone(&shared.metrics.matchbox), &shared.config.limits);
    let mailbox = Mailbox::new(stream, limits.queue_bytes, traffic);
    let line = admission.attach_or_tell(MatchboxLine(mailbox));
    let heartbeat = Heartbeat { interval: limits.heartbeat, timeout: limits.heartbeat_timeout };
    let options = Options { message_bytes: MESSAGE_BYTES, heartbeat: Some(heartbeat) };
    line.enter(wanted);
    Connection::new(line, early, options)
}

/// The way to a client.
#[derive(Debug)]
struct MatchboxLine(Mailbox);

impl Line for MatchboxLine {
    fn deliver(&self, message: &ServerMessage, _reference: Option<&Reference>) -> Queued {
        if let ServerMessage::Error { code, .. } = message
            && let Some(sentence) = no_entry(*code)
        {
            return self.0.finish(|out| frame::encode_close(TRY_AGAIN_LATER, sentence, out));
        }
        let mut json = JSON.take();
        json.clear();
        let queued = if matchbox::write(message, &mut json) {
            self.0.queue(json.len() + FRAMING_BYTES, |out| frame::encode(Opcode::Text, &json, out))
        } else {
            Queued::Quiet
        };
        JSON.set(json);
        queued
    }

    fn close(&self, code: GoodbyeCode) -> Queued {
        self.0.finish(|out| frame::encode_close(code.close_code(), code.sentence(), out))
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// Why a client is not let into its room, which leaves it nothing to do here; none for errors that it can go on after.
fn no_entry(code: ErrorCode) -> Option<&'static str> {
    match code {
        ErrorCode::RoomFull => Some("This room is full; ask somebody to leave, or take another."),
        ErrorCode::AddressFull => Some("Too many rooms were made from your address; leave some, or try again later."),
        ErrorCode::ServerFull => Some("The server holds as many rooms as it can; try again later."),
        ErrorCode::BadJson
        | ErrorCode::BadMessage
        | ErrorCode::UnknownType
        | ErrorCode::BinaryFrame
        | ErrorCode::UnsupportedVersion
        | ErrorCode::HelloFirst
        | ErrorCode::AlreadyGreeted
        | ErrorCode::ResumeRefused
        | ErrorCode::BadRoom
        | ErrorCode::BadName
        | ErrorCode::RoomNotFound
        | ErrorCode::TooManyRooms
        | ErrorCode::NotInRoom
        | ErrorCode::PeerNotFound
        | ErrorCode::PeerQueueFull
        | ErrorCode::SlowDown => None,
    }
}

impl Attached<MatchboxLine> {
    /// Says for the client what it said with its URL.
    fn enter(&self, wanted: Wanted) {
        let now = Instant::now();
        for request in [rooms::Request::Hello { name: None, resume: None }, wanted.into_request()] {
            // Nothing can be read before this anyway.
            let _pace = self.message(Ok(ClientMessage { request, reference: None }), now);
        }
        hub::flush();
    }
}

/// What acts on the messages of one client.
impl Handler for Attached<MatchboxLine> {
    fn mailbox(&self) -> &Mailbox {
        &self.0
    }

    fn on_message(&mut self, message: Message<'_>, now: Instant) -> Next {
        let message = match message {
            Message::Text(text) => matchbox::decode(text),
            Message::Binary(_) => Err(matchbox::binary()),
        };
        self.message(message, now).into()
    }

    fn on_end(&mut self, ending: Ending) {
        self.end(ending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MountPath;

    #[test]
    fn rooms_are_below_its_paths_and_nowhere_else() {
        let config = MatchboxConfig::default();
        for (path, room) in
            [("/matchbox", ""), ("/matchbox/", ""), ("/matchbox/a%20b", "a%20b"), ("/matchbox/a/b", "a/b")]
        {
            assert_eq!(find(&config, path), Some(room), "{path}");
        }
        assert_eq!(find(&config, "/"), None);
        assert_eq!(find(&config, "/matchboxes"), None);
        assert_eq!(find_at_root(&config, "/a"), None);
        let config = MatchboxConfig { paths: vec![MountPath::root()], ..config };
        assert_eq!(find(&config, "/a"), None);
        assert_eq!((find_at_root(&config, "/"), find_at_root(&config, "/a")), (Some(""), Some("a")));
        assert_eq!(find_at_root(&config, "/a/b"), None);
    }
}
