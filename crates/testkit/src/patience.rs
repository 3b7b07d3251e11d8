//! How long tests wait for what must happen.

use std::time::Duration;

/// How long a test waits for what must happen. Generous: it is an upper bound on a loaded machine, not a measure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future`, at most [`PATIENCE`].
///
/// # Panics
/// With `what` when the time is over.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}
