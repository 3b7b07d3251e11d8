//! How often an address may ask for what costs the server more than it costs to ask.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use switchboard_signalling::core::{AddressKey, Rate};

/// Addresses that are remembered: a megabyte of them. Each is forgotten when its debt is paid.
const ADDRESSES: usize = 10_000;

/// The budgets of all addresses, as token buckets kept as one instant each (the generic cell rate algorithm, ITU-T I.371).
#[derive(Debug)]
pub(crate) struct Budgets {
    interval: Duration,
    burst: u32,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    /// When everything that an address asked so far would be worked off.
    idle_at: HashMap<AddressKey, Instant>,
    /// Do not look for addresses to forget before then.
    swept_until: Option<Instant>,
}

impl Budgets {
    /// Gives each address this rate, which is not 0.
    pub(crate) fn new(rate: Rate) -> Self {
        let interval = Duration::from_secs(1) / rate.per_second.max(1);
        Self { interval, burst: rate.burst, asked: Mutex::default() }
    }

    /// Takes note of a request, or says how long the address has to wait.
    pub(crate) fn take(&self, address: AddressKey, now: Instant) -> Result<(), Duration> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.idle_at.len() >= ADDRESSES && !asked.idle_at.contains_key(&address) {
            asked.forget_idle(now);
            if asked.idle_at.len() >= ADDRESSES {
                return Err(self.interval);
            }
        }
        let held = asked.idle_at.get(&address).copied().unwrap_or(now).max(now);
        let idle_at = held + self.interval;
        let tolerated = now + self.interval * self.burst;
        if idle_at > tolerated {
            return Err(idle_at - tolerated);
        }
        asked.idle_at.insert(address, idle_at);
        Ok(())
    }
}

impl Asked {
    /// At most once a second, for each time looks at all of them.
    fn forget_idle(&mut self, now: Instant) {
        if self.swept_until.is_none_or(|until| until <= now) {
            self.idle_at.retain(|_, idle_at| *idle_at > now);
            self.swept_until = Some(now + Duration::from_secs(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use switchboard_signalling::core::ClientAddr;

    use super::*;

    fn key(number: u32) -> AddressKey {
        ClientAddr::new(Ipv4Addr::from_bits(number).into()).key()
    }

    const RATE: Rate = Rate { per_second: 10, burst: 5 };

    #[test]
    fn an_address_may_ask_a_few_times_at_once_and_then_at_its_rate() {
        let (budgets, now) = (Budgets::new(RATE), Instant::now());
        for _ in 0..5 {
            assert_eq!(budgets.take(key(1), now), Ok(()));
        }
        assert_eq!(budgets.take(key(1), now), Err(Duration::from_millis(100)));
        assert_eq!(budgets.take(key(2), now), Ok(()), "others have their own");
        assert_eq!(budgets.take(key(1), now + Duration::from_millis(100)), Ok(()));
        assert!(budgets.take(key(1), now + Duration::from_millis(100)).is_err());
    }

    #[test]
    fn who_is_remembered_is_bounded_and_forgotten_in_time() {
        let (budgets, now) = (Budgets::new(RATE), Instant::now());
        for number in 0..ADDRESSES as u32 {
            assert_eq!(budgets.take(key(number), now), Ok(()));
        }
        assert!(budgets.take(key(u32::MAX), now).is_err(), "full");
        assert_eq!(budgets.take(key(1), now), Ok(()), "who is known is served");
        let later = now + Duration::from_secs(2);
        assert_eq!(budgets.take(key(u32::MAX), later), Ok(()));
        assert_eq!(budgets.asked.lock().expect("lock").idle_at.len(), 1);
    }
}
