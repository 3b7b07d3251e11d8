//! The relay of topics over real sockets: who gets what, and what a client is told that asks for too much or for nonsense.

use std::net::SocketAddr;

use serde_json::{Value, json};
use switchboard_testkit::{Ended, RoomsClient, TestServer, get, soon};
use tokio_tungstenite::tungstenite::Message;

/// A client of the relay; what it says is written out.
struct Client(RoomsClient);

impl Client {
    async fn connect(server: SocketAddr) -> Self {
        Self(RoomsClient::open(&format!("ws://{server}/relay"), &[]).await.expect("the socket opens"))
    }

    /// Subscribes, and returns when the server knows it.
    async fn subscribed(server: SocketAddr, topic: &str) -> Self {
        let mut client = Self::connect(server).await;
        client.subscribe(topic).await;
        client.settle().await;
        client
    }

    async fn subscribe(&mut self, topic: &str) {
        self.0.send(&json!({"type": "subscribe", "topic": topic})).await;
    }

    /// Asks for a topic, and whether it got it.
    async fn may_subscribe(&mut self, topic: &str) -> bool {
        self.subscribe(topic).await;
        self.0.send_text("settled?").await;
        let told = self.told().await;
        if told == NO_OBJECT {
            return true;
        }
        assert_eq!(self.told().await, NO_OBJECT, "after {told}");
        false
    }

    async fn unsubscribe(&mut self, topic: &str) {
        self.0.send(&json!({"type": "unsubscribe", "topic": topic})).await;
    }

    async fn publish(&mut self, topic: &str, payload: Value) {
        self.0.send(&json!({"type": "publish", "topic": topic, "payload": payload})).await;
    }

    async fn hear(&mut self) -> Value {
        self.0.next().await
    }

    /// The sentence of the next message, which is an error.
    async fn told(&mut self) -> String {
        let message = self.hear().await;
        message["error"].as_str().unwrap_or_else(|| panic!("no error but {message}")).to_owned()
    }

    /// Waits until all before is done, for what one client says is acted on in order; nothing else may come first.
    async fn settle(&mut self) {
        self.0.send_text("settled?").await;
        assert_eq!(self.told().await, NO_OBJECT);
    }
}

const NO_OBJECT: &str = "A message is one JSON object with the strings \"type\" and \"topic\".";

#[tokio::test]
async fn who_subscribed_gets_what_is_published_and_its_publisher_too() {
    let server = TestServer::spawn().await;
    let mut ann = Client::subscribed(server.address(), "room").await;
    let mut ben = Client::subscribed(server.address(), "room").await;
    let mut eve = Client::subscribed(server.address(), "other").await;
    for n in 0..20 {
        ben.publish("room", json!({"n": n, "sdp": "v=0\r\n"})).await;
    }
    for client in [&mut ann, &mut ben] {
        for n in 0..20 {
            assert_eq!(client.hear().await, json!({"topic": "room", "payload": {"n": n, "sdp": "v=0\r\n"}}));
        }
    }
    eve.settle().await;
    ann.unsubscribe("room").await;
    ann.settle().await;
    ben.publish("room", json!("still here")).await;
    assert_eq!(ben.hear().await["payload"], "still here");
    ann.settle().await;
}

#[tokio::test]
async fn who_only_publishes_needs_no_topic_of_its_own() {
    let server =
        TestServer::with(|config| config.limits.greeting_timeout = std::time::Duration::from_millis(200)).await;
    let mut ann = Client::subscribed(server.address(), "news").await;
    let mut ben = Client::connect(server.address()).await;
    ben.publish("news", json!(null)).await;
    assert_eq!(ann.hear().await, json!({"topic": "news", "payload": null}));
    ben.publish("nobody's", json!(1)).await;
    ben.settle().await;
    // Longer than a client may take to say what it came for.
    let mut idle = Client::connect(server.address()).await;
    let ended = idle.0.end().await;
    let Ended::Closed { code, reason } = &ended else { panic!("{ended:?}") };
    assert_eq!((*code, reason.starts_with("Nothing was subscribed to or published")), (4002, true), "{reason}");
    ben.publish("news", json!(2)).await;
    assert_eq!(ann.hear().await["payload"], 2);
}

#[tokio::test]
async fn subscribing_twice_is_once_and_a_lost_socket_subscribes_no_more() {
    let server = TestServer::with(|config| config.relay.subscribers = 3).await;
    let mut ann = Client::subscribed(server.address(), "room").await;
    let ben = Client::subscribed(server.address(), "room").await;
    ann.subscribe("room").await;
    ann.publish("room", json!(1)).await;
    assert_eq!(ann.hear().await["payload"], 1);
    ann.settle().await;
    // The third place, which is free although Ann asked twice; after it there is none, until somebody is gone.
    let mut cat = Client::connect(server.address()).await;
    let mut eve = Client::connect(server.address()).await;
    assert!(cat.may_subscribe("room").await);
    assert!(!eve.may_subscribe("room").await);
    ben.0.vanish();
    soon("the place of who is lost", async { while !eve.may_subscribe("room").await {} }).await;
    ann.publish("room", json!(2)).await;
    for client in [&mut ann, &mut cat, &mut eve] {
        assert_eq!(client.hear().await["payload"], 2);
    }
}

