//! The engine against another server, `turn-server-proto` 0.7: the same requests, and the same answers unless the standard
//! lets each choose, or the other one is wrong. Each way in which they may differ is an arm of [`excuse`], or a function of its
//! own, with the reason.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use switchboard_turn::canonical;
use switchboard_turn::message::{
    Class, Integrity, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer, known,
};
use turn_server_proto::api::{SocketAllocateError, Transmit, TurnServerApi as _, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_types::{AddressFamily, Instant, TransportType};

use super::engine::{Event, USERS, World, right_attributes};
use super::script::{Script, formal_attributes, peer};

/// More would make a run slow without reaching anything new.
const STEPS: usize = 60;
/// Seconds that a permission lasts, and a channel (RFC 8656 §9, §12).
const PERMISSION: u64 = 300;
const CHANNEL: u64 = 600;
/// Only those over UDP: the other server is one for each transport.
const CLIENTS: [usize; 3] = [0, 1, 3];

/// Plays `data` as requests, data and time to both servers.
pub fn agree(data: &[u8]) {
    let mut script = Script(data);
    let mut both = Both::new();
    for step in 0..STEPS {
        if script.is_empty() || !both.step(&mut script, step) {
            break;
        }
    }
}

struct Both {
    ours: World,
    theirs: TurnServer,
    /// Seconds since both began.
    time: u64,
    nonces: [String; USERS.len()],
    /// Its offer of password algorithms, which clients repeat.
    offer: Vec<u8>,
    /// When each client was last allowed to send to an address.
    permitted: BTreeMap<(usize, IpAddr), u64>,
    /// What happened so far, for the one who reads of a difference.
    history: Vec<String>,
}

/// What a server made of a packet, as far as the two can be compared.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Outcome {
    Nothing,
    Success(Option<u32>),
    /// The client's own address, in answer to a Binding request.
    Mapped(SocketAddr),
    Error(u16),
    Relayed(SocketAddr, Vec<u8>),
    Delivered(Vec<u8>),
}

impl Both {
    fn new() -> Self {
        let mut theirs = TurnServer::new(TransportType::Udp, server(), "turn".to_owned());
        for (name, password) in &USERS[..2] {
            theirs.add_user((*name).to_owned(), (*password).to_owned());
        }
        let mut both = Self {
            ours: World::new(),
            theirs,
            time: 0,
            nonces: Default::default(),
            offer: Vec::new(),
            permitted: BTreeMap::new(),
            history: Vec::new(),
        };
        // How long a nonce is good is everybody's own choice; here all are good.
        both.theirs.set_nonce_expiry_duration(Duration::from_secs(1_000_000));
        for slot in CLIENTS {
            both.learn_nonce(slot);
        }
        both
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(1_000_000_000 * self.time as i64)
    }

    fn learn_nonce(&mut self, slot: usize) {
        let mut packet = Vec::new();
        Writer::new(&mut packet, Class::Request, Method::Refresh, TransactionId([0xee; 12]));
        let from = self.ours.clients[slot].remote;
        let answer = self.theirs.recv(Transmit::new(packet, TransportType::Udp, from, server()), self.now());
        let answer = answer.expect("a challenge").build().data;
        let message = Message::parse(&answer).expect("a message");
        self.nonces[slot] = message.nonce().expect("a nonce").expect("text").to_owned();
        self.offer = message.attribute(known::PASSWORD_ALGORITHMS).unwrap_or_default().to_vec();
    }

    /// Whether to go on: after an answer that both may give differently, their states differ.
    fn step(&mut self, script: &mut Script<'_>, step: usize) -> bool {
        let slot = script.of(&CLIENTS);
        match script.byte() % 8 {
            0 => {
                self.time += u64::from(script.byte()) * 7;
                let later = self.ours.began() + Duration::from_secs(self.time);
                self.ours.pass_until(later);
                while let TurnServerPollRet::SocketClose { .. } | TurnServerPollRet::TcpClose { .. } =
                    self.theirs.poll(self.now())
                {}
                CLIENTS.into_iter().for_each(|slot| self.ours.learn_nonce(slot));
                self.history.push(format!("at {} s", self.time));
                true
            }
            1 => {
                let packet = data(script, step);
                let ours = self.ours.client(self.ours.clients[slot], &packet);
                let theirs = self.send_theirs(slot, &packet, None);
                self.compare(slot, &packet, outcome(ours), theirs)
            }
            2 => self.arrive(script),
            3 => self.bind(script, slot, step),
            _ => self.request(script, slot, step),
        }
    }

