//! PeerJS clients that do harm: each gets what it deserves, and its neighbours notice nothing.
#![allow(missing_docs)]

use std::time::{Duration, Instant};

use serde_json::json;
use switchboard_server::config::Rate;
use switchboard_testkit::{PeerJsClient, TestServer};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_message_that_is_too_large_ends_its_sender_alone() {
    let server = TestServer::spawn().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let mut large = PeerJsClient::open(server.address(), "large", "t").await;
    let fits = "x".repeat(60_000);
    large.offer("ann", fits.as_str()).await;
    assert_eq!(ann.next().await["payload"], fits);
    large.offer("ann", "x".repeat(70_000)).await;
    let sentence = large.error().await;
    assert!(sentence.contains("65536 bytes") && sentence.contains("metadata"), "{sentence}");
    assert_eq!(large.end().await, Some(1009), "the code of the standard");
    ann.assert_silent("ann").await;
    PeerJsClient::open(server.address(), "large", "another").await.assert_silent("large").await;
}

#[tokio::test]
async fn a_flood_is_read_more_slowly_in_silence_and_hurts_nobody() {
    let server = TestServer::with(|config| {
        config.limits.messages_per_connection = Rate { per_second: 100, burst: 100 };
    })
    .await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let mut ben = PeerJsClient::open(server.address(), "ben", "t").await;
    let mut flood = PeerJsClient::open(server.address(), "flood", "t").await;
    let begun = Instant::now();
    for number in 0..300 {
        flood.offer("flood", number).await;
    }
    for number in 0..50 {
        ann.offer("ben", number).await;
        assert_eq!(ben.next().await["payload"], number);
    }
    // The flood is not through by then: it takes two seconds.
    assert!(begun.elapsed() < Duration::from_millis(1800), "neighbours waited {:?}", begun.elapsed());
    // Nothing is lost, nothing is said, and 200 beyond the burst took two seconds.
    for number in 0..300 {
        let heard = flood.next().await;
        assert_eq!(heard, json!({"type": "OFFER", "src": "flood", "dst": "flood", "payload": number}));
    }
    assert!(begun.elapsed() > Duration::from_millis(1500), "was not slowed down: {:?}", begun.elapsed());
}

#[tokio::test]
async fn malformed_frames_cost_their_sender_more_than_work_does() {
    let server = TestServer::with(|config| {
        config.limits.messages_per_connection = Rate { per_second: 100, burst: 100 };
    })
    .await;
    let mut client = PeerJsClient::open(server.address(), "ann", "t").await;
    let begun = Instant::now();
    for _ in 0..30 {
        client.send_frame(Message::text("junk")).await;
    }
    for _ in 0..30 {
        client.error().await;
    }
    assert!(
        begun.elapsed() > Duration::from_millis(1000),
        "thirty of them are as three hundred: {:?}",
        begun.elapsed()
    );
    client.assert_silent("ann").await;
}

#[tokio::test]
async fn what_waits_for_nobody_has_a_limit_and_the_rest_expires_at_once() {
    let server = TestServer::with(|config| {
        config.limits.messages_per_connection = Rate { per_second: 0, burst: 0 };
        config.limits.messages_per_address = Rate { per_second: 0, burst: 0 };
        config.peerjs.expire_timeout = Duration::from_secs(60);
    })
    .await;
    let mut hoarder = PeerJsClient::open(server.address(), "hoarder", "t").await;
    let payload = "x".repeat(10_000);
    for _ in 0..200 {
        hoarder.offer("nobody", payload.as_str()).await;
    }
    // Long before the minute is over.
    assert_eq!(hoarder.next().await, json!({"type": "EXPIRE", "src": "nobody", "dst": "hoarder"}));
    hoarder.close(None).await;
}

