//! Hostile and unlucky clients: bounded, told, and no harm to their neighbours.
#![allow(missing_docs)]

use std::time::Duration;

use serde_json::json;
use switchboard_server::config::Rate;
use switchboard_testkit::{
    Ended, EngineVersion, PollingClient, RawConnection, RoomsClient, SocketIoClient, TestServer, get, soon,
};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite;

const ROOM: &str = "aUa62LD8NZ";

#[tokio::test]
async fn a_flood_is_slowed_and_loses_nothing_while_a_neighbour_is_served() {
    // What is beyond the burst takes six seconds.
    const FLOOD: u32 = 200;
    let server = TestServer::with(|config| {
        config.limits.messages_per_connection = Rate { per_second: 25, burst: 50 };
    })
    .await;
    let mut target = RoomsClient::join(server.address(), ROOM).await;
    let mut flooder = RoomsClient::join(server.address(), ROOM).await;
    target.expect("peer-joined").await;
    let to = target.id.clone();
    let mut neighbour = RoomsClient::hello(server.address()).await;
    let arrivals = tokio::spawn(async move {
        for number in 0..FLOOD {
            assert_eq!(target.expect("offer").await["data"], number);
        }
        target
    });
    // All of it fits into the kernel's buffers.
    for number in 0..FLOOD {
        flooder.offer(&to, json!(number)).await;
    }
    assert_eq!(flooder.error().await, "slow-down");
    neighbour.assert_silent().await;
    assert!(!arrivals.is_finished(), "the neighbour was served while the flood was held back");
    let mut target = soon("the flood to be read", arrivals).await.expect("all of it, in order");
    flooder.assert_silent().await;
    target.assert_silent().await;
}

