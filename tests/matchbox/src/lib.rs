//! What the tests with matchbox's client share: the program under test, and players.

mod patience;
mod player;
mod server;

pub use patience::soon;
pub use player::Player;
pub use server::Server;
