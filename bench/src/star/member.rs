//! One member of a crowd: how it enters, and what it makes of what it hears.

use crate::client::{ACCEPT, upgrade_request};
use crate::dialect::star;
use crate::frame::{self, Opcode};
use crate::link::{Link, Progress};
use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};

/// A response head larger than this is not an answer to our request.
const MAX_HEAD: usize = 16 * 1024;

/// How far a member has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The TCP connection is being made.
    Dialling,
    /// Waits for the answer to the upgrade.
    Upgrading,
    /// Waits for Engine.IO's handshake.
    Opening,
    /// Waits for the namespace.
    Connecting,
    /// Has joined, and waits for a handshake with itself to come back, which proves it.
    Joining,
    Joined,
    /// The connection was refused, broke, or was given up.
    Gone,
}

/// What a text frame was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Another peer's address.
    Announcement,
    /// A relayed handshake.
    Handshake,
    /// Part of entering, or a heartbeat.
    Nothing,
}

/// A peer of the crowd.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) link: Link,
    pub(super) address: String,
    pub(super) stage: Stage,
    /// When it began to enter, and when it had joined.
    pub(super) since: u64,
    pub(super) joined_at: u64,
    /// Announcements during the measurement.
    pub(super) heard: u32,
    /// When the first announcement after joining came.
    pub(super) first_heard: Option<u64>,
    /// One bit for each newcomer that it has heard of.
    pub(super) newcomers: u32,
}

impl Member {
    /// Begins to connect from `source`.
    pub(super) fn dial(server: SocketAddrV4, source: Ipv4Addr, now: u64) -> Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
            .context("cannot open a socket; is the limit of open files (ulimit -n) high enough?")?;
        bind(&socket, &SocketAddr::from((source, 0))).with_context(|| format!("cannot use the address {source}"))?;
        // A refusal shows when the socket becomes writable, as for a connection that takes its time.
        let dialled = connect(&socket, &SocketAddr::from(server));
        let refused = dialled.is_err_and(|error| error != Errno::INPROGRESS);
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        Ok(Self {
            link: Link::fresh(stream),
            address: star::fresh_address(),
            stage: if refused { Stage::Gone } else { Stage::Dialling },
            since: now,
            joined_at: 0,
            heard: 0,
            first_heard: None,
            newcomers: 0,
        })
    }

    /// Whether it is on its way in.
    pub(super) fn is_entering(&self) -> bool {
        !matches!(self.stage, Stage::Joined | Stage::Gone)
    }

    /// Asks for the WebSocket, once the connection stands.
    pub(super) fn upgrade(&mut self, server: SocketAddrV4) -> Result<Progress> {
        if let Some(error) = self.link.stream().take_error()? {
            return Err(error).context("the server refused a connection");
        }
        self.stage = Stage::Upgrading;
        self.link.write(upgrade_request(server, star::TARGET).as_bytes())
    }

    /// Takes the answer to the upgrade off `bytes`; the number of bytes that it had, 0 while it is incomplete.
    pub(super) fn upgraded(&mut self, bytes: &[u8]) -> Result<usize> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            ensure!(bytes.len() < MAX_HEAD, "the answer to an upgrade has no end");
            return Ok(0);
        };
        let head = String::from_utf8_lossy(&bytes[..end]);
        ensure!(head.starts_with("HTTP/1.1 101") && head.contains(ACCEPT), "the server refused an upgrade: {head}");
        self.stage = Stage::Opening;
        Ok(end + 4)
    }

    /// Takes a text frame; what is to be answered goes to `out`.
    pub(super) fn take(&mut self, text: &[u8], now: u64, out: &mut Vec<u8>) -> Result<Heard> {
        if text.starts_with(star::ANNOUNCEMENT) {
            return Ok(Heard::Announcement);
        }
        let say = |out: &mut Vec<u8>, text: &str| frame::put(out, Opcode::Text, text.as_bytes());
        match (self.stage, text) {
            (_, b"2") => say(out, "3"),
            (_, [b'1', ..] | [b'4', b'1' | b'4', ..]) => bail!("the server ended a session"),
            (Stage::Opening, [b'0', ..]) => {
                self.stage = Stage::Connecting;
                say(out, "40");
            }
            (Stage::Connecting, [b'4', b'0', ..]) => {
                self.stage = Stage::Joining;
                say(out, &star::joining(&self.address));
                say(out, &star::greeting_to_oneself(&self.address));
            }
            (Stage::Joining, text) if text.starts_with(star::HANDSHAKE.as_bytes()) => {
                self.stage = Stage::Joined;
                self.joined_at = now;
            }
            (Stage::Joined, text) if text.starts_with(star::HANDSHAKE.as_bytes()) => return Ok(Heard::Handshake),
            (Stage::Dialling | Stage::Upgrading, _) => bail!("the server sent a frame before its answer"),
            (Stage::Opening | Stage::Connecting | Stage::Joining | Stage::Joined | Stage::Gone, _) => {}
        }
        Ok(Heard::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn member() -> (Member, TcpListener) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let SocketAddr::V4(server) = listener.local_addr().expect("an address") else { panic!("IPv4") };
        let member = Member::dial(server, Ipv4Addr::LOCALHOST, 0).expect("a socket");
        (member, listener)
    }

    #[test]
    fn enters_step_by_step() {
        let (mut member, _listener) = member();
        let mut out = Vec::new();
        let answer = format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n");

        assert_eq!(member.upgraded(&answer.as_bytes()[..20]).expect("incomplete"), 0);
        assert_eq!(member.upgraded(answer.as_bytes()).expect("accepted"), answer.len());
        for text in [r#"0{"sid":"x"}"#, r#"40{"sid":"y"}"#, r#"42["ws-handshake",{}]"#] {
            assert!(member.is_entering(), "{text}");
            assert_eq!(member.take(text.as_bytes(), 7, &mut out).expect("fine"), Heard::Nothing);
        }

        assert_eq!((member.stage, member.joined_at), (Stage::Joined, 7));
        let said = String::from_utf8_lossy(&out);
        assert!(said.contains("ss-join") && said.contains("ss-handshake") && said.contains(&member.address), "{said}");
    }

    #[test]
    fn tells_announcements_from_handshakes() {
        let (mut member, _listener) = member();
        member.stage = Stage::Joined;
        let mut out = Vec::new();

        for (text, heard) in [
            (r#"42["ws-peer","/ip4/x"]"#, Heard::Announcement),
            (r#"42["ws-handshake",{}]"#, Heard::Handshake),
            ("2", Heard::Nothing),
        ] {
            assert_eq!(member.take(text.as_bytes(), 0, &mut out).expect("fine"), heard);
        }

        assert!(out.ends_with(b"3"));
        assert!(member.take(b"41", 0, &mut out).is_err());
    }

    #[test]
    fn a_refused_upgrade_is_an_error() {
        let (mut member, _listener) = member();
        assert!(member.upgraded(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").is_err());
    }
}