#[tokio::test]
async fn an_address_whose_members_vanish_is_stopped_at_its_rooms_and_a_neighbour_makes_some() {
    let server = TestServer::with(|config| {
        config.limits.rooms_per_address = 5;
        config.limits.connections_per_address = 3;
        config.limits.grace = Duration::from_secs(600);
    })
    .await;
    let from = |address: &'static str| {
        let server = server.address();
        async move {
            loop {
                // The place of a socket that vanished is free as soon as the server has seen that.
                match RoomsClient::connect_from(server, &[("x-forwarded-for", address)]).await {
                    Ok(mut client) => {
                        client.say_hello().await;
                        return client;
                    }
                    Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), 429),
                    Err(other) => panic!("{other}"),
                }
            }
        }
    };
    for room in 0..5 {
        let mut hostile = from("192.0.2.1").await;
        assert_eq!(hostile.enter(&format!("room{room}")).await["created"], true);
        hostile.vanish();
    }
    let mut hostile = from("192.0.2.1").await;
    hostile.send(&json!({"type": "join"})).await;
    let refusal = hostile.expect("error").await;
    assert_eq!(refusal["code"], "address-full");
    assert!(refusal["message"].as_str().is_some_and(|text| text.contains("(the limit is 5)")), "{refusal}");
    assert_eq!(hostile.enter("room0").await["created"], false, "what is there can be entered");
    let mut neighbour = from("192.0.2.2").await;
    assert_eq!(neighbour.enter("another").await["created"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_from_one_address_stop_at_its_limit_and_others_are_unharmed() {
    let server = TestServer::with(|config| {
        config.limits.connections_per_address = 100;
        // On a busy machine the flood takes longer than a silent client is kept; who is dropped makes room for another.
        config.limits.greeting_timeout = Duration::from_secs(600);
        config.limits.heartbeat = Duration::from_secs(600);
    })
    .await;
    // Clients behind a trusted proxy are counted by the address that it names.
    let neighbour = [("x-forwarded-for", "192.0.2.7")];
    let mut ann = RoomsClient::connect_from(server.address(), &neighbour).await.expect("admitted");
    ann.send(&json!({"type": "hello", "v": 1})).await;
    ann.expect("welcome").await;

    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..10_000 {
        match RoomsClient::connect_from(server.address(), &[]).await {
            Ok(client) => held.push(client),
            Err(_) => refused += 1,
        }
    }
    assert_eq!((held.len(), refused), (100, 9_900));
    ann.assert_silent().await;
    let mut bob = RoomsClient::connect_from(server.address(), &neighbour).await.expect("others still get in");
    bob.send(&json!({"type": "ping"})).await;
    bob.expect("pong").await;
    let mut first = held.remove(0);
    first.send(&json!({"type": "ping"})).await;
    first.expect("pong").await;
}

/// A server on which two members may send as much as they like.
async fn unhurried() -> TestServer {
    TestServer::with(|config| {
        config.limits.queue_bytes = 128 * 1024;
        config.limits.messages_per_connection.per_second = 0;
        config.limits.messages_per_address.per_second = 0;
    })
    .await
}

/// Sends to somebody who does not read far more than the queue and both sockets' buffers hold, until it is dropped.
async fn drown(ann: &mut RoomsClient, deaf: &str) {
    let padding = "x".repeat(60_000);
    let left = loop {
        ann.offer(deaf, json!(padding)).await;
        ann.send(&json!({"type": "ping"})).await;
        let message = ann.next().await;
        if message["type"] == "peer-left" {
            break message;
        }
        assert_eq!(message["type"], "pong");
    };
    assert_eq!((left["id"].as_str(), left["reason"].as_str()), (Some(deaf), Some("removed")));
    ann.expect("pong").await;
    ann.assert_silent().await;
}

#[tokio::test]
async fn who_does_not_read_is_dropped_with_a_reason_and_others_learn_of_it_once() {
    let server = unhurried().await;
    let mut ann = RoomsClient::join(server.address(), ROOM).await;
    let mut deaf = RoomsClient::join(server.address(), ROOM).await;
    ann.expect("peer-joined").await;
    let id = deaf.id.clone();
    drown(&mut ann, &id).await;
    // What was written before still arrives, and after it the reason.
    let goodbye = loop {
        let message = deaf.next().await;
        if message["type"] != "offer" {
            break message;
        }
    };
    assert_eq!((goodbye["type"].as_str(), goodbye["code"].as_str()), (Some("goodbye"), Some("too-slow")));
    match deaf.end().await {
        Ended::Closed { code: 4004, reason } => assert_eq!(Some(reason.as_str()), goodbye["message"].as_str()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_does_not_read_socketio_is_told_why_it_is_dropped() {
    let server = unhurried().await;
    let mut ann = RoomsClient::hello(server.address()).await;
    let mut deaf = SocketIoClient::connect(server.address(), EngineVersion::V4).await;
    let room = deaf.create_room().await;
    ann.enter(&room).await;
    assert_eq!(deaf.event().await[0], "new-user-joined");
    let id = deaf.id.clone();
    drown(&mut ann, &id).await;
    let mut last = String::new();
    while let Some(packet) = deaf.packet_or_end().await {
        last = packet;
    }
    assert!(last.starts_with(r#"42["switchboard-error",{"code":"too-slow","#), "{last:.80}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let server = TestServer::with(|config| config.limits.header_timeout = Duration::from_millis(200)).await;
    let mut slow = RawConnection::open(server.address()).await;
    slow.write("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    let answer = slow.read_to_end().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(get(server.address(), "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_given_up() {
    let server = TestServer::with(|config| config.limits.header_timeout = Duration::from_millis(200)).await;
    let mut silent = RawConnection::open(server.address()).await;
    silent.read_to_end().await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let server = TestServer::with(|config| config.limits.body_timeout = Duration::from_millis(200)).await;
    let mut handshake = RawConnection::open(server.address()).await;
    let open = handshake.request("GET", "/socket.io/?EIO=4&transport=polling", &[], "").await;
    let start = open.body.find("\"sid\":\"").expect("a sid") + 7;
    let sid = &open.body[start..start + 20];
    let mut slow = RawConnection::open(server.address()).await;
    let head = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n4"
    );
    slow.write(head).await;
    slow.read_to_end().await;
}

#[tokio::test]
async fn a_head_without_bound_is_refused() {
    let server = TestServer::spawn().await;
    let mut wide = RawConnection::open(server.address()).await;
    wide.write("GET / HTTP/1.1\r\nHost: x\r\n").await;
    let line = format!("X-Padding: {}\r\n", "x".repeat(8_000));
    for _ in 0..200 {
        if !wide.try_write(&line).await {
            break;
        }
    }
    let answer = wide.read_to_end().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer:.60}");
}

#[tokio::test]
async fn a_restarted_server_gives_everybody_their_ids_back() {
    let server = TestServer::spawn().await;
    let address = server.address();
    let ann = RoomsClient::join(address, ROOM).await;
    let mut bob = RoomsClient::join(address, ROOM).await;
    server.stop().await;
    assert_eq!(bob.expect("goodbye").await["code"], "shutting-down");
    assert!(matches!(bob.end().await, Ended::Closed { code: 1001, .. }));

    let server = TestServer::with(|config| config.listen = vec![address]).await;
    let (mut bob_again, welcome) = RoomsClient::resume(server.address(), &bob.resume).await;
    assert_eq!((welcome["resumed"].as_bool(), welcome["id"].as_str()), (Some(false), Some(bob.id.as_str())));
    bob_again.enter(ROOM).await;
    let (mut ann_again, _) = RoomsClient::resume(server.address(), &ann.resume).await;
    assert_eq!(ann_again.enter(ROOM).await["members"][0]["id"], bob.id);
    assert_eq!(bob_again.expect("peer-joined").await["peer"]["id"], ann.id);
}

#[tokio::test]
async fn a_resume_over_a_fresh_socket_takes_over_and_the_old_one_is_told() {
    let server = TestServer::spawn().await;
    let mut ann = RoomsClient::join(server.address(), ROOM).await;
    let mut bob = RoomsClient::join(server.address(), ROOM).await;
    ann.expect("peer-joined").await;
    let (mut again, welcome) = RoomsClient::resume(server.address(), &bob.resume).await;
    assert_eq!(welcome["rooms"][0]["room"], ROOM);
    assert!(matches!(bob.end().await, Ended::Closed { code: 4001, .. }));
    ann.assert_silent().await;
    again.assert_silent().await;
    let mut replay = RoomsClient::connect(server.address()).await;
    replay.send(&json!({"type": "hello", "v": 1, "resume": bob.resume})).await;
    assert_eq!(replay.error().await, "resume-refused");
    again.assert_silent().await;
}

#[tokio::test]
async fn what_was_sent_while_away_arrives_after_the_resume() {
    let server = TestServer::spawn().await;
    let mut ann = RoomsClient::join(server.address(), ROOM).await;
    let bob = RoomsClient::join(server.address(), ROOM).await;
    ann.expect("peer-joined").await;
    let (id, token) = (bob.id.clone(), bob.resume.clone());
    bob.vanish();
    ann.expect("peer-away").await;
    ann.offer(&id, json!("while away")).await;
    ann.assert_silent().await;
    let (mut bob, _) = RoomsClient::resume(server.address(), &token).await;
    assert_eq!(bob.expect("offer").await["data"], "while away");
    ann.expect("peer-back").await;
}

#[tokio::test]
async fn a_drain_refuses_newcomers_and_ends_in_time() {
    let server = TestServer::with(|config| {
        config.drain_timeout = Duration::from_secs(2);
        config.limits.body_timeout = Duration::from_secs(3600);
    })
    .await;
    let address = server.address();
    // Nothing but the drain's own time ends a request that never does.
    let (sample, _) = PollingClient::connect(address).await;
    let held = sample.begin_endless_post().await;
    let mut ann = RoomsClient::hello(address).await;
    server.server().shutdown();
    assert_eq!(ann.expect("goodbye").await["code"], "shutting-down");
    match RoomsClient::connect_from(address, &[]).await {
        Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), 503),
        other => panic!("{other:?}"),
    }
    server.gone().await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    drop(held);
}
