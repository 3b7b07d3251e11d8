//! The two dialects of the rooms protocol. `docs/protocol/rooms.md` is the specification of ours.

use super::{Member, excerpt};
use crate::client::Client;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddrV4};

/// The request target of a Socket.IO client that begins with a WebSocket.
pub(super) const SOCKET_IO_TARGET: &str = "/socket.io/?EIO=4&transport=websocket";

/// Says hello in our own dialect.
pub(super) fn open_own(server: SocketAddrV4, source: Ipv4Addr) -> Result<Member> {
    let mut client = Client::open(server, source, "/ws")?;
    client.send(r#"{"type":"hello","v":1,"name":"bench"}"#)?;
    let welcome = wait_for_type(&mut client, "welcome")?;
    let name = string(&welcome, "id").context("the welcome has no id")?;
    Ok(Member { client, name })
}

/// Connects to the default namespace of a Socket.IO server.
pub(super) fn open_socket_io(server: SocketAddrV4, source: Ipv4Addr) -> Result<Member> {
    let mut client = Client::open(server, source, SOCKET_IO_TARGET)?;
    wait_for_prefix(&mut client, "0{")?;
    client.send("40")?;
    let connected: Value = serde_json::from_str(&wait_for_prefix(&mut client, "40")?[2..])?;
    let name = string(&connected, "sid").context("the connect packet has no sid")?;
    Ok(Member { client, name })
}

/// Brings two members into a new room, in our own dialect.
pub(super) fn meet_own(first: &mut Member, second: &mut Member) -> Result<()> {
    first.client.send(r#"{"type":"join"}"#)?;
    let joined = wait_for_type(&mut first.client, "joined")?;
    let room = string(&joined, "room").context("the answer to join names no room")?;
    second.client.send(&format!(r#"{{"type":"join","room":"{room}"}}"#))?;
    wait_for_type(&mut second.client, "joined")?;
    wait_for_type(&mut first.client, "peer-joined")?;
    Ok(())
}

/// Brings two members into a new room, by Socket.IO.
pub(super) fn meet_socket_io(first: &mut Member, second: &mut Member) -> Result<()> {
    first.client.send(r#"42["create-room"]"#)?;
    let room = wait_for_event(&mut first.client, "room-created")?;
    second.client.send(&format!(r#"42["join-room","{room}"]"#))?;
    wait_for_event(&mut first.client, "new-user-joined")?;
    Ok(())
}

/// Complains about an error; nothing else needs an answer.
pub(super) fn answer_own(text: &[u8]) -> Result<Option<&'static str>> {
    let message: Value = serde_json::from_slice(text).context("the server sent text that is not JSON")?;
    match message["type"].as_str() {
        Some("error" | "goodbye") => bail!("the server complained: {}", excerpt(text)),
        _ => Ok(None),
    }
}

/// The answer to a ping of Engine.IO 4.
pub(super) fn answer_socket_io(text: &[u8]) -> Result<Option<&'static str>> {
    match text {
        b"2" => Ok(Some("3")),
        [b'1', ..] | [b'4', b'1' | b'4', ..] => bail!("the server ended a session: {}", excerpt(text)),
        _ => Ok(None),
    }
}

/// Waits for a Socket.IO packet that begins so; answers pings on the way.
pub(super) fn wait_for_prefix(client: &mut Client, prefix: &str) -> Result<String> {
    loop {
        let text = client.next_text().with_context(|| format!("waiting for a packet {prefix}"))?;
        match text.as_str() {
            "2" => client.send("3")?,
            found if found.starts_with(prefix) => return Ok(text),
            other => bail!("waiting for a packet {prefix}, the server sent {other}"),
        }
    }
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
