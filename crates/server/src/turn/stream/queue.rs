//! What waits for one client to read it, bounded by bytes and by age.
//!
//! A stream that is slower than what is relayed into it must lose something, as UDP would: the oldest datagrams, for they are of
//! the least use to a call. Answers are not lost; a client that asks and does not read the answers is given up. A frame that
//! has begun to leave is finished, or the client could not understand anything after it.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::{Duration, Instant};

/// Whether a frame may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::turn) enum Kind {
    /// An answer.
    Answer,
    /// A relayed datagram.
    Datagram,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(in crate::turn) struct Bounds {
    pub(in crate::turn) bytes: usize,
    pub(in crate::turn) age: Duration,
}

/// Answers alone fill the queue: the client does not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client does not read the answers to what it asks")]
pub(in crate::turn) struct Unread;

#[derive(Debug)]
struct Frame {
    bytes: Box<[u8]>,
    kind: Kind,
    since: Instant,
}

/// The frames, oldest first.
#[derive(Debug, Default)]
pub(in crate::turn) struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Bytes of the first frame that have left.
    begun: usize,
}

impl Queue {
    /// Whether nothing waits.
    pub(in crate::turn) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Appends a frame. Returns how many datagrams had to go for it, itself included.
    ///
    /// # Errors
    /// It is an answer, and there is no place even without the datagrams.
    pub(in crate::turn) fn push(
        &mut self,
        frame: &[u8],
        kind: Kind,
        bounds: Bounds,
        now: Instant,
    ) -> Result<usize, Unread> {
        let mut dropped = self.drop_old(bounds.age, now);
        while self.bytes + frame.len() > bounds.bytes {
            match (self.oldest_datagram(), kind) {
                (Some(index), _) => {
                    self.remove(index);
                    dropped += 1;
                }
                (None, Kind::Datagram) => return Ok(dropped + 1),
                (None, Kind::Answer) => return Err(Unread),
            }
        }
        self.bytes += frame.len();
        self.frames.push_back(Frame { bytes: frame.into(), kind, since: now });
        Ok(dropped)
    }

    /// Drops datagrams that are older than `age`, and returns how many.
    pub(in crate::turn) fn drop_old(&mut self, age: Duration, now: Instant) -> usize {
        let mut dropped = 0;
        while let Some(index) = self.oldest_datagram()
            && now.saturating_duration_since(self.frames[index].since) > age
        {
            self.remove(index);
            dropped += 1;
        }
        dropped
    }

    /// Up to `slices.len()` pieces and `most` bytes of what is next; returns how many pieces.
    pub(in crate::turn) fn next<'a>(&'a self, slices: &mut [IoSlice<'a>], most: usize) -> usize {
        let mut bytes = 0;
        let mut count = 0;
        let mut begun = self.begun;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            let rest = &frame.bytes[begun..];
            begun = 0;
            if count > 0 && bytes + rest.len() > most {
                break;
            }
            *slice = IoSlice::new(rest);
            bytes += rest.len();
            count += 1;
        }
        count
    }

    /// Removes `written` bytes from the front.
    pub(in crate::turn) fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.frames.front() {
            let rest = first.bytes.len() - self.begun;
            if written < rest {
                self.begun += written;
                return;
            }
            written -= rest;
            self.remove(0);
            self.begun = 0;
        }
    }

    /// The first datagram of which nothing has left.
    fn oldest_datagram(&self) -> Option<usize> {
        let first = usize::from(self.begun > 0);
        (first..self.frames.len()).find(|index| self.frames[*index].kind == Kind::Datagram)
    }

    fn remove(&mut self, index: usize) {
        if let Some(frame) = self.frames.remove(index) {
            self.bytes -= frame.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 100, age: Duration::from_millis(100) };

    fn content(queue: &Queue) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let count = queue.next(&mut slices, usize::MAX);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn the_oldest_datagrams_go_first_and_answers_stay() {
        let now = Instant::now();
        let mut queue = Queue::default();
        assert_eq!(queue.push(&[1; 40], Kind::Datagram, BOUNDS, now), Ok(0));
        assert_eq!(queue.push(&[2; 40], Kind::Answer, BOUNDS, now), Ok(0));
        assert_eq!(queue.push(&[3; 40], Kind::Datagram, BOUNDS, now), Ok(1));
        assert_eq!(content(&queue), [[2; 40], [3; 40]].concat());
    }

    #[test]
    fn old_datagrams_go_although_there_is_place() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.push(&[1; 4], Kind::Datagram, BOUNDS, now).expect("place");
        queue.push(&[2; 4], Kind::Answer, BOUNDS, now).expect("place");
        let later = now + Duration::from_millis(101);
        assert_eq!(queue.push(&[3; 4], Kind::Datagram, BOUNDS, later), Ok(1));
        assert_eq!(content(&queue), [[2; 4], [3; 4]].concat());
    }

    #[test]
    fn a_frame_that_has_begun_is_finished() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.push(&[1; 60], Kind::Datagram, BOUNDS, now).expect("place");
        queue.advance(10);
        queue.push(&[2; 40], Kind::Datagram, BOUNDS, now).expect("place");
        assert_eq!(queue.push(&[3; 40], Kind::Datagram, BOUNDS, now + Duration::from_secs(1)), Ok(1));
        assert_eq!(content(&queue), [&[1; 50][..], &[3; 40]].concat());
        assert_eq!(queue.push(&[4; 41], Kind::Datagram, BOUNDS, now + Duration::from_secs(1)), Ok(2), "no place");
        queue.advance(50);
        assert!(queue.is_empty());
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn a_client_that_reads_no_answers_is_given_up() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.push(&[1; 60], Kind::Answer, BOUNDS, now).expect("place");
        assert_eq!(queue.push(&[2; 60], Kind::Answer, BOUNDS, now), Err(Unread));
        assert_eq!(queue.push(&[2; 60], Kind::Datagram, BOUNDS, now), Ok(1));
    }

    #[test]
    fn pieces_keep_to_what_is_asked_for_but_one_always_goes() {
        let now = Instant::now();
        let mut queue = Queue::default();
        for _ in 0..3 {
            queue.push(&[1; 30], Kind::Datagram, BOUNDS, now).expect("place");
        }
        let count = |queue: &Queue, most| queue.next(&mut [IoSlice::new(&[]); 64], most);
        assert_eq!(count(&queue, 70), 2);
        assert_eq!(count(&queue, 1), 1);
        queue.advance(45);
        let mut slices = [IoSlice::new(&[]); 64];
        let count = queue.next(&mut slices, usize::MAX);
        assert_eq!(slices[..count].iter().map(|slice| slice.len()).collect::<Vec<_>>(), [15, 30]);
    }
}
