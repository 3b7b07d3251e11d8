//! The command `switchboard`: serves, or explains its configuration.
//!
//! Everything that goes wrong ends here, is told once on standard error, and becomes an exit code: 2 for a command line or
//! a configuration that cannot be used, 1 for everything else.

mod args;
mod banner;
mod command;
mod config;
mod credentials;
mod doctor;
mod logging;
mod qr;
mod reach;
mod run;
mod signals;
mod start;

pub use command::{rewrite_config, run};
