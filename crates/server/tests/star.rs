//! webrtc-star through real sockets: who is told of whom, what reaches whom, and what a page may.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchboard_server::config::{AdminListen, Origins, Rate};
use switchboard_testkit::{EngineVersion, PollingClient, RawConnection, SocketIoClient, TestServer, soon};
use tokio_tungstenite::tungstenite;

const FOREIGN: [(&str, &str); 1] = [("Origin", "https://page.example")];

/// A server whose peers hear of others soon.
async fn server() -> TestServer {
    TestServer::with(|config| config.star.announce_interval = Duration::from_millis(200)).await
}

async fn join(server: &TestServer, version: EngineVersion, address: &str) -> SocketIoClient {
    let mut peer = SocketIoClient::connect(server.address(), version).await;
    peer.emit(json!(["ss-join", address])).await;
    settle(&mut peer, address).await;
    peer
}

/// Ann, Ben and Eve, each joined from a network address of its own.
async fn strangers(server: &TestServer) -> [SocketIoClient; 3] {
    let join = async |host, address| {
        let headers = [("X-Forwarded-For", host)];
        let path = "/socket.io-next/";
        let mut peer =
            SocketIoClient::connect_from(server.address(), path, EngineVersion::V4, &headers).await.expect("open");
        peer.emit(json!(["ss-join", address])).await;
        settle(&mut peer, address).await;
        peer
    };
    [join("192.0.2.1", "/ann").await, join("192.0.2.2", "/ben").await, join("192.0.2.3", "/eve").await]
}

/// Waits until the server has done all that was asked before: a call to nobody is answered in its turn.
async fn settle(peer: &mut SocketIoClient, address: &str) {
    peer.emit(offer(address, "/nobody")).await;
    assert_eq!(handshake(peer).await["err"], "peer is not available");
}

fn offer(from: &str, to: &str) -> Value {
    json!(["ss-handshake", {"intentId": "1", "srcMultiaddr": from, "dstMultiaddr": to, "signal": {"type": "offer"}}])
}

/// The next event that is no announcement.
async fn signal(peer: &mut SocketIoClient) -> Value {
    let next = async {
        loop {
            let event = peer.event().await;
            if event[0] != "ws-peer" {
                return event;
            }
        }
    };
    soon("an event", next).await
}

async fn handshake(peer: &mut SocketIoClient) -> Value {
    let event = signal(peer).await;
    assert_eq!(event[0], "ws-handshake", "{event}");
    event[1].clone()
}

/// Waits until a peer is told of an address.
async fn hears(peer: &mut SocketIoClient, address: &str) {
    let told = async { while peer.event().await != json!(["ws-peer", address]) {} };
    soon("an announcement", told).await;
}

#[tokio::test]
async fn peers_of_both_generations_hear_of_each_other_and_connect() {
    let server = server().await;
    let mut ann = join(&server, EngineVersion::V3, "/ann").await;
    let mut ben = join(&server, EngineVersion::V4, "/ben").await;
    hears(&mut ann, "/ben").await;
    hears(&mut ben, "/ann").await;
    ann.emit(offer("/ann", "/ben")).await;
    let mut heard = handshake(&mut ben).await;
    assert_eq!(heard, offer("/ann", "/ben")[1]);
    heard["answer"] = true.into();
    ben.emit(json!(["ss-handshake", heard])).await;
    assert_eq!(handshake(&mut ann).await, heard);
}

#[tokio::test]
async fn a_peer_that_polls_hears_and_is_heard() {
    let server = server().await;
    let mut ann = join(&server, EngineVersion::V4, "/ann").await;
    let (mut ben, _) = PollingClient::connect(server.address()).await;
    ben.say("42[\"ss-join\",\"/ben\"]").await;
    hears(&mut ann, "/ben").await;
    ann.emit(offer("/ann", "/ben")).await;
    let both = async {
        let mut heard = String::new();
        while !(heard.contains("[\"ws-peer\",\"/ann\"]") && heard.contains("[\"ws-handshake\",{")) {
            heard += &ben.hear().await;
        }
    };
    soon("the announcement and the offer", both).await;
    ben.say(&format!("42{}", offer("/ben", "/nobody"))).await;
    let refused = async { while !ben.hear().await.contains("\"err\":\"peer is not available\"") {} };
    soon("the refusal", refused).await;
}

#[tokio::test]
async fn peers_over_ipv6_hear_of_each_other_and_connect() {
    let server = TestServer::with(|config| {
        config.listen = vec!["[::1]:0".parse().expect("an address"), "127.0.0.1:0".parse().expect("an address")];
        config.star.announce_interval = Duration::from_millis(200);
    })
    .await;
    assert!(server.address().is_ipv6());
    let mut ann = join(&server, EngineVersion::V4, "/dns6/ann").await;
    // Who came over IPv4 is among the same peers.
    let four = server.server().local_addrs()[1];
    let mut ben = SocketIoClient::connect(four, EngineVersion::V3).await;
    ben.emit(json!(["ss-join", "/dns4/ben"])).await;
    hears(&mut ann, "/dns4/ben").await;
    hears(&mut ben, "/dns6/ann").await;
    ann.emit(offer("/dns6/ann", "/dns4/ben")).await;
    let mut heard = handshake(&mut ben).await;
    heard["answer"] = true.into();
    ben.emit(json!(["ss-handshake", heard])).await;
    assert_eq!(handshake(&mut ann).await, heard);
}

