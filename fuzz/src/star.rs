//! webrtc-star: the handshake that passes unread, and every event as a session takes it to the core.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use crate::json;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use switchboard_signalling::core::{ClientAddr, Config, Core, Output};
use switchboard_signalling::socketio::{Link, Protocol, Received, Sid, encode_directory};
use switchboard_wire::rooms::Dialect;
use switchboard_wire::star::{Handshake, UNAVAILABLE, write_failure};

/// Reads `data` as a handshake: what is passed on is the same object, and so is what comes back, but for the reason.
pub fn handshake(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(handshake) = Handshake::decode(text) else { return };
    assert!(!handshake.from().is_empty() && !handshake.to().is_empty());
    let packet = handshake.packet();
    assert_eq!(packet, format!("42[\"ws-handshake\",{}]", text.trim_ascii()).as_bytes());
    let Some(passed) = json::read(&packet[2..]) else {
        // Numbers beyond a double and halves of surrogate pairs are JSON that this reader does not hold.
        return;
    };
    let mut failure = Vec::new();
    write_failure(&packet, UNAVAILABLE, &mut failure);
    let mut failed: Value = serde_json::from_slice(&failure[2..]).expect("JSON stays JSON");
    assert_eq!(failed[1]["err"], UNAVAILABLE);
    failed[1]["err"] = passed[1]["err"].clone();
    let mut expected = passed;
    expected[1]["err"] = failed[1]["err"].clone();
    assert_eq!(failed, expected);
}

/// Gives `data` to a session as events, one a line, and what comes of them to the core. Whatever is said, all that is written is
/// one packet each, and the address that was there before can be reached afterwards.
pub fn event(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let now = Instant::now();
    let mut core = Core::new(Config::default(), StdRng::seed_from_u64(7));
    let mut links = [1, 2].map(|last| {
        let from = ClientAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        let conn = core.handle_connect(from, Dialect::SocketIo, now).expect("room for two");
        let (mut link, _) = Link::open(Protocol::V4, Sid::from_random([last; 15]), now);
        assert!(say(&mut core, &mut link, conn, "40", now));
        (conn, link)
    });
    let [(resident, quiet), (conn, link)] = &mut links;
    assert!(say(&mut core, quiet, *resident, r#"42["ss-join","/resident"]"#, now));
    while core.poll_output().is_some() {}
    for line in text.lines() {
        if !say(&mut core, link, *conn, &format!("42{line}"), now) {
            break;
        }
        while let Some(output) = core.poll_output() {
            let Output::Directory { message, .. } = output else { continue };
            encode_directory(&message, |packet| assert!(packet.starts_with(b"42[\"")));
        }
    }
    let own = r#"42["ss-handshake",{"srcMultiaddr":"/resident","dstMultiaddr":"/resident","end":1}]"#;
    assert!(say(&mut core, quiet, *resident, own, now));
    let mut arrived = false;
    while let Some(output) = core.poll_output() {
        let Output::Directory { message, .. } = output else { continue };
        encode_directory(&message, |packet| arrived |= packet.ends_with(b"\"end\":1}]"));
    }
    // Others may have joined with the address, and then it goes to the latest of them.
    assert!(arrived, "the neighbour was harmed");
}

/// Says one packet; false if it ends the session.
fn say(
    core: &mut Core,
    link: &mut Link,
    conn: switchboard_signalling::core::ConnId,
    packet: &str,
    now: Instant,
) -> bool {
    match link.handle_frame(packet, now) {
        Ok(Received::Deliver(delivery)) => {
            let _ = delivery.deliver(core, conn, now);
            true
        }
        Ok(Received::Nothing | Received::Answer(_)) => true,
        Err(_) => false,
    }
}
