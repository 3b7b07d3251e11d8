//! The client, and servers that answer anything.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use switchboard_turn::client::discovery::{Discovery, Test};
use switchboard_turn::client::{
    Allocation, Event, Frames, Login, MAX_PENDING, Options, RequestId, Retransmission, Strength, Transport, TurnClient,
};
use switchboard_turn::message::{
    Class, Family, Integrity, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer,
};
use switchboard_turn::nat::Change;

use super::script::{Script, attributes, peer};

/// More would make a run slow without reaching anything new.
const STEPS: usize = 100;

/// Plays `data` to a client as what its program asks, what a server answers and how time passes.
///
/// Each request ends exactly once, nothing else is told of, and after the longest wait nothing is left waiting.
pub fn client(data: &[u8]) {
    let mut script = Script(data);
    let mut session = Session::new(&mut script);
    for _ in 0..STEPS {
        if script.is_empty() {
            break;
        }
        session.step(&mut script);
        session.listen();
    }
    session.end();
}

struct Session {
    client: TurnClient,
    transport: Transport,
    server: SocketAddr,
    now: Instant,
    /// Requests without an end.
    waiting: BTreeSet<RequestId>,
    /// The last request that was sent.
    sent: Option<(Method, TransactionId)>,
    outgoing: Frames,
}

