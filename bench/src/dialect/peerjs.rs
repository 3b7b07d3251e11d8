//! PeerJS, as npm `peerjs` 1.5 speaks it to its server: an id of the client's own choice, one JSON object per frame, and a
//! heartbeat every five seconds.

use super::{Heartbeat, Member, Role, excerpt};
use crate::client::Client;
use crate::names;
use anyhow::{Result, bail};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// What the client's `pingInterval` is by default.
pub(super) const HEARTBEAT: Heartbeat = Heartbeat { text: r#"{"type":"HEARTBEAT"}"#, period: Duration::from_secs(5) };

/// Connects under a fresh id and waits for OPEN.
pub(super) fn open(server: SocketAddrV4, source: Ipv4Addr) -> Result<Member> {
    let number = names::fresh();
    let name = names::uuid(number);
    let target = format!("/peerjs?key=peerjs&id={name}&token=t{number}&version=1.5.5");
    let mut client = Client::open(server, source, &target)?;
    match client.next_text()? {
        text if text.contains(r#""OPEN""#) => Ok(Member { client, name }),
        other => bail!("waiting for OPEN, the server sent {other}"),
    }
}

/// The description of a data channel, with what the client sends beside it.
pub(super) fn message(role: Role, partner: &str, json: &str) -> String {
    let (kind, rest) = match role {
        Role::Offering => {
            ("OFFER", r#","label":"dc_ne4124te8z","metadata":null,"reliable":false,"serialization":"binary""#)
        }
        Role::Answering => ("ANSWER", ""),
    };
    format!(
        r#"{{"type":"{kind}","payload":{{"sdp":{json},"type":"data","connectionId":"dc_ne4124te8z"{rest}}},"dst":"{partner}"}}"#
    )
}

/// Nothing that a server says by itself needs an answer; that a partner is gone is the bench's failure.
pub(super) fn answer(text: &[u8]) -> Result<Option<&'static str>> {
    bail!("the server did not relay but sent {}", excerpt(text))
}
