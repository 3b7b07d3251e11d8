//! matchbox over real sockets: who hears of whom, who is put together, and what a client is told that says nonsense.
#![allow(missing_docs)]

mod matchbox_common;

use matchbox_common::{Client, TOO_LONG, path};
use serde_json::json;
use switchboard_server::config::{AdminListen, Origins};
use switchboard_testkit::{Ended, RoomsClient, TestServer, get};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn who_is_there_hears_of_a_newcomer_and_calls_it() {
    let server = TestServer::spawn().await;
    let mut ann = Client::enter(server.address(), "lobby").await;
    let mut ben = Client::enter(server.address(), "lobby").await;
    ann.hears_of(&ben).await;
    let mut cid = Client::enter(server.address(), "lobby").await;
    ann.hears_of(&cid).await;
    ben.hears_of(&cid).await;
    ann.settle().await;
    for n in 0..20 {
        ann.signal(&cid.id.clone(), json!({"Offer": format!("v=0\r\n{n}")})).await;
    }
    for n in 0..20 {
        let event = json!({"Signal": {"sender": ann.id, "data": {"Offer": format!("v=0\r\n{n}")}}});
        assert_eq!(cid.hear().await, event);
    }
    cid.signal(&ann.id.clone(), json!(null)).await;
    assert_eq!(ann.hear().await, json!({"Signal": {"sender": cid.id, "data": null}}));
    ben.settle().await;
}

#[tokio::test]
async fn a_departure_is_told_once_to_those_who_share_the_room() {
    let server = TestServer::spawn().await;
    let mut ann = Client::enter(server.address(), "lobby").await;
    let ben = Client::enter(server.address(), "lobby").await;
    let cid = Client::enter(server.address(), "lobby").await;
    let mut eve = Client::enter(server.address(), "elsewhere").await;
    ann.hears_of(&ben).await;
    ann.hears_of(&cid).await;
    let (left, lost) = (ben.id.clone(), cid.id.clone());
    ben.socket.close().await;
    assert_eq!(ann.hear().await, json!({"PeerLeft": left}));
    cid.socket.vanish();
    assert_eq!(ann.hear().await, json!({"PeerLeft": lost}), "there is no way back, so nobody waits for it");
    ann.settle().await;
    eve.settle().await;
    ann.signal(&left, json!("too late")).await;
    ann.settle().await;
}

#[tokio::test]
async fn groups_are_filled_one_after_the_other() {
    let server = TestServer::spawn().await;
    let mut first = Client::enter(server.address(), "game?next=2").await;
    let mut open = Client::enter(server.address(), "game").await;
    let mut second = Client::enter(server.address(), "game?next=2").await;
    first.hears_of(&second).await;
    let mut third = Client::enter(server.address(), "game?next=2").await;
    let mut fourth = Client::enter(server.address(), "game?next=2").await;
    third.hears_of(&fourth).await;
    let gone = second.id.clone();
    for client in [&mut first, &mut second, &mut third, &mut fourth, &mut open] {
        client.settle().await;
    }
    second.socket.close().await;
    assert_eq!(first.hear().await, json!({"PeerLeft": gone}));
    third.settle().await;
    let mut fifth = Client::enter(server.address(), "game?next=2").await;
    fifth.settle().await;
    first.settle().await;
}

#[tokio::test]
async fn only_who_shares_a_room_is_reached_and_nobody_speaks_for_another() {
    let server = TestServer::spawn().await;
    let mut ann = Client::enter(server.address(), "lobby").await;
    let mut ben = Client::enter(server.address(), "lobby").await;
    let mut eve = Client::enter(server.address(), "elsewhere").await;
    ann.hears_of(&ben).await;
    let (victim, own) = (ann.id.clone(), eve.id.clone());
    for receiver in
        [victim.as_str(), own.as_str(), "01234567-89ab-4cde-8f01-23456789abcd", "00000000-0000-0000-0000-000000000000"]
    {
        eve.signal(receiver, json!({"Offer": "v=0"})).await;
    }
    eve.settle().await;
    ann.settle().await;
    let forged = json!({"Signal": {"receiver": victim, "sender": own, "data": {"sender": own}}});
    ben.socket.send(&forged).await;
    assert_eq!(ann.hear().await, json!({"Signal": {"sender": ben.id, "data": {"sender": own}}}));
    // What only the server says is no message of a client.
    ben.socket.send(&json!({"PeerLeft": victim})).await;
    ben.is_told().await;
    ann.settle().await;
}

#[tokio::test]
async fn rooms_of_other_dialects_are_others() {
    let server = TestServer::spawn().await;
    let mut ann = Client::enter(server.address(), "lobby").await;
    let mut page = RoomsClient::hello(server.address()).await;
    page.enter("lobby").await;
    for name in ["matchbox::lobby", ":lobby"] {
        page.send(&json!({"type": "join", "room": name})).await;
        assert_eq!(page.next().await["code"], "bad-room", "{name}");
    }
    ann.settle().await;
}

