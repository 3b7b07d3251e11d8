//! STUN and TURN: the codec, streams, the client, and the engine as strangers and as users meet it.

mod client;
mod engine;
mod message;
mod oracle;
mod script;

pub use client::{client, discovery};
pub use engine::{stranger, user};
pub use message::{framing, message, stream};
pub use oracle::agree;
