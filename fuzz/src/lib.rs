//! What each fuzz target does with its bytes, and what must hold: one function a target, called by libFuzzer and by the
//! replay of the corpora.
//!
//! A target that finds something gets the input as a file in `regressions/<target>/`, and the fix a test of its own.

pub mod config;
pub mod http;
pub mod peerjs;
pub mod relay;
pub mod rooms;
pub mod socketio;
pub mod star;
mod targets;
pub mod turn;
pub mod websocket;

pub use targets::{TARGETS, Target};