#[tokio::test]
async fn who_does_not_read_is_dropped_and_its_id_is_free() {
    let server = TestServer::with(|config| {
        config.limits.queue_bytes = 128 * 1024;
        config.limits.messages_per_connection = Rate { per_second: 0, burst: 0 };
        config.limits.messages_per_address = Rate { per_second: 0, burst: 0 };
    })
    .await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let held = PeerJsClient::open(server.address(), "sink", "t").await.into_stream();
    let payload = "x".repeat(50_000);
    // More than the kernel's buffers and the mailbox hold together.
    for _ in 0..400 {
        ann.offer("sink", payload.as_str()).await;
    }
    ann.assert_silent_but("ann", "EXPIRE").await;
    let begun = Instant::now();
    PeerJsClient::open(server.address(), "sink", "another").await;
    assert!(begun.elapsed() < Duration::from_secs(2), "the id was kept for {:?}", begun.elapsed());
    drop(held);
}

#[tokio::test]
async fn an_offer_that_somebody_else_says_again_comes_from_who_says_it() {
    let server = TestServer::spawn().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let mut ben = PeerJsClient::open(server.address(), "ben", "t").await;
    let mut eve = PeerJsClient::open(server.address(), "eve", "t").await;
    ann.offer("eve", 1).await;
    let mut heard = eve.next().await;
    assert_eq!(heard, json!({"type": "OFFER", "src": "ann", "dst": "eve", "payload": 1}));
    eve.send(&heard).await;
    assert_eq!(eve.next().await, json!({"type": "OFFER", "src": "eve", "dst": "eve", "payload": 1}));
    heard["dst"] = "ben".into();
    eve.send(&heard).await;
    assert_eq!(ben.next().await, json!({"type": "OFFER", "src": "eve", "dst": "ben", "payload": 1}));
    // Nor can anybody else's departure be told in its name.
    heard["type"] = "LEAVE".into();
    eve.send(&heard).await;
    assert_eq!(ben.next().await["src"], "eve");
    ann.assert_silent("ann").await;
    ben.assert_silent("ben").await;
}

#[tokio::test]
async fn a_handshake_that_is_said_again_opens_nothing_that_is_somebody_elses_by_now() {
    let server = TestServer::spawn().await;
    let mut before = PeerJsClient::open(server.address(), "ann", "seen").await;
    let mut ben = PeerJsClient::open(server.address(), "ben", "t").await;
    before.offer("ben", 1).await;
    assert_eq!(ben.next().await["payload"], 1);
    before.send(&json!({"type": "LEAVE"})).await;
    before.offer("ben", 1).await;
    let given_up = "This id was given up with LEAVE; connect again to send under it";
    assert_eq!(before.error().await, given_up);
    let mut owner = PeerJsClient::open(server.address(), "ann", "own").await;
    before.offer("ben", 1).await;
    assert_eq!(before.error().await, given_up, "whoever has it now");
    let mut replayed = PeerJsClient::connect(server.address(), "ann", "seen").await;
    let (refused, ()) = tokio::join!(replayed.next(), async {
        // The owner's socket answers pings only while it is read; an own message ends that.
        owner.offer("ann", "read").await;
        owner.next().await;
    });
    assert_eq!(refused, json!({"type": "ID-TAKEN", "payload": {"msg": "ID is taken"}}));
    assert_eq!(replayed.end().await, None);
    ben.assert_silent("ben").await;
    owner.assert_silent("ann").await;
}

#[tokio::test]
async fn a_handshake_that_is_said_again_after_its_client_left_for_good_speaks_for_nobody() {
    let server = TestServer::spawn().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "seen").await;
    let mut ben = PeerJsClient::open(server.address(), "ben", "t").await;
    ann.offer("ben", 1).await;
    assert_eq!(ben.next().await["payload"], 1);
    // Its page is closed, of which Ben is told.
    ann.close(Some(1001)).await;
    assert_eq!(ben.next().await, json!({"type": "LEAVE", "src": "ann", "dst": "ben"}));
    // The id is free, and whoever asks for it gets it, but not whom it had called.
    let replayed = PeerJsClient::open(server.address(), "ann", "seen").await;
    replayed.close(Some(1001)).await;
    ben.assert_silent("ben").await;
}
