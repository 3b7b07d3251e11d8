//! The client and the engine meet in memory, in virtual time, with loss: two clients allocate and talk through two relays of
//! one server, over UDP and over streams that arrive in pieces.

mod world;

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use switchboard_turn::client::{
    Allocated, Allocation, Event, Frames, Login, Options, RequestError, RequestId, Strength, Transport, TurnClient,
};
use switchboard_turn::message::{Family, Integrity};
use switchboard_turn::{Client, Settings, Via};
use world::{EPOCH, Event as Outcome, PASSWORD, USER, World, at};

/// A client on the network.
struct Phone {
    client: TurnClient,
    address: Client,
    /// What the client sent and the server has not taken from the stream.
    upstream: Frames,
    events: Vec<Event>,
}

impl Phone {
    fn new(via: Via, remote: &str, seed: u8, login: (&str, &str), strength: Strength) -> Self {
        let transport = if via.is_stream() { Transport::Stream } else { Transport::Datagram };
        let login = Login::new(login.0, login.1, strength).expect("a login");
        let options = Options { login: Some(login), ..Options::new(at("203.0.113.7:3478"), transport) };
        Self {
            client: TurnClient::new(options, [seed; 32]),
            address: Client { via, remote: at(remote) },
            upstream: Frames::default(),
            events: Vec::new(),
        }
    }

