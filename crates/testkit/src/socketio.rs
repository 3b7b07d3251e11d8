//! A Socket.IO client over WebSocket that writes and reads the packets by hand; the official clients are judges of their
//! own, in `tests/interop`.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::soon;

/// The version of the Engine.IO protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineVersion {
    /// Of Socket.IO clients 1 and 2.
    V3,
    /// Of Socket.IO clients 3 and 4.
    V4,
}

/// One socket to `/socket.io/`, connected to the namespace `/`.
#[derive(Debug)]
pub struct SocketIoClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// `socket.id` as the client knows it.
    pub id: String,
}

impl SocketIoClient {
    /// Opens a socket and connects to the namespace.
    pub async fn connect(server: SocketAddr, version: EngineVersion) -> Self {
        Self::connect_from(server, "/socket.io/", version, &[]).await.expect("the socket opens")
    }

    /// Opens a socket at a path, with additional headers, and connects to the namespace.
    ///
    /// # Errors
    /// The server's HTTP answer when it refuses.
    pub async fn connect_from(
        server: SocketAddr,
        path: &str,
        version: EngineVersion,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tungstenite::Error> {
        let number = match version {
            EngineVersion::V3 => 3,
            EngineVersion::V4 => 4,
        };
        let mut request = format!("ws://{server}{path}?EIO={number}&transport=websocket").into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value)?);
        }
        Self::enter(request, version).await
    }

    /// Opens a socket to a URL that names the protocol's version, and connects to the namespace.
    pub async fn open(url: &str, version: EngineVersion) -> Self {
        let request = url.into_client_request().expect("a URL");
        Self::enter(request, version).await.expect("the socket opens")
    }

    async fn enter(request: Request, version: EngineVersion) -> Result<Self, tungstenite::Error> {
        let (socket, _) = soon("the handshake", tokio_tungstenite::connect_async(request)).await?;
        let mut client = Self { socket, id: String::new() };
        let open = client.packet().await;
        let open: Value = serde_json::from_str(open.strip_prefix('0').expect("an open packet")).expect("JSON");
        match version {
            EngineVersion::V3 => {
                client.id = open["sid"].as_str().expect("a sid").to_owned();
                assert_eq!(client.packet().await, "40");
            }
            EngineVersion::V4 => {
                client.send_packet("40").await;
                let connect = client.packet().await;
                let connect: Value =
                    serde_json::from_str(connect.strip_prefix("40").expect("connected")).expect("JSON");
                client.id = connect["sid"].as_str().expect("a sid").to_owned();
            }
        }
        Ok(client)
    }

    /// Sends one packet, whatever it says.
    pub async fn send_packet(&mut self, text: &str) {
        soon("the server to read", self.socket.send(Message::text(text))).await.expect("the socket stands");
    }

    /// The next packet that is no heartbeat.
    ///
    /// # Panics
    /// If the socket ends before.
    pub async fn packet(&mut self) -> String {
        self.packet_or_end().await.expect("a packet, not the end")
    }

    /// The next packet that is no heartbeat; none if the socket ends.
    pub async fn packet_or_end(&mut self) -> Option<String> {
        loop {
            match soon("a packet", self.socket.next()).await {
                Some(Ok(Message::Text(text))) if text == "2" => self.send_packet("3").await,
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(_) | Err(_)) | None => return None,
            }
        }
    }

    /// Emits an event; `event` is its name and arguments.
    pub async fn emit(&mut self, event: Value) {
        self.send_packet(&format!("42{event}")).await;
    }

    /// The next event: its name and arguments.
    pub async fn event(&mut self) -> Value {
        let packet = self.packet().await;
        let event = packet.strip_prefix("42").unwrap_or_else(|| panic!("no event but {packet:?}"));
        serde_json::from_str(event).expect("JSON")
    }

    /// Makes a room and returns its id.
    pub async fn create_room(&mut self) -> String {
        self.emit(json!(["create-room"])).await;
        self.room_created().await
    }

    /// Waits for `room-created` and returns the id.
    pub async fn room_created(&mut self) -> String {
        let event = self.event().await;
        assert_eq!(event[0], "room-created", "{event}");
        event[1].as_str().expect("a room id").to_owned()
    }

    /// Lets the socket vanish without a close frame.
    pub fn vanish(self) {
        drop(self.socket);
    }

    /// Closes in good order.
    pub async fn close(mut self) {
        let _ = soon("the close", self.socket.close(None)).await;
    }
}
