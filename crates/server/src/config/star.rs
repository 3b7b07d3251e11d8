//! webrtc-star: whether it is spoken, how much its peers are told of each other, and how many there may be.

use std::time::Duration;

use switchboard_signalling::core::{DirectoryConfig, NameLimits};

use super::Origins;

/// The door for js-ipfs and js-libp2p pages, at `/socket.io` and `/socket.io-next`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StarConfig {
    /// Whether it is there at all. Default: yes.
    pub enabled: bool,
    /// Which pages may speak it, beside those that may use the whole server. Default: all, as in the original, for its pages
    /// are usually elsewhere.
    pub origins: Origins,
    /// How often a peer is told of others. Default 10 s, as in the original.
    pub announce_interval: Duration,
    /// Addresses in one such digest, and peers that hear of a newcomer at once. Default 256: up to so many peers, everybody
    /// knows everybody after one interval, as with the original; among more, clients would not connect to all anyway.
    pub announce_most: usize,
    /// Addresses that a digest is filled up to with such as the peer may have heard already. Default 64.
    pub announce_again: usize,
    /// Announcements of newcomers a second, in all, that are made at once; the others wait for the digest. Default 5,000.
    pub announce_rate: u32,
    /// Addresses in all. Default 20,000, as many as sockets.
    pub addresses: usize,
    /// Addresses of one socket. Default 4: a page has one for each name of the server.
    pub addresses_per_socket: usize,
    /// Sockets of one address. Default 16: pages of 2021 open two, and lost ones linger a while. One more takes the place of
    /// the oldest.
    pub sockets_per_address: usize,
}

impl Default for StarConfig {
    fn default() -> Self {
        let core = DirectoryConfig::default();
        Self {
            enabled: true,
            origins: Origins::Any,
            announce_interval: core.announce_every,
            announce_most: core.announce_most,
            announce_again: core.announce_again,
            announce_rate: core.announce_rate,
            addresses: core.star.names,
            addresses_per_socket: core.star.per_connection,
            sockets_per_address: core.star.holders,
        }
    }
}

impl StarConfig {
    /// Puts these settings among those of the core's directory.
    pub(super) fn apply(&self, directory: &mut DirectoryConfig) {
        directory.star = NameLimits {
            names: self.addresses,
            per_connection: self.addresses_per_socket,
            holders: self.sockets_per_address,
        };
        directory.announce_every = self.announce_interval;
        directory.announce_most = self.announce_most;
        directory.announce_again = self.announce_again;
        directory.announce_rate = self.announce_rate;
    }
}
