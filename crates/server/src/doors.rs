//! The doors: each speaks one dialect with its clients and the core's vocabulary with the hub.

pub(crate) mod ice;
pub(crate) mod matchbox;
mod opening;
pub(crate) mod peerjs;
pub(crate) mod reach;
pub(crate) mod relay;
pub(crate) mod rooms;
pub(crate) mod socketio;
