//! What is shown to a person at a terminal while the answers are awaited: a line that is taken away again.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often the line is drawn.
const TICK: Duration = Duration::from_millis(100);

/// How much of it is done.
#[derive(Debug)]
pub(crate) struct Progress {
    total: usize,
    done: AtomicUsize,
    since: Instant,
    shown: bool,
}

impl Progress {
    /// Nothing of `total` is done.
    pub(crate) fn new(total: usize) -> Self {
        Self { total, done: AtomicUsize::new(0), since: Instant::now(), shown: io::stderr().is_terminal() }
    }

    /// One more is done.
    pub(crate) fn done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Draws the line again and again, for ever.
    pub(crate) async fn show(&self) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            if self.shown {
                let line = line(self.done.load(Ordering::Relaxed), self.total, self.since.elapsed());
                // A line that cannot be drawn is no reason to stop.
                let _ = write!(io::stderr(), "\r\x1b[2K{line}");
            }
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

fn line(done: usize, total: usize, elapsed: Duration) -> String {
    format!("  Asking: {done} of {total} ways examined, {:.1} s", elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_much_is_done_and_how_long_it_took() {
        assert_eq!(line(2, 5, Duration::from_millis(1_250)), "  Asking: 2 of 5 ways examined, 1.2 s");
    }
}
