//! Whose a PeerJS id is: taken over at once by its owner, kept against others by who lives, lost by who does not.
#![allow(missing_docs)]

use std::time::{Duration, Instant};

use serde_json::json;
use switchboard_testkit::{PeerJsClient, TestServer};

#[tokio::test]
async fn the_same_token_takes_over_at_once_and_gets_open_and_what_comes() {
    let server = TestServer::spawn().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let mut before = PeerJsClient::open(server.address(), "ben", "mine").await;
    let mut after = PeerJsClient::open(server.address(), "ben", "mine").await;
    assert_eq!(before.end().await, Some(4001), "the old socket is closed with a reason");
    ann.offer("ben", 1).await;
    assert_eq!(after.next().await["payload"], 1);
    before.close(None).await;
    ann.offer("ben", 2).await;
    assert_eq!(after.next().await["payload"], 2, "the old socket's end took nothing with it");
}

#[tokio::test]
async fn a_socket_that_was_cut_without_a_word_does_not_keep_its_owner_out() {
    let server = TestServer::spawn().await;
    let held = PeerJsClient::open(server.address(), "ben", "mine").await.into_stream();
    let before = Instant::now();
    PeerJsClient::open(server.address(), "ben", "mine").await.assert_silent("ben").await;
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    drop(held);
}

/// Twenty pages of a school lose its network at once, and are back before anybody has noticed.
#[tokio::test]
async fn all_clients_of_a_full_address_take_their_ids_back() {
    let server = TestServer::with(|config| {
        config.limits.connections_per_address = 20;
        config.trusted_proxies.clear();
    })
    .await;
    let mut frozen = Vec::new();
    for number in 0..20 {
        frozen.push(PeerJsClient::open(server.address(), &format!("pupil{number}"), "t").await.into_stream());
    }
    let mut back = Vec::new();
    for number in 0..20 {
        back.push(PeerJsClient::open(server.address(), &format!("pupil{number}"), "t").await);
    }
    drop(frozen);
    for (number, client) in back.iter_mut().enumerate() {
        client.assert_silent(&format!("pupil{number}")).await;
    }
}

#[tokio::test]
async fn a_full_server_lets_its_clients_come_back() {
    let server = TestServer::with(|config| config.limits.connections = 1).await;
    let held = PeerJsClient::open(server.address(), "ann", "t").await.into_stream();
    let mut stranger = PeerJsClient::connect(server.address(), "ann", "guess").await;
    assert_eq!(stranger.error().await, "Server has reached its concurrent user limit");
    PeerJsClient::open(server.address(), "ann", "t").await.assert_silent("ann").await;
    drop(held);
}

