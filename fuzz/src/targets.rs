//! The list of targets, by what they need to be compiled.

use std::sync::LazyLock;

use crate::turn;
#[cfg(feature = "server")]
use crate::{config, http, websocket};
#[cfg(feature = "signalling")]
use crate::{matchbox, peerjs, relay, rooms, socketio, star};

/// A fuzz target: its name, which is also the name of its binary and of its corpus, and what it does.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As in `cargo xtask fuzz <name>`.
    pub name: &'static str,
    /// Panics if something does not hold.
    pub run: fn(&[u8]),
}

/// All targets that this build has.
pub static TARGETS: LazyLock<Vec<Target>> = LazyLock::new(|| {
    let all: &[&[Target]] = &[
        TURN,
        #[cfg(feature = "signalling")]
        SIGNALLING,
        #[cfg(feature = "server")]
        SERVER,
    ];
    all.concat()
});

/// STUN and TURN: always there.
const TURN: &[Target] = &[
    Target { name: "turn_message", run: turn::message },
    Target { name: "turn_stream", run: turn::stream },
    Target { name: "turn_framing", run: turn::framing },
    Target { name: "turn_client", run: turn::client },
    Target { name: "turn_discovery", run: turn::discovery },
    Target { name: "turn_stranger", run: turn::stranger },
    Target { name: "turn_user", run: turn::user },
    Target { name: "turn_oracle", run: turn::agree },
];

/// Messages of the dialects, and the cores behind them.
#[cfg(feature = "signalling")]
const SIGNALLING: &[Target] = &[
    Target { name: "rooms_message", run: rooms::message },
    Target { name: "rooms_session", run: rooms::session },
    Target { name: "peerjs_message", run: peerjs::message },
    Target { name: "engineio_packet", run: socketio::packet },
    Target { name: "engineio_payload", run: socketio::payload },
    Target { name: "socketio_query", run: socketio::query },
    Target { name: "socketio_session", run: socketio::session },
    Target { name: "star_handshake", run: star::handshake },
    Target { name: "star_event", run: star::event },
    Target { name: "relay_message", run: relay::message },
    Target { name: "matchbox_message", run: matchbox::message },
    Target { name: "matchbox_room", run: matchbox::room },
];

/// What the server and its command read themselves.
#[cfg(feature = "server")]
const SERVER: &[Target] = &[
    Target { name: "websocket_frame", run: websocket::frame },
    Target { name: "client_address", run: http::client_address },
    Target { name: "host_name", run: http::host_name },
    Target { name: "config_file", run: config::file },
];
