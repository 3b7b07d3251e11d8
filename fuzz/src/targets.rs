//! The list of targets.

use crate::{config, http, peerjs, relay, rooms, socketio, star, turn, websocket};

/// A fuzz target: its name, which is also the name of its binary and of its corpus, and what it does.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As in `cargo xtask fuzz <name>`.
    pub name: &'static str,
    /// Panics if something does not hold.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "rooms_message", run: rooms::message },
    Target { name: "rooms_session", run: rooms::session },
    Target { name: "peerjs_message", run: peerjs::message },
    Target { name: "websocket_frame", run: websocket::frame },
    Target { name: "engineio_packet", run: socketio::packet },
    Target { name: "engineio_payload", run: socketio::payload },
    Target { name: "socketio_query", run: socketio::query },
    Target { name: "socketio_session", run: socketio::session },
    Target { name: "star_handshake", run: star::handshake },
    Target { name: "star_event", run: star::event },
    Target { name: "client_address", run: http::client_address },
    Target { name: "host_name", run: http::host_name },
    Target { name: "relay_message", run: relay::message },
    Target { name: "turn_message", run: turn::message },
    Target { name: "turn_stream", run: turn::stream },
    Target { name: "turn_client", run: turn::client },
    Target { name: "turn_discovery", run: turn::discovery },
    Target { name: "turn_stranger", run: turn::stranger },
    Target { name: "turn_user", run: turn::user },
    Target { name: "turn_oracle", run: turn::agree },
    Target { name: "config_file", run: config::file },
];
