//! Every message that crosses a boundary of Switchboard, the ids in them and the limits on them.
//!
//! Deliberately without IO, tasks or clocks: the server, its clients and the load generator share these types, and the
//! crate builds for `wasm32`.

pub mod directory;
pub mod ids;
pub mod json;
pub mod limits;
pub mod matchbox;
pub mod peerjs;
pub mod relay;
pub mod rooms;
mod shared;
pub mod star;
mod text;
mod time;

pub use ids::{InvalidPeerId, InvalidRoomId, PeerId, PeerKey, RoomId};
pub use rooms::Dialect;
pub use text::{InvalidName, PeerName};
pub use time::Instant;
