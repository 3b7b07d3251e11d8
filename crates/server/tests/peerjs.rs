//! The PeerJS dialect on a real socket, as `docs/protocol/peerjs.md` tells it.
#![allow(missing_docs)]

use std::time::Duration;

use serde_json::{Value, json};
use switchboard_server::Config;
use switchboard_server::config::AdminListen;
use switchboard_testkit::{PeerJsClient, TestServer, get};
use tokio_tungstenite::tungstenite::Message;

async fn server() -> TestServer {
    TestServer::spawn().await
}

async fn hurried(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::with(|config| {
        config.peerjs.expire_timeout = Duration::from_millis(300);
        change(config);
    })
    .await
}

#[tokio::test]
async fn messages_are_passed_on_in_the_originals_form_under_the_true_source() {
    let server = server().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t1").await;
    let mut ben = PeerJsClient::open(server.address(), "ben", "t2").await;
    let text = r#"{"payload":{"sdp":"v=0\r\n","type":"data"},"dst":"ben","more":1,"src":"forged","type":"OFFER"}"#;
    let passed = r#"{"type":"OFFER","src":"ann","dst":"ben","payload":{"sdp":"v=0\r\n","type":"data"}}"#;
    for frame in [Message::text(text), Message::binary(text.as_bytes().to_vec())] {
        ann.send_frame(frame).await;
        assert_eq!(ben.next_text().await.as_deref(), Ok(passed));
    }
    for kind in ["ANSWER", "CANDIDATE", "EXPIRE", "LEAVE"] {
        ben.send(&json!({"type": kind, "dst": "ann", "payload": [null, 1.5, {"b": 1, "a": 2}]})).await;
        let expected = json!({"type": kind, "src": "ben", "dst": "ann", "payload": [null, 1.5, {"b": 1, "a": 2}]});
        assert_eq!(ann.next().await, expected);
    }
    ann.send(&json!({"type": "LEAVE", "dst": "ben"})).await;
    assert_eq!(ben.next_text().await.as_deref(), Ok(r#"{"type":"LEAVE","src":"ann","dst":"ben"}"#));
    ann.assert_silent("ann").await;
}

#[tokio::test]
async fn what_the_original_passes_over_is_passed_over() {
    let server = server().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    for message in [
        json!({}),
        json!({"type": "DANCE", "dst": "ann"}),
        json!({"type": "HEARTBEAT"}),
        json!({"type": "OFFER"}),
        json!({"type": "OPEN", "dst": "ann"}),
        json!({"type": "LEAVE", "dst": "nobody"}),
        json!({"type": "EXPIRE", "dst": "nobody"}),
    ] {
        ann.send(&message).await;
    }
    ann.assert_silent("ann").await;
}

#[tokio::test]
async fn malformed_frames_are_answered_and_survived() {
    let server = server().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    for frame in ["junk", "null", "1", "[]", "", "{\"type\":"] {
        ann.send_frame(Message::text(frame)).await;
        let sentence = ann.error().await;
        assert!(sentence.ends_with('.') && sentence.len() > 20, "{sentence}");
    }
    ann.send_frame(Message::binary(vec![0xff, 0xfe])).await;
    ann.error().await;
    ann.assert_silent("ann").await;
}

#[tokio::test]
async fn an_offer_for_a_number_is_told_to_reach_nobody_and_ends_nothing() {
    let server = server().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    // Somebody who is called so as a text is not who is meant: an official client would not know its answers.
    let mut number = PeerJsClient::open(server.address(), "1234", "t").await;
    ann.send(&json!({"type": "OFFER", "dst": 1234, "payload": 1})).await;
    ann.send(&json!({"type": "CANDIDATE", "dst": 1234, "payload": 1})).await;
    assert_eq!(ann.next_text().await.as_deref(), Ok(r#"{"type":"EXPIRE","src":1234,"dst":"ann"}"#));
    ann.assert_silent("ann").await;
    number.assert_silent("1234").await;
}

#[tokio::test]
async fn a_message_for_nobody_waits_and_is_delivered_after_open_in_order() {
    let server = hurried(|config| config.peerjs.expire_timeout = Duration::from_secs(20)).await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    for number in 0..20 {
        ann.offer("ben", number).await;
    }
    ann.assert_silent("ann").await;
    let mut ben = PeerJsClient::open(server.address(), "ben", "t").await;
    for number in 0..20 {
        assert_eq!(ben.next().await, json!({"type": "OFFER", "src": "ann", "dst": "ben", "payload": number}));
    }
    ben.assert_silent("ben").await;
    ann.assert_silent("ann").await;
}

#[tokio::test]
async fn a_message_that_nobody_reads_in_time_expires_once_for_each_pair() {
    let server = hurried(|_| {}).await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let mut ben = PeerJsClient::open(server.address(), "ben", "t").await;
    for _ in 0..3 {
        ann.offer("nobody \"1\"", 1).await;
        ben.send(&json!({"type": "CANDIDATE", "dst": "nobody \"1\"", "payload": 1})).await;
    }
    ann.send(&json!({"type": "LEAVE", "dst": "nobody \"1\""})).await;
    for (client, id) in [(&mut ann, "ann"), (&mut ben, "ben")] {
        let expired = format!(r#"{{"type":"EXPIRE","src":"nobody \"1\"","dst":"{id}"}}"#);
        assert_eq!(client.next_text().await, Ok(expired));
        client.assert_silent(id).await;
    }
    // Who comes later hears nothing of it.
    PeerJsClient::open(server.address(), "nobody%20%221%22", "t").await.assert_silent("nobody \"1\"").await;
}

#[tokio::test]
async fn the_query_is_checked_in_the_originals_order_and_words() {
    let server = TestServer::with(|config| config.peerjs.keys = vec!["one".into(), "two".into()]).await;
    let incomplete = "No id, token, or key supplied to websocket server";
    for (query, sentence) in [
        ("", incomplete),
        ("?id=a&token=t", incomplete),
        ("?key=wrong&id=&token=t", incomplete),
        ("?key=wrong&id=a&token=t", "Invalid key provided"),
        ("?key=peerjs&id=a&token=t", "Invalid key provided"),
    ] {
        let mut client = PeerJsClient::at(server.address(), &format!("/peerjs{query}"), &[]).await.expect("a socket");
        assert_eq!(client.error().await, sentence, "{query}");
        assert_eq!(client.end().await, None, "a close without a code");
    }
    let long = format!("/peerjs?key=one&token=t&id={}", "i".repeat(513));
    let mut client = PeerJsClient::at(server.address(), &long, &[]).await.expect("a socket");
    assert!(client.error().await.contains("too long"));
}

#[tokio::test]
async fn clients_whose_url_is_wrong_are_counted() {
    let loopback = AdminListen::At("127.0.0.1:0".parse().expect("an address"));
    let server = TestServer::with(|config| config.admin_listen = loopback).await;
    for query in ["?key=wrong&id=a&token=t", "?key=peerjs&id=a"] {
        let mut client = PeerJsClient::at(server.address(), &format!("/peerjs{query}"), &[]).await.expect("a socket");
        client.error().await;
    }
    let metrics = get(server.admin_address(), "/metrics").await.body;
    assert!(metrics.contains("switchboard_refusals_total{reason=\"bad_url\"} 2"), "{metrics}");
}

#[tokio::test]
async fn clients_of_different_keys_do_not_meet() {
    let server = hurried(|config| config.peerjs.keys = vec!["one".into(), "two".into()]).await;
    let open = async |key: &str| {
        let path = format!("/peerjs?key={key}&id=same&token={key}");
        let mut client = PeerJsClient::at(server.address(), &path, &[]).await.expect("a socket");
        assert_eq!(client.next().await["type"], "OPEN");
        client
    };
    let mut one = open("one").await;
    let mut two = open("two").await;
    one.assert_silent("same").await;
    two.assert_silent("same").await;
    let path = "/peerjs?key=two&id=other&token=t";
    let mut other = PeerJsClient::at(server.address(), path, &[]).await.expect("a socket");
    assert_eq!(other.next().await["type"], "OPEN");
    one.offer("other", 1).await;
    assert_eq!(one.next().await["type"], "EXPIRE");
    other.assert_silent("other").await;
}

#[tokio::test]
async fn as_many_clients_as_configured_are_served_and_the_next_is_told() {
    let server = TestServer::with(|config| config.peerjs.concurrent_limit = Some(2)).await;
    let ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let mut ben = PeerJsClient::open(server.address(), "ben", "t").await;
    let mut cid = PeerJsClient::connect(server.address(), "cid", "t").await;
    assert_eq!(cid.error().await, "Server has reached its concurrent user limit");
    assert_eq!(cid.end().await, None);
    // Who comes back is not one more.
    let mut ann_again = PeerJsClient::open(server.address(), "ann", "t").await;
    ann_again.assert_silent("ann").await;
    ben.assert_silent("ben").await;
    drop(ann);
}

#[tokio::test]
async fn limits_of_the_server_are_told_in_words_too() {
    let server = TestServer::with(|config| config.limits.connections_per_address = 1).await;
    let _ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let mut ben = PeerJsClient::connect(server.address(), "ben", "t").await;
    assert!(ben.error().await.starts_with("Too many connections from this address"));
    let full = TestServer::with(|config| config.limits.connections = 1).await;
    let _ann = PeerJsClient::open(full.address(), "ann", "t").await;
    let mut ben = PeerJsClient::connect(full.address(), "ben", "t").await;
    assert_eq!(ben.error().await, "Server has reached its concurrent user limit");
}

#[tokio::test]
async fn a_page_that_came_back_on_another_socket_is_told_to_be_closed_to_all_it_had_to_do_with() {
    let server = server().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let mut ben = PeerJsClient::open(server.address(), "ben", "t").await;
    let leave = |id| format!(r#"{{"type":"LEAVE","src":"page","dst":"{id}"}}"#);
    for way in ["disconnected", "lost", "taken over"] {
        let mut page = PeerJsClient::open(server.address(), "page", "t").await;
        page.offer("ann", 1).await;
        ann.next().await;
        let mut held = None;
        match way {
            "disconnected" => page.close(None).await,
            "lost" => page.vanish(),
            _ => held = Some(page),
        }
        let mut page = PeerJsClient::open(server.address(), "page", "t").await;
        page.offer("ben", 2).await;
        ben.next().await;
        page.close(Some(1001)).await;
        assert_eq!(ann.next_text().await, Ok(leave("ann")), "{way}");
        assert_eq!(ben.next_text().await, Ok(leave("ben")), "{way}");
        drop(held);
    }
    // Somebody else under the same id tells nobody.
    let mut page = PeerJsClient::open(server.address(), "page", "t").await;
    page.offer("ann", 1).await;
    ann.next().await;
    page.close(None).await;
    PeerJsClient::open(server.address(), "page", "another").await.close(Some(1001)).await;
    ann.assert_silent("ann").await;
}

#[tokio::test]
async fn a_page_that_closed_is_told_to_those_it_had_to_do_with_and_to_nobody_else() {
    let server = server().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let mut ben = PeerJsClient::open(server.address(), "ben", "t").await;
    let mut cid = PeerJsClient::open(server.address(), "cid", "t").await;
    for (code, told) in [(Some(1001), true), (None, false), (Some(1000), false)] {
        let mut page = PeerJsClient::open(server.address(), "page", "t").await;
        page.offer("ann", 1).await;
        ann.next().await;
        ben.offer("page", 2).await;
        page.next().await;
        page.send(&json!({"type": "ANSWER", "dst": "ben", "payload": 3})).await;
        ben.next().await;
        page.close(code).await;
        if told {
            for (client, id) in [(&mut ann, "ann"), (&mut ben, "ben")] {
                let leave = format!(r#"{{"type":"LEAVE","src":"page","dst":"{id}"}}"#);
                assert_eq!(client.next_text().await, Ok(leave));
            }
        }
        for (client, id) in [(&mut ann, "ann"), (&mut ben, "ben"), (&mut cid, "cid")] {
            client.assert_silent(id).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_vanishes_is_told_to_nobody() {
    let server = server().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let mut page = PeerJsClient::open(server.address(), "page", "t").await;
    page.offer("ann", 1).await;
    ann.next().await;
    page.vanish();
    // Its id is free as soon as the server knows.
    PeerJsClient::open(server.address(), "page", "another").await.assert_silent("page").await;
    ann.assert_silent("ann").await;
}

#[tokio::test]
async fn who_gave_its_id_up_does_not_send_under_it() {
    let server = server().await;
    let mut ann = PeerJsClient::open(server.address(), "ann", "t").await;
    let mut old = PeerJsClient::open(server.address(), "old", "t").await;
    old.send(&json!({"type": "LEAVE"})).await;
    let mut new = PeerJsClient::open(server.address(), "old", "another").await;
    old.offer("ann", "under a name that is another's").await;
    assert_eq!(old.error().await, "This id was given up with LEAVE; connect again to send under it");
    old.close(None).await;
    // The original would have removed the new owner with that.
    ann.offer("old", Value::Null).await;
    assert_eq!(new.next().await["src"], "ann");
    ann.assert_silent("ann").await;
}
