//! Deadlines of allocations in a heap with lazy entries: a refresh moves a deadline without touching the heap, and an entry
//! that comes due too early is put back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::allocation::Slot;

/// What is to be looked at, and when.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Slot)>>,
}

impl Timers {
    pub(super) fn add(&mut self, at: Instant, slot: Slot) {
        self.heap.push(Reverse((at, slot)));
    }

    /// The earliest deadline; it may turn out to be none.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out an entry that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<(Instant, Slot)> {
        let due = self.next().is_some_and(|at| at <= now);
        due.then(|| self.heap.pop()).flatten().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_due_comes_in_order_and_the_rest_waits() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let slot = Slot::FIRST;
        let mut timers = Timers::default();
        for seconds in [3, 1, 2] {
            timers.add(at(seconds), slot);
        }
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.due(at(2)), Some((at(1), slot)));
        assert_eq!(timers.due(at(2)), Some((at(2), slot)));
        assert_eq!(timers.due(at(2)), None);
        assert_eq!(timers.next(), Some(at(3)));
    }
}
