//! A WebSocket client in blocking style: it connects, upgrades and sets the stage before a measurement begins.

use crate::frame::{self, Opcode};
use anyhow::{Context, Result, bail, ensure};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

/// How long a server may take for any step of the set-up.
const PATIENCE: Duration = Duration::from_secs(10);
/// A response head larger than this is not an answer to our request.
const MAX_HEAD: usize = 16 * 1024;
/// Key and answer of the example in RFC 6455 §1.3: a fixed key needs no SHA-1 here, and still proves the handshake.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// An open WebSocket.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// Read from the socket, not yet taken as frames.
    unread: Vec<u8>,
}

impl Client {
    /// Connects from the loopback address `source` and upgrades on `target`.
    pub(crate) fn open(server: SocketAddrV4, source: Ipv4Addr, target: &str) -> Result<Self> {
        let stream = connect_from(source, server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self { stream, unread: Vec::new() };
        client
            .upgrade(server, target)
            .with_context(|| format!("cannot open a WebSocket on http://{server}{target}"))?;
        Ok(client)
    }

    /// Sends a text message.
    pub(crate) fn send(&mut self, text: &str) -> Result<()> {
        let mut bytes = Vec::with_capacity(text.len() + 16);
        frame::put(&mut bytes, Opcode::Text, text.as_bytes());
        Ok(self.stream.write_all(&bytes)?)
    }

    /// Waits for the next text message; answers pings on the way.
    pub(crate) fn next_text(&mut self) -> Result<String> {
        loop {
            let Some((frame, used)) = frame::parse(&self.unread)? else {
                self.read_more()?;
                continue;
            };
            let (opcode, payload) = (frame.opcode, frame.payload.to_vec());
            self.unread.drain(..used);
            match opcode {
                Opcode::Text => return Ok(String::from_utf8(payload)?),
                Opcode::Ping => {
                    let mut pong = Vec::new();
                    frame::put(&mut pong, Opcode::Pong, &payload);
                    self.stream.write_all(&pong)?;
                }
                Opcode::Pong => {}
                Opcode::Binary => bail!("the server sent a binary frame"),
                Opcode::Close => bail!("the server closed the socket{}", close_reason(&payload)),
            }
        }
    }

    /// The socket, in non-blocking mode, and what was read beyond the last message.
    pub(crate) fn into_parts(self) -> Result<(TcpStream, Vec<u8>)> {
        self.stream.set_nonblocking(true)?;
        Ok((self.stream, self.unread))
    }

    fn upgrade(&mut self, server: SocketAddrV4, target: &str) -> Result<()> {
        self.stream.write_all(upgrade_request(server, target).as_bytes())?;
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(self.unread.len() < MAX_HEAD, "the answer has no end");
            self.read_more()?;
        };
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        self.unread.drain(..end);
        let status = head.lines().next().unwrap_or_default();
        let text = String::from_utf8_lossy(&self.unread);
        ensure!(status.starts_with("HTTP/1.1 101"), "the server answered {status:?} {text}");
        ensure!(head.contains(ACCEPT), "the server answered without the right Sec-WebSocket-Accept");
        Ok(())
    }

    fn read_more(&mut self) -> Result<()> {
        let mut chunk = [0; 4096];
        let count = self.stream.read(&mut chunk).context("the server does not answer")?;
        ensure!(count > 0, "the server closed the connection");
        self.unread.extend_from_slice(&chunk[..count]);
        Ok(())
    }
}

/// The request for a WebSocket; the answer to it contains [`ACCEPT`].
pub(crate) fn upgrade_request(server: SocketAddrV4, target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

/// What a close frame says, for the end of a sentence.
pub(crate) fn close_reason(payload: &[u8]) -> String {
    match payload {
        &[high, low, ref reason @ ..] => {
            format!(" with code {} {}", u16::from_be_bytes([high, low]), String::from_utf8_lossy(reason))
                .trim_end()
                .into()
        }
        _ => " without a code".into(),
    }
}

fn connect_from(source: Ipv4Addr, server: SocketAddrV4) -> Result<TcpStream> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .context("cannot open a socket; is the limit of open files (ulimit -n) high enough?")?;
    bind(&socket, &SocketAddr::from((source, 0))).with_context(|| format!("cannot use the address {source}"))?;
    connect(&socket, &SocketAddr::from(server)).with_context(|| format!("cannot connect to {server}"))?;
    Ok(TcpStream::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_why_the_server_closed() {
        assert_eq!(close_reason(&[0x03, 0xf1, b'b', b'y', b'e']), " with code 1009 bye");
        assert_eq!(close_reason(&[0x03, 0xe8]), " with code 1000");
        assert_eq!(close_reason(&[]), " without a code");
    }
}
