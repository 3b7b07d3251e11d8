//! What each fuzz target does with its bytes, and what must hold: one function a target, called by libFuzzer and by the
//! replay of the corpora.
//!
//! A target that finds something gets the input as a file in `regressions/<target>/`, and the fix a test of its own.

#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "signalling")]
mod json;
#[cfg(feature = "signalling")]
pub mod matchbox;
#[cfg(feature = "signalling")]
pub mod peerjs;
#[cfg(feature = "signalling")]
pub mod relay;
#[cfg(feature = "signalling")]
pub mod rooms;
#[cfg(feature = "signalling")]
pub mod socketio;
#[cfg(feature = "signalling")]
pub mod star;
mod targets;
pub mod turn;
#[cfg(feature = "server")]
pub mod websocket;

pub use targets::{TARGETS, Target};
