//! The messages of PeerServer, which npm `peerjs` speaks (`docs/protocol/peerjs.md`).
//!
//! A client's frame is read in place and its payload never looked into. What is passed on is rebuilt as the original does it, with
//! the sender that is known to the server in place of the one that the frame claims. Who is connected and what waits for whom is
//! not known here.

mod client;
mod server;

pub use client::{ClientMessage, Kind, Malformed, Relayed};
pub use server::Notice;
