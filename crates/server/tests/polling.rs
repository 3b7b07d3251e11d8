//! Socket.IO without a WebSocket, and the move to one.
#![allow(missing_docs)]

use std::net::SocketAddr;

use serde_json::{Value, json};
use switchboard_server::config::Origins;
use switchboard_testkit::{EngineVersion, PollingClient, RawConnection, RoomsClient, TestServer, get, post};

const PATH: &str = "/socket.io/?EIO=4&transport=polling";

/// The event in a packet.
fn event(packet: &str) -> Value {
    serde_json::from_str(packet.strip_prefix("42").unwrap_or_else(|| panic!("no event: {packet:?}"))).expect("JSON")
}

async fn code(server: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, i64, String) {
    let reply = RawConnection::open(server).await.request(method, path, headers, "").await;
    assert_eq!(reply.header("content-type"), Some("application/json"), "{reply:?}");
    let body: Value = serde_json::from_str(&reply.body).expect("JSON");
    (reply.status, body["code"].as_i64().expect("a code"), body["message"].as_str().expect("a sentence").to_owned())
}

#[tokio::test]
async fn a_polling_client_meets_a_client_of_the_other_dialect() {
    let server = TestServer::spawn().await;
    let (mut sample, id) = PollingClient::connect(server.address()).await;
    sample.say(r#"42["create-room"]"#).await;
    let created = event(&sample.hear().await);
    assert_eq!(created[0], "room-created");

    sample.begin_poll().await;
    let mut ann = RoomsClient::hello(server.address()).await;
    let joined = ann.enter(created[1].as_str().expect("an id")).await;
    assert_eq!(joined["members"][0]["id"], json!(id));
    assert_eq!(event(&sample.end_poll().await.body), json!(["new-user-joined", ann.id]));

    // Two packets in one body keep their order.
    let offer = json!(["rtc-offer", ann.id, {"sdp": "v=0"}]);
    let candidate = json!(["ice-candidate", ann.id, {"candidate": ""}]);
    sample.say(&format!("42{offer}\u{1e}42{candidate}")).await;
    assert_eq!(ann.expect("offer").await["data"], json!({"sdp": "v=0"}));
    assert_eq!(ann.expect("candidate").await["from"], json!(id));

    sample.say("41").await;
    assert_eq!(ann.expect("peer-left").await["reason"], "left");
}

#[tokio::test]
async fn a_client_that_drops_its_poll_is_gone() {
    let server = TestServer::spawn().await;
    let (mut sample, id) = PollingClient::connect(server.address()).await;
    let mut ann = RoomsClient::hello(server.address()).await;
    let room = ann.enter("aUa62LD8NZ").await["room"].clone();
    sample.say(&format!("42{}", json!(["join-room", room]))).await;
    ann.expect("peer-joined").await;
    sample.begin_poll().await;
    // By the time that a request behind it is answered, the GET waits.
    sample.say("3").await;
    sample.drop_poll();
    let left = ann.expect("peer-left").await;
    assert_eq!((&left["id"], &left["reason"]), (&json!(id), &json!("lost")));
}

#[tokio::test]
async fn requests_that_fit_no_session_are_refused_with_the_codes_of_the_original() {
    let server = TestServer::spawn().await;
    let at = server.address();
    let refused = |code, sentence: &str| (400, code, sentence.to_owned());
    assert_eq!(code(at, "GET", "/socket.io/", &[]).await, refused(0, "Transport unknown"));
    assert_eq!(code(at, "GET", "/socket.io/?EIO=4&transport=pigeon", &[]).await, refused(0, "Transport unknown"));
    let unknown = format!("{PATH}&sid=AAAAAAAAAAAAAAAAAAAA");
    assert_eq!(code(at, "GET", &unknown, &[]).await, refused(1, "Session ID unknown"));
    assert_eq!(code(at, "GET", &format!("{PATH}&sid=short"), &[]).await, refused(1, "Session ID unknown"));
    assert_eq!(code(at, "POST", PATH, &[]).await, refused(2, "Bad handshake method"));
    assert_eq!(code(at, "OPTIONS", PATH, &[]).await, refused(2, "Bad handshake method"));
    let socket = "/socket.io/?EIO=4&transport=websocket";
    assert_eq!(code(at, "GET", socket, &[]).await, refused(3, "Bad request"));
    let old = "/socket.io/?EIO=2&transport=polling";
    assert_eq!(code(at, "GET", old, &[]).await, refused(5, "Unsupported protocol version"));
    let foreign = [("Origin", "https://evil.example")];
    assert_eq!(code(at, "GET", PATH, &foreign).await, (403, 4, "Forbidden".to_owned()));
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let path = format!("{socket}&sid=AAAAAAAAAAAAAAAAAAAA");
    assert_eq!(code(at, "GET", &path, &upgrade).await, refused(1, "Session ID unknown"));
    // Both paths, with and without the slash, lead to the door.
    for path in ["/socket.io", "/socket.io-next", "/socket.io-next/"] {
        assert_eq!(code(at, "GET", path, &[]).await, refused(0, "Transport unknown"), "{path}");
    }
}

#[tokio::test]
async fn a_second_poll_at_once_ends_the_session() {
    let server = TestServer::spawn().await;
    let (mut sample, _) = PollingClient::connect(server.address()).await;
    sample.begin_poll().await;
    sample.say("3").await;
    let second = get(server.address(), sample.path()).await;
    assert_eq!(second.status, 400);
    let first = sample.end_poll().await;
    assert_eq!((first.status, first.body.as_str()), (200, "1"));
    assert_eq!(sample.post("3").await.status, 400);
}

#[tokio::test]
async fn malformed_packets_end_their_session_and_no_other() {
    let server = TestServer::spawn().await;
    let (mut neighbour, _) = PollingClient::connect(server.address()).await;
    for garbage in ["garbage", "42{bad", "", "42[", "42[]", "\u{1e}"] {
        let (mut sample, _) = PollingClient::connect(server.address()).await;
        let answer = sample.post(garbage).await;
        let next = sample.poll().await;
        assert_eq!((answer.status, next.status), (400, 400), "{garbage:?}: {answer:?} {next:?}");
    }
    neighbour.say(r#"42["create-room"]"#).await;
    assert_eq!(event(&neighbour.hear().await)[0], "room-created");
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_and_the_session_goes_on() {
    let server = TestServer::spawn().await;
    let (mut sample, _) = PollingClient::connect(server.address()).await;
    let large = format!("42{}", json!(["create-room", "x".repeat(1_000_000)]));
    let refused = post(server.address(), sample.path(), &large).await;
    assert_eq!(refused.status, 413);
    sample.say(r#"42["create-room"]"#).await;
    assert_eq!(event(&sample.hear().await)[0], "room-created");
}

#[tokio::test]
async fn a_session_moves_to_a_websocket_and_keeps_its_order() {
    let server = TestServer::spawn().await;
    let (mut sample, _) = PollingClient::connect(server.address()).await;
    sample.say(r#"42["create-room"]"#).await;
    let room = event(&sample.hear().await)[1].clone();
    sample.begin_poll().await;
    let mut socket = sample.upgrade().await.expect("admitted");
    assert!(sample.upgrade().await.is_err(), "one WebSocket at a time");
    socket.say("2probe").await;
    assert_eq!(socket.hear().await.as_deref(), Some("3probe"));
    assert_eq!(sample.end_poll().await.body, "6");
    // What comes now waits for the move.
    let mut ann = RoomsClient::hello(server.address()).await;
    ann.enter(room.as_str().expect("an id")).await;
    socket.say("5").await;
    assert_eq!(event(&socket.hear().await.expect("a packet")), json!(["new-user-joined", ann.id]));
    assert_eq!(sample.poll().await.status, 400, "polling is over");
    for number in 0..100 {
        socket.say(&format!("42{}", json!(["ice-candidate", ann.id, number]))).await;
    }
    let mut sender = Value::Null;
    for number in 0..100 {
        let candidate = ann.expect("candidate").await;
        assert_eq!(candidate["data"], number);
        sender = candidate["from"].clone();
    }
    for number in 0..100 {
        ann.send(&json!({"type": "candidate", "to": sender, "data": number})).await;
    }
    for number in 0..100 {
        let packet = socket.hear().await.expect("a packet");
        assert_eq!(event(&packet), json!(["ice-candidate", ann.id, number]));
    }
    socket.close().await;
    assert_eq!(ann.expect("peer-left").await["reason"], "left");
}

#[tokio::test]
async fn a_websocket_that_gives_up_leaves_the_session_to_polling() {
    let server = TestServer::spawn().await;
    let (mut sample, _) = PollingClient::connect(server.address()).await;
    let mut socket = sample.upgrade().await.expect("admitted");
    socket.say("2probe").await;
    assert_eq!(socket.hear().await.as_deref(), Some("3probe"));
    socket.close().await;
    sample.say(r#"42["create-room"]"#).await;
    // The server may still be about to learn of the close; until then it ends the poll with a noop.
    let mut packet = sample.hear().await;
    while packet == "6" {
        packet = sample.hear().await;
    }
    assert_eq!(event(&packet)[0], "room-created");
}

#[tokio::test]
async fn a_session_of_the_old_protocol_belongs_to_the_address_that_began_it() {
    let server = TestServer::spawn().await;
    let home = [("X-Forwarded-For", "192.0.2.7")];
    let mut sample = PollingClient::open_from(server.address(), EngineVersion::V3, &home).await;
    assert_eq!(sample.hear().await, "2:40");
    // The sid is the peer's id, which everybody in the room knows.
    let stranger = [("X-Forwarded-For", "192.0.2.8")];
    let stolen = code(server.address(), "GET", sample.path(), &stranger).await;
    assert_eq!(stolen, (400, 1, "Session ID unknown".to_owned()));
    sample.say(r#"17:42["create-room"]"#).await;
    assert!(sample.hear().await.contains("room-created"));
}

#[tokio::test]
async fn pages_of_listed_origins_may_poll() {
    let listed = Origins::Listed(vec!["https://app.example".into()]);
    let server = TestServer::with(|config| config.origins = listed).await;
    let page = [("Origin", "https://app.example"), ("Access-Control-Request-Headers", "content-type")];
    let asked = RawConnection::open(server.address()).await.request("OPTIONS", PATH, &page, "").await;
    assert_eq!(asked.status, 204);
    assert_eq!(asked.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(asked.header("access-control-allow-headers"), Some("content-type"));
    let opened = RawConnection::open(server.address()).await.request("GET", PATH, &page[..1], "").await;
    assert_eq!(opened.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(opened.header("cache-control"), Some("no-store"));
    assert_eq!(opened.header("content-type"), Some("text/plain; charset=UTF-8"));
}

#[tokio::test]
async fn a_drain_ends_waiting_polls() {
    let server = TestServer::spawn().await;
    let (mut sample, _) = PollingClient::connect(server.address()).await;
    sample.begin_poll().await;
    sample.say("3").await;
    server.server().shutdown();
    let last = sample.end_poll().await;
    // Without a DISCONNECT, so that the official clients come back by themselves.
    assert_eq!((last.status, last.body.as_str()), (200, "1"));
    server.stop().await;
}
