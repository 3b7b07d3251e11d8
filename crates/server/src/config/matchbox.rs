//! What the door for matchbox is told.

use super::{MountPath, Origins};

/// The matchbox dialect (`docs/protocol/matchbox.md`). How many rooms there are, and how large they get, is in
/// [`Limits`](super::Limits).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchboxConfig {
    /// Where it is: the room is the next part of the path. `/` is where the original has it; what is there already stays, so that no
    /// room can be called `ws`. None: there is no such door. Default: `/matchbox`.
    pub paths: Vec<MountPath>,
    /// Which pages may use it. Default: all, as in the original, for games are usually elsewhere, and whom they can reach is who
    /// knows the name of the room.
    pub origins: Origins,
}

impl Default for MatchboxConfig {
    fn default() -> Self {
        Self { paths: MountPath::parse("/matchbox").into_iter().collect(), origins: Origins::Any }
    }
}