    /// A Binding request: bare, with what it need not have, with what nobody understands, or under a name that counts for nothing.
    fn bind(&mut self, script: &mut Script<'_>, slot: usize, step: usize) -> bool {
        let mut packet = Vec::new();
        let mut writer = Writer::new(&mut packet, Class::Request, Method::Binding, TransactionId([step as u8; 12]));
        let kind = script.byte();
        if kind & 1 != 0 {
            formal_attributes(script, &mut writer, [7; 8]);
        }
        if kind & 2 != 0 {
            writer.attribute(known::USERNAME, USERS[slot].0.as_bytes());
        }
        if kind & 4 != 0 {
            writer.fingerprint();
        }
        let ours = outcome(self.ours.client(self.ours.clients[slot], &packet));
        let theirs = match self.send_theirs(slot, &packet, None) {
            // The other one answers Binding requests to itself; what it would have said is compared all the same.
            Outcome::Relayed(to, reply) if to == server() => answer(&reply),
            other => other,
        };
        self.compare(slot, &packet, ours, theirs)
    }

    fn request(&mut self, script: &mut Script<'_>, slot: usize, step: usize) -> bool {
        let (name, password) = USERS[slot];
        let method = script.of(&[Method::Allocate, Method::CreatePermission, Method::ChannelBind, Method::Refresh]);
        let kind = script.byte();
        let write = |nonce: &str, offer: &[u8], script: &mut Script<'_>| {
            let mut packet = Vec::new();
            let mut writer = Writer::new(&mut packet, Class::Request, method, TransactionId([step as u8; 12]));
            if kind & 1 == 0 {
                right_attributes(script, method, &mut writer);
            }
            if kind & 2 != 0 {
                formal_attributes(script, &mut writer, [7; 8]);
            }
            writer.attribute(known::USERNAME, name.as_bytes()).attribute(known::REALM, b"turn");
            writer.attribute(known::NONCE, nonce.as_bytes());
            let sha256 = slot == 3;
            if sha256 {
                writer.attribute(known::PASSWORD_ALGORITHMS, offer);
                writer.attribute(known::PASSWORD_ALGORITHM, &[0, 2, 0, 0]);
            }
            let (algorithm, integrity) = if sha256 {
                (PasswordAlgorithm::Sha256, Integrity::Sha256)
            } else {
                (PasswordAlgorithm::Md5, Integrity::Sha1)
            };
            let password = if kind >= 0xf0 { "wrong horse" } else { password };
            writer.integrity(integrity, &Key::long_term(algorithm, name, "turn", password));
            packet
        };
        let (mut first, mut second) = (Script(script.0), Script(script.0));
        let packet = write(self.ours.nonce(slot), &[0, 2, 0, 0], &mut first);
        let other = write(&self.nonces[slot], &self.offer, &mut second);
        *script = first;
        let event = self.ours.client(self.ours.clients[slot], &packet);
        let relayed = match &event {
            Event::Reply(reply) => Message::parse(reply).expect("a message").relayed().collect(),
            Event::Nothing | Event::ToPeer(..) | Event::ToClient(..) => Vec::new(),
        };
        let ours = outcome(event);
        let theirs = self.send_theirs(slot, &other, Some((&relayed, &ours)));
        self.compare(slot, &packet, ours, theirs)
    }

    /// Sends to the other server, and gives it the sockets that ours has opened.
    fn send_theirs(&mut self, slot: usize, packet: &[u8], opened: Option<(&[SocketAddr], &Outcome)>) -> Outcome {
        let (from, now) = (self.ours.clients[slot].remote, self.now());
        let transmit = Transmit::new(packet.to_vec(), TransportType::Udp, from, server());
        if let Some(sent) = self.theirs.recv(transmit, now).map(|sent| sent.build()) {
            return read(sent, from);
        }
        while let TurnServerPollRet::AllocateSocket {
            transport,
            listen_addr,
            client_addr,
            allocation_transport,
            family,
        } = self.theirs.poll(now)
        {
            let (relayed, ours) = opened.expect("only requests open sockets");
            let is_wanted = |relayed: &&SocketAddr| relayed.is_ipv4() == (family == AddressFamily::IPV4);
            let made_up = if family == AddressFamily::IPV4 { "198.41.0.4:60000" } else { "[2a00:1450::7]:60000" };
            let socket = match relayed.iter().find(is_wanted) {
                Some(relayed) => Ok(*relayed),
                None if *ours == Outcome::Error(508) => Err(SocketAllocateError::InsufficientCapacity),
                None if *ours == Outcome::Error(440) => Err(SocketAllocateError::AddressFamilyNotSupported),
                None => Ok(made_up.parse().expect("an address")),
            };
            self.theirs.allocated_socket(
                transport,
                listen_addr,
                client_addr,
                allocation_transport,
                family,
                socket,
                now,
            );
        }
        self.theirs.poll_transmit(now).map_or(Outcome::Nothing, |sent| read(sent, from))
    }

    /// A datagram that comes to a relayed address.
    fn arrive(&mut self, script: &mut Script<'_>) -> bool {
        let sockets = self.ours.relayed();
        let Some((relay, relayed)) = (!sockets.is_empty()).then(|| script.of(&sockets)) else { return true };
        let (from, payload) = (peer(script), script.bytes());
        if from.is_ipv4() != relayed.is_ipv4() || from.port() == 0 {
            return true;
        }
        let ours = outcome(self.ours.arrive(relay, from, payload));
        let transmit = Transmit::new(payload.to_vec(), TransportType::Udp, from, relayed);
        let theirs = match self.theirs.recv(transmit, self.now()) {
            Some(sent) => Outcome::Delivered(sent.build().data),
            None => Outcome::Nothing,
        };
        // Data indications have transaction ids by chance.
        let plain = |outcome: Outcome| match outcome {
            Outcome::Delivered(mut packet) if packet.first().is_some_and(|first| *first < 0x40) => {
                packet = Message::parse(&packet).expect("an indication").attribute(known::DATA).unwrap_or(&[]).to_vec();
                Outcome::Delivered(packet)
            }
            other => other,
        };
        let (ours, theirs) = (plain(ours), plain(theirs));
        // An indication without bytes may be left out.
        let same = ours == theirs || payload.is_empty();
        assert!(same || is_own(from), "we: {ours:?}, it: {theirs:?}: from {from} to {relayed}{}", self.told());
        same
    }

    fn compare(&mut self, slot: usize, packet: &[u8], ours: Outcome, theirs: Outcome) -> bool {
        let shown = Message::parse(packet).map_or_else(|_| format!("{packet:02x?}"), show);
        self.history.push(format!("client {slot}: {shown}: {ours:?}"));
        if let (Outcome::Success(_), Ok(message)) = (&ours, Message::parse(packet))
            && matches!(message.method(), Method::CreatePermission | Method::ChannelBind)
        {
            let peers = message.peers().filter_map(Result::ok).map(|peer| canonical(peer.ip()));
            self.permitted.extend(peers.map(|ip| ((slot, ip), self.time)));
        }
        if self.is_channel_without_permission(slot, packet, &ours, &theirs) {
            return false;
        }
        // Two errors leave both as they were, except that the other server admits the peers before the one it refuses.
        let several = Message::parse(packet).is_ok_and(|message| message.peers().count() > 1);
        let refused = matches!((&ours, &theirs), (Outcome::Error(_), Outcome::Error(_)));
        if ours == theirs {
            // The same answer to a request that says one thing twice leaves them in different states.
            let repeats = Message::parse(packet).is_ok_and(|message| has_duplicate(&message));
            return !(repeats || refused && several);
        }
        assert!(excuse(packet, &ours, &theirs).is_some(), "we: {ours:?}, it: {theirs:?}{}", self.told());
        refused && !several
    }

    /// Ours: a channel leads to its peer for ten minutes, though without a permission, which ends after five, nobody answers
    /// (RFC 8656 §9, §12). The other server wants a permission both ways.
    fn is_channel_without_permission(&self, slot: usize, packet: &[u8], ours: &Outcome, theirs: &Outcome) -> bool {
        let (Outcome::Relayed(peer, _), Outcome::Nothing, Err(_)) = (ours, theirs, Message::parse(packet)) else {
            return false;
        };
        let permitted = self.permitted.get(&(slot, canonical(peer.ip())));
        permitted.is_some_and(|at| (PERMISSION..CHANNEL).contains(&(self.time - at)))
    }

    fn told(&self) -> String {
        self.history.iter().map(|line| format!("\n  {line}")).collect()
    }
}

