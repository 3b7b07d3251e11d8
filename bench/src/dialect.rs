//! The two dialects of the rooms protocol, as far as two members of a room need them to exchange offers.
//!
//! `docs/protocol/rooms.md` is the specification of ours. Set-up reads JSON; relaying does not.

use crate::client::Client;
use crate::payload::{MARKER, Payload};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// A way to speak to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Dialect {
    /// Switchboard's own: JSON on `/ws`.
    #[serde(rename = "switchboard")]
    Switchboard,
    /// Socket.IO 5 on Engine.IO 4, WebSocket only.
    #[serde(rename = "socket.io")]
    SocketIo,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Switchboard => "/ws",
            Self::SocketIo => "Socket.IO",
        })
    }
}

/// A complete message to a partner, ready to be sent again and again with another time in it.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) text: String,
    /// Where the digits of the time begin.
    pub(crate) digits: usize,
}

impl Dialect {
    /// The request target of the WebSocket.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::Switchboard => "/ws",
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket",
        }
    }

    /// Introduces a fresh client to the server and returns the id that others address it by.
    pub(crate) fn greet(self, client: &mut Client) -> Result<String> {
        match self {
            Self::Switchboard => {
                client.send(r#"{"type":"hello","v":1,"name":"bench"}"#)?;
                let welcome = wait_for_type(client, "welcome")?;
                string(&welcome, "id").context("the welcome has no id")
            }
            Self::SocketIo => {
                wait_for_prefix(client, "0{")?;
                client.send("40")?;
                let connected: Value = serde_json::from_str(&wait_for_prefix(client, "40")?[2..])?;
                string(&connected, "sid").context("the connect packet has no sid")
            }
        }
    }

    /// Opens a room and returns its id.
    pub(crate) fn create_room(self, client: &mut Client) -> Result<String> {
        match self {
            Self::Switchboard => {
                client.send(r#"{"type":"join"}"#)?;
                string(&wait_for_type(client, "joined")?, "room").context("the answer to join names no room")
            }
            Self::SocketIo => {
                client.send(r#"42["create-room"]"#)?;
                wait_for_event(client, "room-created")
            }
        }
    }

    /// Enters `room`, in which `first` already is, and waits until both sides know.
    pub(crate) fn join_room(self, client: &mut Client, room: &str, first: &mut Client) -> Result<()> {
        match self {
            Self::Switchboard => {
                client.send(&format!(r#"{{"type":"join","room":"{room}"}}"#))?;
                wait_for_type(client, "joined")?;
                wait_for_type(first, "peer-joined")?;
            }
            Self::SocketIo => {
                client.send(&format!(r#"42["join-room","{room}"]"#))?;
                wait_for_event(first, "new-user-joined")?;
            }
        }
        Ok(())
    }

    /// The message that carries `payload` to `partner`.
    pub(crate) fn message(self, partner: &str, payload: &Payload) -> Message {
        let json = payload.json();
        let text = match self {
            Self::Switchboard => format!(r#"{{"type":"offer","to":"{partner}","data":{json}}}"#),
            Self::SocketIo => format!(r#"42["rtc-offer","{partner}",{json}]"#),
        };
        let digits = text.find("@@").map_or(0, |at| at + MARKER.len());
        Message { text, digits }
    }

    /// What to answer to a text frame that carries no payload: the heartbeat's answer, or nothing.
    pub(crate) fn answer(self, text: &[u8]) -> Result<Option<&'static str>> {
        match (self, text) {
            (Self::SocketIo, b"2") => Ok(Some("3")),
            (Self::SocketIo, [b'1', ..] | [b'4', b'1' | b'4', ..]) => {
                bail!("the server ended a session: {}", excerpt(text))
            }
            (Self::SocketIo, _) => Ok(None),
            (Self::Switchboard, text) => {
                let message: Value = serde_json::from_slice(text).context("the server sent text that is not JSON")?;
                match message["type"].as_str() {
                    Some("error" | "goodbye") => bail!("the server complained: {}", excerpt(text)),
                    _ => Ok(None),
                }
            }
        }
    }
}

/// The beginning of a text, for an error message.
pub(crate) fn excerpt(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned()
}

fn string(object: &Value, member: &str) -> Option<String> {
    object[member].as_str().map(str::to_owned)
}

fn wait_for_type(client: &mut Client, wanted: &str) -> Result<Value> {
    loop {
        let text = client.next_text().with_context(|| format!("waiting for {wanted}"))?;
        let message: Value = serde_json::from_str(&text).with_context(|| format!("waiting for {wanted}"))?;
        match message["type"].as_str() {
            Some(found) if found == wanted => return Ok(message),
            Some("error" | "goodbye") => bail!("waiting for {wanted}, the server answered {text}"),
            _ => {}
        }
    }
}

fn wait_for_prefix(client: &mut Client, prefix: &str) -> Result<String> {
    loop {
        let text = client.next_text().with_context(|| format!("waiting for a packet {prefix}"))?;
        match text.as_str() {
            "2" => client.send("3")?,
            found if found.starts_with(prefix) => return Ok(text),
            other => bail!("waiting for a packet {prefix}, the server sent {other}"),
        }
    }
}

/// Waits for a Socket.IO event whose one argument is a string.
fn wait_for_event(client: &mut Client, event: &str) -> Result<String> {
    loop {
        let packet = wait_for_prefix(client, "42")?;
        let (name, argument): (String, String) =
            serde_json::from_str(&packet[2..]).with_context(|| format!("waiting for {event}, got {packet}"))?;
        if name == event {
            return Ok(argument);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_json_and_know_where_the_time_stands() {
        let payload = Payload::session_description();
        for dialect in [Dialect::Switchboard, Dialect::SocketIo] {
            let message = dialect.message("partner", &payload);

            let json = message.text.trim_start_matches("42");
            serde_json::from_str::<Value>(json).expect("a JSON text");
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
    }
}
