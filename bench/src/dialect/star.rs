//! webrtc-star, as js-libp2p speaks it to a signalling server: Socket.IO events with a multiaddr for a name.

use super::rooms::{self, wait_for_prefix};
use super::{Member, Role};
use crate::names;
use anyhow::Result;
use std::net::{Ipv4Addr, SocketAddrV4};

pub(crate) const TARGET: &str = "/socket.io-next/?EIO=4&transport=websocket";
/// Where the members say that their server is.
const HOST: &str = "/ip4/127.0.0.1/tcp/9090";

/// How an announcement of another peer begins.
pub(crate) const ANNOUNCEMENT: &[u8] = br#"42["ws-peer","#;
/// How a relayed handshake begins.
pub(crate) const HANDSHAKE: &str = r#"42["ws-handshake","#;

/// Connects; the address is chosen, but not joined yet.
pub(super) fn open(server: SocketAddrV4, source: Ipv4Addr) -> Result<Member> {
    let greeted = rooms::open_socket_io(server, source)?;
    Ok(Member { name: fresh_address(), ..greeted })
}

/// An address that no other member of this run has.
pub(crate) fn fresh_address() -> String {
    names::star_address(HOST, names::fresh())
}

/// Joins under the member's address and waits until a handshake reaches it: the server does not answer a join.
pub(super) fn join(member: &mut Member) -> Result<()> {
    member.client.send(&joining(&member.name))?;
    member.client.send(&greeting_to_oneself(&member.name))?;
    while !wait_for_prefix(&mut member.client, "42")?.starts_with(HANDSHAKE) {}
    Ok(())
}

/// The packet that joins under `address`.
pub(crate) fn joining(address: &str) -> String {
    format!(r#"42["ss-join","{address}"]"#)
}

/// A packet that comes back once `address` is joined.
pub(crate) fn greeting_to_oneself(address: &str) -> String {
    handshake(address, address, r#","signal":{"type":"candidate"}"#)
}

/// The handshake of a dial: the offer goes to its destination, the answer back to its source.
pub(super) fn message(role: Role, own: &str, partner: &str, json: &str) -> String {
    match role {
        Role::Offering => handshake(own, partner, &format!(r#","signal":{json}"#)),
        Role::Answering => handshake(partner, own, &format!(r#","answer":true,"signal":{json}"#)),
    }
}

fn handshake(source: &str, destination: &str, rest: &str) -> String {
    format!(
        r#"42["ss-handshake",{{"intentId":"{INTENT}","srcMultiaddr":"{source}","dstMultiaddr":"{destination}"{rest}}}]"#
    )
}

/// 36 random bytes in hexadecimal, as js-libp2p makes them.
const INTENT: &str = "5b0f8c1e7a93d24468e0bc57f1a2963dce48b7055d91f23a6c7e08d4419bfa3572c6e81d";
