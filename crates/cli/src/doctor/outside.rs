//! Whether others reach a relay: what goes from one relay of a server to another may never leave it, so neither its firewall
//! nor the address that it names is tested by that. Here a socket of one's own is the peer (RFC 8656 §11).

use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use switchboard_turn::client::Event;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::fault::Fault;
use super::link::{Link, udp_socket};
use super::probe::{failure, is_local};

/// How long packets may be lost in one direction, with resends.
const PATIENCE: Duration = Duration::from_secs(2);

/// After how long a packet is sent again.
const AGAIN: Duration = Duration::from_millis(200);

/// What tells our packets from strangers' ones, in bytes.
const TOKEN_BYTES: usize = 24;

/// What this machine can tell about others and a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outside {
    /// Packets of somebody who is no client of the server come through the relay, and its packets come back.
    Open,
    /// It does not show from here.
    Unshown(Doubt),
}

/// Why it does not show whether others reach a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// This machine is the server, or shares its address: what is sent passes no firewall of it, and servers refuse themselves
    /// as peers.
    SameMachine {
        /// The address.
        own: IpAddr,
    },
    /// The server lets its relays talk to no such address as this machine's.
    Forbidden {
        /// This machine's address as the server sees it.
        own: IpAddr,
    },
    /// The relay has no address of the family by which this machine reached the server.
    OtherFamily,
    /// Nothing arrived at the relay, and it may be that UDP does not get out of the network here.
    Lost {
        /// The relayed address.
        relayed: SocketAddr,
    },
}

impl Doubt {
    /// A short name for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::SameMachine { .. } => "same-machine",
            Self::Forbidden { .. } => "own-address-forbidden",
            Self::OtherFamily => "other-family",
            Self::Lost { .. } => "no-udp-here",
        }
    }

    /// Why, and what to do.
    pub(crate) fn sentence(&self) -> String {
        let why = match self {
            Self::SameMachine { own } => format!("for the server sees you at its own address, {own}"),
            Self::Forbidden { own } if is_local(*own) => {
                format!("for the server relays to no private address such as yours, {own}")
            }
            Self::Forbidden { own } => format!("for the server's rules forbid that it relays to you at {own}"),
            Self::OtherFamily => "for they are of another IP family than the way to the server".to_owned(),
            Self::Lost { relayed } => {
                format!("for nothing sent to {relayed} arrived, and nothing shows that UDP leaves the network here")
            }
        };
        format!(
            "The relay's ports are not shown to be open from here, {why}. Run the doctor once more on a machine that is \
             outside of the server's network and has UDP."
        )
    }
}

/// Sends a packet to the relay of `near` as anybody might, and one back.
///
/// # Errors
/// A permission that is refused for another reason than the address, a relay that works in one direction alone, a link that
/// breaks. That nothing arrives is a doubt: whose fault that is, one way alone cannot tell.
pub(crate) async fn reach(
    near: &mut Link,
    relayed: &[SocketAddr],
    own: SocketAddr,
    server: SocketAddr,
) -> Result<Outside, Fault> {
    let Some(relayed) = relayed.iter().copied().find(|relayed| relayed.is_ipv4() == own.is_ipv4()) else {
        return Ok(Outside::Unshown(Doubt::OtherFamily));
    };
    let ip = own.ip().to_canonical();
    if [relayed.ip(), server.ip().to_canonical()].contains(&ip) {
        return Ok(Outside::Unshown(Doubt::SameMachine { own: ip }));
    }
    match permit(near, own).await {
        Err(Fault::Refused { code: 403, .. }) => return Ok(Outside::Unshown(Doubt::Forbidden { own: ip })),
        other => other?,
    }
    let lost = Outside::Unshown(Doubt::Lost { relayed });
    let Ok(socket) = stranger(relayed).await else { return Ok(lost) };
    let token: [u8; TOKEN_BYTES] = rand::random();
    let Ok(peer) = timeout(PATIENCE, inwards(near, &socket, &token)).await else { return Ok(lost) };
    let back = timeout(PATIENCE, outwards(near, &socket, peer?, &token)).await;
    back.map_err(|_| Fault::RelayOneWay { relayed })??;
    Ok(Outside::Open)
}

async fn permit(near: &mut Link, own: SocketAddr) -> Result<(), Fault> {
    let request = near.client().create_permission(&[own], Instant::now());
    near.until(|event| match event {
        Event::Permitted { request: answered } if answered == request => Some(Ok(())),
        other => failure(&other, request, "a permission for this machine"),
    })
    .await?
}

/// A socket that hears the relay alone, as a NAT would let it.
async fn stranger(relayed: SocketAddr) -> Result<UdpSocket, Fault> {
    let socket = udp_socket(relayed).await?;
    socket.connect(relayed).await.map_err(|_| Fault::NoRoute)?;
    Ok(socket)
}

/// Sends to the relay until it arrives; returns the socket's address as the relay sees it.
async fn inwards(near: &mut Link, socket: &UdpSocket, token: &[u8]) -> Result<SocketAddr, Fault> {
    loop {
        // What cannot be sent counts as lost, as what is refused on its way.
        let _ = socket.send(token).await;
        let arrived = near.until(|event| match event {
            Event::Data { peer, payload, .. } if payload == token => Some(peer),
            _ => None,
        });
        if let Ok(peer) = timeout(AGAIN, arrived).await {
            return peer;
        }
    }
}

/// Sends from the relay until it arrives.
async fn outwards(near: &mut Link, socket: &UdpSocket, peer: SocketAddr, token: &[u8]) -> Result<(), Fault> {
    loop {
        // The token is shorter than any limit.
        let _ = near.client().send_indication(peer, token, false);
        near.flush().await?;
        if timeout(AGAIN, heard(socket, token)).await.is_ok() {
            return Ok(());
        }
    }
}

/// Waits for the token. An error is an earlier packet that was refused: whoever waits has a limit.
async fn heard(socket: &UdpSocket, token: &[u8]) {
    let mut buffer = [0; TOKEN_BYTES + 1];
    loop {
        match socket.recv(&mut buffer).await {
            Ok(length) if buffer[..length] == *token => return,
            Ok(_) => {}
            Err(_) => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_doubt_says_why_and_what_to_do() {
        let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
        let doubts = [
            Doubt::SameMachine { own: ip("203.0.113.7") },
            Doubt::Forbidden { own: ip("192.168.1.5") },
            Doubt::Forbidden { own: ip("203.0.113.7") },
            Doubt::OtherFamily,
            Doubt::Lost { relayed: SocketAddr::new(ip("203.0.113.7"), 50_000) },
        ];
        let told: String = doubts.iter().map(|doubt| format!("{}: {}\n", doubt.code(), doubt.sentence())).collect();
        insta::assert_snapshot!(told);
    }
}
