//! Who is refused, the operator finds in the log: a warning now and then, every case at debug.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use common::Serving;

/// Opens a WebSocket as a page of `origin`; returns the first line of the answer.
fn knock(address: &str, origin: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connects");
    write!(
        stream,
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    .expect("sent");
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("an answer");
    String::from_utf8_lossy(&start).into_owned()
}

#[test]
fn a_refused_page_is_told_of_once_a_minute_and_always_at_debug() {
    let mut server = Serving::start(&["--admin-listen", "none", "--log-filter", "switchboard_server=debug,info"]);
    let address = server.address();
    for page in ["https://one.example", "https://two.example", "https://three.example"] {
        assert_eq!(knock(&address, page), "HTTP/1.1 403");
    }
    // In order, so that a second warning would stand before the last case.
    let (lines, last) = server.logged_until("three.example");
    let of = |level: &str| lines.iter().filter(|line| line.contains(level) && line.contains("refused")).count();
    assert_eq!((of("\"WARN\""), of("\"DEBUG\"")), (1, 2), "{lines:#?}");
    let warning = lines.iter().find(|line| line.contains("\"WARN\"")).expect("a warning");
    for words in ["https://one.example", address.as_str(), "public_url", "\"settings\":\"origins\""] {
        assert!(warning.contains(words), "{words}: {warning}");
    }
    assert!(!warning.contains("\"client\"") && last.contains("\"client\":\"127.0.0.1\""), "{last}");
}
