//! How much an allocation may send in one direction: a token bucket of bytes.

use std::time::{Duration, Instant};

/// Bytes that may go at once however small the rate is, so that a key frame passes.
const LEAST_BURST: u64 = 64 * 1024;

/// One direction of one allocation. A burst is what a second gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    left: u64,
    at: Instant,
}

impl Meter {
    /// A full one.
    pub(super) fn new(rate: u64, now: Instant) -> Self {
        Self { left: burst(rate), at: now }
    }

    /// Whether so many bytes may go now.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize, rate: u64, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).min(Duration::from_secs(3600));
        let earned = (passed.as_nanos() * u128::from(rate) / 1_000_000_000) as u64;
        // What is less than a byte stays in the clock.
        if earned > 0 {
            self.left = (self.left + earned).min(burst(rate));
            self.at = now;
        }
        let bytes = bytes as u64;
        let enough = self.left >= bytes;
        self.left -= if enough { bytes } else { 0 };
        enough
    }
}

fn burst(rate: u64) -> u64 {
    rate.max(LEAST_BURST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_a_burst_pass_and_then_the_rate() {
        let start = Instant::now();
        let mut meter = Meter::new(100_000, start);
        assert!(meter.take(100_000, 100_000, start));
        assert!(!meter.take(1, 100_000, start));
        assert!(meter.take(1_000, 100_000, start + Duration::from_millis(10)));
        assert!(!meter.take(1, 100_000, start + Duration::from_millis(10)));
    }

    #[test]
    fn saves_no_more_than_a_burst() {
        let start = Instant::now();
        let mut meter = Meter::new(100_000, start);
        let later = start + Duration::from_secs(9);
        assert!(!meter.take(100_001, 100_000, later));
        assert!(meter.take(100_000, 100_000, later));
    }

    #[test]
    fn many_short_steps_earn_what_one_long_step_does() {
        let start = Instant::now();
        let mut meter = Meter::new(1_000, start);
        assert!(meter.take(64 * 1024, 1_000, start));
        for step in 1..=10_000_u64 {
            assert!(!meter.take(64 * 1024, 1_000, start + Duration::from_micros(step * 100)));
        }
        assert!(meter.take(1_000, 1_000, start + Duration::from_secs(1)));
    }
}
