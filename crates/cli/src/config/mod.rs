//! Configuration in two steps: what was typed ([`Settings`], from file, environment and flags), then what it means
//! ([`switchboard_server::Config`]).
//!
//! [`raw`] holds the one list of settings. This module neither starts anything nor knows the command line's grammar.

mod file;
mod ice;
pub(crate) mod keys;
mod layers;
mod log;
mod meaning;
mod net;
mod peerjs;
mod problem;
mod raw;
mod reference;
mod render;
mod secrets;
mod table;
mod turn;
mod units;
mod value;

pub(crate) use layers::{Settings, Sources};
pub(crate) use log::{LogFilter, LogFormat};
pub(crate) use problem::{Invalid, Origin, Problem};
pub(crate) use raw::{KEYS, Lifetime};
pub(crate) use reference::write_reference;
pub(crate) use value::{Secrets, Setting};
