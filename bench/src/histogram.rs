//! Counts of durations in buckets whose width grows with the duration: percentiles at a fixed cost per message.
//!
//! Each power of two is cut into 128 buckets, so a percentile is at most 0.8 % above the true one.

use std::time::Duration;

const SUB_BITS: u32 = 7;
const SUB_BUCKETS: u64 = 1 << SUB_BITS;
/// Longer durations (about 69 s) count as this one. No run lasts that long.
const MAX_NANOS: u64 = (1 << 36) - 1;
const BUCKETS: usize = bucket(MAX_NANOS) + 1;

/// Durations of one run; merges with those of the other generator threads.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
}

impl Histogram {
    /// An empty histogram.
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0 }
    }

    /// Counts one duration.
    pub(crate) fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos.min(MAX_NANOS))] += 1;
        self.total += 1;
    }

    /// Counts `times` messages that never arrived: they are slower than every other.
    pub(crate) fn record_lost(&mut self, times: u64) {
        self.counts[BUCKETS - 1] += times;
        self.total += times;
    }

    /// Adds what another thread counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// The duration that `quantile` (0 to 1) of all stay at or below, by nearest rank; zero when nothing was counted.
    pub(crate) fn quantile(&self, quantile: f64) -> Duration {
        let rank = ((self.total as f64 * quantile).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper_bound(index));
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a duration: exact below 128 ns, then 128 buckets for each power of two.
const fn bucket(nanos: u64) -> usize {
    if nanos < SUB_BUCKETS {
        return nanos as usize;
    }
    let shift = 63 - nanos.leading_zeros() - SUB_BITS;
    ((shift as u64 + 1) * SUB_BUCKETS + ((nanos >> shift) - SUB_BUCKETS)) as usize
}

/// The longest duration that falls into bucket `index`.
fn upper_bound(index: usize) -> u64 {
    let (power, within) = (index as u64 / SUB_BUCKETS, index as u64 % SUB_BUCKETS);
    match power {
        0 => within,
        _ => ((SUB_BUCKETS + within + 1) << (power - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_contiguous_and_contain_their_bounds() {
        for index in 0..BUCKETS {
            assert_eq!(bucket(upper_bound(index)), index);
            assert_eq!(bucket(upper_bound(index).wrapping_add(1).min(MAX_NANOS)), (index + 1).min(BUCKETS - 1));
        }
    }

    #[test]
    fn percentiles_are_within_one_percent_of_the_exact_ones() {
        let mut histogram = Histogram::new();
        let mut exact: Vec<u64> = (0..20_000u64).map(|i| 300 + (i * 7_919) % 9_999_991).collect();
        for &nanos in &exact {
            histogram.record(nanos);
        }
        exact.sort_unstable();

        for quantile in [0.001, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let rank = (exact.len() as f64 * quantile).ceil() as usize;
            let (true_value, found) = (exact[rank - 1] as f64, histogram.quantile(quantile).as_nanos() as f64);
            assert!((true_value..=true_value * 1.01).contains(&found), "{quantile}: {found} for {true_value}");
        }
    }

    #[test]
    fn lost_messages_are_the_slowest() {
        let mut histogram = Histogram::new();
        for _ in 0..98 {
            histogram.record(1_000);
        }
        histogram.record_lost(2);

        assert_eq!(histogram.total, 100);
        assert!(histogram.quantile(0.98) < Duration::from_micros(2));
        assert!(histogram.quantile(0.99) > Duration::from_secs(60));
    }

    #[test]
    fn merging_equals_counting_together() {
        let (mut left, mut right, mut both) = (Histogram::new(), Histogram::new(), Histogram::new());
        for nanos in 0..5_000 {
            if nanos % 3 == 0 {
                left.record(nanos)
            } else {
                right.record(nanos)
            }
            both.record(nanos);
        }

        left.merge(&right);

        assert_eq!((left.total, left.counts), (both.total, both.counts));
    }

    #[test]
    fn an_empty_histogram_answers_zero() {
        assert_eq!(Histogram::new().quantile(0.5), Duration::ZERO);
    }
}
