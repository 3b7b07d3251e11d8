//! A client of the PeerJS dialect on tokio-tungstenite, which shares no code with the server.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::soon;

/// One socket to `peerjs`.
#[derive(Debug)]
pub struct PeerJsClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl PeerJsClient {
    /// Opens a socket under `id` with the key `peerjs`, and waits until it is served.
    pub async fn open(server: SocketAddr, id: &str, token: &str) -> Self {
        let mut client = Self::connect(server, id, token).await;
        assert_eq!(client.next().await, json!({"type": "OPEN"}), "as {id}");
        client
    }

    /// Opens a socket under `id` with the key `peerjs`.
    pub async fn connect(server: SocketAddr, id: &str, token: &str) -> Self {
        let path = format!("/peerjs?key=peerjs&id={id}&token={token}");
        Self::at(server, &path, &[]).await.expect("the socket opens")
    }

    /// Opens a socket at a path with its query, with additional headers.
    ///
    /// # Errors
    /// The server's HTTP answer when it refuses.
    pub async fn at(
        server: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tungstenite::Error> {
        let mut request = format!("ws://{server}{path}").into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value)?);
        }
        let (socket, _) = soon("the handshake", tokio_tungstenite::connect_async(request)).await?;
        Ok(Self { socket })
    }

    /// Sends one message.
    pub async fn send(&mut self, message: &Value) {
        self.send_frame(Message::text(message.to_string())).await;
    }

    /// Sends one frame, whatever it says.
    pub async fn send_frame(&mut self, frame: Message) {
        soon("the server to read", self.socket.send(frame)).await.expect("the socket stands");
    }

    /// Sends one message unless the server has closed the socket.
    pub async fn try_send(&mut self, message: &Value) -> bool {
        soon("the server to read", self.socket.send(Message::text(message.to_string()))).await.is_ok()
    }

    /// Sends an offer.
    pub async fn offer(&mut self, dst: &str, payload: impl Into<Value>) {
        self.send(&json!({"type": "OFFER", "dst": dst, "payload": payload.into()})).await;
    }

    /// The next message as text, or the code of the close; none if there was no code, or no close.
    pub async fn next_text(&mut self) -> Result<String, Option<u16>> {
        loop {
            match soon("a message", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => return Err(Some(code.into())),
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Err(None),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("an unexpected frame: {other:?}"),
            }
        }
    }

    /// The next message.
    pub async fn next(&mut self) -> Value {
        let text = self.next_text().await.expect("a message, not the end");
        serde_json::from_str(&text).expect("the server sends JSON")
    }

    /// The next message, which must be an error; returns its sentence.
    pub async fn error(&mut self) -> String {
        let message = self.next().await;
        assert_eq!(message["type"], "ERROR", "{message}");
        message["payload"]["msg"].as_str().expect("a sentence").to_owned()
    }

    /// Reads up to the end of the socket; returns the close code, if there was one.
    pub async fn end(&mut self) -> Option<u16> {
        let code = loop {
            if let Err(code) = self.next_text().await {
                break code;
            }
        };
        // The answer to the server's close goes out while reading on.
        while let Some(Ok(_)) = soon("the end", self.socket.next()).await {}
        code
    }

    /// Shows that nothing else came before a message to itself.
    pub async fn assert_silent(&mut self, id: &str) {
        self.offer(id, "silence").await;
        let message = self.next().await;
        assert_eq!(message["payload"], "silence", "{message}");
    }

    /// Shows that nothing but messages of one type came before a message to itself.
    pub async fn assert_silent_but(&mut self, id: &str, kind: &str) {
        self.offer(id, "silence").await;
        loop {
            let message = self.next().await;
            if message["payload"] == "silence" {
                return;
            }
            assert_eq!(message["type"], kind, "{message}");
        }
    }

    /// Closes with a code, or without one; reads on until the server has closed too.
    pub async fn close(mut self, code: Option<u16>) {
        let frame = code.map(|code| CloseFrame { code: CloseCode::from(code), reason: "".into() });
        let _ = soon("the close", self.socket.close(frame)).await;
        self.end().await;
    }

    /// Lets the socket vanish without a close frame.
    pub fn vanish(self) {
        drop(self.socket);
    }

    /// The socket below: who holds it and does not read answers no ping.
    pub fn into_stream(self) -> TcpStream {
        match self.socket.into_inner() {
            MaybeTlsStream::Plain(stream) => stream,
            _ => unreachable!("no TLS in these tests"),
        }
    }
}
