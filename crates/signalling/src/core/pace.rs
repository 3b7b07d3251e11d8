//! How fast a sender may send: a meter that never refuses, but says when to read on.

use std::time::Duration;

use switchboard_wire::Instant;

use super::config::Rate;

/// When the next message may be read; at once if nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Pace {
    /// Do not read from this connection before then.
    pub resume_at: Option<Instant>,
}

impl Pace {
    /// The later of two.
    pub(super) fn or_later(self, other: Self) -> Self {
        Self { resume_at: self.resume_at.max(other.resume_at) }
    }
}

/// A token bucket kept as one instant, the virtual time at which everything sent so far would be worked off (the generic
/// cell rate algorithm, ITU-T I.371).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    idle_at: Option<Instant>,
}

impl Meter {
    /// Adds `cost` messages and says when to read on.
    pub(super) fn charge(&mut self, rate: Rate, cost: u32, now: Instant) -> Pace {
        if rate.per_second == 0 {
            return Pace::default();
        }
        let interval = Duration::from_nanos(1_000_000_000 / u64::from(rate.per_second));
        let idle_at = self.idle_at.map_or(now, |at| at.max(now)) + interval * cost;
        self.idle_at = Some(idle_at);
        let tolerated = interval * rate.burst;
        let resume_at = idle_at.checked_sub(tolerated).filter(|at| *at > now);
        Pace { resume_at }
    }

    /// Adds `cost` messages if that many may come now; says whether it did.
    pub(super) fn admits(&mut self, rate: Rate, cost: u32, now: Instant) -> bool {
        let mut after = *self;
        let admitted = after.charge(rate, cost, now).resume_at.is_none();
        if admitted {
            *self = after;
        }
        admitted
    }

    /// When the bucket is full again; none if it was never used.
    pub(super) fn idle_at(&self) -> Option<Instant> {
        self.idle_at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 5 };

    #[test]
    fn lets_a_burst_pass_and_then_spaces_messages() {
        let (mut meter, now) = (Meter::default(), Instant::now());
        for _ in 0..5 {
            assert_eq!(meter.charge(RATE, 1, now).resume_at, None);
        }
        assert_eq!(meter.charge(RATE, 1, now).resume_at, Some(now + Duration::from_millis(100)));
    }

    #[test]
    fn forgives_after_a_pause() {
        let (mut meter, now) = (Meter::default(), Instant::now());
        let _ = meter.charge(RATE, 100, now);
        assert_eq!(meter.charge(RATE, 1, now + Duration::from_secs(11)).resume_at, None);
    }

    #[test]
    fn admits_what_fits_and_forgets_what_does_not() {
        let (mut meter, now) = (Meter::default(), Instant::now());
        assert!(!meter.admits(RATE, 6, now));
        assert!(meter.admits(RATE, 5, now));
        assert!(!meter.admits(RATE, 1, now));
        assert!(meter.admits(RATE, 1, now + Duration::from_millis(100)));
    }

    #[test]
    fn a_rate_of_zero_means_no_limit() {
        let (mut meter, now) = (Meter::default(), Instant::now());
        let unlimited = Rate { per_second: 0, burst: 0 };
        assert_eq!(meter.charge(unlimited, u32::MAX, now), Pace::default());
    }

    proptest! {
        #[test]
        fn a_sender_that_waits_never_exceeds_its_rate(waits in proptest::collection::vec(0u64..300, 1..200)) {
            let start = Instant::now();
            let (mut meter, mut now) = (Meter::default(), start);
            for (sent, wait) in waits.iter().enumerate() {
                now += Duration::from_millis(*wait);
                if let Some(at) = meter.charge(RATE, 1, now).resume_at {
                    now = at;
                }
                let allowed = RATE.burst as f64 + (now - start).as_secs_f64() * f64::from(RATE.per_second);
                prop_assert!((sent + 1) as f64 <= allowed + 1.0);
            }
        }
    }
}
