//! STUN (RFC 8489) and TURN (RFC 8656) as state machines.
//!
//! The server's half is an engine per worker: a packet and the time go in, a [`Verdict`] comes out. Deliberately without
//! sockets, clocks, tasks and global randomness: whoever runs it owns those. It knows users, but nothing of rooms.

mod address;
mod budget;
pub mod channel_data;
pub mod client;
mod credentials;
mod engine;
pub mod framing;
mod ids;
pub mod message;
pub mod nat;
mod nonce;
mod packet;
mod policy;
mod ports;
mod prepare;
mod quota;
mod secret;
mod shared;
pub mod stats;
mod user;

pub use address::{canonical, readings};
pub use budget::{Budget, Rate};
pub use credentials::{Account, Credentials, CredentialsError, Issued, Keys, Lookup, Refusal};
pub use engine::Engine;
pub use ids::{Client, Now, RelayAddress, RelayId, Via, WorkerId};
pub use message::Integrity;
pub use nat::NatDetection;
pub use packet::{HEADROOM, Host, OpenError, Packet, TAILROOM, Verdict};
pub use policy::{NeverAllowed, PeerPolicy};
pub use ports::RelayPorts;
pub use quota::{QuotaError, QuotaLimits, Quotas};
pub use secret::{Secret, WeakSecret};
pub use shared::{Settings, Shared};
pub use stats::Stats;
pub use user::{InvalidUser, StaticUser};