#[tokio::test]
async fn nonsense_is_answered_and_harms_nobody() {
    let server = TestServer::spawn().await;
    let mut ann = Client::subscribed(server.address(), "room").await;
    let mut eve = Client::subscribed(server.address(), "room").await;
    for frame in ["null", "[]", r#"{"type":"subscribe"}"#, r#"{"topic":"room"}"#] {
        eve.0.send_text(frame).await;
        assert_eq!(eve.told().await, NO_OBJECT);
    }
    eve.0.send_text(r#"{"type":"announce","topic":"room"}"#).await;
    assert!(eve.told().await.starts_with("The \"type\" is"));
    eve.0.send_text(r#"{"type":"publish","topic":"room"}"#).await;
    assert_eq!(eve.told().await, "To publish is to give a \"payload\".");
    eve.subscribe("").await;
    assert_eq!(eve.told().await, "A name has at least one character.");
    eve.subscribe(&"t".repeat(513)).await;
    assert_eq!(eve.told().await, "A name has at most 512 bytes.");
    let publish = json!({"type": "publish", "topic": "room", "payload": "binary"}).to_string();
    eve.0.send_frame(Message::binary(publish.into_bytes())).await;
    assert_eq!(eve.hear().await, json!({"topic": "room", "payload": "binary"}), "as the original reads it");
    assert_eq!(ann.hear().await["payload"], "binary");
    eve.publish("room", json!("x".repeat(70_000))).await;
    assert!(matches!(eve.0.end().await, Ended::Closed { code: 1009, .. }));
    ann.settle().await;
}

#[tokio::test]
async fn topics_and_subscribers_are_limited_and_others_go_on() {
    let server = TestServer::with(|config| {
        config.relay.topics_per_client = 2;
        config.relay.subscribers = 2;
        config.relay.topics = 3;
    })
    .await;
    let mut ann = Client::subscribed(server.address(), "one").await;
    ann.subscribe("two").await;
    ann.subscribe("three").await;
    assert_eq!(ann.told().await, "A client may subscribe to 2 topics and no more; unsubscribe from one first.");
    let mut ben = Client::subscribed(server.address(), "one").await;
    ben.subscribe("three").await;
    ben.settle().await;
    let mut eve = Client::connect(server.address()).await;
    eve.subscribe("one").await;
    assert!(eve.told().await.starts_with("The topic one has 2 subscribers"));
    eve.subscribe("four").await;
    assert_eq!(eve.told().await, "The server holds 3 topics and can take no more; try again later.");
    ben.publish("one", json!("on")).await;
    assert_eq!(ann.hear().await["payload"], "on");
    ann.unsubscribe("two").await;
    ann.subscribe("five").await;
    ann.settle().await;
}

#[tokio::test]
async fn it_is_where_the_operator_puts_it_and_says_what_it_speaks() {
    let path = |text: &str| switchboard_server::config::MountPath::parse(text).expect("a path");
    let server = TestServer::with(|config| config.relay.paths = vec![path("/topics"), path("/")]).await;
    let reply = get(server.address(), "/topics").await;
    assert_eq!((reply.status, reply.header("upgrade")), (426, Some("websocket")));
    assert_eq!(get(server.address(), "/").await.header("content-type"), Some("text/html; charset=utf-8"));
    for at in ["topics", "topics/", ""] {
        let url = format!("ws://{}/{at}", server.address());
        let mut client = Client(RoomsClient::open(&url, &[]).await.expect("the socket opens"));
        client.settle().await;
    }
    let nowhere = TestServer::with(|config| config.relay.paths.clear()).await;
    assert_eq!(get(nowhere.address(), "/relay").await.status, 404);
}

#[tokio::test]
async fn pages_of_other_origins_may_use_it_unless_the_operator_says_which() {
    let foreign = [("origin", "https://elsewhere.example")];
    let server = TestServer::spawn().await;
    assert!(RoomsClient::open(&format!("ws://{}/relay", server.address()), &foreign).await.is_ok());
    let listed = switchboard_server::config::Origins::Listed(Vec::new());
    let server = TestServer::with(|config| config.relay.origins = listed).await;
    assert!(RoomsClient::open(&format!("ws://{}/relay", server.address()), &foreign).await.is_err());
}

#[tokio::test]
async fn what_is_published_is_counted() {
    let loopback = switchboard_server::config::AdminListen::At("127.0.0.1:0".parse().expect("an address"));
    let server = TestServer::with(|config| config.admin_listen = loopback).await;
    let mut ann = Client::subscribed(server.address(), "room").await;
    ann.publish("room", json!(1)).await;
    ann.hear().await;
    let metrics = get(server.admin_address(), "/metrics").await.body;
    for line in [
        "switchboard_signal_connections{dialect=\"relay\"} 1",
        "switchboard_messages_relayed_total{dialect=\"relay\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}