#[tokio::test]
async fn another_token_is_refused_by_a_holder_that_lives() {
    let server = TestServer::spawn().await;
    let mut holder = PeerJsClient::open(server.address(), "ben", "mine").await;
    let mut thief = PeerJsClient::connect(server.address(), "ben", "another").await;
    // The holder's socket answers pings only while it is read.
    let (refused, ()) = tokio::join!(thief.next_text(), async {
        // An own message, so that reading ends.
        holder.offer("ben", "read").await;
        holder.next().await;
    });
    assert_eq!(refused.as_deref(), Ok(r#"{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}"#));
    assert_eq!(thief.end().await, None, "a close without a code");
    holder.assert_silent("ben").await;
}

#[tokio::test]
async fn another_token_gets_the_id_of_a_holder_that_shows_no_life() {
    let server = TestServer::spawn().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let held = PeerJsClient::open(server.address(), "ben", "mine").await.into_stream();
    // Opens after the time of the probe.
    let mut newcomer = PeerJsClient::open(server.address(), "ben", "another").await;
    ann.offer("ben", 1).await;
    assert_eq!(newcomer.next().await, json!({"type": "OFFER", "src": "ann", "dst": "ben", "payload": 1}));
    drop(held);
    newcomer.assert_silent("ben").await;
}

#[tokio::test]
async fn what_is_said_while_an_id_is_in_dispute_is_acted_on_when_that_is_over() {
    let server = TestServer::spawn().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let held = PeerJsClient::open(server.address(), "ben", "mine").await.into_stream();
    let mut newcomer = PeerJsClient::connect(server.address(), "ben", "another").await;
    newcomer.offer("ann", 1).await;
    newcomer.send(&json!({"type": "CANDIDATE", "dst": "ann", "payload": "x".repeat(40_000)})).await;
    newcomer.offer("ann", 2).await;
    assert_eq!(newcomer.next().await, json!({"type": "OPEN"}), "and no error before it");
    assert_eq!(ann.next().await, json!({"type": "OFFER", "src": "ben", "dst": "ann", "payload": 1}));
    assert_eq!(ann.next().await["type"], "CANDIDATE");
    assert_eq!(ann.next().await["payload"], 2);
    newcomer.assert_silent("ben").await;
    drop(held);
}

#[tokio::test]
async fn who_calls_under_an_id_that_it_does_not_get_reaches_nobody_and_hears_only_that() {
    let server = TestServer::spawn().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let held = PeerJsClient::open(server.address(), "ben", "mine").await.into_stream();
    let mut refused = PeerJsClient::connect(server.address(), "ben", "another").await;
    refused.offer("ann", 1).await;
    // Its owner comes back meanwhile.
    let mut back = PeerJsClient::open(server.address(), "ben", "mine").await;
    assert_eq!(refused.next().await["type"], "ID-TAKEN");
    assert_eq!(refused.end().await, None);
    ann.assert_silent("ann").await;
    back.assert_silent("ben").await;
    drop(held);
}

#[tokio::test]
async fn who_gives_an_id_up_that_is_in_dispute_is_told_that_it_was_its_own() {
    let server = TestServer::spawn().await;
    let held = PeerJsClient::open(server.address(), "ben", "mine").await.into_stream();
    let mut newcomer = PeerJsClient::connect(server.address(), "ben", "another").await;
    newcomer.send(&json!({"type": "LEAVE"})).await;
    assert_eq!(newcomer.next().await, json!({"type": "OPEN"}));
    PeerJsClient::open(server.address(), "ben", "third").await.assert_silent("ben").await;
    drop(held);
}

#[tokio::test]
async fn who_leaves_while_an_id_is_in_dispute_is_answered_at_once() {
    let server = TestServer::spawn().await;
    let held = PeerJsClient::open(server.address(), "ben", "mine").await.into_stream();
    let newcomer = PeerJsClient::connect(server.address(), "ben", "another").await;
    let before = Instant::now();
    newcomer.close(Some(1001)).await;
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    drop(held);
}

#[tokio::test]
async fn who_shows_no_life_loses_its_id_and_any_sign_of_life_counts() {
    let server = TestServer::with(|config| config.peerjs.alive_timeout = Duration::from_millis(600)).await;
    let mut silent = PeerJsClient::open(server.address(), "silent", "t").await.into_stream();
    let mut reader = PeerJsClient::open(server.address(), "reader", "t").await;
    let mut bytes = Vec::new();
    // The reader sends nothing but answers pings, as a browser does by itself for a page whose timers are slow.
    let ended = async {
        switchboard_testkit::soon(
            "the end of the silent one",
            tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut bytes),
        )
        .await
    };
    tokio::select! {
        read = ended => { read.expect("read to the end"); }
        message = reader.next_text() => panic!("the reader heard {message:?}"),
    }
    let sentence = "Nothing came for too long";
    assert!(bytes.windows(sentence.len()).any(|window| window == sentence.as_bytes()), "the close says why");
    reader.assert_silent("reader").await;
    PeerJsClient::open(server.address(), "silent", "another").await.assert_silent("silent").await;
}

#[tokio::test]
async fn a_restarted_server_gives_an_id_to_who_comes_first() {
    let server = TestServer::spawn().await;
    let address = server.address();
    let mut ben = PeerJsClient::open(address, "ben", "mine").await;
    // The server waits for clients to take their leave.
    let leave = async move { ben.end().await };
    let (ended, ()) = tokio::join!(leave, server.stop());
    assert_eq!(ended, Some(1001), "shutting down");
    let again = TestServer::with(|config| config.listen = vec![address]).await;
    PeerJsClient::open(again.address(), "ben", "mine").await.assert_silent("ben").await;
}
