//! Switchboard as a library: listeners, HTTP, the doors of each dialect and the embedded web app, around the signalling
//! core.

mod assets;
mod budget;
mod client_addr;
pub mod config;
mod doors;
mod embed;
mod hooks;
mod http;
mod hub;
pub mod ice;
mod listener;
mod mailbox;
mod metrics;
mod mounts;
mod occasional;
mod origins;
mod patient;
mod routes;
mod seats;
mod server;
pub mod turn;
pub mod websocket;

pub use config::Config;
pub use embed::Signalling;
pub use hooks::{Events, Hooks, Missed, Verdict, Visit};
pub use mounts::{Mounted, PathTaken};
pub use server::{Server, SpawnError};
pub use switchboard_signalling::core::{ConnId, Event};
pub use switchboard_wire::directory::{Name, Namespace};
pub use switchboard_wire::rooms::{Dialect, LeaveReason};
pub use switchboard_wire::{PeerId, RoomId};
pub use turn::TurnAddrs;

/// For the fuzzer, no promise to anybody else.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::client_addr::{client_addr, host_name};
    pub use crate::ice::HostName;
}
