//! The end of a WebSocket, in every dialect: the last words and the close code come through whatever is on its way to the server, and
//! the server closes after the client (RFC 6455 §7.1.1), but does not wait for ever.
#![allow(missing_docs)]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use switchboard_testkit::{PATIENCE, TestServer, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

/// Where a dialect is, what a client says first, and what it hears in the end when the server stops.
struct Door {
    path: &'static str,
    hello: &'static str,
    /// Part of what answers the hello.
    served: &'static str,
    /// Part of the last text.
    goodbye: &'static str,
    code: Option<u16>,
}

const DOORS: [Door; 5] = [
    Door {
        path: "/ws",
        hello: r#"{"type":"hello","v":1}"#,
        served: "welcome",
        goodbye: "shutting-down",
        code: Some(1001),
    },
    Door { path: "/relay", hello: "settled?", served: "error", goodbye: "error", code: Some(1001) },
    Door {
        path: "/socket.io/?EIO=4&transport=websocket",
        hello: "40",
        served: r#"40{"sid""#,
        goodbye: r#"40{"sid""#,
        code: None,
    },
    Door {
        path: "/peerjs?key=peerjs&id=ann&token=t",
        hello: r#"{"type":"HEARTBEAT"}"#,
        served: "OPEN",
        goodbye: "OPEN",
        code: Some(1001),
    },
    Door {
        path: "/matchbox/room",
        hello: r#""KeepAlive""#,
        served: "IdAssigned",
        goodbye: "IdAssigned",
        code: Some(1001),
    },
];

/// A client that writes and reads frames by hand.
struct Client(TcpStream);

impl Client {
    /// Opens a socket, and returns when it is served.
    async fn served(server: SocketAddr, door: &Door) -> Self {
        let mut socket = soon("a connection", TcpStream::connect(server)).await.expect("connected");
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            door.path
        );
        socket.write_all(head.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(soon("the handshake", socket.read_u8()).await.expect("an answer"));
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
        let mut client = Self(socket);
        client.write(&frame(TEXT, door.hello.as_bytes())).await;
        while !client.text().await.contains(door.served) {}
        client
    }

    async fn write(&mut self, bytes: &[u8]) {
        soon("the server to read", self.0.write_all(bytes)).await.expect("the socket stands");
    }

    /// The next frame: its first byte, and its payload.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let read = async {
            let mut head = [0; 2];
            self.0.read_exact(&mut head).await?;
            let length = match head[1] {
                126 => self.0.read_u16().await?.into(),
                short => usize::from(short),
            };
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).await?;
            io::Result::Ok((head[0], payload))
        };
        soon("a frame", read).await.expect("a frame, not the end")
    }

    async fn text(&mut self) -> String {
        let (first, payload) = self.frame().await;
        assert_eq!(first, TEXT);
        String::from_utf8(payload).expect("text")
    }

    /// Reads up to the close frame; returns the last text and the code.
    async fn last_words(&mut self) -> (Option<String>, Option<u16>) {
        let mut last = None;
        loop {
            let (first, payload) = self.frame().await;
            if first == CLOSE {
                return (last, payload.first_chunk().map(|code| u16::from_be_bytes(*code)));
            }
            last = Some(String::from_utf8(payload).expect("text"));
        }
    }

    /// Whether the server has closed its side.
    fn is_over(&self) -> bool {
        !matches!(self.0.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// A frame of a client, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).expect("a short payload").to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// A frame of a client that the server does not know the end of, and the rest of it: bytes that make no frame.
fn cut_frame() -> (Vec<u8>, Vec<u8>) {
    let mut whole = frame(TEXT, &[b'x'; 50_000]);
    let rest = whole.split_off(30_000);
    (whole, rest)
}

#[tokio::test]
async fn last_words_reach_a_client_that_goes_on_sending_and_the_server_closes_after_it() {
    for door in DOORS {
        let server = TestServer::spawn().await;
        let mut client = Client::served(server.address(), &door).await;
        let (begun, rest) = cut_frame();
        client.write(&begun).await;
        let stop = tokio::spawn(server.stop());
        let (text, code) = client.last_words().await;
        assert_eq!(code, door.code, "{}", door.path);
        assert!(text.is_none_or(|text| text.contains(door.goodbye)), "{}", door.path);
        // By the time that most of this is read the server's end would have come.
        client.write(&rest).await;
        for _ in 0..300 {
            client.write(&frame(TEXT, &[b'x'; 20_000])).await;
        }
        assert!(!client.is_over(), "{}: the server closed first", door.path);
        assert!(!stop.is_finished());
        client.write(&frame(CLOSE, &[])).await;
        let end = soon("the end", client.0.read(&mut [0])).await;
        assert!(matches!(end, Ok(0)), "{}: {end:?}", door.path);
        drop(client);
        stop.await.expect("stopped");
    }
}

#[tokio::test]
async fn a_close_frame_that_came_while_the_client_was_held_back_is_found() {
    let server = TestServer::with(|config| {
        config.drain_timeout = PATIENCE * 2;
        config.limits.messages_per_connection.per_second = 1;
        config.limits.messages_per_connection.burst = 1;
    })
    .await;
    let mut client = Client::served(server.address(), &DOORS[0]).await;
    let mut much: Vec<u8> = (0..100).flat_map(|_| frame(TEXT, br#"{"type":"ping"}"#)).collect();
    much.extend(frame(CLOSE, &[]));
    client.write(&much).await;
    while !client.text().await.contains("slow-down") {}
    let stop = tokio::spawn(server.stop());
    assert_eq!(client.last_words().await.1, Some(1001));
    assert!(matches!(soon("the end", client.0.read(&mut [0])).await, Ok(0)));
    drop(client);
    stop.await.expect("stopped");
}

#[tokio::test]
async fn who_answers_no_ping_is_told_so_at_every_door_that_pings() {
    let server = TestServer::with(|config| {
        config.limits.heartbeat = Duration::from_millis(500);
        config.limits.heartbeat_timeout = Duration::from_millis(500);
        config.peerjs.alive_timeout = Duration::from_secs(1);
    })
    .await;
    // Socket.IO has a heartbeat of its own, and knows no reasons.
    for door in DOORS.iter().filter(|door| door.code.is_some()) {
        let mut client = Client::served(server.address(), door).await;
        assert_eq!(client.frame().await, (PING, Vec::new()), "{}", door.path);
        let (text, code) = client.last_words().await;
        assert_eq!(code, Some(4003), "{}", door.path);
        assert_eq!(text.is_some_and(|text| text.contains("idle-timeout")), door.path == "/ws", "{}", door.path);
    }
}

#[tokio::test]
async fn who_never_closes_holds_nothing_up_whether_silent_or_sending() {
    let server = TestServer::with(|config| config.drain_timeout = PATIENCE * 2).await;
    let mut silent = Client::served(server.address(), &DOORS[0]).await;
    let mut sending = Client::served(server.address(), &DOORS[1]).await;
    let stop = tokio::spawn(server.stop());
    assert_eq!(silent.last_words().await.1, Some(1001));
    assert_eq!(sending.last_words().await.1, Some(1001));
    let flood = tokio::spawn(async move {
        let frame = frame(TEXT, &[b'x'; 20_000]);
        while sending.0.write_all(&frame).await.is_ok() {}
    });
    let end = soon("the end", silent.0.read(&mut [0])).await;
    assert!(matches!(end, Ok(0)), "{end:?}");
    soon("the end", flood).await.expect("given up");
    stop.await.expect("stopped long before it would give up all");
    assert!(PATIENCE > Duration::from_secs(10));
}