#[tokio::test]
async fn nonsense_is_answered_and_harms_nobody() {
    let server = TestServer::spawn().await;
    let mut ann = Client::enter(server.address(), "lobby").await;
    let mut eve = Client::enter(server.address(), "lobby").await;
    ann.hears_of(&eve).await;
    for frame in ["", "null", "{}", "[]", r#""Signal""#, r#"{"Signal":{"receiver":"me","data":1}}"#] {
        eve.socket.send_text(frame).await;
        assert!(eve.is_told().await.ends_with('.'), "{frame}");
    }
    eve.socket.send_frame(Message::binary(b"\"KeepAlive\"".to_vec())).await;
    assert_eq!(eve.is_told().await, "Messages are text frames; this one was binary.");
    eve.signal(&ann.id.clone(), json!("still here")).await;
    assert_eq!(ann.hear().await["Signal"]["data"], "still here");
    eve.socket.send_text("\"KeepAlive\"").await;
    eve.settle().await;
    let (gone, large) = (eve.id.clone(), "x".repeat(70_000));
    eve.signal(&ann.id.clone(), json!(large)).await;
    assert!(matches!(eve.socket.end().await, Ended::Closed { code: TOO_LONG, .. }));
    assert_eq!(ann.hear().await, json!({"PeerLeft": gone}));
    ann.settle().await;
}

#[tokio::test]
async fn a_url_that_names_no_room_is_refused_with_a_sentence() {
    let server = TestServer::spawn().await;
    for (at, sentence) in [
        ("/matchbox/a/b", "one part of the path"),
        ("/matchbox/%zz", "hexadecimal"),
        ("/matchbox/%ff", "UTF-8"),
        ("/matchbox/a%0Ab", "control characters"),
        ("/matchbox/a?next=0", "from 1 to 32"),
        ("/matchbox/a?next=33", "from 1 to 32"),
        ("/matchbox/a?next=two", "from 1 to 32"),
    ] {
        let reply = get(server.address(), at).await;
        assert!(reply.status == 400 && reply.body.contains(sentence), "{at}: {reply:?}");
        assert!(RoomsClient::open(&format!("ws://{}{at}", server.address()), &[]).await.is_err(), "{at}");
    }
    let long = "r".repeat(129);
    assert_eq!(get(server.address(), &format!("/matchbox/{long}")).await.status, 400);
    let reply = get(server.address(), "/matchbox/lobby").await;
    assert_eq!((reply.status, reply.header("upgrade")), (426, Some("websocket")));
    let mut ann = Client::enter(server.address(), "a%20%C4%8d%2F").await;
    let ben = Client::enter(server.address(), "%61%20%c4%8D%2f").await;
    ann.hears_of(&ben).await;
}

#[tokio::test]
async fn it_is_where_the_operator_puts_it_and_the_rest_stays() {
    let server = TestServer::with(|config| config.matchbox.paths = vec![path("/games"), path("/")]).await;
    assert_eq!(get(server.address(), "/").await.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(get(server.address(), "/matchbox").await.status, 404);
    let at = |at: &str| format!("ws://{}/{at}", server.address());
    for (one, other) in [
        ("", "games"),
        ("games/", "?x"),
        ("lobby", "games/lobby"),
        ("%61?next=2", "games/a?next=2"),
        ("/games/hall", "/hall"),
    ] {
        let mut ann = Client::open(&at(one)).await;
        let ben = Client::open(&at(other)).await;
        ann.hears_of(&ben).await;
    }
    RoomsClient::join(server.address(), "four").await;
    let nowhere = TestServer::with(|config| config.matchbox.paths.clear()).await;
    assert_eq!(get(nowhere.address(), "/matchbox/lobby").await.status, 404);
}

#[tokio::test]
async fn pages_of_other_origins_may_use_it_unless_the_operator_says_which() {
    let foreign = [("origin", "https://elsewhere.example")];
    let server = TestServer::spawn().await;
    assert!(RoomsClient::open(&format!("ws://{}/matchbox/a", server.address()), &foreign).await.is_ok());
    let server = TestServer::with(|config| config.matchbox.origins = Origins::Listed(Vec::new())).await;
    assert!(RoomsClient::open(&format!("ws://{}/matchbox/a", server.address()), &foreign).await.is_err());
}

#[tokio::test]
async fn what_happens_is_counted() {
    let loopback = AdminListen::At("127.0.0.1:0".parse().expect("an address"));
    let server = TestServer::with(|config| config.admin_listen = loopback).await;
    let mut ann = Client::enter(server.address(), "lobby").await;
    let mut ben = Client::enter(server.address(), "lobby").await;
    ben.signal(&ann.id.clone(), json!(1)).await;
    ann.hears_of(&ben).await;
    ann.hear().await;
    let metrics = get(server.admin_address(), "/metrics").await.body;
    for line in [
        "switchboard_signal_connections{dialect=\"matchbox\"} 2",
        "switchboard_joins_total{dialect=\"matchbox\",result=\"joined\"} 2",
        "switchboard_messages_relayed_total{dialect=\"matchbox\"} 1",
        "switchboard_rooms 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}
