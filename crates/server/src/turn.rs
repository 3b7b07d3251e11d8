//! STUN and TURN's sockets: everything of `switchboard-turn` that touches the system.
//!
//! Dedicated threads, one for each processor, each with its own sockets and engine: clients are spread by the kernel, and
//! threads share next to nothing. Not on the async runtime: a relay's cost is its way through the kernel, and only a loop that
//! empties all ready sockets before it sends can collect enough to send in trains. Readiness comes from `mio`: epoll here,
//! and its like elsewhere, without unsafe code of our own.

mod addrs;
mod arena;
mod bind;
mod counters;
mod endpoints;
mod interfaces;
pub(crate) mod metrics;
mod outbox;
mod own;
mod parcels;
mod port;
mod refusals;
mod relays;
mod service;
mod stats;
mod stream;
mod sys;
mod tls;
mod token;
mod worker;

pub use addrs::TurnAddrs;
pub use interfaces::interface_addresses;
pub(crate) use service::Turn;
pub use service::TurnError;
pub(crate) use stats::Board;
pub(crate) use tls::Certificate;
pub use tls::TlsError;