fn show(message: Message<'_>) -> String {
    let attributes: Vec<_> = message.attributes().map(|(kind, value)| format!("{kind:04x}={value:02x?}")).collect();
    format!("{:?} {:?} {}", message.class(), message.method(), attributes.join(" "))
}

fn server() -> SocketAddr {
    "198.41.0.4:3478".parse().expect("an address")
}

fn is_own(peer: SocketAddr) -> bool {
    ["198.41.0.4", "2a00:1450::7"].iter().any(|own| own.parse() == Ok(peer.ip()))
}

/// A Send indication or ChannelData.
fn data(script: &mut Script<'_>, step: usize) -> Vec<u8> {
    if script.byte().is_multiple_of(2) {
        let payload_of = script.of(&[0x4000_u16, 0x4001, 0x4fff]);
        let payload = script.bytes();
        let mut packet = switchboard_turn::channel_data::header(payload_of, payload.len() as u16).to_vec();
        packet.extend(payload);
        return packet;
    }
    let mut packet = Vec::new();
    let mut writer = Writer::new(&mut packet, Class::Indication, Method::Send, TransactionId([step as u8; 12]));
    writer.peer(peer(script)).attribute(known::DATA, script.bytes());
    packet
}

fn outcome(event: Event) -> Outcome {
    match event {
        Event::Nothing => Outcome::Nothing,
        Event::Reply(reply) => answer(&reply),
        Event::ToPeer(_, peer, payload) => Outcome::Relayed(peer, payload),
        Event::ToClient(_, packet) => Outcome::Delivered(packet),
    }
}