impl Session {
    fn new(script: &mut Script<'_>) -> Self {
        let kind = script.byte();
        let transport = if kind & 1 == 0 { Transport::Datagram } else { Transport::Stream };
        let strength = if kind & 2 == 0 { Strength::Best } else { Strength::AsBrowsers };
        let server = "198.41.0.4:3478".parse().expect("an address");
        let login = (kind & 4 == 0).then(|| Login::new("ann", "correct horse", strength).expect("a login"));
        let options = Options { login, retransmission: Retransmission::QUICK, ..Options::new(server, transport) };
        Self {
            client: TurnClient::new(options, [1; 32]),
            transport,
            server,
            now: Instant::now(),
            waiting: BTreeSet::new(),
            sent: None,
            outgoing: Frames::default(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let now = self.now;
        let asked = match script.byte() % 12 {
            0 => self.client.bind(now),
            1 => self.client.binding(peer(script), Change::from_bits(script.byte().into()), Some(4), now),
            2 => self.client.allocate(allocation(script), now),
            3 => self.client.refresh(Duration::from_secs(script.byte().into()), now),
            4 => self.client.refresh_family(Family::V6, Duration::from_secs(60), now),
            5 => self.client.create_permission(&[peer(script), peer(script)], now),
            6 => self.client.bind_channel(peer(script), now),
            7 => {
                let sent = self.client.send(peer(script), script.bytes());
                return assert_eq!(sent, Ok(()));
            }
            8 => return self.pass(Duration::from_millis(u64::from(script.byte()) * 10)),
            9 => return self.client.handle_input(self.server, script.bytes(), now),
            _ => return self.answer(script),
        };
        assert!(self.waiting.insert(asked), "an id was given twice");
    }

    /// Answers the last request that was sent, with whatever attributes.
    fn answer(&mut self, script: &mut Script<'_>) {
        let Some((method, transaction)) = self.sent else { return };
        let kind = script.byte();
        let class = [Class::Success, Class::Error, Class::Indication, Class::Request][usize::from(kind % 4)];
        let mut packet = Vec::new();
        let mut writer = Writer::new(&mut packet, class, method, transaction);
        if class == Class::Error {
            writer.error_code(script.of(&[401, 438, 300, 400, 437, 508]));
            if kind & 0x40 != 0 {
                writer.attribute(0x0014, b"turn").attribute(0x0015, b"obMatJos2AAABxxxxxxx");
                writer.attribute(0x8002, &[0, 2, 0, 0]);
            }
        }
        attributes(script, &mut writer, [7; 8]);
        if kind & 0x10 != 0 {
            let (algorithm, integrity) = if kind & 0x20 == 0 {
                (PasswordAlgorithm::Md5, Integrity::Sha1)
            } else {
                (PasswordAlgorithm::Sha256, Integrity::Sha256)
            };
            writer.integrity(integrity, &Key::long_term(algorithm, "ann", "turn", "correct horse"));
        }
        self.client.handle_input(self.server, &packet, self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.client.handle_timeout(self.now);
        assert!(self.client.poll_timeout().is_none_or(|due| due > self.now), "something due was not done");
    }

    fn listen(&mut self) {
        while let Some(transmit) = self.client.poll_transmit() {
            match self.transport {
                Transport::Datagram => self.note(&transmit.payload),
                Transport::Stream => {
                    self.outgoing.push(&transmit.payload);
                    while let Some(frame) = self.outgoing.next_frame(|_| true).expect("frames") {
                        let frame = frame.to_vec();
                        self.note(&frame);
                    }
                }
            }
        }
        while let Some(event) = self.client.poll_event() {
            let ended = match event {
                Event::Bound { request, .. }
                | Event::Allocated { request, .. }
                | Event::Refreshed { request, .. }
                | Event::Permitted { request }
                | Event::ChannelBound { request, .. }
                | Event::Failed { request, .. } => request,
                Event::Data { .. } | Event::Broken(_) => continue,
            };
            assert!(self.waiting.remove(&ended), "the end of a request that was not waiting");
        }
        assert!(self.waiting.len() <= MAX_PENDING, "more requests wait than may");
    }

    fn note(&mut self, packet: &[u8]) {
        if packet.first().is_some_and(|first| *first < 0x40) {
            let message = Message::parse(packet).expect("the client writes messages");
            if message.class() == Class::Request {
                self.sent = Some((message.method(), message.transaction()));
            }
        }
    }

    fn end(mut self) {
        // Each request is due once for each time it is sent.
        for _ in 0..=MAX_PENDING * Retransmission::QUICK.sends as usize {
            let Some(due) = self.client.poll_timeout() else { break };
            self.pass(due.saturating_duration_since(self.now));
            self.listen();
        }
        assert!(self.waiting.is_empty(), "{:?} never end", self.waiting);
    }
}

fn allocation(script: &mut Script<'_>) -> Allocation {
    let kind = script.byte();
    Allocation {
        family: (kind & 1 != 0).then_some(Family::V6),
        additional: (kind & 2 != 0).then_some(Family::V6),
        lifetime: (kind & 4 != 0).then_some(Duration::from_secs(777)),
        even_port: (kind & 8 != 0).then_some(kind & 16 != 0),
        reservation: (kind & 32 != 0).then_some([7; 8]),
        dont_fragment: kind & 64 != 0,
    }
}

/// Plays `data` to a NAT behaviour test as the answers of its servers.
///
/// It comes to one conclusion in bounded time.
pub fn discovery(data: &[u8]) {
    let mut script = Script(data);
    let server: SocketAddr = "198.41.0.4:3478".parse().expect("an address");
    let mut now = Instant::now();
    let test = script.of(&[Test::Mapping, Test::Filtering]);
    let mut discovery = Discovery::new(test, server, Retransmission::QUICK, [1; 32], now);
    let mut sent = None;
    for _ in 0..STEPS {
        while let Some(transmit) = discovery.poll_transmit() {
            let message = Message::parse(&transmit.payload).expect("the client writes messages");
            sent = Some((transmit.to, message.transaction()));
        }
        let Some((to, transaction)) = sent.filter(|_| !script.is_empty()) else { break };
        if script.byte() % 4 == 0 {
            now += Duration::from_millis(u64::from(script.byte()) * 10);
            discovery.handle_timeout(now);
            continue;
        }
        let mut packet = Vec::new();
        let mut writer =
            Writer::new(&mut packet, script.of(&[Class::Success, Class::Error]), Method::Binding, transaction);
        if script.byte() % 2 == 0 {
            writer.mapped(peer(&mut script));
            // OTHER-ADDRESS is not XORed (RFC 5780 §7.4).
            writer.attribute(0x802c, &[0, 1, 0x0d, 0x97, 198, 41, 0, 5]);
        }
        attributes(&mut script, &mut writer, [7; 8]);
        let from = script.of(&[to, server]);
        discovery.handle_input(from, &packet, now);
    }
    for _ in 0..STEPS {
        while discovery.poll_transmit().is_some() {}
        let Some(due) = discovery.poll_timeout().filter(|_| discovery.outcome().is_none()) else { break };
        now = now.max(due);
        discovery.handle_timeout(now);
    }
    assert!(discovery.outcome().is_some(), "no conclusion");
}
