//! The dialects that the generator speaks, as far as two peers need them to exchange offers.
//!
//! Set-up reads JSON; relaying does not. Each dialect is a module; this one only picks.

mod peerjs;
mod rooms;
pub(crate) mod star;

use crate::client::Client;
use crate::payload::{MARKER, Payload};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// A way to speak to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Dialect {
    /// Switchboard's own: JSON on `/ws`.
    #[serde(rename = "switchboard")]
    Switchboard,
    /// The rooms protocol on Socket.IO 5 and Engine.IO 4, WebSocket only.
    #[serde(rename = "socket.io")]
    SocketIo,
    /// What PeerServer speaks.
    #[serde(rename = "peerjs")]
    PeerJs,
    /// What a webrtc-star server speaks, on Socket.IO 5 and Engine.IO 4, WebSocket only.
    #[serde(rename = "webrtc-star")]
    Star,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Switchboard => "/ws",
            Self::SocketIo => "Socket.IO",
            Self::PeerJs => "PeerJS",
            Self::Star => "webrtc-star",
        })
    }
}

/// A client that the server has greeted, and the name that others address it by.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) client: Client,
    pub(crate) name: String,
}

/// Who of a pair sends: a negotiation is not symmetric in every dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Offering,
    Answering,
}

/// A complete message to a partner, ready to be sent again and again with another time in it.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) text: String,
    /// Where the digits of the time begin.
    pub(crate) digits: usize,
}

impl Message {
    fn new(text: String) -> Self {
        let digits = text.find("@@").map_or(0, |at| at + MARKER.len());
        Self { text, digits }
    }
}

/// What a client says by itself to show that it lives, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    pub(crate) text: &'static str,
    pub(crate) period: Duration,
}

impl Dialect {
    /// Connects to `server` from `source` and waits for its greeting.
    pub(crate) fn open(self, server: SocketAddrV4, source: Ipv4Addr) -> Result<Member> {
        match self {
            Self::Switchboard => rooms::open_own(server, source),
            Self::SocketIo => rooms::open_socket_io(server, source),
            Self::PeerJs => peerjs::open(server, source),
            Self::Star => star::open(server, source),
        }
    }

    /// Brings two members together, where the dialect asks for more than knowing each other's names, and waits until both
    /// sides know.
    pub(crate) fn meet(self, first: &mut Member, second: &mut Member) -> Result<()> {
        match self {
            Self::Switchboard => rooms::meet_own(first, second),
            Self::SocketIo => rooms::meet_socket_io(first, second),
            Self::PeerJs => Ok(()),
            Self::Star => star::join(first).and_then(|()| star::join(second)),
        }
    }

    /// The message that carries `payload` from the member called `own` to `partner`.
    pub(crate) fn message(self, role: Role, own: &str, partner: &str, payload: &Payload) -> Message {
        let json = payload.json();
        Message::new(match self {
            Self::Switchboard => format!(r#"{{"type":"offer","to":"{partner}","data":{json}}}"#),
            Self::SocketIo => format!(r#"42["rtc-offer","{partner}",{json}]"#),
            Self::PeerJs => peerjs::message(role, partner, json),
            Self::Star => star::message(role, own, partner, json),
        })
    }

    /// What a client of this dialect says unasked.
    pub(crate) fn heartbeat(self) -> Option<Heartbeat> {
        match self {
            Self::PeerJs => Some(peerjs::HEARTBEAT),
            Self::Switchboard | Self::SocketIo | Self::Star => None,
        }
    }

    /// What to answer to a text frame that carries no payload: the heartbeat's answer, or nothing.
    pub(crate) fn answer(self, text: &[u8]) -> Result<Option<&'static str>> {
        match self {
            Self::Switchboard => rooms::answer_own(text),
            Self::SocketIo | Self::Star => rooms::answer_socket_io(text),
            Self::PeerJs => peerjs::answer(text),
        }
    }
}

/// The beginning of a text, for an error message.
pub(crate) fn excerpt(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Dialect; 4] = [Dialect::Switchboard, Dialect::SocketIo, Dialect::PeerJs, Dialect::Star];

    #[test]
    fn messages_are_json_and_know_where_the_time_stands() {
        let payload = Payload::session_description();
        for (dialect, role) in
            ALL.into_iter().flat_map(|dialect| [(dialect, Role::Offering), (dialect, Role::Answering)])
        {
            let message = dialect.message(role, "own", "partner", &payload);

            let json = message.text.trim_start_matches("42");
            serde_json::from_str::<serde_json::Value>(json).expect("a JSON text");
            assert_eq!(&message.text[message.digits - 2..message.digits + 16], "@@0000000000000000");
        }
    }

    #[test]
    fn answers_heartbeats_and_reports_ends() {
        assert_eq!(Dialect::SocketIo.answer(b"2").expect("fine"), Some("3"));
        assert_eq!(Dialect::SocketIo.answer(br#"42["user-disconnected","x"]"#).expect("fine"), None);
        assert!(Dialect::SocketIo.answer(b"41").is_err());
        assert_eq!(Dialect::Switchboard.answer(br#"{"type":"peer-left"}"#).expect("fine"), None);
        assert!(Dialect::Switchboard.answer(br#"{"type":"error","code":"slow-down"}"#).is_err());
        assert_eq!(Dialect::Star.answer(br#"42["ws-peer","/ip4/x"]"#).expect("fine"), None);
        assert!(Dialect::PeerJs.answer(br#"{"type":"LEAVE","src":"x"}"#).is_err());
    }
}
