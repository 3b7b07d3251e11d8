//! A small STUN (RFC 8489) and TURN (RFC 8656) client for `doctor`, tests and benchmarks: a state machine for one connection
//! to one server. Deliberately without renewal by itself: who holds an allocation says when it is refreshed.
//!
//! Requests are methods that return a [`RequestId`]; what became of each is told once, by [`TurnClient::poll_event`].

mod answer;
pub mod discovery;
mod error;
mod frames;
mod login;
mod request;
mod schedule;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use crate::channel_data;
use crate::message::{Class, Family, Message, Method, TransactionId, Writer, known};
use crate::nat::Change;

pub use error::{BadLogin, BrokenStream, RequestError, TooLarge, code_name};
pub use frames::Frames;
pub use login::{Login, Strength};
pub use request::Allocation;
pub use schedule::Retransmission;

use login::Session;
use request::Ask;
use schedule::Attempt;

/// Requests that may wait for their answers at the same time; a program that asks for more has lost count.
pub const MAX_PENDING: usize = 64;

/// Largest payload to a peer: what an IPv4 datagram holds, less the longest header of a Send indication.
pub const MAX_PAYLOAD: usize = 65_507 - 64;

/// What carries the packets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// UDP: packets are resent and come whole.
    Datagram,
    /// TCP or TLS: nothing is resent, and packets come in any pieces.
    Stream,
}

/// What a client needs to know at its beginning.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's address.
    pub server: SocketAddr,
    /// What carries the packets.
    pub transport: Transport,
    /// Name and password, where the server will ask for them.
    pub login: Option<Login>,
    /// When requests are resent and given up.
    pub retransmission: Retransmission,
}

impl Options {
    /// Options with the standard's times and no credentials.
    pub fn new(server: SocketAddr, transport: Transport) -> Self {
        Self { server, transport, login: None, retransmission: Retransmission::default() }
    }
}

/// A request of one client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RequestId(u32);

/// Bytes to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Where to: the server, except for requests of [`TurnClient::binding`] to another of its addresses.
    pub to: SocketAddr,
    /// A datagram, or bytes for the stream.
    pub payload: Vec<u8>,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A Binding request was answered.
    Bound {
        /// Which request.
        request: RequestId,
        /// The answer.
        binding: Binding,
    },
    /// An allocation was made.
    Allocated {
        /// Which request.
        request: RequestId,
        /// The answer.
        allocated: Allocated,
    },
    /// An allocation was prolonged, or ended if `lifetime` is zero.
    Refreshed {
        /// Which request.
        request: RequestId,
        /// Until when, from now on.
        lifetime: Duration,
    },
    /// The peers may send to the relayed address for five minutes (RFC 8656 §9).
    Permitted {
        /// Which request.
        request: RequestId,
    },
    /// The peer has a channel for ten minutes (RFC 8656 §12); what is sent to it goes that way now.
    ChannelBound {
        /// Which request.
        request: RequestId,
        /// The number.
        channel: u16,
        /// The peer.
        peer: SocketAddr,
    },
    /// A request failed.
    Failed {
        /// Which request.
        request: RequestId,
        /// Why.
        error: RequestError,
    },
    /// A peer sent something.
    Data {
        /// Who.
        peer: SocketAddr,
        /// The channel it came by; none for a Data indication.
        channel: Option<u16>,
        /// What.
        payload: Vec<u8>,
    },
    /// The stream carries something else than STUN; nothing more is read from it.
    Broken(BrokenStream),
}

/// The answer to a Binding request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binding {
    /// One's own address as the server sees it.
    pub mapped: SocketAddr,
    /// Where the answer came from.
    pub from: SocketAddr,
    /// Where the server says it sent the answer from (RESPONSE-ORIGIN), if it does.
    pub origin: Option<SocketAddr>,
    /// The server's other address (OTHER-ADDRESS), if it has one.
    pub other: Option<SocketAddr>,
}

/// The answer to an Allocate request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allocated {
    /// The relayed address; two where both families were asked for and given.
    pub relayed: Vec<SocketAddr>,
    /// One's own address as the server sees it.
    pub mapped: SocketAddr,
    /// How long it lasts without a refresh.
    pub lifetime: Duration,
    /// The token of the reserved next port.
    pub reservation: Option<[u8; 8]>,
    /// The family that was asked for in addition and not given, with the error code.
    pub withheld: Option<(Family, u16)>,
}

/// What became of a peer's channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    bound: bool,
}

