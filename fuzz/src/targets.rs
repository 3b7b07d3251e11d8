//! The list of targets.

use crate::{config, http, rooms, socketio, websocket};

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
    Target { name: "websocket_frame", run: websocket::frame },
    Target { name: "engineio_packet", run: socketio::packet },
    Target { name: "engineio_payload", run: socketio::payload },
    Target { name: "socketio_query", run: socketio::query },
    Target { name: "socketio_session", run: socketio::session },
    Target { name: "client_address", run: http::client_address },
    Target { name: "host_name", run: http::host_name },
    Target { name: "config_file", run: config::file },
];