    /// The packets that the client has sent, as the server gets them.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        while let Some(transmit) = self.client.poll_transmit() {
            if !self.address.via.is_stream() {
                packets.push(transmit.payload);
                continue;
            }
            self.upstream.push(&transmit.payload);
            while let Some(frame) =
                self.upstream.next_frame(|channel| (0x4000..0x5000).contains(&channel)).expect("STUN")
            {
                packets.push(frame.to_vec());
            }
        }
        packets
    }

    fn allocated(&self, request: RequestId) -> Allocated {
        let found = self.events.iter().find_map(|event| match event {
            Event::Allocated { request: of, allocated } if *of == request => Some(allocated.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no allocation: {:?}", self.events))
    }

    fn failure(&self, request: RequestId) -> RequestError {
        let found = self.events.iter().find_map(|event| match event {
            Event::Failed { request: of, error } if *of == request => Some(error.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no failure: {:?}", self.events))
    }

    fn heard(&self) -> Vec<(SocketAddr, Option<u16>, Vec<u8>)> {
        let heard = self.events.iter().filter_map(|event| match event {
            Event::Data { peer, channel, payload } => Some((*peer, *channel, payload.clone())),
            _ => None,
        });
        heard.collect()
    }
}

/// A server, clients, and a network that loses datagrams.
struct Net {
    world: World,
    phones: Vec<Phone>,
    loss: f64,
    rng: StdRng,
}

impl Net {
    fn new(settings: Settings, phones: Vec<Phone>) -> Self {
        Self { world: World::with(settings), phones, loss: 0.0, rng: StdRng::seed_from_u64(5) }
    }

    fn lost(&mut self, via: Via) -> bool {
        !via.is_stream() && self.rng.random_bool(self.loss)
    }

    /// Delivers what is on its way; returns whether anything was.
    fn deliver(&mut self) -> bool {
        let mut moved = false;
        for index in 0..self.phones.len() {
            for packet in self.phones[index].sent() {
                moved = true;
                let address = self.phones[index].address;
                if self.lost(address.via) {
                    continue;
                }
                match self.world.client(address, &packet) {
                    Outcome::Reply(reply) => self.down(address, &reply),
                    Outcome::ToClient { client, packet, .. } => self.down(client, &packet),
                    Outcome::Nothing => {}
                    other => panic!("not between two clients: {other:?}"),
                }
            }
        }
        moved
    }

    fn down(&mut self, to: Client, packet: &[u8]) {
        if self.lost(to.via) {
            return;
        }
        let now = self.world.now.instant;
        let phone = self.phones.iter_mut().find(|phone| phone.address == to).expect("a phone");
        // A stream brings bytes in pieces; seven is less than any header.
        let size = if to.via.is_stream() { 7 } else { packet.len().max(1) };
        for piece in packet.chunks(size) {
            phone.client.handle_input(at("203.0.113.7:3478"), piece, now);
        }
        while let Some(event) = phone.client.poll_event() {
            phone.events.push(event);
        }
    }

    /// Runs until nothing is on its way and nobody waits for an answer.
    fn settle(&mut self) {
        loop {
            while self.deliver() {}
            let Some(due) = self.phones.iter().filter_map(|phone| phone.client.poll_timeout()).min() else { return };
            self.world.now.unix += due - self.world.now.instant;
            self.world.now.instant = due;
            for phone in &mut self.phones {
                phone.client.handle_timeout(due);
                while let Some(event) = phone.client.poll_event() {
                    phone.events.push(event);
                }
            }
        }
    }

    /// Has a phone ask for something, and waits for what becomes of it.
    fn ask(&mut self, phone: usize, ask: impl FnOnce(&mut TurnClient, std::time::Instant) -> RequestId) -> RequestId {
        let now = self.world.now.instant;
        let request = ask(&mut self.phones[phone].client, now);
        self.settle();
        request
    }

    fn allocate(&mut self, phone: usize, allocation: Allocation) -> Allocated {
        let request = self.ask(phone, |client, now| client.allocate(allocation, now));
        self.phones[phone].allocated(request)
    }

    /// Lets both in and gives the first a channel; then each says something, and the other hears it.
    fn talk(&mut self, first: SocketAddr, second: SocketAddr) {
        self.ask(0, |client, now| client.bind_channel(second, now));
        self.ask(1, |client, now| client.create_permission(&[first], now));
        self.phones[0].client.send(second, b"can you hear me?").expect("short");
        self.deliver();
        let heard = self.phones[1].heard();
        assert_eq!(
            heard.last().map(|(peer, channel, payload)| (*peer, *channel, &payload[..])),
            Some((first, None, &b"can you hear me?"[..]))
        );
        self.phones[1].client.send(first, b"loud and clear").expect("short");
        self.deliver();
        let heard = self.phones[0].heard();
        assert_eq!(
            heard.last().map(|(peer, channel, payload)| (*peer, *channel, &payload[..])),
            Some((second, Some(0x4000), &b"loud and clear"[..]))
        );
    }
}

fn pair(first: Via, second: Via) -> Net {
    let phone = |via, remote, seed| Phone::new(via, remote, seed, (USER, PASSWORD), Strength::Best);
    Net::new(world::settings(), vec![phone(first, "192.0.2.1:5000", 1), phone(second, "192.0.2.2:6000", 2)])
}

#[test]
fn two_clients_talk_through_two_relays_over_every_transport() {
    let ways = [Via::Udp(0), Via::Tcp(1), Via::Tls(2)];
    for first in ways {
        for second in ways {
            let second = if second == first && second.is_stream() { Via::Tcp(9) } else { second };
            let mut net = pair(first, second);
            let near = net.allocate(0, Allocation::default());
            let far = net.allocate(1, Allocation::default());
            net.talk(near.relayed[0], far.relayed[0]);
        }
    }
}

#[test]
fn a_dual_allocation_has_both_families_and_both_carry() {
    let mut net = pair(Via::Udp(0), Via::Tcp(1));
    let near = net.allocate(0, Allocation::dual());
    let far = net.allocate(1, Allocation::dual());
    assert_eq!((near.relayed.len(), near.withheld), (2, None));
    assert_eq!(near.mapped, at("192.0.2.1:5000"));
    let second = |allocated: &Allocated| *allocated.relayed.iter().find(|it| it.is_ipv6()).expect("IPv6");
    net.talk(second(&near), second(&far));
}

#[test]
fn one_family_alone_can_be_had() {
    let mut net = pair(Via::Udp(0), Via::Udp(0));
    let near = net.allocate(0, Allocation::of(Family::V6));
    assert!(near.relayed.iter().all(SocketAddr::is_ipv6), "{near:?}");
}

#[test]
fn everything_is_set_up_though_a_fifth_of_the_datagrams_is_lost() {
    for seed in 0..20 {
        let mut net = pair(Via::Udp(0), Via::Udp(0));
        (net.loss, net.rng) = (0.2, StdRng::seed_from_u64(seed));
        let near = net.allocate(0, Allocation::default());
        let far = net.allocate(1, Allocation::default());
        net.ask(0, |client, now| client.bind_channel(far.relayed[0], now));
        net.ask(1, |client, now| client.create_permission(&[near.relayed[0]], now));
        for phone in &net.phones {
            let failed = phone.events.iter().find(|event| matches!(event, Event::Failed { .. }));
            assert_eq!(failed, None, "seed {seed}");
        }
    }
}

#[test]
fn an_allocation_ends_when_it_is_told_to() {
    let mut net = pair(Via::Udp(0), Via::Udp(0));
    net.allocate(0, Allocation::default());
    net.ask(0, |client, now| client.refresh(Duration::from_secs(900), now));
    let refreshed = net.phones[0].events.last();
    assert!(
        matches!(refreshed, Some(Event::Refreshed { lifetime, .. }) if *lifetime == Duration::from_secs(900)),
        "{refreshed:?}"
    );
    net.ask(0, |client, now| client.refresh(Duration::ZERO, now));
    assert!(net.world.sockets().open.is_empty());
    let late = net.ask(0, |client, now| client.create_permission(&[at("8.8.8.8:53")], now));
    assert_eq!(net.phones[0].failure(late), RequestError::Refused { code: 437 });
}

#[test]
fn a_nonce_that_grew_old_is_replaced_without_a_word() {
    let mut net = pair(Via::Udp(0), Via::Udp(0));
    net.allocate(0, Allocation { lifetime: Some(Duration::from_secs(3600)), ..Allocation::default() });
    for _ in 0..6 {
        net.world.pass(3_000);
        net.ask(0, |client, now| client.refresh(Duration::from_secs(3_600), now));
        let event = net.phones[0].events.last();
        assert!(matches!(event, Some(Event::Refreshed { .. })), "{event:?}");
    }
}

#[test]
fn wrong_credentials_are_told_and_cost_nothing() {
    for login in [(USER, "a wrong password"), ("nobody", PASSWORD)] {
        let phone = Phone::new(Via::Udp(0), "192.0.2.1:5000", 1, login, Strength::Best);
        let mut net = Net::new(world::settings(), vec![phone]);
        let request = net.ask(0, |client, now| client.allocate(Allocation::default(), now));
        assert_eq!(net.phones[0].failure(request), RequestError::WrongCredentials);
        assert!(net.world.sockets().opened.is_empty());
    }
}

#[test]
fn time_limited_names_are_good_until_their_time() {
    let issued = |expires| world::credentials().issue("ann", expires).expect("credentials");
    for (expires, good) in [(EPOCH + 60, true), (EPOCH - 1, false)] {
        let issued = issued(expires);
        let login = (issued.username.as_str(), issued.password.as_str());
        let phone = Phone::new(Via::Udp(0), "192.0.2.1:5000", 1, login, Strength::Best);
        let mut net = Net::new(world::settings(), vec![phone]);
        let request = net.ask(0, |client, now| client.allocate(Allocation::default(), now));
        if good {
            net.phones[0].allocated(request);
        } else {
            assert_eq!(net.phones[0].failure(request), RequestError::WrongCredentials);
        }
    }
}

#[test]
fn every_strength_of_signature_is_understood() {
    for strength in [Strength::Best, Strength::Anonymous, Strength::AsBrowsers] {
        let phone = Phone::new(Via::Udp(0), "192.0.2.1:5000", 1, (USER, PASSWORD), strength);
        let mut net = Net::new(world::settings(), vec![phone]);
        net.allocate(0, Allocation::default());
    }
}

#[test]
fn a_server_that_insists_on_sha256_turns_browsers_away() {
    for (strength, good) in [(Strength::Best, true), (Strength::AsBrowsers, false)] {
        let settings = Settings { min_integrity: Integrity::Sha256, ..world::settings() };
        let phone = Phone::new(Via::Udp(0), "192.0.2.1:5000", 1, (USER, PASSWORD), strength);
        let mut net = Net::new(settings, vec![phone]);
        let request = net.ask(0, |client, now| client.allocate(Allocation::default(), now));
        let made = net.phones[0].events.iter().any(|event| matches!(event, Event::Allocated { .. }));
        assert_eq!(made, good, "{:?}", net.phones[0].events);
        if !good {
            net.phones[0].failure(request);
        }
    }
}

#[test]
fn forbidden_peers_are_refused_with_their_code() {
    let mut net = pair(Via::Udp(0), Via::Udp(0));
    net.allocate(0, Allocation::default());
    let request = net.ask(0, |client, now| client.create_permission(&[at("10.0.0.1:80")], now));
    assert_eq!(net.phones[0].failure(request), RequestError::Refused { code: 403 });
    let request = net.ask(0, |client, now| client.bind_channel_number(0x3fff, at("8.8.8.8:5000"), now));
    assert_eq!(net.phones[0].failure(request), RequestError::Refused { code: 400 });
}

#[test]
fn a_reserved_port_is_had_with_its_token() {
    let mut net = pair(Via::Udp(0), Via::Udp(0));
    let near = net.allocate(0, Allocation { even_port: Some(true), ..Allocation::default() });
    let token = near.reservation.expect("a token");
    assert!(near.relayed[0].port().is_multiple_of(2));
    let far = net.allocate(1, Allocation { reservation: Some(token), ..Allocation::default() });
    assert_eq!(far.relayed[0].port(), near.relayed[0].port() + 1);
}
