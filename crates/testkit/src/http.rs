//! HTTP by hand, for requests that no library would send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::soon;

/// A TCP connection on which a test writes what it likes.
#[derive(Debug)]
pub struct RawConnection {
    stream: TcpStream,
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, decoded as UTF-8.
    pub body: String,
}

impl Reply {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

impl RawConnection {
    /// Connects.
    pub async fn open(server: SocketAddr) -> Self {
        Self { stream: soon("a connection", TcpStream::connect(server)).await.expect("connected") }
    }

    /// Takes a stream that is open already.
    pub fn over(stream: TcpStream) -> Self {
        Self { stream }
    }

    /// Writes bytes.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        soon("the server to read", self.stream.write_all(bytes.as_ref())).await.expect("written");
    }

    /// Writes bytes unless the server has closed the connection.
    pub async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        soon("the server to read", self.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// Reads until the server closes, as text.
    pub async fn read_to_end(&mut self) -> String {
        String::from_utf8_lossy(&self.read_bytes_to_end().await).into_owned()
    }

    /// Reads until the server closes; a reset ends it too.
    pub async fn read_bytes_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match soon("the server to close", self.stream.read(&mut buffer)).await {
                Ok(0) | Err(_) => return bytes,
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    }

    /// Reads one answer with a `Content-Length`, leaving the connection open.
    pub async fn reply(&mut self) -> Reply {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = soon("an answer", self.stream.read_u8()).await;
            head.push(byte.unwrap_or_else(|_| panic!("closed after {:?}", String::from_utf8_lossy(&head))));
        }
        let head = String::from_utf8(head).expect("a head in ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status line");
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length =
            headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        soon("the body", self.stream.read_exact(&mut body)).await.expect("the body");
        Reply { status, headers, body: String::from_utf8(body).expect("a body in UTF-8") }
    }

    /// Sends one request and reads its answer.
    pub async fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.write(format!("{head}\r\n{body}")).await;
        self.reply().await
    }
}

/// `GET path` on a connection of its own.
pub async fn get(server: SocketAddr, path: &str) -> Reply {
    RawConnection::open(server).await.request("GET", path, &[], "").await
}

/// `POST path` on a connection of its own.
pub async fn post(server: SocketAddr, path: &str, body: &str) -> Reply {
    let headers = [("Content-Type", "text/plain;charset=UTF-8")];
    RawConnection::open(server).await.request("POST", path, &headers, body).await
}
