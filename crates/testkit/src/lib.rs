//! A server on a free port, and clients that judge it: an independent WebSocket implementation, and raw sockets for what
//! no well-behaved client would send.
//!
//! Everything waits for events with an upper bound ([`PATIENCE`]) and fails with what it was waiting for; nothing sleeps.

mod http;
mod patience;
mod peerjs;
mod polling;
mod rooms;
mod server;
mod socketio;

pub use http::{RawConnection, Reply, get, post};
pub use patience::{PATIENCE, soon};
pub use peerjs::PeerJsClient;
pub use polling::{PollingClient, Upgraded};
pub use rooms::{Ended, RoomsClient};
pub use server::TestServer;
pub use socketio::{EngineVersion, SocketIoClient};
