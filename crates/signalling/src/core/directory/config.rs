//! The limits on names and on what waits for them.

use std::time::Duration;

/// How many names, and how many connections for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameLimits {
    /// Names in one namespace.
    pub names: usize,
    /// Names of one connection.
    pub per_connection: usize,
    /// Connections that hold one name.
    pub holders: usize,
}

/// How much waits for names that nobody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingLimits {
    /// Texts.
    pub messages: usize,
    /// Bytes of text.
    pub bytes: usize,
}

/// What an operator may change about the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// Ids of PeerJS clients, for each key.
    pub peerjs: NameLimits,
    /// Addresses of webrtc-star peers. A page opens two sockets under one address, and lost ones linger a while.
    pub star: NameLimits,
    /// Topics of the relay.
    pub topics: NameLimits,
    /// How long the holder of a contested name has to show that it lives.
    pub probe: Duration,
    /// How long texts wait for a name that nobody holds (5 s in PeerServer).
    pub wait: Duration,
    /// What may wait for one name. A call is an offer and about ten candidates, 6 kB: three hundred callers of a host that is
    /// away for a moment.
    pub waiting_for_name: WaitingLimits,
    /// What of it the holder gets in one go; the rest stays where it is until the shell has written that. Twice as much has to
    /// fit the shell's queue, and no text that waits is longer.
    pub portion: WaitingLimits,
    /// What may wait from one connection.
    pub waiting_from_connection: WaitingLimits,
    /// What may wait from one IPv4 address or IPv6 /64.
    pub waiting_from_address: WaitingLimits,
    /// What may wait in all.
    pub waiting_in_all: WaitingLimits,
    /// How often a webrtc-star peer is told names of others (10 s in the original).
    pub announce_every: Duration,
    /// Names in one such digest, and peers that hear of a newcomer at once.
    pub announce_most: usize,
    /// Bytes of names in one digest, which has to fit the shell's queue with the framing of each; names of usual length
    /// need half of the default.
    pub announce_bytes: usize,
    /// Names that a digest after the first one fills up to with such as the peer may have heard already.
    pub announce_again: usize,
    /// Peers a second, in all, that hear of newcomers at once; the others hear of them by digest. 0 for no limit.
    pub announce_rate: u32,
}

impl Default for DirectoryConfig {
    fn default() -> Self {
        Self {
            peerjs: NameLimits { names: 20_000, per_connection: 1, holders: 1 },
            star: NameLimits { names: 20_000, per_connection: 4, holders: 16 },
            topics: NameLimits { names: 65_536, per_connection: 64, holders: 256 },
            probe: Duration::from_secs(3),
            wait: Duration::from_secs(5),
            waiting_for_name: WaitingLimits { messages: 4_096, bytes: 2 * 1024 * 1024 },
            portion: WaitingLimits { messages: 256, bytes: 128 * 1024 },
            waiting_from_connection: WaitingLimits { messages: 256, bytes: 128 * 1024 },
            waiting_from_address: WaitingLimits { messages: 4_096, bytes: 2 * 1024 * 1024 },
            waiting_in_all: WaitingLimits { messages: 65_536, bytes: 32 * 1024 * 1024 },
            announce_every: Duration::from_secs(10),
            announce_most: 256,
            announce_bytes: 64 * 1024,
            announce_again: 64,
            announce_rate: 5_000,
        }
    }
}