/// A household has one network of IPv6, in which each of its sockets may come from another address.
#[tokio::test]
async fn over_ipv6_a_household_is_a_network() {
    let server = server().await;
    let connect = async |host| {
        let headers = [("X-Forwarded-For", host)];
        let path = "/socket.io-next/";
        SocketIoClient::connect_from(server.address(), path, EngineVersion::V4, &headers).await.expect("open")
    };
    let mut ann = connect("2001:db8:1:1::1").await;
    ann.emit(json!(["ss-join", "/ann"])).await;
    settle(&mut ann, "/ann").await;
    let mut sibling = connect("2001:db8:1:1:ffff::2").await;
    settle(&mut sibling, "/ann").await;
    let mut stranger = connect("2001:db8:1:2::1").await;
    stranger.emit(offer("/ann", "/nobody")).await;
    assert_eq!(signal(&mut stranger).await[1]["code"], "not-yours");
}

#[tokio::test]
async fn the_other_socket_of_an_address_outlives_the_one_that_closes() {
    let server = server().await;
    let mut ann = join(&server, EngineVersion::V4, "/ann").await;
    let mut first = join(&server, EngineVersion::V4, "/ben").await;
    let second = join(&server, EngineVersion::V4, "/ben").await;
    second.close().await;
    // Until the departure is known, an offer goes to who is gone.
    let reached = async {
        loop {
            ann.emit(offer("/ann", "/ben")).await;
            tokio::select! {
                heard = handshake(&mut first) => return heard,
                refused = signal(&mut ann) => panic!("{refused}"),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    assert_eq!(soon("the offer", reached).await["dstMultiaddr"], "/ben");
}

#[tokio::test]
async fn forged_senders_are_told_and_nobody_else_hears() {
    let server = server().await;
    let [mut ann, mut ben, mut eve] = strangers(&server).await;
    eve.emit(offer("/ann", "/ben")).await;
    assert_eq!(signal(&mut eve).await[1]["code"], "not-yours");
    eve.emit(offer("/ann", "/nobody")).await;
    assert_eq!(signal(&mut eve).await[1]["code"], "not-yours");
    let answer = json!({"srcMultiaddr": "/ann", "dstMultiaddr": "/ben", "answer": true});
    eve.emit(json!(["ss-handshake", answer])).await;
    assert_eq!(signal(&mut eve).await[1]["code"], "not-yours");
    eve.emit(json!(["ss-leave", "/ann"])).await;
    eve.emit(offer("/eve", "/ann")).await;
    assert_eq!(handshake(&mut ann).await["srcMultiaddr"], "/eve", "the first that it hears");
    eve.emit(offer("/eve", "/ben")).await;
    assert_eq!(handshake(&mut ben).await["srcMultiaddr"], "/eve");
}

#[tokio::test]
async fn a_flood_and_its_replay_slow_down_who_floods_and_nobody_else() {
    let server = TestServer::with(|config| {
        config.star.announce_interval = Duration::from_millis(200);
        config.limits.messages_per_connection = Rate { per_second: 100, burst: 100 };
    })
    .await;
    let [mut ann, mut ben, mut eve] = strangers(&server).await;
    ann.emit(offer("/ann", "/ben")).await;
    let heard = handshake(&mut ben).await;
    let begun = Instant::now();
    // What was heard, said again by somebody else, is a forgery; and what is malformed costs ten times as much.
    for round in 0..200 {
        eve.emit(json!(["ss-handshake", heard])).await;
        if round % 20 == 0 {
            eve.emit(json!(["ss-handshake", {}])).await;
        }
    }
    // Its answer is the end of the flood, for what one client says is acted on in order.
    eve.emit(offer("/eve", "/nobody")).await;
    let flood = async {
        let mut codes = BTreeMap::<_, usize>::new();
        loop {
            let event = signal(&mut eve).await;
            if event[0] == "ws-handshake" {
                return (codes, begun.elapsed());
            }
            *codes.entry(event[1]["code"].as_str().expect("a code").to_owned()).or_default() += 1;
        }
    };
    let neighbours = async {
        for number in 0..50 {
            ann.emit(json!(["ss-handshake", {"srcMultiaddr": "/ann", "dstMultiaddr": "/ben", "signal": number}])).await;
            assert_eq!(handshake(&mut ben).await["signal"], number, "nothing of the flood, nothing lost");
        }
        begun.elapsed()
    };
    let ((codes, through), waited) = tokio::join!(flood, neighbours);
    assert_eq!((codes["not-yours"], codes["bad-message"]), (200, 10), "each is answered");
    assert!(
        codes.len() == 3 && (1..20).contains(&codes["slow-down"]),
        "that it is slowed down is told, not each time: {codes:?}"
    );
    // Three hundred at a hundred a second, of which a hundred are let through at once.
    assert!(through > Duration::from_millis(1500), "was not slowed down: {through:?}");
    assert!(waited < through && waited < Duration::from_millis(1500), "neighbours waited {waited:?} of {through:?}");
}

#[tokio::test]
async fn an_event_of_the_largest_size_passes_and_a_larger_one_ends_its_sender_alone() {
    let server = server().await;
    let mut ann = join(&server, EngineVersion::V4, "/ann").await;
    let mut ben = join(&server, EngineVersion::V4, "/ben").await;
    let mut eve = join(&server, EngineVersion::V4, "/eve").await;
    let sized = |from: &str, bytes: usize| {
        let event =
            json!(["ss-handshake", {"srcMultiaddr": from, "dstMultiaddr": "/ben", "signal": "x".repeat(bytes)}]);
        event
    };
    ann.emit(sized("/ann", 65_000)).await;
    assert_eq!(handshake(&mut ben).await["signal"].as_str().map(str::len), Some(65_000));
    eve.emit(sized("/eve", 66_000)).await;
    soon("the end", async { while eve.packet_or_end().await.is_some() {} }).await;
    ann.emit(sized("/ann", 10)).await;
    assert_eq!(handshake(&mut ben).await["srcMultiaddr"], "/ann");
}

#[tokio::test]
async fn a_socket_has_as_many_addresses_as_it_may_and_no_more() {
    let server = TestServer::with(|config| config.star.addresses_per_socket = 2).await;
    let mut ann = join(&server, EngineVersion::V4, "/1").await;
    for address in ["/2", "/3"] {
        ann.emit(json!(["ss-join", address])).await;
    }
    assert_eq!(signal(&mut ann).await[1]["code"], "too-many-names");
    ann.emit(json!(["ss-leave", "/1"])).await;
    ann.emit(json!(["ss-join", "/3"])).await;
    settle(&mut ann, "/3").await;
}

#[tokio::test]
async fn pages_of_strangers_may_speak_star_and_not_enter_rooms() {
    let server = server().await;
    for path in ["/socket.io-next/", "/socket.io/"] {
        let connected = SocketIoClient::connect_from(server.address(), path, EngineVersion::V4, &FOREIGN).await;
        let mut page = connected.expect("open");
        page.emit(json!(["create-room"])).await;
        let refused = signal(&mut page).await;
        assert_eq!((&refused[0], &refused[1]["code"]), (&json!("switchboard-error"), &json!("bad-room")));
        assert!(refused[1]["message"].as_str().is_some_and(|message| message.contains("origins")));
        page.emit(json!(["ss-join", "/page"])).await;
        settle(&mut page, "/page").await;
    }
    let polled = "/socket.io/?EIO=4&transport=polling";
    let reply = RawConnection::open(server.address()).await.request("GET", polled, &FOREIGN, "").await;
    assert_eq!(reply.status, 403, "a page of the rooms sample can read why");
}

#[tokio::test]
async fn the_operator_can_name_the_pages_or_switch_it_off() {
    let connect = async |server: &TestServer, headers: &[(&'static str, &str)]| {
        SocketIoClient::connect_from(server.address(), "/socket.io-next/", EngineVersion::V4, headers).await
    };
    let named = Origins::Listed(vec!["https://page.example".into()]);
    let server = TestServer::with(|config| config.star.origins = named).await;
    assert!(connect(&server, &FOREIGN).await.is_ok());
    match connect(&server, &[("Origin", "https://other.example")]).await {
        Err(tungstenite::Error::Http(reply)) => assert_eq!(reply.status(), 403),
        other => panic!("{other:?}"),
    }
    let server = TestServer::with(|config| config.star.enabled = false).await;
    assert!(connect(&server, &FOREIGN).await.is_err());
    let mut own = SocketIoClient::connect(server.address(), EngineVersion::V4).await;
    own.emit(json!(["ss-join", "/own"])).await;
    own.emit(offer("/own", "/nobody")).await;
    own.create_room().await;
}

#[tokio::test]
async fn the_operator_reads_the_names_that_the_original_gives() {
    let admin = AdminListen::At(([127, 0, 0, 1], 0).into());
    let server = TestServer::with(|config| config.admin_listen = admin).await;
    let _ann = join(&server, EngineVersion::V4, "/ann").await;
    let metrics = RawConnection::open(server.admin_address()).await.request("GET", "/metrics", &[], "").await;
    for line in [
        "# TYPE webrtc_star_peers gauge",
        "webrtc_star_peers 1",
        "webrtc_star_joins_total 1",
        "webrtc_star_joins_total_success 1",
        "webrtc_star_joins_total_failure 0",
        "webrtc_star_dials_total 1",
        "webrtc_star_dials_total_success 0",
        "webrtc_star_dials_total_failure 1",
    ] {
        assert!(metrics.body.lines().any(|found| found == line), "{line} is not in\n{}", metrics.body);
    }
}
