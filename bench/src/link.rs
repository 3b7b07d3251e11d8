//! One member's socket during a measurement: non-blocking, one read or write call for as many frames as fit.

use crate::client::Client;
use crate::dialect::Message;
use crate::frame::{self, Opcode};
use crate::payload::{DIGITS, write_time};
use anyhow::{Context, Result, ensure};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What may wait for a server that does not read. Past it, an open loop counts messages as lost instead of storing them.
const MAX_PENDING: usize = 256 * 1024;
/// How long a server may take to answer the closing handshake.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
const NORMAL_CLOSURE: [u8; 2] = 1000u16.to_be_bytes();

/// Whether the socket wants to hear when it is writable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Everything is written.
    Done,
    /// The kernel's buffer is full.
    Waiting,
}

/// A member's socket and the message that it sends to its partner.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    /// The begin of a frame whose rest has not been read.
    partial: Vec<u8>,
    /// What the kernel would not take yet.
    pending: Vec<u8>,
    /// A whole frame; its time is rewritten for each sending.
    frame: Vec<u8>,
    /// Where the digits of the time begin in `frame`.
    digits: usize,
}

impl Link {
    /// Takes over a client that is ready to send `message`, or only to be idle.
    pub(crate) fn new(client: Client, message: Option<&Message>) -> Result<Self> {
        let (stream, partial) = client.into_parts()?;
        let mut link = Self { partial, ..Self::fresh(stream) };
        if let Some(message) = message {
            link.prepare(message);
        }
        Ok(link)
    }

    /// Takes over a non-blocking socket from which nothing has been read.
    pub(crate) fn fresh(stream: TcpStream) -> Self {
        Self { stream, partial: Vec::new(), pending: Vec::new(), frame: Vec::new(), digits: 0 }
    }

    /// Makes `message` what [`Self::put_message`] sends.
    pub(crate) fn prepare(&mut self, message: &Message) {
        self.frame.clear();
        frame::put(&mut self.frame, Opcode::Text, message.text.as_bytes());
        self.digits = self.frame.len() - message.text.len() + message.digits;
    }

    /// The socket, for an epoll set.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Appends the message with the time `nanos` to `out`.
    pub(crate) fn put_message(&mut self, out: &mut Vec<u8>, nanos: u64) {
        write_time(&mut self.frame[self.digits..self.digits + DIGITS], nanos);
        out.extend_from_slice(&self.frame);
    }

    /// Reads what has arrived into `buffer`, behind the partial frame of the last time; `None` when nothing has.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>, chunk: &mut [u8]) -> Result<Option<()>> {
        let count = match self.stream.read(chunk) {
            Ok(0) => anyhow::bail!("the server closed a connection in the middle of a run"),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(None),
            Err(error) => return Err(error).context("a connection broke in the middle of a run"),
        };
        buffer.clear();
        buffer.append(&mut self.partial);
        buffer.extend_from_slice(&chunk[..count]);
        Ok(Some(()))
    }

    /// Keeps the bytes of an incomplete frame for the next reading.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.partial.extend_from_slice(rest);
    }

    /// Whether so much waits that another message would only measure the length of the queue.
    pub(crate) fn is_clogged(&self) -> bool {
        self.pending.len() > MAX_PENDING
    }

    /// Writes `bytes` behind what waits already.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<Progress> {
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(bytes);
            return Ok(Progress::Waiting);
        }
        let written = write_some(&mut self.stream, bytes)?;
        self.pending.extend_from_slice(&bytes[written..]);
        Ok(self.progress())
    }

    /// Writes what waits, when the socket has become writable.
    pub(crate) fn write_pending(&mut self) -> Result<Progress> {
        let written = write_some(&mut self.stream, &self.pending)?;
        self.pending.drain(..written);
        Ok(self.progress())
    }

    /// Says goodbye in good order. Failures are not the measurement's business.
    pub(crate) fn begin_close(&mut self) {
        let mut close = Vec::new();
        frame::put(&mut close, Opcode::Close, &NORMAL_CLOSURE);
        let _ = self.write(&close);
    }

    /// Waits until the server has closed its side, so that it has nothing left of this run when the next one begins.
    pub(crate) fn finish_close(mut self) -> Result<()> {
        self.stream.set_nonblocking(false)?;
        self.stream.set_read_timeout(Some(CLOSE_PATIENCE))?;
        let mut rest = [0; 4096];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    let silent = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                    ensure!(!silent, "the server did not answer a close frame within {CLOSE_PATIENCE:?}");
                    return Ok(());
                }
            }
        }
    }

    fn progress(&self) -> Progress {
        if self.pending.is_empty() { Progress::Done } else { Progress::Waiting }
    }
}

fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> Result<usize> {
    match stream.write(bytes) {
        Ok(written) => Ok(written),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        Err(error) => Err(error).context("a connection broke in the middle of a run"),
    }
}
