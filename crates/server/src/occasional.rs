//! How often one and the same is worth a line in the log. What strangers can cause must not fill the operator's disk, and
//! costs less than a line before anything of it is formatted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The least time between two lines of one reason.
const PAUSE: Duration = Duration::from_secs(60);

/// One reason for a line, shared by all threads that may write it.
#[derive(Debug)]
pub(crate) struct Occasional {
    since: Instant,
    /// Milliseconds from `since` to the next line.
    next: AtomicU64,
    /// How often there was reason since the last one.
    passed: AtomicU64,
}

impl Default for Occasional {
    fn default() -> Self {
        Self { since: Instant::now(), next: AtomicU64::new(0), passed: AtomicU64::new(0) }
    }
}

impl Occasional {
    /// Whether a line is due: then how often there was reason since the last one, this time included.
    pub(crate) fn take(&self, now: Instant) -> Option<u64> {
        let now = now.saturating_duration_since(self.since).as_millis() as u64;
        let times = self.passed.fetch_add(1, Ordering::Relaxed) + 1;
        let next = self.next.load(Ordering::Relaxed);
        if now < next {
            return None;
        }
        let later = now + PAUSE.as_millis() as u64;
        // Of several threads one writes.
        self.next.compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        self.passed.store(0, Ordering::Relaxed);
        Some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_minute_says_how_often_there_was_reason() {
        let occasional = Occasional::default();
        let at = |seconds| occasional.since + Duration::from_secs(seconds);
        assert_eq!(occasional.take(at(0)), Some(1));
        assert_eq!((occasional.take(at(1)), occasional.take(at(59))), (None, None));
        assert_eq!(occasional.take(at(60)), Some(3));
        assert_eq!(occasional.take(at(61)), None);
    }

    #[test]
    fn of_several_threads_one_writes() {
        let occasional = Occasional::default();
        let written = std::thread::scope(|scope| {
            let takes = |_| scope.spawn(|| occasional.take(occasional.since).is_some());
            let threads: Vec<_> = (0..8).map(takes).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).filter(|due| *due).count()
        });
        assert_eq!(written, 1);
    }
}
