//! What a game does with matchbox's client, against the built program.
#![allow(missing_docs)]

use std::net::TcpListener;

use smol::block_on;
use switchboard_matchbox_tests::{Player, Server};

/// Both say something to each other in both channels.
async fn talk(a: &mut Player, b: &mut Player) {
    let (a_id, b_id) = (a.id().await, b.id().await);
    for number in 0..20 {
        a.send(b_id, &format!("to b {number}"));
        b.send(a_id, &format!("to a {number}"));
    }
    for number in 0..20 {
        assert_eq!(b.hears().await, (a_id, format!("to b {number}")));
        assert_eq!(a.hears().await, (b_id, format!("to a {number}")));
    }
    a.shouts(b_id, b, "from a").await;
    b.shouts(a_id, a, "from b").await;
}

/// Two that found each other.
async fn pair(url: &str) -> (Player, Player) {
    let mut a = Player::enter(url);
    let a_id = a.id().await;
    let mut b = Player::enter(url);
    assert_eq!(a.meets().await, b.id().await);
    assert_eq!(b.meets().await, a_id);
    (a, b)
}

#[test]
fn two_find_each_other_a_third_joins_and_one_leaves() {
    block_on(async {
        let server = Server::start();
        let (mut a, mut b) = pair(&server.room("lobby")).await;
        talk(&mut a, &mut b).await;
        let mut c = Player::enter(&server.room("lobby"));
        let c_id = c.id().await;
        assert_eq!((a.meets().await, b.meets().await), (c_id, c_id));
        let (a_id, b_id) = (a.id().await, b.id().await);
        let mut met = [c.meets().await, c.meets().await];
        met.sort_unstable();
        let mut others = [a_id, b_id];
        others.sort_unstable();
        assert_eq!(met, others);
        talk(&mut a, &mut c).await;
        talk(&mut c, &mut b).await;
        b.leaves().await;
        assert_eq!((a.misses().await, c.misses().await), (b_id, b_id));
        talk(&mut c, &mut a).await;
    });
}

#[test]
fn next_makes_pairs() {
    block_on(async {
        let server = Server::start();
        let url = server.room("game?next=2");
        let (mut a, mut b) = pair(&url).await;
        let (mut c, mut d) = pair(&url).await;
        talk(&mut a, &mut b).await;
        talk(&mut c, &mut d).await;
        let b_id = b.id().await;
        b.leaves().await;
        assert_eq!(a.misses().await, b_id);
        let (mut e, _f) = pair(&url).await;
        for player in [&mut a, &mut c, &mut d, &mut e] {
            assert!(!player.unread().iter().any(|(id, _)| *id != b_id), "somebody else came: {player:?}");
        }
    });
}

#[test]
fn rooms_do_not_meet() {
    block_on(async {
        let server = Server::start();
        let mut alone = Player::enter(&server.room("other"));
        alone.id().await;
        let mut unnamed = Player::enter(&server.room(""));
        unnamed.id().await;
        let (mut a, mut b) = pair(&server.room("a%20room")).await;
        talk(&mut a, &mut b).await;
        assert!(alone.unread().is_empty() && unnamed.unread().is_empty());
        let second = Player::enter(&server.room("")).id().await;
        assert_ne!(second, unnamed.id().await);
    });
}

#[test]
fn a_lost_server_costs_no_link_and_clients_get_back_to_the_next_one() {
    block_on(async {
        let server = Server::start();
        if !server.is_ours() {
            return println!("the original is somebody else's to restart");
        }
        let (address, url) = (server.address().to_owned(), server.room("lobby"));
        let (mut a, mut b) = pair(&url).await;
        let mut waiting = Player::enter(&server.room("another"));
        waiting.id().await;
        drop(server);
        talk(&mut a, &mut b).await;
        // Who has nobody learns that there is no server, and begins anew.
        let _ = waiting.ends().await;
        let nobody = TcpListener::bind(&address).expect("the port is free");
        let mut c = Player::enter_in(&url, 5);
        // The first attempt fails for sure.
        drop(nobody.accept().expect("an attempt"));
        drop(nobody);
        let server = Server::start_at(&address);
        let c_id = c.id().await;
        let mut d = Player::enter(&server.room("lobby"));
        assert_eq!((d.meets().await, c.meets().await), (c_id, d.id().await));
        talk(&mut c, &mut d).await;
        talk(&mut a, &mut b).await;
    });
}