fn read(sent: Transmit<Vec<u8>>, client: SocketAddr) -> Outcome {
    if sent.to == client { answer(&sent.data) } else { Outcome::Relayed(sent.to, sent.data) }
}

fn answer(reply: &[u8]) -> Outcome {
    let message = Message::parse(reply).expect("a message");
    match message.error_code() {
        Some(code) => Outcome::Error(code),
        None if message.method() == Method::Binding => message.mapped().map_or(Outcome::Success(None), Outcome::Mapped),
        None => Outcome::Success(message.lifetime().and_then(Result::ok)),
    }
}

/// Why the two may differ about a packet; without a reason it is a finding.
fn excuse(packet: &[u8], ours: &Outcome, theirs: &Outcome) -> Option<&'static str> {
    let Ok(message) = Message::parse(packet) else {
        // ChannelData to a channel that leads to one of the server's own relays.
        let to_own = matches!(theirs, Outcome::Relayed(peer, _) if is_own(*peer));
        return to_own.then_some("ours: hairpin in process; it sends to itself (RFC 8656 §21.2)");
    };
    let peers: Vec<SocketAddr> = message.peers().filter_map(Result::ok).collect();
    let has = |kind: u16| message.attribute(kind).is_some();
    let number = message.channel_number().and_then(Result::ok);
    match (ours, theirs) {
        (Outcome::Error(403), _) if peers.iter().any(|peer| is_refused(*peer, message.method())) => {
            Some("ours: it has no peer policy (RFC 8656 §21.2)")
        }
        _ if peers.iter().any(|peer| is_own(*peer)) => Some("ours: to it, its own relays are peers as others are"),
        (Outcome::Nothing, Outcome::Relayed(peer, _)) if peer.port() < 1024 => Some("ours: it has no peer policy"),
        _ if has_duplicate(&message) => Some("ours: the first of several counts (RFC 8489 §14); to it, the last"),
        (_, Outcome::Error(420)) if message.unknown_required(&[]).next().is_none() => {
            Some("ours: 420 is for what is not understood, not for what is not needed (RFC 8489 §6.3.1)")
        }
        (Outcome::Error(400), Outcome::Success(_)) if message.method() == Method::ChannelBind && number.is_some() => {
            Some("ours: a number has one peer (RFC 8656 §12.2)")
        }
        (Outcome::Error(440), Outcome::Error(400)) | (Outcome::Error(443), Outcome::Success(_))
            if message.requested_family().is_some_and(|family| matches!(family, Ok(Err(_)))) =>
        {
            Some("ours: a family that nobody knows is one that is not supported (RFC 8656 §7.2, §8.2)")
        }
        (Outcome::Error(442), Outcome::Error(400)) => {
            Some("both: RFC 8656 §7.2 has 442; RFC 6062 §5.1, which we do not implement, 400")
        }
        _ if has(known::RESERVATION_TOKEN) || has(known::EVEN_PORT) => Some("ours: it does not implement reservations"),
        (Outcome::Error(ours), Outcome::Error(theirs)) if [ours, theirs].iter().all(|code| CONTENT.contains(code)) => {
            Some("both: of two faults, either may be told")
        }
        _ => None,
    }
}

/// Whether a peer is none that packets may go to: nothing else is worth 403. Written down here once more, so that the policy
/// is not its own judge. A permission is for every port, and is refused for none.
fn is_refused(peer: SocketAddr, method: Method) -> bool {
    const ADDRESSES: [&str; 4] = ["10.0.0.1", "127.0.0.1", "64:ff9b::a00:1", "255.255.255.255"];
    let is_there = ADDRESSES.iter().any(|ip| ip.parse() == Ok(peer.ip())) || is_own(peer);
    is_there || (method == Method::ChannelBind && [0, 53].contains(&peer.port()))
}

/// Codes for what a request says, which are checked in any order once it is known who asks.
const CONTENT: &[u16] = &[400, 403, 420, 437, 440, 442, 443];

fn has_duplicate(message: &Message<'_>) -> bool {
    let mut kinds: Vec<u16> = message.attributes().map(|(kind, _)| kind).collect();
    // Several peers are no duplicates in the one request that admits them.
    kinds.retain(|kind| *kind != known::XOR_PEER_ADDRESS || message.method() != Method::CreatePermission);
    kinds.sort_unstable();
    kinds.windows(2).any(|pair| pair[0] == pair[1])
}
