//! Switchboard's signalling, without sockets, clocks or tasks.
//!
//! [`core`] knows who is connected, who is in which room, and what everybody is owed; a dialect translates one wire
//! protocol to and from its vocabulary, [`switchboard_wire::rooms`]. A shell owns the sockets: it passes what arrives to
//! the `handle_` methods, with the time, and carries out what `poll_output` returns.

pub mod core;
pub mod socketio;
