//! How many answers go to who has shown no password: the source of a datagram can be forged, and then every answer hits
//! somebody else (reflection). Beyond the budget there is silence.

use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::time::Instant;

use foldhash::quality::FixedState;

use crate::address::prefix;

/// So many per second, after as many at once as the burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Zero is no limit.
    pub per_second: u32,
    /// At least 1.
    pub burst: u32,
}

impl Default for Rate {
    fn default() -> Self {
        // At 68 bytes an answer, 14 kB/s to a /24 from all workers together. A page that gathers asks for some ten; a campus behind one /24 reloads
        // a hundred pages at once.
        Self { per_second: 200, burst: 1_000 }
    }
}

/// The least that a worker's share of a rate is, however many there are: a page's questions at once, and a few a second to
/// repeat what was lost. The shares of up to 20 workers add up to the default, not more.
const LEAST: Rate = Rate { per_second: 10, burst: 50 };

impl Rate {
    /// What one of so many workers may answer, so that all of them together keep to the rate. The kernel deals out clients by
    /// address and port, so a network with many clients is spread evenly, and a single client has one worker's share.
    pub(crate) fn share(self, workers: u8) -> Self {
        let part = |whole: u32, least: u32| (whole / u32::from(workers.max(1))).max(least.min(whole));
        Self { per_second: part(self.per_second, LEAST.per_second), burst: part(self.burst, LEAST.burst) }
    }
}

/// Buckets in a row: 8 bytes each, 128 KiB in all, whatever arrives.
const BUCKETS: usize = 8_192;

/// Token buckets of the networks that answers go to: IPv4 by /24, IPv6 by /56, as one site commonly has (RFC 6177).
///
/// There is no entry for a network, only a table that never grows: each network falls, by a keyed hash, into one bucket of
/// each of two rows, and is answered while one of them has something left. So a flood in the name of one network silences
/// that network, and another only if it shares both buckets with floods: of 100 flooded networks, one in 7,000.
#[derive(Clone)]
pub struct Budget {
    rate: Rate,
    hasher: FixedState,
    /// Nanoseconds after [`Self::start`] at which everything answered so far would be worked off (the generic cell rate
    /// algorithm, ITU-T I.371).
    rows: [Box<[u64]>; 2],
    start: Option<Instant>,
}

impl Budget {
    /// All buckets full. The `seed` keys the hash, which need not be strong: who wants to silence a network forges its own
    /// addresses, not those of another one in its buckets.
    pub fn new(rate: Rate, seed: [u8; 32]) -> Self {
        let key = seed.iter().fold(0_u64, |key, byte| key.rotate_left(8) ^ u64::from(*byte));
        Self { rate, hasher: FixedState::with_seed(key), rows: [(); 2].map(|()| vec![0; BUCKETS].into()), start: None }
    }

