//! What the relay of topics is told.

use switchboard_signalling::core::{DirectoryConfig, NameLimits};

use super::{MountPath, Origins};

/// The dialect of Trystero's WebSocket relay (`docs/protocol/ws-relay.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// Where it is: what clients give among `relayConfig.urls`. None: there is no such door. Default: `/relay`.
    pub paths: Vec<MountPath>,
    /// Which pages may use it. Default: all, for pages that use it are usually elsewhere, and what they can reach is what they know the
    /// topic of.
    pub origins: Origins,
    /// Topics in all. Default 65,536.
    pub topics: usize,
    /// Topics of one client. Default 128, as in the original: each room takes two.
    pub topics_per_client: usize,
    /// Subscribers of one topic. Default 256: what is published is copied to each of them, and a mesh of more than a few dozen pages
    /// does not hold anyway.
    pub subscribers: usize,
}

impl Default for RelayConfig {
    fn default() -> Self {
        let core = DirectoryConfig::default().topics;
        Self {
            paths: MountPath::parse("/relay").into_iter().collect(),
            origins: Origins::Any,
            topics: core.names,
            topics_per_client: 128,
            subscribers: core.holders,
        }
    }
}

impl RelayConfig {
    /// Puts these settings among those of the core's directory.
    pub(super) fn apply(&self, directory: &mut DirectoryConfig) {
        directory.topics =
            NameLimits { names: self.topics, per_connection: self.topics_per_client, holders: self.subscribers };
    }
}
