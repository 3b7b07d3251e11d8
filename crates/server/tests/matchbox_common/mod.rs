//! A client of matchbox; what it says is written out.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]

use std::net::SocketAddr;

use serde_json::{Value, json};
use switchboard_server::config::MountPath;
use switchboard_testkit::RoomsClient;

/// The close code for a message that is too long (RFC 6455 §7.4.1).
pub const TOO_LONG: u16 = 1009;

pub struct Client {
    pub socket: RoomsClient,
    pub id: String,
}

impl Client {
    /// Enters a room; `room` is what follows `/matchbox/` in the URL.
    pub async fn enter(server: SocketAddr, room: &str) -> Self {
        Self::open(&format!("ws://{server}/matchbox/{room}")).await
    }

    pub async fn open(url: &str) -> Self {
        let mut socket = RoomsClient::open(url, &[]).await.expect("the socket opens");
        let first = socket.next().await;
        let id = first["IdAssigned"].as_str().unwrap_or_else(|| panic!("no id but {first}")).to_owned();
        Self { socket, id }
    }

    pub async fn signal(&mut self, receiver: &str, data: Value) {
        self.socket.send(&signal(receiver, data)).await;
    }

    pub async fn hear(&mut self) -> Value {
        self.socket.next().await
    }

    pub async fn hears_of(&mut self, other: &Self) {
        assert_eq!(self.hear().await, json!({"NewPeer": other.id}));
    }

    /// The sentence of the next message, which is an error.
    pub async fn is_told(&mut self) -> String {
        let message = self.hear().await;
        message["Error"].as_str().unwrap_or_else(|| panic!("no error but {message}")).to_owned()
    }

    /// Waits until all before is done, for what one client says is acted on in order; nothing else may come first.
    pub async fn settle(&mut self) {
        self.socket.send_text("settled?").await;
        assert!(self.is_told().await.starts_with("A message is \"KeepAlive\""));
    }
}

pub fn signal(receiver: &str, data: Value) -> Value {
    json!({"Signal": {"receiver": receiver, "data": data}})
}

pub fn path(text: &str) -> MountPath {
    MountPath::parse(text).expect("a path")
}
