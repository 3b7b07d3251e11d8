//! The one clock type of the sans-IO crates, so that a build for the browser changes it in one place.

/// A point on the monotonic clock; always passed in, never read, by the sans-IO crates.
pub type Instant = std::time::Instant;
