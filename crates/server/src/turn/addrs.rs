//! Where STUN and TURN are.

use std::net::SocketAddr;

/// Where STUN and TURN are served, ports resolved. A wildcard stands as one address for each family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnAddrs {
    /// STUN and TURN over UDP.
    pub udp: Vec<SocketAddr>,
    /// Over TCP.
    pub tcp: Vec<SocketAddr>,
    /// Over TLS.
    pub tls: Vec<SocketAddr>,
    /// The second address over UDP, with which clients find out how their NAT maps ports, where there is one.
    pub alternate: Option<SocketAddr>,
}
