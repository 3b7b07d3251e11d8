//! WebSocket, the server's side of RFC 6455, without extensions.
//!
//! Written by hand because the buffers of the libraries are most of the memory of an idle connection: here one that is
//! silent holds none.

mod alarm;
pub(crate) mod connection;
pub mod frame;
pub(crate) mod handshake;
pub(crate) mod stream;
