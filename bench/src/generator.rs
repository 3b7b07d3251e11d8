//! The load generator: one thread with one epoll set, so that a core of its own suffices against a server's core.
//!
//! For each message it makes one read and one write call, compares the payload with what was sent, and reads no JSON.

use crate::alarm::{ALARM, Alarm};
use crate::client::close_reason;
use crate::dialect::{Dialect, Role, excerpt};
use crate::frame::{self, Opcode};
use crate::link::{Link, Progress};
use crate::load::{Load, Schedule, Share, Tally, Workload};
use crate::machine::thread_cpu;
use crate::payload::{DIGITS, MARKER, Payload, read_time};
use crate::pulse::Pulse;
use anyhow::{Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU64;

/// Few enough that an open loop's next sending is not held up by receiving.
const EVENTS: usize = 64;
const CHUNK: usize = 64 * 1024;
/// Members connect from this many loopback addresses: more ports than one address has.
pub(crate) const SOURCES: usize = 16;

/// A thread's sockets, connected and in their rooms.
#[derive(Debug)]
pub(crate) struct Generator {
    dialect: Dialect,
    load: Load,
    share: Share,
    links: Vec<Link>,
    epoll: OwnedFd,
    alarm: Alarm,
    tally: Tally,
    /// Messages handed to the kernel, or to a link's queue, and messages back, over the whole run.
    sent: u64,
    received: u64,
    /// Distance of the time's digits from the end of a relayed message; known after the first.
    from_end: usize,
    /// Open loop: the number of the next message.
    next: u64,
    /// The members' heartbeats, in a dialect that has them.
    pulse: Option<Pulse>,
    /// What is written after the frames of one reading, kept for its capacity.
    replies: Vec<u8>,
}

impl Generator {
    /// Connects the members of `share` and brings each pair into a room.
    pub(crate) fn connect(server: SocketAddrV4, dialect: Dialect, workload: Workload, share: Share) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut generator = Self {
            dialect,
            load: workload.load,
            links: Vec::with_capacity(share.pairs * 2),
            alarm: Alarm::new(&epoll)?,
            epoll,
            tally: Tally::new(),
            sent: 0,
            received: 0,
            from_end: 0,
            next: share.index as u64,
            pulse: dialect.heartbeat().map(|heartbeat| Pulse::new(heartbeat, share.pairs * 2)),
            replies: Vec::new(),
            share,
        };
        for pair in 0..generator.share.pairs {
            let source = Ipv4Addr::new(127, 0, 1, 1 + (pair % SOURCES) as u8);
            generator.connect_pair(server, source, workload.joined)?;
        }
        Ok(generator)
    }

    fn connect_pair(&mut self, server: SocketAddrV4, source: Ipv4Addr, joined: bool) -> Result<()> {
        let dialect = self.dialect;
        let [mut first, mut second] = [dialect.open(server, source)?, dialect.open(server, source)?];
        if joined {
            dialect.meet(&mut first, &mut second)?;
        }
        let payload = &self.share.payload;
        let offer = joined.then(|| dialect.message(Role::Offering, &first.name, &second.name, payload));
        let answer = joined.then(|| dialect.message(Role::Answering, &second.name, &first.name, payload));
        for (member, message) in [(first, offer), (second, answer)] {
            let link = Link::new(member.client, message.as_ref())?;
            let index = epoll::EventData::new_u64(self.links.len() as u64);
            epoll::add(&self.epoll, link.stream(), index, epoll::EventFlags::IN)?;
            self.links.push(link);
        }
        Ok(())
    }

    /// Runs the load; returns what arrived, after all sockets are closed in good order.
    pub(crate) fn run(mut self, schedule: &Schedule) -> Result<Tally> {
        // The default slack of 50 µs would delay every wake-up of an open loop by as much.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        let (mut events, mut chunk, mut buffer) = (Vec::with_capacity(EVENTS), vec![0; CHUNK], Vec::new());
        let (mut cpu_from, mut cpu_until) = (None, None);
        self.kick_off(schedule.now())?;
        loop {
            let now = schedule.now();
            if now >= schedule.from {
                cpu_from.get_or_insert_with(thread_cpu);
            }
            if now >= schedule.until {
                cpu_until.get_or_insert_with(thread_cpu);
                if self.is_done(now, schedule) {
                    break;
                }
            }
            self.send_due(schedule)?;
            self.beat(schedule)?;
            self.set_timer(schedule)?;
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in events.drain(..).filter(|event| event.data.u64() != ALARM) {
                self.on_event(event, schedule, &mut chunk, &mut buffer)?;
            }
        }
        self.tally.cpu = cpu_until.unwrap_or_default().saturating_sub(cpu_from.unwrap_or_default());
        self.tally.lost += self.sent - self.received;
        self.tally.latency.record_lost(self.tally.lost);
        self.close()?;
        Ok(self.tally)
    }

    /// Closed loop: the first members of all pairs send their windows.
    fn kick_off(&mut self, now: u64) -> Result<()> {
        let Load::Closed { window } = self.load else { return Ok(()) };
        for index in (0..self.links.len()).step_by(2) {
            let mut out = Vec::new();
            for _ in 0..window {
                self.links[index].put_message(&mut out, now);
            }
            self.sent += u64::from(window);
            self.write(index, &out)?;
        }
        Ok(())
    }

    fn is_done(&self, now: u64, schedule: &Schedule) -> bool {
        let drained = self.load != Load::Idle && self.sent == self.received;
        drained || now >= schedule.give_up
    }

    /// Open loop: sends everything whose time has come, in the name of one member after the other.
    fn send_due(&mut self, schedule: &Schedule) -> Result<()> {
        while let Some(due) = self.next_due(schedule) {
            let now = schedule.now();
            if now < due {
                break;
            }
            let index = (self.next / self.share.of as u64) as usize % self.links.len();
            self.next += self.share.of as u64;
            if schedule.measures(due) {
                self.tally.lag.record(now - due);
            }
            if self.links[index].is_clogged() {
                self.tally.lost += 1;
                continue;
            }
            let mut out = mem::take(&mut self.replies);
            self.links[index].put_message(&mut out, due);
            self.sent += 1;
            self.write(index, &out)?;
            out.clear();
            self.replies = out;
        }
        Ok(())
    }

    /// Sends the heartbeats whose time has come.
    fn beat(&mut self, schedule: &Schedule) -> Result<()> {
        while let Some(index) = self.pulse.as_mut().and_then(|pulse| pulse.next(schedule)) {
            let mut out = mem::take(&mut self.replies);
            out.extend_from_slice(self.pulse.as_ref().map(Pulse::frame).unwrap_or_default());
            self.write(index, &out)?;
            out.clear();
            self.replies = out;
        }
        Ok(())
    }

    /// When the next message of an open loop is to leave.
    fn next_due(&self, schedule: &Schedule) -> Option<u64> {
        let Load::Open { rate } = self.load else { return None };
        let due = schedule.start + (u128::from(self.next) * 1_000_000_000 / u128::from(rate)) as u64;
        (due < schedule.until).then_some(due)
    }

    /// Sets the timer to the next message of an open loop, heartbeat, or part of the round.
    fn set_timer(&mut self, schedule: &Schedule) -> Result<()> {
        let now = schedule.now();
        let boundaries = [schedule.from, schedule.until, schedule.give_up];
        let boundary = boundaries.into_iter().find(|&time| time > now).unwrap_or(now);
        let beat = self.pulse.as_ref().and_then(|pulse| pulse.due(schedule)).unwrap_or(boundary);
        let next = self.next_due(schedule).unwrap_or(boundary).min(boundary).min(beat);
        self.alarm.set(next, now)
    }

    fn on_event(
        &mut self,
        event: epoll::Event,
        schedule: &Schedule,
        chunk: &mut [u8],
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        // By value: the kernel's structure is packed.
        let (index, flags) = (event.data.u64() as usize, event.flags);
        if flags.contains(epoll::EventFlags::OUT) && self.links[index].write_pending()? == Progress::Done {
            self.listen(index, epoll::EventFlags::IN)?;
        }
        if flags.difference(epoll::EventFlags::OUT).is_empty() || self.links[index].read(buffer, chunk)?.is_none() {
            return Ok(());
        }
        let (now, mut used) = (schedule.now(), 0);
        while let Some((frame, length)) = frame::parse(&buffer[used..])? {
            self.on_frame(index, frame, now, schedule)?;
            used += length;
        }
        self.links[index].keep(&buffer[used..]);
        if !self.replies.is_empty() {
            let mut replies = mem::take(&mut self.replies);
            self.write(index, &replies)?;
            replies.clear();
            self.replies = replies;
        }
        Ok(())
    }

    fn on_frame(&mut self, index: usize, frame: frame::Frame<'_>, now: u64, schedule: &Schedule) -> Result<()> {
        match frame.opcode {
            Opcode::Text => match sent_time(frame.payload, &mut self.from_end, &self.share.payload)? {
                Some(sent) => self.on_message(index, sent, now, schedule),
                None => {
                    if let Some(answer) = self.dialect.answer(frame.payload)? {
                        frame::put(&mut self.replies, Opcode::Text, answer.as_bytes());
                    }
                }
            },
            Opcode::Ping => frame::put(&mut self.replies, Opcode::Pong, frame.payload),
            Opcode::Pong => {}
            Opcode::Binary => bail!("the server sent a binary frame"),
            Opcode::Close => bail!("the server closed a socket in the middle of a run{}", close_reason(frame.payload)),
        }
        Ok(())
    }

    fn on_message(&mut self, index: usize, sent: u64, now: u64, schedule: &Schedule) {
        self.received += 1;
        let measured = match self.load {
            Load::Open { .. } => schedule.measures(sent),
            Load::Closed { .. } | Load::Idle => schedule.measures(now),
        };
        if measured {
            self.tally.latency.record(now.saturating_sub(sent));
        }
        self.tally.received += u64::from(schedule.measures(now));
        if matches!(self.load, Load::Closed { .. }) && now < schedule.until {
            self.links[index].put_message(&mut self.replies, now);
            self.sent += 1;
        }
    }

    fn write(&mut self, index: usize, bytes: &[u8]) -> Result<()> {
        match self.links[index].write(bytes)? {
            Progress::Done => Ok(()),
            Progress::Waiting => self.listen(index, epoll::EventFlags::IN | epoll::EventFlags::OUT),
        }
    }

    fn listen(&self, index: usize, flags: epoll::EventFlags) -> Result<()> {
        Ok(epoll::modify(&self.epoll, self.links[index].stream(), epoll::EventData::new_u64(index as u64), flags)?)
    }

    fn close(&mut self) -> Result<()> {
        self.links.iter_mut().for_each(Link::begin_close);
        mem::take(&mut self.links).into_iter().try_for_each(Link::finish_close)
    }
}

