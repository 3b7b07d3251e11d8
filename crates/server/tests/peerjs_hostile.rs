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
