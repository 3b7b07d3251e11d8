//! Switchboard as a library: listeners, HTTP, the doors of each dialect and the embedded web app, around the signalling
//! core.

pub mod config;
mod server;

pub use config::Config;
pub use server::{Server, SpawnError};
