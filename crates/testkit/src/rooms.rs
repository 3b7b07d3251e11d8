//! A client of the rooms protocol on tokio-tungstenite, which shares no code with the server.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::soon;

/// How a socket ended, as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a close frame.
    Closed {
        /// The close code.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// Without one.
    Broken,
}

/// One socket to `/ws`.
#[derive(Debug)]
pub struct RoomsClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The peer id, after [`Self::hello`].
    pub id: String,
    /// The resume token, after [`Self::hello`].
    pub resume: String,
}

impl RoomsClient {
    /// Opens a socket.
    pub async fn connect(server: SocketAddr) -> Self {
        Self::connect_from(server, &[]).await.expect("the socket opens")
    }

    /// Opens a socket with additional headers.
    ///
    /// # Errors
    /// The server's HTTP answer when it refuses.
    pub async fn connect_from(
        server: SocketAddr,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, tungstenite::Error> {
        Self::open(&format!("ws://{server}/ws"), headers).await
    }

    /// Opens a socket to a URL, with additional headers.
    ///
    /// # Errors
    /// The server's HTTP answer when it refuses.
    pub async fn open(url: &str, headers: &[(&'static str, &str)]) -> Result<Self, tungstenite::Error> {
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value)?);
        }
        let (socket, _) = soon("the handshake", tokio_tungstenite::connect_async(request)).await?;
        Ok(Self { socket, id: String::new(), resume: String::new() })
    }

    /// Opens a socket and says hello.
    pub async fn hello(server: SocketAddr) -> Self {
        let mut client = Self::connect(server).await;
        client.say_hello().await;
        client
    }

    /// Says hello as a new peer.
    pub async fn say_hello(&mut self) {
        self.greet(json!({"type": "hello", "v": 1})).await;
    }

    /// Opens a socket, says hello and enters `room`.
    pub async fn join(server: SocketAddr, room: &str) -> Self {
        let mut client = Self::hello(server).await;
        client.enter(room).await;
        client
    }

    /// Opens a socket and resumes; returns it with the `welcome`.
    pub async fn resume(server: SocketAddr, token: &str) -> (Self, Value) {
        let mut client = Self::connect(server).await;
        let welcome = client.greet(json!({"type": "hello", "v": 1, "resume": token})).await;
        (client, welcome)
    }

    async fn greet(&mut self, hello: Value) -> Value {
        self.send(&hello).await;
        let welcome = self.expect("welcome").await;
        self.id = welcome["id"].as_str().expect("an id").to_owned();
        self.resume = welcome["resume"].as_str().expect("a token").to_owned();
        welcome
    }

    /// Enters a room and returns the answer.
    pub async fn enter(&mut self, room: &str) -> Value {
        self.send(&json!({"type": "join", "room": room})).await;
        self.expect("joined").await
    }

    /// Sends one message.
    pub async fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string()).await;
    }

    /// Sends one text frame, whatever it says.
    pub async fn send_text(&mut self, text: &str) {
        self.send_frame(Message::text(text)).await;
    }

    /// Sends one frame.
    pub async fn send_frame(&mut self, frame: Message) {
        soon("the server to read", self.socket.send(frame)).await.expect("the socket stands");
    }

    /// Sends one frame unless the server has closed the socket.
    pub async fn try_send(&mut self, message: &Value) -> bool {
        soon("the server to read", self.socket.send(Message::text(message.to_string()))).await.is_ok()
    }

    /// Sends an offer.
    pub async fn offer(&mut self, to: &str, data: Value) {
        self.send(&json!({"type": "offer", "to": to, "data": data})).await;
    }

    /// The next message, or how the socket ended.
    pub async fn next_or_end(&mut self) -> Result<Value, Ended> {
        loop {
            match soon("a message", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(parse(&text)),
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    return Err(Ended::Closed { code: code.into(), reason: reason.to_string() });
                }
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Err(Ended::Broken),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("an unexpected frame: {other:?}"),
            }
        }
    }

    /// The next message.
    pub async fn next(&mut self) -> Value {
        self.next_or_end().await.expect("a message, not the end")
    }

    /// The next message, which must be of this type.
    pub async fn expect(&mut self, kind: &str) -> Value {
        let message = self.next().await;
        assert_eq!(message["type"], kind, "{message}");
        message
    }

    /// The next message, which must be an error; returns its code.
    pub async fn error(&mut self) -> String {
        let message = self.expect("error").await;
        let sentence = message["message"].as_str().expect("a sentence");
        assert!(sentence.ends_with('.') && sentence.len() > 15, "no sentence: {sentence:?}");
        message["code"].as_str().expect("a code").to_owned()
    }

    /// Reads up to the end of the socket.
    pub async fn end(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.next_or_end().await {
                return ended;
            }
        }
    }

    /// Shows that nothing else came before the answer to a fresh ping.
    pub async fn assert_silent(&mut self) {
        self.send(&json!({"type": "ping", "ref": "silence"})).await;
        let message = self.next().await;
        assert_eq!(message["ref"], "silence", "{message}");
    }

    /// Closes in good order.
    pub async fn close(mut self) {
        let _ = soon("the close", self.socket.close(None)).await;
    }

    /// Lets the socket vanish without a close frame.
    pub fn vanish(self) {
        drop(self.socket);
    }

    /// The socket below, for tests that send raw bytes on it.
    pub fn into_stream(self) -> TcpStream {
        match self.socket.into_inner() {
            MaybeTlsStream::Plain(stream) => stream,
            _ => unreachable!("no TLS in these tests"),
        }
    }
}

fn parse(text: &Utf8Bytes) -> Value {
    serde_json::from_str(text).expect("the server sends JSON")
}
