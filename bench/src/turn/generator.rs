//! The load: one thread that never sleeps, so that waking it costs the server nothing. It counts its idle time instead.
//!
//! A train of a flow leaves in one call, segmented by the kernel; what arrived together is read in one call.

use super::datagram::LARGEST;
use super::ends::Ends;
use super::lane::Lane;
use super::workload::Workload;
use crate::load::{Schedule, Tally};
use crate::machine::thread_cpu;
use crate::usage::{Snapshot, Usage};
use anyhow::{Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use std::collections::VecDeque;
use std::time::Duration;

const EVENTS: usize = 64;
/// A flow whose packets have not come back for this long has lost them (closed loop), in nanoseconds.
const LOST_AFTER: u64 = 400_000_000;
/// How often flows are looked at for losses, in nanoseconds.
const LOOK_EVERY: u64 = 20_000_000;

/// What one run showed.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) tally: Tally,
    /// Time of the measurement in which there was nothing to receive and nothing to send.
    pub(crate) idle: Duration,
    /// Packets that came after later ones of their flow.
    pub(crate) late: u64,
}

/// When packets leave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pacing {
    /// As long as fewer than so many are on the way.
    Window(usize),
    /// So many a second.
    Rate(f64),
}

/// The flows of one run.
#[derive(Debug)]
pub(crate) struct Generator<'a> {
    ends: &'a Ends,
    lanes: Vec<Lane>,
    pacing: Pacing,
    burst: usize,
    epoll: OwnedFd,
    /// Closed loop: flows that may send, and the most that one may have on the way.
    ready: VecDeque<usize>,
    is_ready: Vec<bool>,
    share: usize,
    in_flight: usize,
    /// Open loop: trains sent so far.
    trains: u64,
    sent: u64,
    received: u64,
    seen: Seen,
    /// When something last arrived, and when losses were last looked for.
    last_arrival: u64,
    last_look: u64,
}

impl<'a> Generator<'a> {
    /// Prepares the flows of `workload` between `ends`.
    pub(crate) fn new(ends: &'a Ends, workload: &Workload, pacing: Pacing, is_relayed: bool) -> Result<Self> {
        let lanes = ends.lanes(workload, is_relayed)?;
        let (burst, flows) = (workload.pattern.burst(), lanes.len());
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for number in 0..flows {
            let data = epoll::EventData::new_u64(number as u64);
            epoll::add(&epoll, ends.to(number), data, epoll::EventFlags::IN)?;
        }
        let share = match pacing {
            Pacing::Window(window) => window.div_ceil(flows).next_multiple_of(burst),
            Pacing::Rate(_) => usize::MAX,
        };
        Ok(Self {
            ends,
            lanes,
            pacing,
            burst,
            epoll,
            ready: (0..flows).collect(),
            is_ready: vec![true; flows],
            share,
            in_flight: 0,
            trains: 0,
            sent: 0,
            received: 0,
            seen: Seen { tally: Tally::new(), idle: Duration::ZERO, late: 0 },
            last_arrival: 0,
            last_look: 0,
        })
    }

    /// Runs the load, and has `snapshot` taken at both ends of the measurement.
    pub(crate) fn run(
        mut self,
        schedule: &Schedule,
        mut snapshot: impl FnMut() -> Result<Snapshot>,
    ) -> Result<(Seen, Usage)> {
        let (mut events, mut buffer) = (Vec::with_capacity(EVENTS), vec![0; LARGEST]);
        let (mut first, mut last) = (None, None);
        let (mut idle, mut now) = (0, schedule.now());
        while now < schedule.start {
            now = schedule.now();
        }
        self.last_arrival = now;
        loop {
            let began = now;
            let sent = if began < schedule.until { self.send(began, schedule)? } else { false };
            let arrived = self.receive(schedule, &mut events, &mut buffer)?;
            self.find_losses(began);
            now = schedule.now();
            if schedule.measures(now) && first.is_none() {
                first = Some((snapshot()?, thread_cpu()));
                now = schedule.now();
            } else if schedule.measures(began) {
                idle += if sent || arrived { 0 } else { now - began };
            } else if now >= schedule.until {
                if last.is_none() {
                    last = Some((snapshot()?, thread_cpu()));
                }
                let gave_up = now.saturating_sub(self.last_arrival.max(schedule.until)) > LOST_AFTER;
                if self.received >= self.sent || gave_up || now >= schedule.give_up {
                    break;
                }
            }
        }
        let ((from, cpu_from), (until, cpu_until)) = first.zip(last).context("a round took no snapshots")?;
        self.seen.tally.cpu = cpu_until.saturating_sub(cpu_from);
        self.seen.idle = Duration::from_nanos(idle);
        self.seen.tally.lost = self.sent.saturating_sub(self.received);
        self.seen.tally.latency.record_lost(self.seen.tally.lost);
        Ok((self.seen, from.usage(&until)))
    }

