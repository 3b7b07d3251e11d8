//! A server on a free port, and clients that judge it: an independent WebSocket implementation, and raw sockets for what
//! no well-behaved client would send.
//!
//! Everything waits for events with an upper bound ([`PATIENCE`]) and fails with what it was waiting for; nothing sleeps.

mod http;
mod rooms;
mod server;
mod socketio;

use std::time::Duration;

pub use http::{RawConnection, Reply, get, post};
pub use rooms::{Ended, RoomsClient};
pub use server::TestServer;
pub use socketio::{EngineVersion, SocketIoClient};

/// How long a test waits for what must happen. Generous: it is an upper bound on a loaded machine, not a measure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future`, at most [`PATIENCE`].
///
/// # Panics
/// With `what` when the time is over.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}
