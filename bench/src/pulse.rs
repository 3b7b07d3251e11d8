//! Heartbeats of all members of one thread, spread evenly over their period, as those of independent clients are.

use crate::dialect::Heartbeat;
use crate::frame::{self, Opcode};
use crate::load::Schedule;

/// Whose heartbeat is due, and when the next one is.
#[derive(Debug)]
pub(crate) struct Pulse {
    frame: Vec<u8>,
    /// Nanoseconds between two heartbeats of one member.
    period: u64,
    members: u64,
    /// Heartbeats so far, of all members.
    beats: u64,
}

impl Pulse {
    /// A pulse for this many members, at least one.
    pub(crate) fn new(heartbeat: Heartbeat, members: usize) -> Self {
        let mut text = Vec::new();
        frame::put(&mut text, Opcode::Text, heartbeat.text.as_bytes());
        Self { frame: text, period: heartbeat.period.as_nanos() as u64, members: members.max(1) as u64, beats: 0 }
    }

    /// The frame of a heartbeat.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// When the next heartbeat is to leave; none after the measurement.
    pub(crate) fn due(&self, schedule: &Schedule) -> Option<u64> {
        let offset = u128::from(self.beats) * u128::from(self.period) / u128::from(self.members);
        let due = schedule.start + offset as u64;
        (due < schedule.until).then_some(due)
    }

    /// The member whose heartbeat is to leave now.
    pub(crate) fn next(&mut self, schedule: &Schedule) -> Option<usize> {
        self.due(schedule).filter(|&due| due <= schedule.now())?;
        let member = self.beats % self.members;
        self.beats += 1;
        Some(member as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn each_member_beats_once_in_a_period() {
        let heartbeat = Heartbeat { text: "alive", period: Duration::from_millis(20) };
        let mut pulse = Pulse::new(heartbeat, 4);
        let origin = Instant::now().checked_sub(Duration::from_secs(60)).expect("the machine has run for a minute");
        let schedule = Schedule { origin, start: 0, from: 0, until: 40_000_000, give_up: 40_000_000 };

        let due: Vec<u64> = std::iter::from_fn(|| {
            let due = pulse.due(&schedule)?;
            pulse.next(&schedule).map(|_| due)
        })
        .collect();

        assert_eq!(due, [0, 5, 10, 15, 20, 25, 30, 35].map(|millis| millis * 1_000_000));
    }
}
