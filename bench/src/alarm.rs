//! A timer in an epoll set that wakes its loop to the nanosecond; the timeout of `epoll_wait` counts in milliseconds, and
//! would make an open loop send in bursts.

use anyhow::Result;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};

/// What the timer is called in the epoll set.
pub(crate) const ALARM: u64 = u64::MAX;

/// Goes off once each time it is set.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: OwnedFd,
    /// What it is set to, in nanoseconds of the caller's time.
    at: u64,
}

impl Alarm {
    /// A timer in `set`, not set to anything.
    pub(crate) fn new(set: &OwnedFd) -> Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        epoll::add(set, &timer, epoll::EventData::new_u64(ALARM), epoll::EventFlags::IN)?;
        Ok(Self { timer, at: 0 })
    }

    /// Goes off at `at`, or at once if that is over. Setting it again also takes back that it went off.
    pub(crate) fn set(&mut self, at: u64, now: u64) -> Result<()> {
        if at == self.at && at > now {
            return Ok(());
        }
        self.at = at;
        // Zero would disarm it.
        let wait = at.saturating_sub(now).max(1);
        let it_value = Timespec { tv_sec: (wait / 1_000_000_000) as i64, tv_nsec: (wait % 1_000_000_000) as i64 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        Ok(timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).map(drop)?)
    }
}
