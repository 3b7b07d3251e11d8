//! A Socket.IO client over HTTP requests, written out packet by packet.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::{EngineVersion, RawConnection, Reply, soon};

/// A session of Engine.IO that begins with polling.
#[derive(Debug)]
pub struct PollingClient {
    server: SocketAddr,
    query: String,
    polls: RawConnection,
    posts: RawConnection,
    headers: Vec<(&'static str, String)>,
    /// The id of the session.
    pub sid: String,
}

impl PollingClient {
    /// Begins a session; the namespace is not entered yet (Engine.IO 4) or is so already (3).
    pub async fn open(server: SocketAddr, version: EngineVersion) -> Self {
        Self::open_from(server, version, &[]).await
    }

    /// Begins a session with additional headers on every request.
    pub async fn open_from(server: SocketAddr, version: EngineVersion, headers: &[(&'static str, &str)]) -> Self {
        Self::open_at(server, "", version, headers).await
    }

    /// Begins a session with a server that is mounted under a prefix.
    pub async fn open_at(
        server: SocketAddr,
        prefix: &str,
        version: EngineVersion,
        headers: &[(&'static str, &str)],
    ) -> Self {
        let number = match version {
            EngineVersion::V3 => 3,
            EngineVersion::V4 => 4,
        };
        let mut client = Self {
            server,
            query: format!("{prefix}/socket.io/?EIO={number}&transport=polling"),
            polls: RawConnection::open(server).await,
            posts: RawConnection::open(server).await,
            headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            sid: String::new(),
        };
        let opened = client.poll().await;
        assert_eq!(opened.status, 200, "{opened:?}");
        let json = &opened.body[opened.body.find('{').expect("an open packet")..];
        let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
        let handshake = values.next().expect("a handshake").expect("JSON");
        client.sid = handshake["sid"].as_str().expect("a sid").to_owned();
        client.query = format!("{}&sid={}", client.query, client.sid);
        client
    }

    /// Begins a session of Engine.IO 4 and enters the namespace; returns it with `socket.id`.
    pub async fn connect(server: SocketAddr) -> (Self, String) {
        let mut client = Self::open(server, EngineVersion::V4).await;
        let id = client.enter().await;
        (client, id)
    }

    /// Enters the namespace and returns `socket.id`.
    pub async fn enter(&mut self) -> String {
        self.say("40").await;
        let connect = self.hear().await;
        let connect: Value = serde_json::from_str(connect.strip_prefix("40").expect("connected")).expect("JSON");
        connect["sid"].as_str().expect("an id").to_owned()
    }

    /// Posts packets, which must be taken.
    pub async fn say(&mut self, packets: &str) {
        let reply = self.post(packets).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok"), "{reply:?}");
    }

    /// Polls for packets, which must come.
    pub async fn hear(&mut self) -> String {
        let reply = self.poll().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    /// Posts a body, whatever it says.
    pub async fn post(&mut self, body: &str) -> Reply {
        let mut headers = borrowed(&self.headers);
        headers.push(("Content-Type", "text/plain;charset=UTF-8"));
        self.posts.request("POST", &self.query, &headers, body).await
    }

    /// Begins a POST whose body never comes; returns its connection when the server waits for the body (RFC 9110 §10.1.1).
    pub async fn begin_endless_post(&self) -> RawConnection {
        let mut connection = RawConnection::open(self.server).await;
        let query = &self.query;
        let head =
            format!("POST {query} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n");
        connection.write(head).await;
        let reply = connection.reply().await;
        assert_eq!(reply.status, 100, "{reply:?}");
        connection
    }

    /// Sends a GET and waits for its answer.
    pub async fn poll(&mut self) -> Reply {
        self.polls.request("GET", &self.query, &borrowed(&self.headers), "").await
    }

    /// Sends a GET without waiting for its answer.
    pub async fn begin_poll(&mut self) {
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", self.query);
        self.polls.write(request).await;
    }

    /// Waits for the answer to a GET that was begun.
    pub async fn end_poll(&mut self) -> Reply {
        self.polls.reply().await
    }

    /// Goes away in the middle of a GET that was begun.
    pub fn drop_poll(self) {
        drop(self.polls);
    }

    /// The path and query of the session's requests.
    pub fn path(&self) -> &str {
        &self.query
    }

    /// Opens a WebSocket that wants to take over.
    ///
    /// # Errors
    /// The server's HTTP answer when it refuses.
    pub async fn upgrade(&self) -> Result<Upgraded, tokio_tungstenite::tungstenite::Error> {
        let path = self.query.replace("transport=polling", "transport=websocket");
        let url = format!("ws://{}{path}", self.server);
        let (socket, _) = soon("the handshake", tokio_tungstenite::connect_async(url)).await?;
        Ok(Upgraded { socket })
    }
}

/// The WebSocket of a session that began with polling.
#[derive(Debug)]
pub struct Upgraded {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Upgraded {
    /// Sends a packet.
    pub async fn say(&mut self, packet: &str) {
        soon("the server to read", self.socket.send(Message::text(packet))).await.expect("the socket stands");
    }

    /// The next packet; none if the socket ends.
    pub async fn hear(&mut self) -> Option<String> {
        match soon("a packet", self.socket.next()).await {
            Some(Ok(Message::Text(text))) => Some(text.to_string()),
            Some(Ok(_) | Err(_)) | None => None,
        }
    }

    /// Closes in good order.
    pub async fn close(mut self) {
        let _ = soon("the close", self.socket.close(None)).await;
    }
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
