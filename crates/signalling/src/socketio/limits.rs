//! Sizes and times of the Socket.IO door. The times are the original server's defaults; the sizes that the original does
//! not have are ours.

use std::time::Duration;

/// Largest body of a POST in bytes, told to the client in the handshake (`maxPayload`).
pub const MAX_PAYLOAD: usize = 1_000_000;

/// Largest packet in bytes: what one message of the rooms protocol may have. A session description of
/// webrtc-star, with all its candidates, takes a tenth of it.
pub const PACKET_BYTES: usize = switchboard_wire::limits::MESSAGE_BYTES;

/// Most packets in one POST: far above what a burst of candidates makes, and at two bytes each a twenty-fifth of what
/// would fit into [`MAX_PAYLOAD`].
pub const PACKETS_PER_PAYLOAD: usize = 20_000;

/// Most bytes that wait for a polling client's next GET; as many as wait for a WebSocket.
pub const WAITING_BYTES: usize = 256 * 1024;

/// Most packets that wait for a polling client's next GET: [`WAITING_BYTES`] of the shortest event.
pub const WAITING_PACKETS: usize = 8192;

/// Longest namespace that is refused by name, in bytes; longer ones end the session.
pub const NAMESPACE_BYTES: usize = 256;

/// How long after the last sign of life the pinging side pings (`pingInterval`).
pub const PING_INTERVAL: Duration = Duration::from_secs(25);

/// How long the answer to a ping may take (`pingTimeout`).
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a client may take to connect to the namespace (`connectTimeout`).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(45);

/// How long a WebSocket may take to prove itself (`upgradeTimeout`).
pub const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a GET waits while the client upgrades. The client sends no further one once it has the answer to its probe,
/// which may overtake or be overtaken by the answer to the GET.
pub const UPGRADE_POLL: Duration = Duration::from_millis(25);

/// How long a closed polling session keeps its last words for the client's next GET (the original's `closeTimeout`).
pub const LAST_POLL: Duration = Duration::from_secs(30);
