//! STUN and TURN's sockets: everything of `switchboard-turn` that touches the system.

mod addrs;
mod interfaces;

pub use addrs::TurnAddrs;
pub use interfaces::interface_addresses;
