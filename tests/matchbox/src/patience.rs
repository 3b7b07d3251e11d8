//! Waiting, with an end.

use std::future::Future;
use std::time::Duration;

/// How long anything may take on a machine that does other things as well; a client tries again after 3 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that comes soon, or says what did not.
///
/// # Panics
/// If it does not come.
pub async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    let late = async {
        smol::Timer::after(PATIENCE).await;
        panic!("{what} did not come within {PATIENCE:?}");
    };
    smol::future::or(event, late).await
}
