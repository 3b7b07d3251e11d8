//! When a request is resent and when it is given up (RFC 8489 §6.2).

use std::time::{Duration, Instant};

use super::Transport;

/// The times of retransmission.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retransmission {
    /// How long to wait for the first answer over UDP; doubled after each resend (RTO).
    pub first: Duration,
    /// How often a request is sent over UDP at most (Rc).
    pub sends: u32,
    /// How many times `first` the last send waits for its answer (Rm).
    pub last: u32,
    /// How long to wait for an answer over a stream, where nothing is resent (Ti).
    pub stream: Duration,
}

impl Default for Retransmission {
    /// The standard's times: sends at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s, and the end at 39.5 s.
    fn default() -> Self {
        Self { first: Duration::from_millis(500), sends: 7, last: 16, stream: Duration::from_millis(39_500) }
    }
}

impl Retransmission {
    /// Times for somebody who waits: sends at 0, 0.25, 0.75, 1.75 s, and the end at 3.75 s.
    pub const QUICK: Self =
        Self { first: Duration::from_millis(250), sends: 4, last: 8, stream: Duration::from_millis(3_750) };
}

/// The sends of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    times: Retransmission,
    sends: u32,
    due: Instant,
}

impl Attempt {
    /// The first send.
    pub(super) fn first(transport: Transport, times: Retransmission, now: Instant) -> Self {
        match transport {
            Transport::Datagram => Self { times, sends: 0, due: now }.sent(now),
            Transport::Stream => Self { times, sends: times.sends, due: now + times.stream },
        }
    }

    /// When something must be done.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Whether to send once more; else it is over.
    pub(super) fn again(&mut self, now: Instant) -> bool {
        let more = self.sends < self.times.sends;
        if more {
            *self = self.sent(now);
        }
        more
    }

    fn sent(self, now: Instant) -> Self {
        let sends = self.sends + 1;
        let factor = if sends >= self.times.sends { self.times.last } else { 1 << self.sends.min(16) };
        Self { sends, due: now + self.times.first * factor, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(transport: Transport, times: Retransmission) -> Vec<u128> {
        let start = Instant::now();
        let mut attempt = Attempt::first(transport, times, start);
        let mut found = Vec::new();
        loop {
            let due = attempt.due();
            found.push((due - start).as_millis());
            if !attempt.again(due) {
                return found;
            }
        }
    }

    #[test]
    fn resends_as_the_standard_says() {
        let expected = [500, 1_500, 3_500, 7_500, 15_500, 31_500, 39_500];
        assert_eq!(times(Transport::Datagram, Retransmission::default()), expected);
        assert_eq!(times(Transport::Datagram, Retransmission::QUICK), [250, 750, 1_750, 3_750]);
    }

    #[test]
    fn resends_nothing_over_a_stream() {
        assert_eq!(times(Transport::Stream, Retransmission::default()), [39_500]);
    }
}
