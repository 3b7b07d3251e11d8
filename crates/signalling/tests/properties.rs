//! Whatever happens, in whatever order: departures are told once, order holds, nothing leaks.
#![allow(missing_docs)]

mod world;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use switchboard_signalling::core::{Closing, Config, ConnId, IceGrant, IceRequest, IceSource};
use switchboard_wire::PeerId;
use switchboard_wire::rooms::{Dialect, ServerMessage};
use world::{Client, World, address};

#[derive(Clone, Debug)]
enum Step {
    Connect { socketio: bool },
    Join { who: usize, room: u8 },
    Leave { who: usize, room: u8 },
    Signal { who: usize, to: usize },
    Rename { who: usize },
    Close { who: usize, how: u8 },
    Resume { who: usize, old_token: bool },
    Bye { who: usize },
    Nonsense { who: usize },
    Pass { seconds: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0usize..6;
    prop_oneof![
        3 => any::<bool>().prop_map(|socketio| Step::Connect { socketio }),
        4 => (who.clone(), 0u8..3).prop_map(|(who, room)| Step::Join { who, room }),
        1 => (who.clone(), 0u8..3).prop_map(|(who, room)| Step::Leave { who, room }),
        5 => (who.clone(), who.clone()).prop_map(|(who, to)| Step::Signal { who, to }),
        1 => who.clone().prop_map(|who| Step::Rename { who }),
        2 => (who.clone(), 0u8..3).prop_map(|(who, how)| Step::Close { who, how }),
        3 => (who.clone(), any::<bool>()).prop_map(|(who, old_token)| Step::Resume { who, old_token }),
        1 => who.clone().prop_map(|who| Step::Bye { who }),
        1 => who.prop_map(|who| Step::Nonsense { who }),
        1 => (0u8..40).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

/// What one connection was told, checked as it comes.
#[derive(Default)]
struct Witness {
    /// (room, peer) pairs that are present for this connection.
    present: HashSet<(String, PeerId)>,
    /// The rooms that it is in.
    rooms: HashSet<String>,
    /// The last number that each peer sent to it.
    last: HashMap<PeerId, u64>,
    own: Option<PeerId>,
    socketio: bool,
    /// The last number of the address that its own connection came from.
    from: u8,
}

impl Witness {
    fn hear(&mut self, message: &ServerMessage) {
        match message {
            ServerMessage::Welcome(welcome) => {
                self.own = Some(welcome.id);
                for room in &welcome.rooms {
                    self.rooms.insert(room.room.to_string());
                    self.snapshot(room.room.as_str(), room.members.iter().map(|member| member.id).collect());
                }
            }
            ServerMessage::Joined { room, members, .. } => {
                self.rooms.insert(room.to_string());
                self.snapshot(room.as_str(), members.iter().map(|member| member.id).collect());
            }
            ServerMessage::Left { room } => {
                self.rooms.remove(room.as_str());
                self.present.retain(|(held, _)| held != room.as_str());
            }
            ServerMessage::IceServers { room, .. } => {
                assert!(self.rooms.contains(room.as_str()), "credentials for {room}, which it is not in");
                assert!(!self.socketio, "credentials for a client that knows none");
            }
            ServerMessage::PeerJoined { room, peer } => {
                let new = self.present.insert((room.to_string(), peer.id));
                assert!(new || self.socketio, "told twice that {} came", peer.id);
            }
            ServerMessage::PeerLeft { room, id, .. } => {
                assert!(self.present.remove(&(room.to_string(), *id)), "told that {id} left though it was not there");
            }
            ServerMessage::PeerAway { room, id }
            | ServerMessage::PeerBack { room, id }
            | ServerMessage::PeerRenamed { room, id, .. } => {
                assert!(self.present.contains(&(room.to_string(), *id)), "news of {id}, who is not there");
            }
            ServerMessage::Signal(signal) => {
                let number: u64 = signal.data.get().parse().expect("a number");
                let last = self.last.insert(signal.from, number);
                assert!(last.is_none_or(|last| last < number), "out of order");
                assert!(self.present.iter().any(|(_, peer)| *peer == signal.from), "a message from a stranger");
            }
            ServerMessage::Renamed { .. } | ServerMessage::Pong | ServerMessage::Error { .. } => {}
            ServerMessage::Goodbye { .. } => {}
        }
        let own = self.own;
        assert!(!self.present.iter().any(|(_, peer)| Some(*peer) == own), "told about itself");
    }

    fn snapshot(&mut self, room: &str, members: Vec<PeerId>) {
        self.present.retain(|(held, _)| held != room);
        self.present.extend(members.into_iter().map(|member| (room.to_owned(), member)));
    }
}

/// Credentials that are renewed about as often as anything else happens.
#[derive(Debug)]
struct ShortLived;

impl IceSource for ShortLived {
    fn grant(&self, _: IceRequest<'_>) -> IceGrant {
        IceGrant { lifetime: Some(Duration::from_secs(60)), ..IceGrant::default() }
    }
}

/// Where the clients come from; those that resume come from the first.
const ADDRESSES: [u8; 2] = [1, 2];

struct Actor {
    client: Client,
    old_resume: Option<String>,
    connected: bool,
}

struct Play {
    world: World,
    actors: Vec<Actor>,
    witnesses: HashMap<ConnId, Witness>,
    /// From where each room was made.
    made: HashMap<String, u8>,
    sent: u64,
}

impl Play {
    fn listen(&mut self) {
        for (conn, witness) in &mut self.witnesses {
            for message in self.world.read(*conn) {
                witness.hear(&message);
                if let ServerMessage::Joined { room, created: true, .. } = message {
                    self.made.insert(room.to_string(), witness.from);
                }
            }
        }
        self.made.retain(|room, _| self.world.told.iter().any(|(_, held)| held.as_str() == room));
        for from in ADDRESSES {
            assert!(
                self.made.values().filter(|made| **made == from).count() <= 1,
                "more rooms than one address may have"
            );
        }
        for actor in &mut self.actors {
            actor.connected &= !self.world.closed.contains_key(&actor.client.conn);
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Connect { socketio } if self.actors.len() < 6 => self.connect(socketio),
            Step::Connect { .. } => {}
            Step::Join { who, room } => self.say(who, &format!(r#"{{"type":"join","room":"room{room}"}}"#)),
            Step::Leave { who, room } => self.say(who, &format!(r#"{{"type":"leave","room":"room{room}"}}"#)),
            Step::Signal { who, to } => self.signal(who, to),
            Step::Rename { who } => self.say(who, r#"{"type":"rename","name":"x"}"#),
            Step::Bye { who } => self.say(who, r#"{"type":"bye"}"#),
            Step::Nonsense { who } => self.say(who, r#"{"type":"offer","to":7}"#),
            Step::Close { who, how } => {
                let Some(actor) = self.actors.get_mut(who).filter(|actor| actor.connected) else { return };
                actor.connected = false;
                let closing = [Closing::Left, Closing::Lost, Closing::Removed][usize::from(how)];
                self.world.close(actor.client.conn, closing);
            }
            Step::Resume { who, old_token } => self.resume(who, old_token),
            Step::Pass { seconds } => self.world.pass(Duration::from_secs(seconds.into())),
        }
        self.listen();
    }

    fn connect(&mut self, socketio: bool) {
        let dialect = if socketio { Dialect::SocketIo } else { Dialect::Switchboard };
        let from = ADDRESSES[self.actors.len() % ADDRESSES.len()];
        let client = self.world.client_from(address(from), dialect);
        let witness = Witness { own: Some(client.id), socketio, from, ..Witness::default() };
        self.witnesses.insert(client.conn, witness);
        self.actors.push(Actor { client, old_resume: None, connected: true });
    }

    fn say(&mut self, who: usize, text: &str) {
        if let Some(actor) = self.actors.get(who).filter(|actor| actor.connected) {
            self.world.say(actor.client.conn, text);
        }
    }

    fn signal(&mut self, who: usize, to: usize) {
        let (Some(from), Some(to)) = (self.actors.get(who), self.actors.get(to)) else { return };
        let (conn, to) = (from.client.conn, to.client.id);
        self.sent += 1;
        let text = format!(r#"{{"type":"candidate","to":"{to}","data":{}}}"#, self.sent);
        if from.connected {
            self.world.say(conn, &text);
        }
    }

    fn resume(&mut self, who: usize, old_token: bool) {
        let Some(actor) = self.actors.get(who) else { return };
        let token = match &actor.old_resume {
            Some(old) if old_token => old.clone(),
            _ => actor.client.resume.clone(),
        };
        let conn = self.world.resume(&token);
        let messages = self.world.read(conn);
        let mut witness = Witness { from: 1, ..Witness::default() };
        messages.iter().for_each(|message| witness.hear(message));
        self.witnesses.insert(conn, witness);
        if let Some(ServerMessage::Welcome(welcome)) = messages.first() {
            assert_eq!(welcome.id, actor.client.id, "a token leads to its own id");
            let actor = &mut self.actors[who];
            actor.old_resume = Some(actor.client.resume.clone());
            actor.client = Client { conn, id: welcome.id, resume: welcome.resume.clone() };
            actor.connected = true;
        } else {
            self.world.close(conn, Closing::Left);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn departures_are_told_once_and_nothing_leaks(steps in proptest::collection::vec(step(), 1..120)) {
        let ice = Arc::new(ShortLived);
        let limits = Config { room_members: 4, rooms_per_peer: 2, rooms: 2, rooms_per_address: 1, ..Config::default() };
        let world = World::new(Config { ice, events: true, ..limits });
        let mut play =
            Play { world, actors: Vec::new(), witnesses: HashMap::new(), made: HashMap::new(), sent: 0 };
        for step in steps {
            play.run(step);
        }
        let conns: Vec<ConnId> = play.witnesses.keys().copied().collect();
        for conn in conns {
            play.world.close(conn, Closing::Lost);
        }
        play.world.pass(Duration::from_secs(3600));
        let core = &play.world.core;
        prop_assert_eq!((core.peer_count(), core.room_count()), (0, 0));
        prop_assert_eq!(core.poll_timeout(), None);
        let connections = core.stats().connections;
        prop_assert_eq!((connections[Dialect::Switchboard], connections[Dialect::SocketIo]), (0, 0));
        // No room that is gone counts against its address.
        for from in ADDRESSES {
            let client = play.world.client_from(address(from), Dialect::Switchboard);
            play.world.join(&client, &format!("fresh{from}"));
        }
    }
}