    fn send(&mut self, now: u64, schedule: &Schedule) -> Result<bool> {
        match self.pacing {
            Pacing::Window(window) => self.send_ready(window, now),
            Pacing::Rate(rate) => self.send_due(rate, schedule),
        }
    }

    fn send_ready(&mut self, window: usize, now: u64) -> Result<bool> {
        let mut any = false;
        while self.in_flight + self.burst <= window.max(self.burst)
            && let Some(number) = self.ready.pop_front()
        {
            self.is_ready[number] = false;
            if !self.send_train(number, now, now)? {
                self.make_ready(number);
                break;
            }
            any = true;
            self.make_ready(number);
        }
        Ok(any)
    }

    fn send_due(&mut self, rate: f64, schedule: &Schedule) -> Result<bool> {
        let mut any = false;
        loop {
            let due = schedule.start + (self.trains as f64 * self.burst as f64 * 1e9 / rate) as u64;
            let now = schedule.now();
            if now < due || due >= schedule.until {
                return Ok(any);
            }
            let number = (self.trains % self.lanes.len() as u64) as usize;
            self.trains += 1;
            if schedule.measures(due) {
                self.seen.tally.lag.record(now - due);
            }
            self.send_train(number, due, now)?;
            any = true;
        }
    }

    /// Sends the next packets of a flow; `false` if the socket has no room.
    fn send_train(&mut self, number: usize, stamp: u64, now: u64) -> Result<bool> {
        let lane = &mut self.lanes[number];
        let took = self.ends.from(number).send(lane.next_train(stamp))?;
        if took {
            lane.in_flight += self.burst;
            lane.moved = now;
            self.in_flight += self.burst;
            self.sent += self.burst as u64;
        }
        Ok(took)
    }

    /// Puts a flow at the end of the line, unless it is in it or has its share on the way.
    fn make_ready(&mut self, number: usize) {
        if !self.is_ready[number] && self.lanes[number].in_flight.saturating_add(self.burst) <= self.share {
            self.is_ready[number] = true;
            self.ready.push_back(number);
        }
    }

    fn receive(&mut self, schedule: &Schedule, events: &mut Vec<epoll::Event>, buffer: &mut [u8]) -> Result<bool> {
        match epoll::wait(&self.epoll, spare_capacity(events), Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let any = !events.is_empty();
        for event in events.drain(..) {
            let number = event.data.u64() as usize;
            let received = self.ends.to(number).receive(buffer)?;
            self.on_arrival(number, buffer.get(..received).context("a receive call lied")?, schedule)?;
        }
        Ok(any)
    }

    fn on_arrival(&mut self, number: usize, bytes: &[u8], schedule: &Schedule) -> Result<()> {
        let now = schedule.now();
        let is_open = matches!(self.pacing, Pacing::Rate(_));
        let (seen, mut packets) = (&mut self.seen, 0);
        self.lanes[number].on_arrival(bytes, |arrival| {
            packets += 1;
            seen.late += u64::from(arrival.late);
            if schedule.measures(if is_open { arrival.stamp } else { now }) {
                seen.tally.latency.record(now.saturating_sub(arrival.stamp));
            }
        })?;
        self.received += packets as u64;
        if schedule.measures(now) {
            seen.tally.received += packets as u64;
        }
        let lane = &mut self.lanes[number];
        // After a loss was given up on, its packets may still come.
        let known = packets.min(lane.in_flight);
        lane.in_flight -= known;
        lane.moved = now;
        self.in_flight -= known;
        self.last_arrival = now;
        self.make_ready(number);
        Ok(())
    }

    /// Closed loop: what does not come back makes room for other packets after a while.
    fn find_losses(&mut self, now: u64) {
        if now < self.last_look + LOOK_EVERY || matches!(self.pacing, Pacing::Rate(_)) {
            return;
        }
        self.last_look = now;
        for number in 0..self.lanes.len() {
            let lane = &mut self.lanes[number];
            if lane.in_flight > 0 && now.saturating_sub(lane.moved) > LOST_AFTER {
                self.in_flight -= lane.in_flight;
                lane.in_flight = 0;
                lane.moved = now;
                self.make_ready(number);
            }
        }
    }
}