/// A request without its answer.
#[derive(Debug)]
struct Pending {
    id: RequestId,
    ask: Ask,
    transaction: TransactionId,
    to: SocketAddr,
    packet: Vec<u8>,
    attempt: Attempt,
    /// Whether the packet was signed.
    signed: bool,
    /// How often a new nonce was taken.
    renewed: u8,
    /// Whether an answer came whose signature was wrong.
    forged: bool,
}

/// A client of one server, over one socket or connection.
#[derive(Debug)]
pub struct TurnClient {
    options: Options,
    rng: StdRng,
    session: Session,
    pending: Vec<Pending>,
    channels: Vec<Channel>,
    frames: Frames,
    broken: bool,
    last_request: u32,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl TurnClient {
    /// Starts a client; `seed` must not be used twice, for it makes the transaction ids.
    pub fn new(options: Options, seed: [u8; 32]) -> Self {
        Self {
            session: Session::new(options.login.clone()),
            options,
            rng: StdRng::from_seed(seed),
            pending: Vec::new(),
            channels: Vec::new(),
            frames: Frames::default(),
            broken: false,
            last_request: 0,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Asks the server for one's own address.
    pub fn bind(&mut self, now: Instant) -> RequestId {
        self.binding(self.options.server, Change::default(), None, now)
    }

    /// Asks one of the server's addresses for one's own (RFC 5780), to be answered from where `change` says, with as much
    /// padding as is sent.
    pub fn binding(&mut self, to: SocketAddr, change: Change, padding: Option<u16>, now: Instant) -> RequestId {
        self.ask(Ask::Binding { to, change, padding }, now)
    }

    /// Asks for a relayed address.
    pub fn allocate(&mut self, allocation: Allocation, now: Instant) -> RequestId {
        self.ask(Ask::Allocate(allocation), now)
    }

    /// Prolongs the allocation, or ends it with a lifetime of zero.
    pub fn refresh(&mut self, lifetime: Duration, now: Instant) -> RequestId {
        self.ask(Ask::Refresh { lifetime, family: None }, now)
    }

    /// Prolongs or ends one half of a dual allocation.
    pub fn refresh_family(&mut self, family: Family, lifetime: Duration, now: Instant) -> RequestId {
        self.ask(Ask::Refresh { lifetime, family: Some(family) }, now)
    }

    /// Lets peers send to the relayed address. The ports do not matter.
    pub fn create_permission(&mut self, peers: &[SocketAddr], now: Instant) -> RequestId {
        self.ask(Ask::CreatePermission { peers: peers.to_vec() }, now)
    }

    /// Gives a peer a channel, or prolongs the one it has.
    pub fn bind_channel(&mut self, peer: SocketAddr, now: Instant) -> RequestId {
        let number = match self.channels.iter().find(|channel| channel.peer == peer) {
            Some(channel) => channel.number,
            None => {
                let taken = |number: &u16| self.channels.iter().any(|channel| channel.number == *number);
                // Where no number is free, the server says so.
                let number = channel_data::NUMBERS
                    .into_iter()
                    .find(|number| !taken(number))
                    .unwrap_or(*channel_data::NUMBERS.end());
                self.channels.push(Channel { number, peer, bound: false });
                number
            }
        };
        self.bind_channel_number(number, peer, now)
    }

    /// Asks for a channel by its number, which may be one that the server must refuse.
    pub fn bind_channel_number(&mut self, channel: u16, peer: SocketAddr, now: Instant) -> RequestId {
        self.ask(Ask::ChannelBind { channel, peer }, now)
    }

    /// Sends to a peer, by its channel if it has one, else in a Send indication. Needs a permission or a channel.
    ///
    /// # Errors
    ///
    /// The payload is larger than [`MAX_PAYLOAD`].
    pub fn send(&mut self, peer: SocketAddr, payload: &[u8]) -> Result<(), TooLarge> {
        match self.channels.iter().find(|channel| channel.bound && channel.peer == peer) {
            Some(channel) => self.send_by_channel(channel.number, payload),
            None => self.send_indication(peer, payload, false),
        }
    }

    /// Sends ChannelData, whether the channel is bound or not.
    ///
    /// # Errors
    ///
    /// The payload is larger than [`MAX_PAYLOAD`].
    pub fn send_by_channel(&mut self, channel: u16, payload: &[u8]) -> Result<(), TooLarge> {
        let length = TooLarge::check(payload)?;
        let mut packet = channel_data::header(channel, length).to_vec();
        packet.extend_from_slice(payload);
        match self.options.transport {
            Transport::Datagram => {}
            // RFC 8656 §12.5.
            Transport::Stream => packet.resize(packet.len().next_multiple_of(4), 0),
        }
        self.transmit(packet);
        Ok(())
    }

    /// Sends a Send indication, whether the peer has a channel or not.
    ///
    /// # Errors
    ///
    /// The payload is larger than [`MAX_PAYLOAD`].
    pub fn send_indication(&mut self, peer: SocketAddr, payload: &[u8], dont_fragment: bool) -> Result<(), TooLarge> {
        TooLarge::check(payload)?;
        let mut packet = Vec::with_capacity(payload.len() + 64);
        let mut writer = Writer::new(&mut packet, Class::Indication, Method::Send, self.new_transaction());
        writer.peer(peer);
        if dont_fragment {
            writer.attribute(known::DONT_FRAGMENT, &[]);
        }
        writer.attribute(known::DATA, payload);
        self.transmit(packet);
        Ok(())
    }

    /// Takes a datagram that came from `from`, or the next bytes of the stream.
    pub fn handle_input(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        match self.options.transport {
            Transport::Datagram => self.handle_packet(from, bytes, now),
            Transport::Stream => self.handle_stream(bytes, now),
        }
    }

    /// Says that the connection has ended: what waited for an answer gets none.
    pub fn handle_closed(&mut self) {
        self.broken = true;
        for pending in std::mem::take(&mut self.pending) {
            self.fail(pending.id, RequestError::Closed);
        }
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pending.iter().map(|pending| pending.attempt.due()).min()
    }

    /// Resends what was not answered, or gives it up.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut index = 0;
        while let Some(pending) = self.pending.get_mut(index) {
            if pending.attempt.due() > now {
                index += 1;
            } else if pending.attempt.again(now) {
                self.transmits.push_back(Transmit { to: pending.to, payload: pending.packet.clone() });
                index += 1;
            } else {
                let pending = self.pending.remove(index);
                self.fail(pending.id, RequestError::TimedOut { forged: pending.forged });
            }
        }
    }

    /// The next bytes to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The realm that the server has told, if it asked for credentials.
    pub fn realm(&self) -> Option<&str> {
        self.session.realm()
    }

    fn handle_stream(&mut self, bytes: &[u8], now: Instant) {
        if self.broken {
            return;
        }
        let mut frames = std::mem::take(&mut self.frames);
        frames.push(bytes);
        loop {
            match frames.next_frame(|number| self.channels.iter().any(|channel| channel.number == number)) {
                Ok(Some(frame)) => self.handle_packet(self.options.server, frame, now),
                Ok(None) => break,
                Err(broken) => {
                    self.events.push_back(Event::Broken(broken));
                    self.handle_closed();
                    return;
                }
            }
        }
        self.frames = frames;
    }

    fn handle_packet(&mut self, from: SocketAddr, packet: &[u8], now: Instant) {
        match packet.first() {
            Some(first) if channel_data::begins(*first) => self.handle_channel_data(from, packet),
            Some(_) => {
                // Whatever else comes to a UDP socket is not for this client (RFC 8489 §6.3).
                let Ok(message) = Message::parse(packet) else { return };
                match message.class() {
                    Class::Success | Class::Error => self.handle_answer(from, &message, now),
                    Class::Indication => self.handle_indication(from, &message),
                    Class::Request => {}
                }
            }
            None => {}
        }
    }

    fn handle_channel_data(&mut self, from: SocketAddr, packet: &[u8]) {
        let Some((number, range)) = channel_data::parse(packet) else { return };
        let Some(channel) = self.channels.iter().find(|channel| channel.number == number) else { return };
        if from == self.options.server {
            let payload = packet[range].to_vec();
            self.events.push_back(Event::Data { peer: channel.peer, channel: Some(number), payload });
        }
    }

    fn handle_indication(&mut self, from: SocketAddr, message: &Message<'_>) {
        let (Some(Ok(peer)), Some(payload)) = (message.peer(), message.attribute(known::DATA)) else { return };
        if message.method() == Method::Data && from == self.options.server {
            self.events.push_back(Event::Data { peer, channel: None, payload: payload.to_vec() });
        }
    }

    fn new_transaction(&mut self) -> TransactionId {
        let mut id = [0; 12];
        self.rng.fill_bytes(&mut id);
        TransactionId(id)
    }

    fn transmit(&mut self, payload: Vec<u8>) {
        self.transmits.push_back(Transmit { to: self.options.server, payload });
    }

    fn fail(&mut self, request: RequestId, error: RequestError) {
        self.events.push_back(Event::Failed { request, error });
    }
}
