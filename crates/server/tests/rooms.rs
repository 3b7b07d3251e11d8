//! The rooms protocol on a real socket, as `docs/protocol/rooms.md` tells it.
#![allow(missing_docs)]

use serde_json::{Value, json};
use switchboard_testkit::{Ended, RoomsClient, TestServer};

const ROOM: &str = "aUa62LD8NZ";

#[tokio::test]
async fn two_clients_are_introduced_and_exchange_what_they_like() {
    let server = TestServer::spawn().await;
    let mut ann = RoomsClient::join(server.address(), ROOM).await;
    let mut bob = RoomsClient::hello(server.address()).await;
    let joined = bob.enter(ROOM).await;
    assert_eq!(joined["created"], false);
    assert_eq!(joined["members"][0], json!({"id": ann.id, "name": "", "dialect": "switchboard", "away": false}));
    assert_eq!(ann.expect("peer-joined").await["peer"]["id"], bob.id);

    let sdp = json!({"type": "offer", "sdp": "v=0\r\no=mozilla...THIS_IS_SDPARTA-99.0 1 0 IN IP4 0.0.0.0\r\n"});
    ann.offer(&bob.id, sdp.clone()).await;
    assert_eq!(bob.next().await, json!({"type": "offer", "from": ann.id, "data": sdp}));
    for data in [json!(""), Value::Null, json!({"candidate": ""})] {
        bob.send(&json!({"type": "candidate", "to": ann.id, "data": data})).await;
        assert_eq!(ann.next().await, json!({"type": "candidate", "from": bob.id, "data": data}));
    }
}

#[tokio::test]
async fn welcome_tells_the_limits_and_the_ice_servers() {
    let server = TestServer::with(|config| {
        config.ice_servers = vec![switchboard_server::config::IceServer {
            urls: vec!["stun:stun.example.org".into()],
            username: None,
            credential: None,
        }];
    })
    .await;
    let mut client = RoomsClient::connect(server.address()).await;
    client.send(&json!({"type": "hello", "v": 1, "ref": "first"})).await;
    let welcome = client.expect("welcome").await;
    assert_eq!(welcome["ref"], "first");
    assert_eq!(welcome["iceServers"], json!([{"urls": ["stun:stun.example.org"]}]));
    assert_eq!(welcome["limits"]["messageBytes"], 65_536);
    assert_eq!(welcome["limits"]["graceMs"], 30_000);
    assert_eq!(welcome["resumed"], false);
    let plain = TestServer::spawn().await;
    let mut client = RoomsClient::connect(plain.address()).await;
    client.send(&json!({"type": "hello", "v": 1})).await;
    assert_eq!(client.expect("welcome").await["iceServers"], json!([]));
}

#[tokio::test]
async fn messages_after_hello_need_not_wait_for_welcome() {
    let server = TestServer::spawn().await;
    let mut client = RoomsClient::connect(server.address()).await;
    client.send(&json!({"type": "hello", "v": 1})).await;
    client.send(&json!({"type": "join", "room": ROOM})).await;
    client.expect("welcome").await;
    client.expect("joined").await;
}

#[tokio::test]
async fn the_order_of_each_sender_holds_under_load() {
    let server = TestServer::spawn().await;
    let mut target = RoomsClient::join(server.address(), ROOM).await;
    let mut tasks = tokio::task::JoinSet::new();
    let (senders, each) = (8, 150);
    for _ in 0..senders {
        let mut sender = RoomsClient::join(server.address(), ROOM).await;
        let to = target.id.clone();
        tasks.spawn(async move {
            for number in 0..each {
                sender.offer(&to, json!({"number": number, "padding": "x".repeat(700)})).await;
            }
            sender
        });
    }
    let mut last = std::collections::HashMap::<String, i64>::new();
    let mut received = 0;
    while received < senders * each {
        let message = target.next().await;
        if message["type"] != "offer" {
            continue;
        }
        received += 1;
        let number = message["data"]["number"].as_i64().expect("a number");
        let before = last.insert(message["from"].as_str().expect("a sender").to_owned(), number).unwrap_or(-1);
        assert_eq!(number, before + 1);
    }
    assert_eq!(last.len(), senders);
    while tasks.join_next().await.is_some() {}
}

#[tokio::test]
async fn bye_is_answered_and_closes_in_good_order() {
    let server = TestServer::spawn().await;
    let mut ann = RoomsClient::join(server.address(), ROOM).await;
    let mut bob = RoomsClient::join(server.address(), ROOM).await;
    ann.expect("peer-joined").await;
    bob.send(&json!({"type": "bye"})).await;
    assert_eq!(bob.expect("goodbye").await["code"], "bye");
    assert!(matches!(bob.end().await, Ended::Closed { code: 1000, .. }));
    assert_eq!(ann.expect("peer-left").await["reason"], "left");
    ann.assert_silent().await;
}

#[tokio::test]
async fn closing_a_socket_in_good_order_is_leaving() {
    let server = TestServer::spawn().await;
    let mut ann = RoomsClient::join(server.address(), ROOM).await;
    let bob = RoomsClient::join(server.address(), ROOM).await;
    ann.expect("peer-joined").await;
    bob.close().await;
    let left = ann.expect("peer-left").await;
    assert_eq!(left["reason"], "left");
    ann.assert_silent().await;
}

#[tokio::test]
async fn a_socket_that_vanishes_is_away_and_then_lost_once() {
    let server = TestServer::with(|config| config.limits.grace = std::time::Duration::from_millis(300)).await;
    let mut ann = RoomsClient::join(server.address(), ROOM).await;
    let bob = RoomsClient::join(server.address(), ROOM).await;
    ann.expect("peer-joined").await;
    let id = bob.id.clone();
    bob.vanish();
    assert_eq!(ann.expect("peer-away").await["id"], id);
    assert_eq!(ann.expect("peer-left").await["reason"], "lost");
    ann.assert_silent().await;
}

#[tokio::test]
async fn who_says_no_hello_is_told_and_closed() {
    let server = TestServer::with(|config| {
        config.limits.greeting_timeout = std::time::Duration::from_millis(100);
    })
    .await;
    let mut client = RoomsClient::connect(server.address()).await;
    assert_eq!(client.expect("goodbye").await["code"], "hello-timeout");
    assert!(matches!(client.end().await, Ended::Closed { code: 4002, .. }));
}

#[tokio::test]
async fn a_silent_socket_is_pinged_and_lost_when_it_does_not_answer() {
    let server = TestServer::with(|config| {
        config.limits.heartbeat = std::time::Duration::from_millis(200);
        config.limits.heartbeat_timeout = std::time::Duration::from_millis(200);
    })
    .await;
    let bob = RoomsClient::join(server.address(), ROOM).await;
    let id = bob.id.clone();
    // A socket that nobody reads from answers no ping, as behind a cable that was cut.
    let held = bob.into_stream();
    let mut ann = RoomsClient::hello(server.address()).await;
    let joined = ann.enter(ROOM).await;
    let away = joined["members"][0]["away"] == true || ann.expect("peer-away").await["id"] == id;
    assert!(away);
    drop(held);
}
