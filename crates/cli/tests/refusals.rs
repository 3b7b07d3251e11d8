//! Who is refused, the operator finds in the log: a warning now and then, every case at debug.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use common::{Serving, run};

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

/// A server that relays and says everything, and where it does so over `transport`.
fn relaying(arguments: &[&str], transport: &str) -> (Serving, String) {
    let secret = format!("turn.secret={SECRET}");
    let filter = "switchboard_server=debug,info";
    let all = ["--set", &secret, "--set", "turn.relay_addresses=127.0.0.1", "--log-filter", filter];
    let server = Serving::start(&[&all[..], arguments].concat());
    let line: serde_json::Value = serde_json::from_str(&server.logged("\"serving\"")).expect("JSON");
    let address = line[transport].as_str().expect("an address").to_owned();
    (server, address)
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn wrong_and_expired_credentials_of_turn_are_told_of_without_their_user() {
    let (server, address) = relaying(&[], "turn");
    let uri = format!("turn:{address}?transport=udp");
    let wrong = "fedcba9876543210fedcba9876543210";
    for (username, password) in [("1:somebody", "expired"), ("someone", "wrong"), ("nobody", "again")] {
        run(&["doctor", &uri, "--username", username, "--password", password]);
    }
    run(&["doctor", &uri, "--secret", wrong]);
    let (lines, last) = server.logged_until("\"reason\":\"password\"");
    let of = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert_eq!((of("that have expired"), of("that are wrong")), (1, 1), "{lines:#?}");
    assert!(of("\"reason\":\"unknown_user\"") >= 2 && of("\"reason\":\"expired\"") >= 1, "{lines:#?}");
    for field in ["\"client\":\"127.0.0.1\"", "\"method\":\"Allocate\"", "\"code\":401", "\"transport\":\"Udp\""] {
        assert!(last.contains(field), "{field}: {last}");
    }
    for line in lines.iter().chain([&last]) {
        assert!(!["some", "nobody", SECRET, wrong].iter().any(|private| line.contains(private)), "{line}");
    }
}

#[test]
fn a_tls_handshake_that_fails_is_told_of_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let write = |name: &str, pem: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let certificate = write("certificate.pem", pair.cert.pem());
    let key = write("key.pem", pair.signing_key.serialize_pem());
    let tls = ["--turn-tls-listen", "127.0.0.1:0", "--turn-certificate", &certificate, "--turn-private-key", &key];
    let (server, address) = relaying(&tls, "turn_tls");
    TcpStream::connect(&address).expect("connects").write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    let line = server.logged("TLS of a TURN client failed");
    assert!(
        line.contains("\"DEBUG\"") && line.contains("\"client\":\"127.0.0.1\"") && line.contains("\"error\""),
        "{line}"
    );
}
