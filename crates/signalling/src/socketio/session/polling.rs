//! The requests of a polling session, at most one GET and one POST at a time, and what waits for the next GET.

use std::collections::VecDeque;

use super::super::CloseReason;
use super::super::handshake::Reply;
use super::super::limits::{WAITING_BYTES, WAITING_PACKETS};
use super::super::packet::{Packet, Protocol};
use super::super::payload::{Encoding, Packets, to_ascii, write_payload};
use super::super::script;

/// The transport's state.
#[derive(Debug)]
pub(super) struct Polling {
    protocol: Protocol,
    /// The answers have to be scripts that call this callback, and the bodies are forms.
    script: Option<u32>,
    /// A GET waits for its answer.
    waiting: bool,
    /// A POST is being read, in this encoding.
    posting: Option<Encoding>,
    /// What waits for a GET, in order.
    packets: VecDeque<Vec<u8>>,
    /// The bytes in `packets`.
    bytes: usize,
}

/// The body of a POST, freed from its form.
#[derive(Debug)]
pub(super) enum Payload<'a> {
    Plain(Encoding, &'a [u8]),
    Form(Encoding, String),
}

impl Payload<'_> {
    pub(super) fn packets(&self) -> Packets<'_> {
        match self {
            Self::Plain(encoding, body) => Packets::decode(*encoding, body),
            Self::Form(encoding, body) => Packets::decode(*encoding, body.as_bytes()),
        }
    }
}

/// The answer to a POST. HTML, because some browsers offer plain text in a hidden frame for download.
pub(super) fn ok() -> Reply {
    Reply { status: 200, content_type: Some("text/html"), body: b"ok".to_vec() }
}

impl Polling {
    /// Begins with a GET that waits.
    pub(super) fn new(protocol: Protocol, script: Option<u32>) -> Self {
        Self { protocol, script, waiting: true, posting: None, packets: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    pub(super) fn wait(&mut self) {
        self.waiting = true;
    }

    pub(super) fn stop_waiting(&mut self) {
        self.waiting = false;
    }

    /// Queues a packet.
    pub(super) fn push(&mut self, packet: Vec<u8>) -> Result<(), CloseReason> {
        let packet = match self.protocol {
            Protocol::V3 if !packet.is_ascii() => to_ascii(&packet),
            Protocol::V3 | Protocol::V4 => packet,
        };
        self.bytes += packet.len();
        self.packets.push_back(packet);
        if self.bytes > WAITING_BYTES || self.packets.len() > WAITING_PACKETS {
            return Err(CloseReason::TooSlow);
        }
        Ok(())
    }

    /// Answers the GET with what waits, if there are both. The first packet of a session goes alone, as in the original,
    /// whose oldest clients listen for more only once they have it.
    pub(super) fn flush(&mut self) -> Option<Reply> {
        if !self.waiting || self.packets.is_empty() {
            return None;
        }
        let opening = self.packets.front().is_some_and(|packet| packet.starts_with(b"0"));
        let count = if opening { 1 } else { self.packets.len() };
        Some(self.answer(count))
    }

    /// Ends the GET, if one waits, with a packet that means nothing.
    pub(super) fn release(&mut self) -> Option<Reply> {
        self.flush().or_else(|| self.finish(Packet::Noop))
    }

    /// Ends the GET, if one waits, with what waits and `last`.
    pub(super) fn finish(&mut self, last: Packet<'_>) -> Option<Reply> {
        if !self.waiting {
            return None;
        }
        let mut packet = Vec::new();
        last.write_to(&mut packet);
        self.bytes += packet.len();
        self.packets.push_back(packet);
        Some(self.answer(self.packets.len()))
    }

    fn answer(&mut self, count: usize) -> Reply {
        let mut body = Vec::with_capacity(self.bytes + 8 * count);
        write_payload(self.protocol, self.packets.range(..count).map(Vec::as_slice), &mut body);
        let sent: usize = self.packets.drain(..count).map(|packet| packet.len()).sum();
        self.bytes -= sent;
        self.waiting = false;
        match self.script {
            None => Reply { status: 200, content_type: Some("text/plain; charset=UTF-8"), body },
            Some(index) => Reply {
                status: 200,
                content_type: Some("text/javascript; charset=UTF-8"),
                body: script::wrap(index, &body),
            },
        }
    }

    /// Takes out everything that waits.
    pub(super) fn take_packets(&mut self) -> impl Iterator<Item = Vec<u8>> {
        self.bytes = 0;
        std::mem::take(&mut self.packets).into_iter()
    }

    /// Begins to read a POST.
    pub(super) fn begin_post(&mut self, binary: bool) -> Result<(), CloseReason> {
        if self.posting.is_some() {
            return Err(CloseReason::Overlap);
        }
        self.posting = Some(match (self.protocol, binary) {
            (Protocol::V3, true) => Encoding::Framed,
            (Protocol::V3, false) => Encoding::Counted,
            (Protocol::V4, false) => Encoding::Separated,
            (Protocol::V4, true) => return Err(CloseReason::Malformed),
        });
        Ok(())
    }

    /// Ends the reading of a POST; none if none was begun.
    pub(super) fn end_post<'a>(&mut self, body: &'a [u8]) -> Option<Payload<'a>> {
        let encoding = self.posting.take()?;
        match self.script {
            None => Some(Payload::Plain(encoding, body)),
            // A form without the field is an empty payload, which is refused as such.
            Some(_) => Some(Payload::Form(encoding, script::unwrap(body).unwrap_or_default())),
        }
    }

    /// Forgets the POST that is being read; false if there is none.
    pub(super) fn drop_post(&mut self) -> bool {
        self.posting.take().is_some()
    }
}
