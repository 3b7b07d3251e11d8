//! The log, at its most talkative, has nothing of what people say, of what they are called, and of what they prove themselves with.
#![allow(missing_docs)]

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;
use switchboard_testkit::{EngineVersion, PeerJsClient, PollingClient, RoomsClient, SocketIoClient, TestServer};
use tracing::Level;

const ROOM: &str = "aUa62LD8NZ";

/// Stands in everything that must not be logged.
const MARKER: &str = "tell-nobody";

/// Where all lines go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Takes every line of this process from now on.
    fn of_everything() -> Self {
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).expect("the only one of this process");
        lines
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("whole").clone()).expect("UTF-8")
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two members introduce each other by `/ws`; returns their resume tokens.
async fn rooms(server: &TestServer) -> Vec<String> {
    let mut ann = RoomsClient::connect(server.address()).await;
    ann.send(&json!({"type": "hello", "v": 1, "name": MARKER})).await;
    let welcome = ann.expect("welcome").await;
    ann.enter(ROOM).await;
    let mut bob = RoomsClient::join(server.address(), ROOM).await;
    ann.expect("peer-joined").await;
    for kind in ["offer", "answer", "candidate"] {
        bob.send(&json!({"type": kind, "to": welcome["id"], "data": {"sdp": MARKER, "candidate": MARKER}})).await;
        assert_eq!(ann.expect(kind).await["data"]["sdp"], MARKER);
    }
    // What cannot be read, or has no effect, is no message either.
    bob.send(&json!({"type": MARKER})).await;
    bob.error().await;
    bob.send(&json!({"type": "offer", "to": MARKER, "data": MARKER})).await;
    bob.error().await;
    bob.send(&json!({"type": "rename", "name": format!("{MARKER} still")})).await;
    bob.expect("renamed").await;
    let token = welcome["resume"].as_str().expect("a token").to_owned();
    let (again, first) = (bob.resume.clone(), token.clone());
    bob.vanish();
    ann.expect("peer-renamed").await;
    ann.expect("peer-away").await;
    let (bob, _) = RoomsClient::resume(server.address(), &again).await;
    ann.expect("peer-back").await;
    let tokens = vec![first, again, bob.resume.clone()];
    bob.close().await;
    tokens
}

async fn socketio(server: &TestServer) {
    let mut ann = SocketIoClient::connect(server.address(), EngineVersion::V4).await;
    let room = ann.create_room().await;
    let (mut bob, id) = PollingClient::connect(server.address()).await;
    bob.say(&format!(r#"42["join-room","{room}"]"#)).await;
    assert_eq!(ann.event().await[0], "new-user-joined");
    ann.emit(json!(["rtc-offer", id, {"sdp": MARKER}])).await;
    assert!(bob.hear().await.contains(MARKER));
    let answer = json!(["ice-candidate", ann.id, {"candidate": MARKER}]);
    bob.say(&format!("42{answer}")).await;
    assert_eq!(ann.event().await[2]["candidate"], MARKER);
    // Ends both sessions.
    ann.send_packet(&format!(r#"42["{MARKER}"#)).await;
    assert_eq!(ann.packet_or_end().await, None);
    bob.post(&format!("9{MARKER}")).await;
}

async fn peerjs(server: &TestServer) {
    let mut ann = PeerJsClient::open(server.address(), "ann", MARKER).await;
    let mut bob = PeerJsClient::open(server.address(), "bob", MARKER).await;
    ann.offer("bob", json!({"sdp": MARKER})).await;
    assert_eq!(bob.next().await["payload"]["sdp"], MARKER);
    bob.offer("nobody", json!(MARKER)).await;
    bob.send(&json!(MARKER)).await;
    bob.offer("ann", json!("the last")).await;
    assert_eq!(ann.next().await["payload"], "the last");
}

#[tokio::test]
async fn nothing_that_people_say_or_prove_themselves_with_is_logged_at_any_level() {
    let lines = Lines::of_everything();
    let server = TestServer::spawn().await;
    let mut secrets = rooms(&server).await;
    socketio(&server).await;
    peerjs(&server).await;
    server.stop().await;

    let text = lines.text();
    assert!(text.contains("DEBUG switchboard_server"), "too little was logged: {text}");
    // A token is two halves, each of them worth hiding.
    secrets.extend(secrets.clone().iter().flat_map(|token| token.split('.').map(str::to_owned).collect::<Vec<_>>()));
    secrets.push(MARKER.to_owned());
    for secret in secrets {
        let told: Vec<&str> = text.lines().filter(|line| line.contains(&secret)).collect();
        assert!(told.is_empty(), "{secret}: {told:#?}");
    }
}
