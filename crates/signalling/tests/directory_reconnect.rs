//! Clients that come back where there is no place, before their lost connection is known to be lost.

mod names;

use names::{Names, PEERJS, address, held, name, unlimited};
use switchboard_signalling::core::{Closing, Config, ConnId, Refusal, Returning};
use switchboard_wire::Dialect;
use switchboard_wire::directory::{Message, Refusal as Denial, Secret};
use switchboard_wire::rooms::GoodbyeCode;

/// A client of 192.0.2.`last` asks for a place, to claim `id` with the secret that is like it in [`Names::peer`].
fn reconnect(world: &mut Names, last: u8, id: &str, secret: &str) -> Result<ConnId, Refusal> {
    let (name, secret) = (name(id), Secret::new(secret));
    let returning = Returning { namespace: PEERJS, name: &name, secret: &secret };
    world.core.handle_reconnect(address(last), Dialect::PeerJs, returning, world.now)
}

fn settle(world: &mut Names, conn: ConnId, id: &str) {
    world.claim(conn, id, id);
    world.core.handle_return(conn);
    world.deliver();
}

fn one_address(limit: u32) -> Names {
    Names::new(Config { connections_per_address: limit, ..unlimited() })
}

#[test]
fn all_clients_of_a_full_address_come_back_and_nobody_else_gets_in() {
    let mut world = one_address(20);
    let ids: Vec<String> = (0..20).map(|number| format!("pupil{number}")).collect();
    let frozen: Vec<_> = ids.iter().map(|id| world.peer(id)).collect();
    let back: Vec<_> = ids.iter().map(|id| reconnect(&mut world, 1, id, id).expect("its own place")).collect();
    assert_eq!(reconnect(&mut world, 1, "stranger", "s"), Err(Refusal::AddressFull { limit: 20 }));
    for (id, conn) in ids.iter().zip(&back) {
        settle(&mut world, *conn, id);
        assert_eq!(world.read(*conn), [held(id)]);
    }
    assert!(frozen.iter().all(|old| world.closed.get(old) == Some(&GoodbyeCode::TakenOver)));
    assert_eq!(reconnect(&mut world, 1, "stranger", "s"), Err(Refusal::AddressFull { limit: 20 }));
    world.close(back[0], Closing::Left);
    assert!(reconnect(&mut world, 1, "stranger", "s").is_ok(), "a place is free again");
    assert_eq!(reconnect(&mut world, 1, "another", "s"), Err(Refusal::AddressFull { limit: 20 }));
    assert_eq!(world.core.stats().refused_address_full_total, 3, "who gets in is not counted as refused");
}

#[test]
fn a_full_server_takes_back_who_it_has_from_wherever_they_come() {
    let mut world = Names::new(Config { connections: 1, ..unlimited() });
    let old = world.peer("ann");
    let back = reconnect(&mut world, 2, "ann", "ann").expect("its own place");
    settle(&mut world, back, "ann");
    assert_eq!(world.closed.get(&old), Some(&GoodbyeCode::TakenOver));
    assert_eq!(reconnect(&mut world, 1, "ben", "ben"), Err(Refusal::ServerFull { limit: 1 }));
    world.close(back, Closing::Lost);
    assert!(reconnect(&mut world, 1, "ben", "ben").is_ok());
}

#[test]
fn another_secret_gets_no_place_and_ends_nobody() {
    let mut world = one_address(1);
    let ann = world.peer("ann");
    assert_eq!(reconnect(&mut world, 1, "ann", "guess"), Err(Refusal::AddressFull { limit: 1 }));
    assert_eq!(reconnect(&mut world, 1, "ben", "ann"), Err(Refusal::AddressFull { limit: 1 }));
    assert!(!world.closed.contains_key(&ann));
}

#[test]
fn a_place_at_another_address_is_of_no_use_at_a_full_one() {
    let mut world = one_address(1);
    let ann = world.peer("ann");
    world.connect_from(2, Dialect::PeerJs);
    assert_eq!(reconnect(&mut world, 2, "ann", "ann"), Err(Refusal::AddressFull { limit: 1 }));
    assert_eq!(
        reconnect(&mut world, 1, "ben", "ben"),
        Err(Refusal::AddressFull { limit: 1 }),
        "it has its place still"
    );
    world.close(ann, Closing::Left);
    assert!(reconnect(&mut world, 1, "ben", "ben").is_ok());
}

#[test]
fn a_place_is_passed_on_once_and_comes_back_if_nothing_came_of_it() {
    let mut world = one_address(1);
    let ann = world.peer("ann");
    let back = reconnect(&mut world, 1, "ann", "ann").expect("its own place");
    assert_eq!(reconnect(&mut world, 1, "ann", "ann"), Err(Refusal::AddressFull { limit: 1 }));
    world.close(back, Closing::Lost);
    assert_eq!(reconnect(&mut world, 1, "ben", "ben"), Err(Refusal::AddressFull { limit: 1 }));
    let back = reconnect(&mut world, 1, "ann", "ann").expect("its own place");
    world.close(ann, Closing::Lost);
    assert_eq!(reconnect(&mut world, 1, "ben", "ben"), Err(Refusal::AddressFull { limit: 1 }));
    world.close(back, Closing::Lost);
    assert!(reconnect(&mut world, 1, "ben", "ben").is_ok());
}

#[test]
fn who_gave_up_its_name_meanwhile_ends_all_the_same() {
    let mut world = one_address(1);
    let ann = world.peer("ann");
    let back = reconnect(&mut world, 1, "ann", "ann").expect("its own place");
    world.release(ann, PEERJS, Some("ann"));
    let thief = world.connect_from(2, Dialect::PeerJs);
    world.claim(thief, "ann", "thief");
    world.read(thief);
    settle(&mut world, back, "ann");
    assert!(world.closed.contains_key(&ann), "two connections never stay in one place");
    world.ask(thief, switchboard_wire::directory::Request::Alive);
    assert_eq!(world.read(back), [Message::Refused(Denial::NameTaken { name: name("ann") })]);
}
