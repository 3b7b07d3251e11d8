//! matchbox clients that do harm or have no luck: each costs a bounded amount, and its neighbours notice nothing.
#![allow(missing_docs)]

mod matchbox_common;

use std::time::{Duration, Instant};

use matchbox_common::Client;
use serde_json::json;
use switchboard_server::config::Rate;
use switchboard_testkit::{Ended, RawConnection, RoomsClient, TestServer};

const UNLIMITED: Rate = Rate { per_second: 0, burst: 0 };

#[tokio::test]
async fn a_flood_is_read_more_slowly_in_silence_and_hurts_nobody() {
    let server = TestServer::with(|config| {
        config.limits.messages_per_connection = Rate { per_second: 100, burst: 100 };
    })
    .await;
    let mut ann = Client::enter(server.address(), "lobby").await;
    let mut ben = Client::enter(server.address(), "lobby").await;
    ann.hears_of(&ben).await;
    let mut target = Client::enter(server.address(), "other").await;
    let mut flooder = Client::enter(server.address(), "other").await;
    target.hears_of(&flooder).await;
    let begun = Instant::now();
    for number in 0..300 {
        flooder.signal(&target.id, json!(number)).await;
    }
    for number in 0..50 {
        ann.signal(&ben.id, json!(number)).await;
        assert_eq!(ben.hear().await["Signal"]["data"], number);
    }
    // The flood is not through by then: it takes two seconds.
    assert!(begun.elapsed() < Duration::from_millis(1800), "neighbours waited {:?}", begun.elapsed());
    for number in 0..300 {
        assert_eq!(target.hear().await["Signal"]["data"], number, "nothing is lost");
    }
    assert!(begun.elapsed() > Duration::from_millis(1500), "was not slowed down: {:?}", begun.elapsed());
    flooder.settle().await;
}

#[tokio::test]
async fn nonsense_costs_its_sender_more_than_work_does() {
    let server = TestServer::with(|config| {
        config.limits.messages_per_connection = Rate { per_second: 100, burst: 100 };
    })
    .await;
    let mut client = Client::enter(server.address(), "lobby").await;
    let begun = Instant::now();
    for _ in 0..30 {
        client.settle().await;
    }
    let elapsed = begun.elapsed();
    assert!(elapsed > Duration::from_millis(1000), "thirty of them are as three hundred: {elapsed:?}");
}

#[tokio::test]
async fn who_does_not_read_is_dropped_and_others_learn_of_it_once() {
    let server = TestServer::with(|config| {
        config.limits.queue_bytes = 128 * 1024;
        config.limits.messages_per_connection = UNLIMITED;
        config.limits.messages_per_address = UNLIMITED;
    })
    .await;
    let mut ann = Client::enter(server.address(), "lobby").await;
    let deaf = Client::enter(server.address(), "lobby").await;
    ann.hears_of(&deaf).await;
    let (id, stream) = (deaf.id.clone(), deaf.socket.into_stream());
    let padding = "x".repeat(60_000);
    // Far more than the queue and both sockets' buffers hold.
    let left = loop {
        ann.signal(&id, json!(padding)).await;
        ann.socket.send_text("are you there?").await;
        let message = ann.hear().await;
        if message["Error"].is_null() {
            break message;
        }
    };
    assert_eq!(left, json!({"PeerLeft": id}));
    ann.is_told().await;
    ann.settle().await;
    // What was written before still arrives; then the socket ends.
    RawConnection::over(stream).read_bytes_to_end().await;
}

#[tokio::test]
async fn who_answers_no_ping_is_lost_and_who_says_nothing_else_stays() {
    let server = TestServer::with(|config| {
        config.limits.greeting_timeout = Duration::from_millis(100);
        config.limits.heartbeat = Duration::from_millis(100);
        config.limits.heartbeat_timeout = Duration::from_millis(400);
    })
    .await;
    let mut ann = Client::enter(server.address(), "lobby").await;
    let dead = Client::enter(server.address(), "lobby").await;
    ann.hears_of(&dead).await;
    let (id, stream) = (dead.id.clone(), dead.socket.into_stream());
    // Ann's client answers pings while it waits, and sends nothing of its own.
    assert_eq!(ann.hear().await, json!({"PeerLeft": id}));
    ann.settle().await;
    drop(stream);
}

#[tokio::test]
async fn full_rooms_and_full_servers_turn_newcomers_away_with_a_reason() {
    let server = TestServer::with(|config| {
        config.limits.room_members = 2;
        config.limits.rooms = 2;
    })
    .await;
    let mut ann = Client::enter(server.address(), "lobby").await;
    let ben = Client::enter(server.address(), "lobby").await;
    ann.hears_of(&ben).await;
    let mut other = Client::enter(server.address(), "other").await;
    for (room, sentence) in [
        ("lobby", "This room is full; ask somebody to leave, or take another."),
        ("third", "The server holds as many rooms as it can; try again later."),
        ("other?next=2", "The server holds as many rooms as it can; try again later."),
    ] {
        let mut late = Client::enter(server.address(), room).await;
        let ended = Ended::Closed { code: 1013, reason: sentence.to_owned() };
        assert_eq!(late.socket.end().await, ended, "{room}");
    }
    ann.settle().await;
    other.settle().await;
    let gone = ben.id.clone();
    ben.socket.close().await;
    assert_eq!(ann.hear().await, json!({"PeerLeft": gone}));
    let cid = Client::enter(server.address(), "lobby").await;
    ann.hears_of(&cid).await;
}

#[tokio::test]
async fn connections_of_one_address_are_limited_over_all_dialects() {
    let server = TestServer::with(|config| config.limits.connections_per_address = 2).await;
    let mut ann = Client::enter(server.address(), "lobby").await;
    let _page = RoomsClient::hello(server.address()).await;
    let url = format!("ws://{}/matchbox/lobby", server.address());
    assert!(RoomsClient::open(&url, &[]).await.is_err());
    ann.settle().await;
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let server = TestServer::spawn().await;
    let mut ann = Client::enter(server.address(), "lobby").await;
    let mut ben = Client::enter(server.address(), "lobby?next=2").await;
    server.stop().await;
    for client in [&mut ann, &mut ben] {
        assert!(matches!(client.socket.end().await, Ended::Closed { code: 1001, .. }));
    }
}