/// The time in a relayed message, after comparing everything around it; `None` for a message without a payload.
pub(crate) fn sent_time(text: &[u8], from_end: &mut usize, payload: &Payload) -> Result<Option<u64>> {
    let expected = text.len().checked_sub(*from_end).filter(|at| *at >= MARKER.len());
    let digits = match expected {
        Some(at) if &text[at - MARKER.len()..at] == MARKER && *from_end >= DIGITS => at,
        _ => match text.windows(MARKER.len()).position(|window| window == MARKER) {
            Some(at) => at + MARKER.len(),
            None => return Ok(None),
        },
    };
    *from_end = text.len() - digits;
    let (head, tail) = (&text[..digits - MARKER.len()], text.get(digits + DIGITS..).unwrap_or_default());
    let unchanged = head.ends_with(payload.head()) && tail.starts_with(payload.tail());
    let time = text.get(digits..digits + DIGITS).and_then(read_time);
    ensure!(unchanged && time.is_some(), "the server altered a payload: {}", excerpt(text));
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_time_wherever_the_envelope_puts_the_payload() {
        let payload = Payload::session_description();
        let json = payload.json().replace("@@0000000000000000", "@@00000000000000ff");
        let mut from_end = 0;

        for text in [format!(r#"{{"data":{json}}}"#), format!(r#"{{"data":{json},"from":"x"}}"#), format!("[{json}]")] {
            assert_eq!(sent_time(text.as_bytes(), &mut from_end, &payload).expect("intact"), Some(255));
            assert_eq!(sent_time(text.as_bytes(), &mut from_end, &payload).expect("intact"), Some(255));
        }
    }

    #[test]
    fn passes_over_messages_without_a_payload() {
        for text in ["", "2", r#"{"type":"peer-left","id":"x"}"#] {
            let mut from_end = 3;
            assert_eq!(sent_time(text.as_bytes(), &mut from_end, &Payload::candidate()).expect("fine"), None);
        }
    }

    #[test]
    fn notices_an_altered_payload() {
        let payload = Payload::session_description();
        for (what, with) in [("v=0", "v=1"), ("@@0", "@@x"), ("\"type\"", "\"typo\"")] {
            let text = payload.json().replacen(what, with, 1);
            assert!(sent_time(text.as_bytes(), &mut 0, &payload).is_err(), "{what} became {with}");
        }
    }
}
