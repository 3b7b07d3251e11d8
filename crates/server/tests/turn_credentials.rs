//! The credentials that clients are given by `/ws` and `/ice` open relays; others do not.
#![allow(missing_docs)]

mod turn_common;

use std::time::SystemTime;

use serde_json::Value;
use switchboard_server::Server;
use switchboard_server::config::Secret;
use switchboard_testkit::{RawConnection, RoomsClient};
use switchboard_turn::Credentials;
use switchboard_turn::client::{Allocation, Event, RequestError, Transport};
use switchboard_turn::message::Family;
use tokio::runtime::Runtime;
use turn_common::{Caller, Peer, Pipe, SOON, echo, on_loopback, try_spawn};

const ROOM: &str = "aUa62LD8NZ";
const OPERATOR: &str = "Vw8kRz1QmT4xYb7NcJ2pLd";
const SECRET: &str = "6f3e0b9d1c2a48577e6c0f1b2d3a4958";

fn spawn() -> (Runtime, Server) {
    let mut turn = on_loopback();
    turn.api_tokens = vec![OPERATOR.to_owned()];
    turn.secret = Some(SECRET.parse().expect("strong"));
    let (runtime, server) = try_spawn(turn);
    (runtime, server.expect("the server starts"))
}

/// Who a client is to call itself, by what the server told.
fn login(ice_servers: &Value) -> (String, String) {
    let turn = ice_servers.as_array().expect("an array").last().expect("TURN");
    let text = |name: &str| turn[name].as_str().expect("text").to_owned();
    (text("username"), text("credential"))
}

fn ask(runtime: &Runtime, server: &Server) -> (String, String) {
    let authorization = format!("Bearer {OPERATOR}");
    let answer = runtime.block_on(async {
        let mut connection = RawConnection::open(server.local_addrs()[0]).await;
        connection.request("GET", "/ice", &[("Authorization", &authorization)], "").await
    });
    login(&serde_json::from_str::<Value>(&answer.body).expect("JSON")["iceServers"])
}

fn caller(server: &Server, (username, password): &(String, String)) -> Caller {
    let udp = server.turn_addrs().udp[0];
    Caller::with_login(Pipe::udp(udp), udp, Transport::Datagram, username, password)
}

/// Shows that a client with these credentials is relayed.
fn assert_relays(server: &Server, login: &(String, String)) {
    let (mut caller, peer) = (caller(server, login), Peer::v4());
    let relayed = caller.allocate(Allocation::of(Family::V4)).relayed[0];
    caller.permit(&[peer.address]);
    echo(&mut caller, relayed, &peer);
}

/// Shows that a client with these credentials is told that they are no good, rather than anything else or nothing at all.
fn assert_refused(server: &Server, login: &(String, String)) {
    let mut caller = caller(server, login);
    let request = caller.turn.allocate(Allocation::of(Family::V4), std::time::Instant::now());
    match caller.next_event(SOON) {
        Some(Event::Failed { request: failed, error }) if failed == request => {
            assert_eq!(error, RequestError::WrongCredentials, "401 to a signed request");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_rooms_and_ice_hand_out_opens_a_relay() {
    let (runtime, server) = spawn();
    let joined = runtime.block_on(async {
        let mut ann = RoomsClient::hello(server.local_addrs()[0]).await;
        ann.enter(ROOM).await
    });
    assert_relays(&server, &login(&joined["iceServers"]));
    assert_relays(&server, &ask(&runtime, &server));
}

#[test]
fn forged_and_expired_credentials_open_none() {
    let (runtime, server) = spawn();
    let (username, password) = ask(&runtime, &server);
    let (expires, user) = username.split_once(':').expect("a time");
    let longer = format!("{}:{user}", expires.parse::<u64>().expect("seconds") + 86_400);
    assert_refused(&server, &(longer, password.clone()));
    let other = if password.starts_with('A') { 'B' } else { 'A' };
    assert_refused(&server, &(username.clone(), format!("{other}{}", &password[1..])));
    assert_refused(&server, &(username.clone(), OPERATOR.to_owned()));

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let signed = |secret: &str, expires| {
        let secret: Secret = secret.parse().expect("strong");
        let issued = Credentials::new("turn", secret, None, vec![]).expect("valid").issue("ann", expires);
        let issued = issued.expect("a name");
        (issued.username, issued.password)
    };
    assert_relays(&server, &signed(SECRET, now + 60));
    assert_refused(&server, &signed(SECRET, now - 1));
    assert_refused(&server, &signed("c0ffee00c0ffee11deadbeef12345678", now + 60));
}

#[test]
fn after_a_change_of_the_secret_both_are_believed_and_the_new_one_signs() {
    let (runtime, server) = spawn();
    let before = ask(&runtime, &server);
    server.rotate_turn_secret("c0ffee00c0ffee11deadbeef12345678".parse().expect("strong"));
    assert_relays(&server, &before);
    assert_relays(&server, &ask(&runtime, &server));
    server.rotate_turn_secret("5f3759df5f3759df1234567890abcdef".parse().expect("strong"));
    assert_refused(&server, &before);
}