    /// Whether one more answer may go to `ip`; counts it if so.
    pub fn allows(&mut self, ip: IpAddr, now: Instant) -> bool {
        if self.rate.per_second == 0 {
            return true;
        }
        let now = now.saturating_duration_since(*self.start.get_or_insert(now)).as_nanos() as u64;
        let interval = 1_000_000_000 / u64::from(self.rate.per_second);
        let tolerated = interval * u64::from(self.rate.burst.max(1));
        let hash = self.hasher.hash_one(prefix(ip, 24, 56)) as usize;
        let [one, other] = &mut self.rows;
        let (one, other) = (&mut one[hash % BUCKETS], &mut other[hash / BUCKETS % BUCKETS]);
        let next = |bucket: u64| bucket.max(now) + interval;
        let allowed = next(*one).min(next(*other)) <= now + tolerated;
        if allowed {
            // A bucket that others have emptied owes one answer at most, or it would stay empty for good.
            *one = next(*one).min(now + tolerated + interval);
            *other = next(*other).min(now + tolerated + interval);
        }
        allowed
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("rate", &self.rate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 20 };

    fn budget() -> (Budget, Instant) {
        (Budget::new(RATE, [3; 32]), Instant::now())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn answers(budget: &mut Budget, ip: IpAddr, now: Instant) -> usize {
        (0..1_000).filter(|_| budget.allows(ip, now)).count()
    }

    #[test]
    fn lets_a_burst_pass_and_then_the_rate() {
        let (mut budget, now) = budget();
        assert_eq!(answers(&mut budget, ip("8.8.8.8"), now), 20);
        assert_eq!(answers(&mut budget, ip("8.8.8.8"), now + Duration::from_millis(500)), 5);
        assert_eq!(answers(&mut budget, ip("8.8.8.8"), now + Duration::from_secs(60)), 20);
    }

    #[test]
    fn counts_a_network_as_one() {
        let (mut budget, now) = budget();
        for (first, second) in
            [("8.8.8.1", "8.8.8.255"), ("2600:0:0:100::1", "2600:0:0:1ff::2"), ("::ffff:9.9.9.1", "9.9.9.9")]
        {
            assert_eq!(answers(&mut budget, ip(first), now), 20, "{first}");
            assert_eq!(answers(&mut budget, ip(second), now), 0, "{second}");
        }
        assert_eq!(answers(&mut budget, ip("8.8.9.1"), now), 20);
        assert_eq!(answers(&mut budget, ip("2600:0:0:200::1"), now), 20);
    }

    #[test]
    fn floods_in_the_name_of_some_networks_leave_the_others_alone() {
        let (mut budget, now) = budget();
        for network in 0..100_u8 {
            answers(&mut budget, IpAddr::from([11, 0, network, 1]), now);
        }
        let silenced = (0..10_000_u16).filter(|network| {
            let [high, low] = network.to_be_bytes();
            !budget.clone().allows(IpAddr::from([12, high, low, 1]), now)
        });
        let silenced = silenced.count();
        assert!(silenced <= 10, "{silenced} of 10,000");
    }

    #[test]
    fn does_not_grow() {
        let (mut budget, now) = budget();
        for source in 0..100_000_u32 {
            budget.allows(IpAddr::V4(source.wrapping_mul(2_654_435_761).into()), now);
        }
        assert_eq!(budget.rows.iter().map(|row| row.len()).collect::<Vec<_>>(), [BUCKETS; 2]);
    }

    #[test]
    fn the_shares_of_all_workers_are_the_whole_and_one_is_never_too_small() {
        let whole = Rate::default();
        assert_eq!((whole.share(1), whole.share(0)), (whole, whole));
        assert_eq!(whole.share(4), Rate { per_second: 50, burst: 250 });
        assert_eq!(whole.share(20), LEAST);
        assert_eq!(whole.share(128), LEAST);
        let (none, little) = (Rate { per_second: 0, burst: 0 }, Rate { per_second: 3, burst: 20 });
        assert_eq!((none.share(8), little.share(8)), (none, little));
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let mut budget = Budget::new(Rate { per_second: 0, burst: 0 }, [0; 32]);
        assert_eq!(answers(&mut budget, ip("8.8.8.8"), Instant::now()), 1_000);
    }

    proptest! {
        #[test]
        fn no_network_gets_more_than_its_rate(waits in proptest::collection::vec(0_u64..300, 1..300), crowd in 0_u8..200) {
            let start = Instant::now();
            let mut budget = Budget::new(RATE, [5; 32]);
            let (mut now, mut answered) = (start, 0_u32);
            for wait in waits {
                now += Duration::from_millis(wait);
                for other in 0..crowd {
                    budget.allows(IpAddr::from([11, 0, other, 1]), now);
                }
                answered += u32::from(budget.allows(ip("8.8.8.8"), now));
            }
            let allowed = f64::from(RATE.burst) + (now - start).as_secs_f64() * f64::from(RATE.per_second);
            prop_assert!(f64::from(answered) <= allowed + 1.0, "{answered} of {allowed}");
        }
    }
}
