//! Whatever arrives, an engine neither panics nor sends what it must not: to refused addresses, to whom it was not asked by,
//! or in answer to an answer (attack table, rows 1, 2, 5 and 16).

mod world;

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use switchboard_turn::message::{Method, Writer, known};
use switchboard_turn::{Client, Settings, Via};
use world::{Event, Login, World, at, channel_data, udp};

const PEERS: [&str; 6] =
    ["93.184.216.34:7000", "93.184.216.34:53", "10.0.0.1:7000", "127.0.0.1:80", "203.0.113.7:50000", "203.0.113.7:22"];

#[derive(Clone, Debug)]
enum Step {
    Allocate { client: usize, dual: bool, even: bool },
    Refresh { client: usize, lifetime: u32 },
    Permit { client: usize, peer: usize },
    Bind { client: usize, number: u16, peer: usize },
    BindEachOther { client: usize, other: usize },
    Send { client: usize, peer: usize },
    Data { client: usize, number: u16 },
    FromPeer { client: usize, peer: usize },
    Noise { client: usize, bytes: Vec<u8> },
    Perturbed { client: usize, at: usize, byte: u8 },
    Disconnect { client: usize },
    Pass { seconds: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = 0..4_usize;
    let step = prop_oneof![
        3 => (client.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(client, dual, even)| Step::Allocate { client, dual, even }),
        1 => (client.clone(), prop_oneof![Just(0), Just(600), any::<u32>()])
            .prop_map(|(client, lifetime)| Step::Refresh { client, lifetime }),
        2 => (client.clone(), 0..PEERS.len()).prop_map(|(client, peer)| Step::Permit { client, peer }),
        2 => (client.clone(), 0x3ffe..0x4004_u16, 0..PEERS.len())
            .prop_map(|(client, number, peer)| Step::Bind { client, number, peer }),
        2 => (client.clone(), client.clone()).prop_map(|(client, other)| Step::BindEachOther { client, other }),
        2 => (client.clone(), 0..PEERS.len()).prop_map(|(client, peer)| Step::Send { client, peer }),
        2 => (client.clone(), 0x3ffe..0x4104_u16).prop_map(|(client, number)| Step::Data { client, number }),
        2 => (client.clone(), 0..PEERS.len()).prop_map(|(client, peer)| Step::FromPeer { client, peer }),
        1 => (client.clone(), proptest::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(client, bytes)| Step::Noise { client, bytes }),
        1 => (client.clone(), any::<usize>(), any::<u8>())
            .prop_map(|(client, at, byte)| Step::Perturbed { client, at, byte }),
        1 => client.prop_map(|client| Step::Disconnect { client }),
        1 => prop_oneof![0..10_u64, 290..310_u64, 590..1_000_u64].prop_map(|seconds| Step::Pass { seconds }),
    ];
    proptest::collection::vec(step, 0..60)
}

/// A world, the logins of four clients, two of them over TCP, and where they are relayed.
struct Play {
    world: World,
    logins: Vec<Login>,
    relayed: Vec<Option<SocketAddr>>,
}

impl Play {
    fn new() -> Self {
        let mut world = World::with(Settings { relay_ports: 50_000..=50_099, ..world::settings() });
        let client = |index: u32| {
            let via = if index < 2 { Via::Udp(0) } else { Via::Tcp(index) };
            Client { via, remote: at(&format!("192.0.2.{}:5000", index + 1)) }
        };
        let logins = (0..4).map(|index| world.log_in(client(index))).collect();
        Self { world, logins, relayed: vec![None; 4] }
    }

