//! What no client should send: each gets a code and a sentence, costs little, and loses nothing.
#![allow(missing_docs)]

use serde_json::{Value, json};
use switchboard_testkit::{Ended, RawConnection, Reply, RoomsClient, TestServer, get};
use tokio_tungstenite::tungstenite::{self, Message};

const ROOM: &str = "aUa62LD8NZ";

#[tokio::test]
async fn every_malformed_message_is_answered_and_the_connection_goes_on() {
    let server = TestServer::spawn().await;
    let mut client = RoomsClient::join(server.address(), ROOM).await;
    let nowhere = "A".repeat(20);
    let table = [
        ("garbage".to_owned(), "bad-json"),
        (String::new(), "bad-json"),
        ("null".to_owned(), "bad-json"),
        ("[1,2]".to_owned(), "bad-json"),
        (r#"{"type":"ping""#.to_owned(), "bad-json"),
        ("{}".to_owned(), "bad-message"),
        (json!({"type": 1}).to_string(), "bad-message"),
        (json!({"type": "dance"}).to_string(), "unknown-type"),
        (json!({"type": "join", "room": ["x"]}).to_string(), "bad-message"),
        (json!({"type": "join", "room": "a b"}).to_string(), "bad-room"),
        (json!({"type": "join", "room": "x".repeat(65)}).to_string(), "bad-room"),
        (json!({"type": "leave", "room": "elsewhere"}).to_string(), "not-in-room"),
        (json!({"type": "rename", "name": "x".repeat(65)}).to_string(), "bad-name"),
        (json!({"type": "offer", "to": 5, "data": 1}).to_string(), "bad-message"),
        (json!({"type": "offer", "to": nowhere, "data": 1}).to_string(), "peer-not-found"),
        (json!({"type": "join", "room": "unknown", "ifMissing": "refuse"}).to_string(), "room-not-found"),
        (json!({"type": "hello", "v": 1}).to_string(), "already-greeted"),
        (json!({"type": "hello", "v": 9}).to_string(), "unsupported-version"),
        (format!("{{\"type\":\"ping\",\"x\":{}", "[".repeat(60_000)), "bad-json"),
    ];
    for (text, code) in table {
        client.send_text(&text).await;
        assert_eq!(client.error().await, code, "{:.80}", text);
    }
    client.send_frame(Message::binary(vec![0, 1, 2])).await;
    assert_eq!(client.error().await, "binary-frame");
    client.assert_silent().await;
}

#[tokio::test]
async fn a_forged_sender_is_replaced_by_the_true_one() {
    let server = TestServer::spawn().await;
    let mut ann = RoomsClient::join(server.address(), ROOM).await;
    let mut bob = RoomsClient::join(server.address(), ROOM).await;
    let mut mallory = RoomsClient::join(server.address(), ROOM).await;
    ann.expect("peer-joined").await;
    ann.expect("peer-joined").await;
    bob.expect("peer-joined").await;
    mallory.send(&json!({"type": "offer", "from": bob.id, "src": bob.id, "to": ann.id, "data": 1})).await;
    assert_eq!(ann.next().await, json!({"type": "offer", "from": mallory.id, "data": 1}));
    bob.assert_silent().await;
}

#[tokio::test]
async fn the_largest_frame_passes_and_one_byte_more_closes_with_1009() {
    let server = TestServer::spawn().await;
    let mut ann = RoomsClient::join(server.address(), ROOM).await;
    let mut bob = RoomsClient::join(server.address(), ROOM).await;
    ann.expect("peer-joined").await;
    let frame = |length: usize| {
        let empty = json!({"type": "offer", "to": bob.id, "data": ""}).to_string();
        json!({"type": "offer", "to": bob.id, "data": "x".repeat(length - empty.len())}).to_string()
    };
    let (largest, too_large) = (frame(65_536), frame(65_537));
    ann.send_text(&largest).await;
    bob.expect("offer").await;
    ann.send_text(&too_large).await;
    assert!(matches!(ann.end().await, Ended::Closed { code: 1009, .. }));
    assert_eq!(bob.next().await["id"], ann.id);
}

#[tokio::test]
async fn a_message_in_many_fragments_has_the_same_limit() {
    let server = TestServer::spawn().await;
    let stream = RoomsClient::hello(server.address()).await.into_stream();
    let mut raw = RawConnection::over(stream);
    let fragment = |first: u8| {
        let mut frame = vec![first, 0x80 | 126, 0x20, 0x00, 0, 0, 0, 0];
        frame.extend(std::iter::repeat_n(b' ', 0x2000));
        frame
    };
    raw.write(fragment(0x01)).await;
    for _ in 0..16 {
        raw.try_write(fragment(0x00)).await;
    }
    let bytes = raw.read_bytes_to_end().await;
    assert!(bytes.starts_with(&[0x88]) && bytes[2..4] == 1009u16.to_be_bytes(), "{bytes:?}");
}

async fn close_code_for(frame: &[u8]) -> Option<u16> {
    let server = TestServer::spawn().await;
    let mut raw = RawConnection::over(RoomsClient::hello(server.address()).await.into_stream());
    raw.write(frame).await;
    let bytes = raw.read_bytes_to_end().await;
    let close = bytes.strip_prefix(&[0x88])?;
    Some(u16::from_be_bytes([*close.get(1)?, *close.get(2)?]))
}

#[tokio::test]
async fn broken_framing_closes_with_the_code_of_the_standard() {
    assert_eq!(close_code_for(b"\x81\x02{}").await, Some(1002), "unmasked");
    assert_eq!(close_code_for(b"\xc1\x80\0\0\0\0").await, Some(1002), "reserved bit");
    assert_eq!(close_code_for(b"\x83\x80\0\0\0\0").await, Some(1002), "reserved opcode");
    assert_eq!(close_code_for(b"\x80\x80\0\0\0\0").await, Some(1002), "continuation of nothing");
    assert_eq!(close_code_for(b"\x09\x80\0\0\0\0").await, Some(1002), "fragmented ping");
    assert_eq!(close_code_for(b"\x89\xfe\x00\x7e\0\0\0\0").await, Some(1002), "ping of 126 bytes");
    assert_eq!(close_code_for(b"\x81\x82\0\0\0\0\xff\xff").await, Some(1007), "not UTF-8");
    assert_eq!(close_code_for(b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0").await, Some(1009), "enormous");
    assert_eq!(close_code_for(b"\x88\x81\0\0\0\0x").await, Some(1002), "half a close code");
    assert_eq!(close_code_for(b"\x88\x82\0\0\0\0\x03\xe8").await, Some(1000), "a proper close is echoed");
}

#[tokio::test]
async fn requests_that_are_no_handshake_explain_themselves() {
    let server = TestServer::spawn().await;
    let plain = get(server.address(), "/ws").await;
    assert!(matches!(plain.status, 400 | 426), "{plain:?}");
    assert!(plain.body.contains("WebSocket"), "{plain:?}");
    let old = upgrade(&server, &[("Sec-WebSocket-Version", "8")]).await;
    assert_eq!((old.status, old.header("sec-websocket-version")), (426, Some("13")));
    let foreign = upgrade(&server, &[("Sec-WebSocket-Version", "13"), ("Origin", "https://evil.example")]).await;
    assert_eq!(foreign.status, 403);
    assert!(foreign.body.contains("origins"), "tells the operator what to do: {foreign:?}");
}

async fn upgrade(server: &TestServer, headers: &[(&str, &str)]) -> Reply {
    let mut all =
        vec![("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")];
    all.extend_from_slice(headers);
    RawConnection::open(server.address()).await.request("GET", "/ws", &all, "").await
}

#[tokio::test]
async fn pages_are_admitted_from_the_own_origin_and_from_listed_ones() {
    let server = TestServer::with(|config| {
        config.origins = switchboard_server::config::Origins::Listed(vec!["https://app.example".into()]);
    })
    .await;
    let own = format!("http://{}", server.address());
    for origin in [own.as_str(), "https://app.example"] {
        assert!(RoomsClient::connect_from(server.address(), &[("origin", origin)]).await.is_ok(), "{origin}");
    }
    for origin in ["https://evil.example", "null", "http://app.example", "https://app.example.evil.example"] {
        match RoomsClient::connect_from(server.address(), &[("origin", origin)]).await {
            Err(tungstenite::Error::Http(reply)) => assert_eq!(reply.status(), 403, "{origin}"),
            other => panic!("{origin}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_have_an_answer() {
    let server = TestServer::spawn().await;
    let missing = get(server.address(), "/nowhere").await;
    assert_eq!(missing.status, 404);
    assert!(!missing.body.is_empty());
    let put = RawConnection::open(server.address()).await.request("PUT", "/", &[], "x").await;
    assert_eq!(put.status, 405);
    let nonsense: Value =
        json!(RawConnection::open(server.address()).await.request("GET", "/ws", &[], "").await.status);
    assert!(nonsense.as_u64().is_some_and(|status| status >= 400));
}
