//! ICE servers: who is given which, and fresh credentials before the old ones expire.
#![allow(missing_docs)]

mod world;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchboard_signalling::core::{Caller, Closing, Config, FixedIce, HostName, IceGrant, IceRequest, IceSource};
use switchboard_wire::rooms::{Dialect, IceServers, ServerMessage};
use switchboard_wire::{PeerId, RoomId};
use world::{Client, ROOM, World, address, room};

const HOUR: Duration = Duration::from_secs(3600);

/// For whom: the peer, its room, and by which name it came.
type Asked = (PeerId, Option<RoomId>, Option<String>);

/// Credentials that are numbered.
#[derive(Debug, Default)]
struct Numbered {
    lifetime: Option<Duration>,
    issued: AtomicU32,
    asked: Mutex<Vec<Asked>>,
}

impl IceSource for Numbered {
    fn grant(&self, request: IceRequest<'_>) -> IceGrant {
        let number = self.issued.fetch_add(1, Relaxed);
        let asked = (request.peer, request.room.cloned(), request.host.map(ToString::to_string));
        self.asked.lock().expect("lock").push(asked);
        let servers = serde_json::value::to_raw_value(&[number]).expect("JSON");
        IceGrant { servers: IceServers::new(servers), lifetime: self.lifetime }
    }
}

impl Numbered {
    fn lasting(lifetime: Duration) -> Arc<Self> {
        Arc::new(Self { lifetime: Some(lifetime), ..Self::default() })
    }

    fn last_asked(&self) -> Asked {
        self.asked.lock().expect("lock").last().cloned().expect("asked")
    }

    fn times_asked(&self) -> u32 {
        self.issued.load(Relaxed)
    }
}

fn world(ice: Arc<dyn IceSource>) -> World {
    World::new(Config { ice, ..Config::default() })
}

/// The rooms of the renewals among what waits for the client, with what was renewed.
fn renewals(world: &mut World, client: &Client) -> Vec<(RoomId, String)> {
    let renewal = |message| match message {
        ServerMessage::IceServers { room, ice_servers, lifetime } => {
            assert_eq!(lifetime, HOUR);
            (room, ice_servers.as_json().to_owned())
        }
        other => panic!("no renewal but {other:?}"),
    };
    world.read(client.conn).into_iter().map(renewal).collect()
}