    fn step(&mut self, step: &Step) -> Event {
        let Self { world, logins, relayed } = self;
        match step {
            Step::Allocate { client, dual, even } => {
                let answer = logins[*client].allocate(world, |writer| {
                    if *dual {
                        writer.attribute(known::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
                    }
                    if *even {
                        writer.attribute(known::EVEN_PORT, &[0]);
                    }
                });
                if answer.code() == 0 {
                    relayed[*client] = Some(answer.relayed());
                }
                Event::Nothing
            }
            Step::Refresh { client, lifetime } => {
                logins[*client].refresh(world, *lifetime);
                Event::Nothing
            }
            Step::Permit { client, peer } => {
                logins[*client].permit(world, &[PEERS[*peer]]);
                Event::Nothing
            }
            Step::Bind { client, number, peer } => {
                logins[*client].bind(world, *number, PEERS[*peer]);
                Event::Nothing
            }
            Step::BindEachOther { client, other } => {
                if let (Some(here), Some(there)) = (relayed[*client], relayed[*other]) {
                    logins[*client].bind(world, 0x4100 + *other as u16, &there.to_string());
                    logins[*other].bind(world, 0x4100 + *client as u16, &here.to_string());
                }
                Event::Nothing
            }
            Step::Send { client, peer } => logins[*client].send(world, PEERS[*peer], b"data"),
            Step::Data { client, number } => logins[*client].channel_data(world, *number, b"data"),
            Step::FromPeer { client, peer } => match relayed[*client] {
                Some(to) if world.workers[0].sockets.open.values().any(|open| *open == to) => {
                    world.peer(to, PEERS[*peer], b"data")
                }
                _ => Event::Nothing,
            },
            Step::Noise { client, bytes } => world.client(logins[*client].client, bytes),
            Step::Perturbed { client, at, byte } => {
                let id = world.id();
                let mut request = logins[*client].request(id, Method::ChannelBind, |writer: &mut Writer<'_>| {
                    writer.peer(world::at(PEERS[0])).attribute(known::CHANNEL_NUMBER, &[0x40, 0, 0, 0]);
                });
                let length = request.len();
                request[at % length] = *byte;
                world.client(logins[*client].client, &request)
            }
            Step::Disconnect { client } => {
                let client = logins[*client].client;
                if client.via.is_stream() {
                    world.disconnect(client);
                }
                Event::Nothing
            }
            Step::Pass { seconds } => {
                world.pass(*seconds);
                Event::Nothing
            }
        }
    }
}

/// What must hold after every step.
fn check(play: &Play, event: &Event) -> Result<(), TestCaseError> {
    let worker = &play.world.workers[0];
    let living = worker.engine.stats().living();
    prop_assert_eq!(living, worker.sockets.open.len() as u64, "each relayed address has one socket");
    prop_assert!(living == 0 || worker.engine.poll_timeout().is_some(), "each has a deadline");
    if let Event::ToPeer { peer, .. } = event {
        prop_assert_eq!(*peer, at(PEERS[0]), "the only peer that the policy lets packets go to");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_breaks_the_rules(steps in steps()) {
        let mut play = Play::new();
        for step in &steps {
            let event = play.step(step);
            check(&play, &event)?;
        }
        // When nobody refreshes any more, nothing is left.
        play.world.pass(3_700);
        prop_assert_eq!(play.world.engine().stats().living(), 0);
        prop_assert!(play.world.workers[0].sockets.open.is_empty());
    }

    #[test]
    fn no_bytes_are_answered_with_much_more(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut world = World::new();
        if let Event::Reply(answer) = world.client(udp("192.0.2.1:1"), &bytes) {
            prop_assert!(answer.len() <= 80 && answer.len() * 2 <= bytes.len() * 7, "{} for {}", answer.len(), bytes.len());
        }
    }

    #[test]
    fn whole_messages_of_any_attributes_are_answered_with_little_more(
        method in prop_oneof![Just(Method::Binding), Just(Method::Allocate), Just(Method::Refresh)],
        attributes in proptest::collection::vec((any::<u16>(), proptest::collection::vec(any::<u8>(), 0..9)), 0..20),
    ) {
        let mut world = World::new();
        let request = world.plain(method, |writer| {
            for (kind, value) in &attributes {
                writer.attribute(*kind, value);
            }
        });
        if let Event::Reply(answer) = world.client(udp("192.0.2.1:1"), &request) {
            // Of an empty request, three and a half times its size with IP and UDP: less than DNS and NTP answer.
            prop_assert!(answer.len() <= 76, "{} bytes for {}", answer.len(), request.len());
        }
    }

    #[test]
    fn what_one_spelling_of_an_address_is_refused_all_are(ip: [u8; 4]) {
        let mut world = World::new();
        let login = world.log_in(udp("192.0.2.1:1"));
        login.allocate(&mut world, |writer| {
            writer.attribute(known::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
        });
        let v4 = IpAddr::from(ip);
        let mapped = IpAddr::from(std::net::Ipv4Addr::from(ip).to_ipv6_mapped());
        let [a, b, c, d] = ip;
        let nat64: IpAddr = format!("64:ff9b::{a:02x}{b:02x}:{c:02x}{d:02x}").parse().expect("an address");
        let mut code = |ip: IpAddr| login.permit(&mut world, &[&SocketAddr::new(ip, 7_000).to_string()]).code();
        let plain = code(v4);
        prop_assert!(plain == 0 || plain == 403);
        if plain == 403 {
            prop_assert_eq!((code(mapped), code(nat64)), (403, 403));
        }
    }

    #[test]
    fn data_comes_through_as_it_was(data in proptest::collection::vec(any::<u8>(), 0..1_500), tcp: bool) {
        let mut world = World::new();
        let via = if tcp { Via::Tcp(1) } else { Via::Udp(0) };
        let (login, relayed) = world.allocate(Client { via, remote: at("192.0.2.1:1") });
        login.bind(&mut world, 0x4000, PEERS[0]);
        let up = login.channel_data(&mut world, 0x4000, &data);
        let Event::ToPeer { payload, .. } = up else { panic!("dropped") };
        prop_assert_eq!(&payload, &data);
        let down = world.peer(relayed, PEERS[0], &data).into_packet();
        prop_assert_eq!(&down[..4 + data.len()], &channel_data(0x4000, &data)[..]);
        prop_assert!(down[4 + data.len()..].iter().all(|byte| *byte == 0));
    }
}
