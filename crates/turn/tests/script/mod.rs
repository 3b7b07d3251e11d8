//! A server that answers as its script says, and the time that a test makes pass.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use switchboard_turn::client::{Event, Login, Options, Strength, Transport, TurnClient};
use switchboard_turn::message::{Class, Integrity, Key, Message, Method, PasswordAlgorithm, Writer, known};

pub const REALM: &str = "example.org";

/// Where the server is.
pub fn server() -> SocketAddr {
    "192.0.2.1:3478".parse().expect("an address")
}

/// Where the client is, as the server sees it.
pub fn mapped() -> SocketAddr {
    "198.51.100.7:40000".parse().expect("an address")
}

/// A client with the standard's times; with credentials if `strength` is given.
pub fn client(transport: Transport, strength: Option<Strength>) -> TurnClient {
    let login = strength.map(|strength| Login::new("ann", "secret", strength).expect("a login"));
    TurnClient::new(Options { login, ..Options::new(server(), transport) }, [7; 32])
}

/// The next packet, which must be one for the server.
pub fn sent(client: &mut TurnClient) -> Vec<u8> {
    let transmit = client.poll_transmit().expect("something to send");
    assert_eq!(transmit.to, server());
    transmit.payload
}

/// The next event.
pub fn event(client: &mut TurnClient) -> Event {
    client.poll_event().expect("an event")
}

/// Lets time pass to the client's next deadline; returns how long that was.
pub fn pass(client: &mut TurnClient, now: &mut Instant) -> Duration {
    let due = client.poll_timeout().expect("a deadline");
    let passed = due - *now;
    *now = due;
    client.handle_timeout(due);
    passed
}

/// The answer to a request, with what `write` adds.
pub fn answer(request: &[u8], class: Class, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let request = Message::parse(request).expect("a message");
    let mut packet = Vec::new();
    write(&mut Writer::new(&mut packet, class, request.method(), request.transaction()));
    packet
}

/// The success of a Binding request.
pub fn bound(request: &[u8]) -> Vec<u8> {
    answer(request, Class::Success, |writer| {
        writer.mapped(mapped());
    })
}

/// 401 or 438 with a nonce, and perhaps an offer of password algorithms.
pub fn challenge(request: &[u8], code: u16, nonce: &str, offer: Option<&[u8]>) -> Vec<u8> {
    answer(request, Class::Error, |writer| {
        writer.error_code(code).attribute(known::REALM, REALM.as_bytes()).attribute(known::NONCE, nonce.as_bytes());
        if let Some(offer) = offer {
            writer.attribute(known::PASSWORD_ALGORITHMS, offer);
        }
    })
}

/// Ann's key for SHA-1.
pub fn md5_key() -> Key {
    Key::long_term(PasswordAlgorithm::Md5, "ann", REALM, "secret")
}

/// Ann's key for SHA-256.
pub fn sha256_key() -> Key {
    Key::long_term(PasswordAlgorithm::Sha256, "ann", REALM, "secret")
}

/// The success of an Allocate request, signed.
pub fn allocated(request: &[u8], kind: Integrity, key: &Key) -> Vec<u8> {
    answer(request, Class::Success, |writer| {
        writer.relayed("192.0.2.1:50000".parse().expect("an address"));
        writer.mapped(mapped()).lifetime(600).integrity(kind, key);
    })
}

/// What a request is.
pub fn method(request: &[u8]) -> Method {
    Message::parse(request).expect("a message").method()
}