#[test]
fn welcome_names_servers_for_the_peer_and_joined_those_for_its_room() {
    let ice = Numbered::lasting(HOUR);
    let mut world = world(ice.clone());
    let host = HostName::from_authority("Example.org:3000");
    let conn = world
        .core
        .handle_connect(Caller { address: address(1), host }, Dialect::Switchboard, world.now)
        .expect("admitted");
    world.say(conn, r#"{"type":"hello","v":1}"#);
    let welcome = world.welcome(conn);
    assert_eq!((welcome.ice_servers.as_json(), welcome.ice_lifetime), ("[0]", Some(HOUR)));
    assert_eq!(ice.last_asked(), (welcome.id, None, Some("example.org".to_owned())));
    world.say(conn, &format!(r#"{{"type":"join","room":"{ROOM}"}}"#));
    let ServerMessage::Joined { ice_servers, ice_lifetime, .. } = world.next(conn) else { panic!("not joined") };
    assert_eq!((ice_servers.as_json(), ice_lifetime), ("[1]", Some(HOUR)));
    assert_eq!(ice.last_asked(), (welcome.id, Some(room()), Some("example.org".to_owned())));
}

#[test]
fn a_member_gets_fresh_credentials_again_and_again_at_half_their_life() {
    let mut world = world(Numbered::lasting(HOUR));
    let ann = world.member();
    for _ in 0..20 {
        let due = world.core.poll_timeout().expect("a renewal is planned") - world.now;
        assert!((HOUR.mul_f64(0.4)..=HOUR / 2).contains(&due), "{due:?}");
        world.pass(due);
        assert_eq!(renewals(&mut world, &ann).len(), 1);
    }
}

#[test]
fn every_room_is_renewed_before_its_credentials_are_old() {
    let mut world = world(Numbered::lasting(HOUR));
    let ann = world.member();
    world.pass(HOUR / 4);
    world.join(&ann, "another-room");
    world.pass(HOUR / 4);
    let rooms: Vec<RoomId> = renewals(&mut world, &ann).into_iter().map(|(room, _)| room).collect();
    assert_eq!(rooms, [room(), "another-room".parse().expect("a room id")]);
}

#[test]
fn who_left_its_rooms_gets_nothing_and_who_enters_again_does() {
    let ice = Numbered::lasting(HOUR);
    let mut world = world(ice.clone());
    let ann = world.member();
    world.say(ann.conn, &format!(r#"{{"type":"leave","room":"{ROOM}"}}"#));
    world.read(ann.conn);
    let asked = ice.times_asked();
    world.pass(HOUR * 3);
    world.assert_silent(ann.conn);
    assert_eq!(ice.times_asked(), asked);
    world.join(&ann, ROOM);
    world.pass(HOUR / 2);
    assert_eq!(renewals(&mut world, &ann).len(), 1);
}

#[test]
fn who_is_away_gets_fresh_credentials_with_its_rooms_when_it_returns() {
    let ice = Numbered::lasting(HOUR);
    let mut world = World::new(Config { ice: ice.clone(), grace: HOUR * 2, ..Config::default() });
    let ann = world.member();
    world.close(ann.conn, Closing::Lost);
    let asked = ice.times_asked();
    world.pass(HOUR);
    assert_eq!(ice.times_asked(), asked, "nothing is issued for nobody");
    let conn = world.resume(&ann.resume);
    let welcome = world.welcome(conn);
    assert_eq!((welcome.rooms[0].ice_servers.as_json(), welcome.rooms[0].ice_lifetime), ("[2]", Some(HOUR)));
    let ann = Client { conn, ..ann };
    world.pass(HOUR / 2);
    assert_eq!(renewals(&mut world, &ann), [(room(), "[4]".to_owned())]);
}

#[test]
fn a_resume_begins_the_lifetime_anew() {
    let mut world = world(Numbered::lasting(HOUR));
    let ann = world.member();
    world.pass(HOUR.mul_f64(0.39));
    let conn = world.resume(&ann.resume);
    world.welcome(conn);
    world.pass(HOUR.mul_f64(0.39));
    world.assert_silent(conn);
    world.pass(HOUR.mul_f64(0.11));
    assert_eq!(renewals(&mut world, &Client { conn, ..ann }).len(), 1);
}

#[test]
fn nothing_is_planned_for_servers_that_need_no_credentials() {
    let mut world = world(Arc::new(FixedIce::default()));
    let ann = world.member();
    assert_eq!(world.core.poll_timeout(), None);
    world.pass(HOUR * 24);
    world.assert_silent(ann.conn);
}

#[test]
fn socketio_clients_are_issued_nothing_for_they_would_not_hear_of_it() {
    let ice = Numbered::lasting(HOUR);
    let mut world = world(ice.clone());
    let bob = world.client_of(Dialect::SocketIo);
    world.join(&bob, ROOM);
    world.pass(HOUR * 2);
    world.assert_silent(bob.conn);
    assert_eq!(ice.times_asked(), 0);
}

#[test]
fn there_is_one_timer_for_each_peer_and_none_for_those_that_are_gone() {
    let mut world = world(Numbered::lasting(HOUR));
    let members: Vec<Client> = (0..8).map(|_| world.member()).collect();
    for (number, ann) in members.iter().enumerate() {
        world.read(ann.conn);
        world.join(ann, &format!("room-{number}"));
        world.close(ann.conn, Closing::Left);
    }
    // What the messages cost is worked off by then.
    world.pass(Duration::from_secs(1));
    assert_eq!(world.core.poll_timeout(), None);
}

#[test]
fn a_resume_token_is_a_session_while_its_peer_is_connected() {
    let mut world = world(Arc::new(FixedIce::default()));
    let (ann, bob) = (world.member(), world.member());
    assert_eq!(world.core.session(&ann.resume), Some(ann.id));
    let (key, token) = (&ann.resume[..22], &bob.resume[23..]);
    for forged in ["", ".", "x", &format!("{key}.{token}"), &"A".repeat(64), bob.id.as_str()] {
        assert_eq!(world.core.session(forged), None, "{forged}");
    }
    world.close(ann.conn, Closing::Lost);
    assert_eq!(world.core.session(&ann.resume), None, "away");
    let conn = world.resume(&ann.resume);
    let fresh = world.welcome(conn).resume;
    assert_eq!(world.core.session(&fresh), Some(ann.id));
    world.say(conn, r#"{"type":"ping"}"#);
    assert_eq!(world.core.session(&ann.resume), None, "replaced");
    world.close(conn, Closing::Left);
    assert_eq!(world.core.session(&fresh), None, "gone");
}
