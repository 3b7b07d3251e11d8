//! The least that a relay can cost on this machine: reads, exchanges two ids, writes.
//!
//! Not a server: it knows our dialect as far as the generator speaks it, trusts every byte, and would lose messages
//! where it now fails. What it costs is the kernel's share, which no server under test gets below.

use crate::client::ACCEPT;
use anyhow::{Context, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// Digits of an id, as many as Switchboard's have characters.
const ID: usize = 22;
const OFFER: &str = r#"{"type":"offer","to":""#;
const LISTENER: u64 = u64::MAX;
const STDIN: u64 = u64::MAX - 1;

#[derive(Debug)]
struct Relay {
    epoll: OwnedFd,
    members: Vec<Option<Member>>,
}

#[derive(Debug)]
struct Member {
    stream: TcpStream,
    upgraded: bool,
    partial: Vec<u8>,
}

/// Serves on a free port of loopback until standard input ends.
pub(crate) fn run() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut relay = Relay { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, members: Vec::new() };
    epoll::add(&relay.epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    epoll::add(&relay.epoll, std::io::stdin(), EventData::new_u64(STDIN), EventFlags::IN)?;
    let (mut events, mut chunk) = (Vec::with_capacity(64), vec![0; 64 * 1024]);
    loop {
        epoll::wait(&relay.epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => relay.accept(listener.accept()?.0)?,
                STDIN => return Ok(()),
                index => relay.on_readable(index as usize, &mut chunk)?,
            }
        }
    }
}

impl Relay {
    fn accept(&mut self, stream: TcpStream) -> Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let index = EventData::new_u64(self.members.len() as u64);
        epoll::add(&self.epoll, &stream, index, EventFlags::IN)?;
        self.members.push(Some(Member { stream, upgraded: false, partial: Vec::new() }));
        Ok(())
    }

    fn on_readable(&mut self, index: usize, chunk: &mut [u8]) -> Result<()> {
        let Some(Some(member)) = self.members.get_mut(index) else { return Ok(()) };
        let count = match member.stream.read(chunk) {
            Ok(0) => return self.leave(index),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return self.leave(index),
        };
        let mut bytes = std::mem::take(&mut member.partial);
        bytes.extend_from_slice(&chunk[..count]);
        let mut used = if member.upgraded { 0 } else { member.upgrade(&bytes)? };
        let mut batch = Batch::default();
        while let Some((closes, start, end)) = client_frame(&bytes[used..])? {
            if closes {
                return self.leave(index);
            }
            let text = std::str::from_utf8(&bytes[used + start..used + end])?;
            self.on_text(index, text, &mut batch)?;
            used += end;
        }
        self.write(&mut batch)?;
        if let Some(Some(member)) = self.members.get_mut(index) {
            member.partial.extend_from_slice(&bytes[used..]);
        }
        Ok(())
    }

    fn on_text(&mut self, index: usize, text: &str, batch: &mut Batch) -> Result<()> {
        if let Some(rest) = text.strip_prefix(OFFER) {
            let to = rest[..ID].parse()?;
            self.aim(batch, to)?;
            batch.put(&[r#"{"type":"offer","from":""#, &id(index), &rest[ID..]]);
        } else if text.starts_with(r#"{"type":"hello""#) {
            self.aim(batch, index)?;
            batch.put(&[r#"{"type":"welcome","id":""#, &id(index), r#""}"#]);
        } else if let Some(room) = text.strip_prefix(r#"{"type":"join","room":""#) {
            self.aim(batch, room[..ID].parse()?)?;
            batch.put(&[r#"{"type":"peer-joined"}"#]);
            self.aim(batch, index)?;
            batch.put(&[r#"{"type":"joined"}"#]);
        } else {
            self.aim(batch, index)?;
            batch.put(&[r#"{"type":"joined","room":""#, &id(index), r#""}"#]);
        }
        Ok(())
    }

    /// Makes `to` the receiver of what follows; several messages to one are one write.
    fn aim(&mut self, batch: &mut Batch, to: usize) -> Result<()> {
        if batch.to != to {
            self.write(batch)?;
            batch.to = to;
        }
        Ok(())
    }

    fn write(&mut self, batch: &mut Batch) -> Result<()> {
        if let (false, Some(Some(member))) = (batch.bytes.is_empty(), self.members.get_mut(batch.to)) {
            let written = member.stream.write(&batch.bytes)?;
            ensure!(written == batch.bytes.len(), "a receiver does not read");
        }
        batch.bytes.clear();
        Ok(())
    }

    /// Closing the socket takes it out of the epoll set.
    fn leave(&mut self, index: usize) -> Result<()> {
        self.members[index] = None;
        if self.members.iter().all(Option::is_none) {
            self.members.clear();
        }
        Ok(())
    }
}

impl Member {
    fn upgrade(&mut self, bytes: &[u8]) -> Result<usize> {
        ensure!(bytes.ends_with(b"\r\n\r\n"), "the generator's request did not come in one piece");
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
        );
        self.stream.write_all(answer.as_bytes())?;
        self.upgraded = true;
        Ok(bytes.len())
    }
}

/// What is to be written to one receiver.
#[derive(Debug, Default)]
struct Batch {
    to: usize,
    bytes: Vec<u8>,
}

impl Batch {
    /// Appends a text frame made of `parts`.
    fn put(&mut self, parts: &[&str]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.bytes.push(0x81);
        if length < 126 {
            self.bytes.push(length as u8);
        } else {
            self.bytes.push(126);
            self.bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part.as_bytes()));
    }
}

fn id(index: usize) -> String {
    format!("{index:0ID$}")
}

/// The generator's first frame in `bytes`: whether it is a close frame, and where its payload begins and ends.
fn client_frame(bytes: &[u8]) -> Result<Option<(bool, usize, usize)>> {
    let (length, header) = match bytes {
        [_, length, ..] if length & 0x7f < 126 => (usize::from(length & 0x7f), 6),
        [_, 0xfe, high, low, ..] => (usize::from(u16::from_be_bytes([*high, *low])), 8),
        [_, 0xff, ..] => bail!("the generator sends no frames of more than 64 KiB"),
        _ => return Ok(None),
    };
    let end = header + length;
    Ok((bytes.len() >= end).then_some((bytes[0] == 0x88, header, end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{self, Opcode};

    #[test]
    fn reads_the_generators_frames() {
        for (opcode, length) in [(Opcode::Text, 5), (Opcode::Text, 700), (Opcode::Close, 2)] {
            let mut bytes = Vec::new();
            frame::put(&mut bytes, opcode, &vec![b'x'; length]);

            let (closes, start, end) = client_frame(&bytes).expect("valid").expect("complete");

            assert_eq!((closes, end - start, end), (opcode == Opcode::Close, length, bytes.len()));
            assert!((0..bytes.len()).all(|cut| client_frame(&bytes[..cut]).expect("valid").is_none()));
        }
    }

    #[test]
    fn writes_frames_that_the_generator_reads() {
        let mut batch = Batch::default();
        let long = "x".repeat(700);
        batch.put(&["a", &long]);

        let (frame, used) = frame::parse(&batch.bytes).expect("valid").expect("complete");

        assert_eq!((frame.payload.len(), used), (701, batch.bytes.len()));
    }
}
