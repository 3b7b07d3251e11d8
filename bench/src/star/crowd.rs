//! The load generator of a crowd: one thread with one epoll set, thousands of members that enter, listen to announcements
//! and exchange handshakes on a schedule.
//!
//! Unlike the generator of pairs it lives through a server that fails: who is refused or dropped is counted, not an end.

use super::member::{Heard, Member, Stage};
use super::tally::Tally;
use crate::alarm::{ALARM, Alarm};
use crate::dialect::{Dialect, Role};
use crate::frame::{self, Frame, Opcode};
use crate::generator::{SOURCES, sent_time};
use crate::link::Progress;
use crate::load::Schedule;
use crate::machine::thread_cpu;
use crate::payload::{DIGITS, Payload};
use anyhow::{Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// Members that enter at a time: fewer than a server's queue of connections to accept holds.
const ENTERING: usize = 64;
/// How long one member may take to enter, and all of them together. Who is not in by then counts as refused.
const MEMBER_PATIENCE: u64 = 10_000_000_000;
const CROWD_PATIENCE: u64 = 30_000_000_000;
/// How often the patience is looked at.
const LOOK: u64 = 20_000_000;
/// Newcomers enter one after the other at this distance, from the beginning of the measurement on.
const NEWCOMER_EVERY: Duration = Duration::from_millis(200);
/// Bits of [`Member::newcomers`].
pub(super) const MAX_NEWCOMERS: usize = 32;
const EVENTS: usize = 64;
const CHUNK: usize = 256 * 1024;
/// How a relayed handshake begins and ends if the server added nothing to it.
const BEGIN: &[u8] = br#"42["ws-handshake",{"intentId":"#;
const END: &[u8] = b"}]";

/// A crowd and what it saw.
#[derive(Debug)]
pub(super) struct Crowd {
    server: SocketAddrV4,
    payload: Payload,
    origin: Instant,
    epoll: OwnedFd,
    alarm: Alarm,
    members: Vec<Member>,
    /// Who is on the way in.
    entering: Vec<usize>,
    /// Announcements of the newcomers, as they arrive, and who they are.
    newcomers: Vec<(String, usize)>,
    /// Who sends, one after the other; partners are neighbours.
    senders: Vec<usize>,
    from_end: usize,
    next: u64,
    sent: u64,
    tally: Tally,
    replies: Vec<u8>,
}

impl Crowd {
    /// Nobody yet.
    pub(super) fn new(server: SocketAddrV4, payload: Payload) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self {
            server,
            payload,
            origin: Instant::now(),
            alarm: Alarm::new(&epoll)?,
            epoll,
            members: Vec::new(),
            entering: Vec::new(),
            newcomers: Vec::new(),
            senders: Vec::new(),
            from_end: 0,
            next: 0,
            sent: 0,
            tally: Tally::new(),
            replies: Vec::new(),
        })
    }

    /// The time that schedules of this crowd count from.
    pub(super) fn origin(&self) -> Instant {
        self.origin
    }

    /// Lets `wanted` members enter, and waits until each has joined or is refused.
    pub(super) fn gather(&mut self, wanted: usize) -> Result<()> {
        let begin = self.now();
        self.members.reserve(wanted);
        let (mut events, mut buffers) = (Vec::with_capacity(EVENTS), Buffers::new());
        loop {
            let now = self.now();
            let late = now - begin >= CROWD_PATIENCE;
            while !late && self.members.len() < wanted && self.entering.len() < ENTERING {
                self.admit(now)?;
            }
            self.expire(if late { u64::MAX } else { now });
            if self.entering.is_empty() && (late || self.members.len() == wanted) {
                break;
            }
            self.alarm.set(now + LOOK, now)?;
            self.turn(&mut events, &mut buffers, None)?;
        }
        self.tally.gathering = Duration::from_nanos(self.now() - begin);
        self.senders = (0..self.members.len()).filter(|&index| self.members[index].stage == Stage::Joined).collect();
        self.tally.joined = self.senders.len();
        self.senders.truncate(self.senders.len() & !1);
        self.prepare_pairs();
        Ok(())
    }

    /// Neighbours become partners; of each two the first offers and the second answers.
    fn prepare_pairs(&mut self) {
        for pair in self.senders.chunks_exact(2) {
            let names = [pair[0], pair[1]].map(|index| self.members[index].address.clone());
            for (at, role) in [Role::Offering, Role::Answering].into_iter().enumerate() {
                let message = Dialect::Star.message(role, &names[at], &names[1 - at], &self.payload);
                self.members[pair[at]].link.prepare(&message);
            }
        }
    }

    /// Exchanges `rate` handshakes a second, while `newcomers` enter as the measurement begins.
    pub(super) fn run(mut self, schedule: &Schedule, rate: u32, newcomers: usize) -> Result<Tally> {
        // The default slack of 50 µs would delay every wake-up of an open loop by as much.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        let (mut events, mut buffers) = (Vec::with_capacity(EVENTS), Buffers::new());
        let (mut cpu_from, mut cpu_until) = (None, None);
        loop {
            let now = schedule.now();
            if now >= schedule.from {
                cpu_from.get_or_insert_with(thread_cpu);
            }
            if now >= schedule.until {
                cpu_until.get_or_insert_with(thread_cpu);
                if self.sent == self.tally.received || now >= schedule.give_up {
                    break;
                }
            }
            self.send_due(schedule, rate)?;
            self.admit_newcomers(schedule, newcomers)?;
            self.expire(now);
            self.set_alarm(schedule, rate)?;
            self.turn(&mut events, &mut buffers, Some(schedule))?;
        }
        self.tally.cpu = cpu_until.unwrap_or_default().saturating_sub(cpu_from.unwrap_or_default());
        self.sum_up();
        Ok(self.tally)
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// Lets one more member begin to enter.
    fn admit(&mut self, now: u64) -> Result<()> {
        let index = self.members.len();
        let source = Ipv4Addr::new(127, 0, 1, 1 + (index % SOURCES) as u8);
        let member = Member::dial(self.server, source, now)?;
        if member.is_entering() {
            let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT;
            epoll::add(&self.epoll, member.link.stream(), epoll::EventData::new_u64(index as u64), flags)?;
            self.entering.push(index);
        }
        self.members.push(member);
        Ok(())
    }

    /// Gives up on who has been entering for too long.
    fn expire(&mut self, now: u64) {
        if self.entering.is_empty() {
            return;
        }
        let mut entering = mem::take(&mut self.entering);
        entering.retain(|&index| {
            if self.members[index].is_entering() && now.saturating_sub(self.members[index].since) >= MEMBER_PATIENCE {
                self.lose(index);
            }
            self.members[index].is_entering()
        });
        self.entering = entering;
    }

    fn admit_newcomers(&mut self, schedule: &Schedule, wanted: usize) -> Result<()> {
        let now = schedule.now();
        let due = schedule.from + NEWCOMER_EVERY.as_nanos() as u64 * self.newcomers.len() as u64;
        if self.newcomers.len() < wanted.min(MAX_NEWCOMERS) && (due..schedule.until).contains(&now) {
            let index = self.members.len();
            self.admit(now)?;
            self.newcomers.push((format!(r#"42["ws-peer","{}"]"#, self.members[index].address), index));
        }
        Ok(())
    }

    /// Sends everything whose time has come.
    fn send_due(&mut self, schedule: &Schedule, rate: u32) -> Result<()> {
        while let Some(due) = self.next_due(schedule, rate) {
            let now = schedule.now();
            if now < due {
                break;
            }
            let index = self.senders[self.next as usize % self.senders.len()];
            self.next += 1;
            if schedule.measures(due) {
                self.tally.lag.record(now - due);
            }
            let member = &mut self.members[index];
            if member.stage != Stage::Joined || member.link.is_clogged() {
                self.tally.lost += 1;
                continue;
            }
            let mut out = mem::take(&mut self.replies);
            member.link.put_message(&mut out, due);
            self.sent += 1;
            self.write(index, &out)?;
            out.clear();
            self.replies = out;
        }
        Ok(())
    }

    fn next_due(&self, schedule: &Schedule, rate: u32) -> Option<u64> {
        if self.senders.is_empty() || rate == 0 {
            return None;
        }
        let due = schedule.start + (u128::from(self.next) * 1_000_000_000 / u128::from(rate)) as u64;
        (due < schedule.until).then_some(due)
    }

    fn set_alarm(&mut self, schedule: &Schedule, rate: u32) -> Result<()> {
        let now = schedule.now();
        let boundaries = [schedule.from, schedule.until, schedule.give_up];
        let boundary = boundaries.into_iter().find(|&time| time > now).unwrap_or(now);
        let look = if self.entering.is_empty() && now >= schedule.until { boundary } else { now + LOOK };
        self.alarm.set(self.next_due(schedule, rate).unwrap_or(boundary).min(boundary).min(look), now)
    }

    /// Waits once, and handles what happened.
    fn turn(
        &mut self,
        events: &mut Vec<epoll::Event>,
        buffers: &mut Buffers,
        schedule: Option<&Schedule>,
    ) -> Result<()> {
        match epoll::wait(&self.epoll, spare_capacity(events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..).filter(|event| event.data.u64() != ALARM) {
            // By value: the kernel's structure is packed.
            let (index, flags) = (event.data.u64() as usize, event.flags);
            if self.members[index].stage != Stage::Gone && self.on_event(index, flags, buffers, schedule).is_err() {
                self.lose(index);
            }
        }
        Ok(())
    }

    fn on_event(
        &mut self,
        index: usize,
        flags: epoll::EventFlags,
        buffers: &mut Buffers,
        schedule: Option<&Schedule>,
    ) -> Result<()> {
        let member = &mut self.members[index];
        if flags.contains(epoll::EventFlags::OUT) {
            let progress = match member.stage {
                Stage::Dialling => member.upgrade(self.server)?,
                _ => member.link.write_pending()?,
            };
            if progress == Progress::Done {
                self.listen(index, epoll::EventFlags::IN)?;
            }
        }
        let member = &mut self.members[index];
        if flags.difference(epoll::EventFlags::OUT).is_empty()
            || member.link.read(&mut buffers.bytes, &mut buffers.chunk)?.is_none()
        {
            return Ok(());
        }
        let mut used = 0;
        if member.stage == Stage::Upgrading {
            used = member.upgraded(&buffers.bytes)?;
        }
        let upgraded = member.stage != Stage::Upgrading;
        while let (true, Some((frame, length))) = (upgraded, frame::parse(&buffers.bytes[used..])?) {
            self.on_frame(index, frame, schedule)?;
            used += length;
        }
        self.members[index].link.keep(&buffers.bytes[used..]);
        if !self.replies.is_empty() {
            let mut replies = mem::take(&mut self.replies);
            self.write(index, &replies)?;
            replies.clear();
            self.replies = replies;
        }
        Ok(())
    }

    fn on_frame(&mut self, index: usize, frame: Frame<'_>, schedule: Option<&Schedule>) -> Result<()> {
        match frame.opcode {
            Opcode::Text => {
                let now = self.now();
                match self.members[index].take(frame.payload, now, &mut self.replies)? {
                    Heard::Announcement => self.on_announcement(index, frame.payload, now, schedule),
                    Heard::Handshake => self.on_handshake(frame.payload, now, schedule)?,
                    Heard::Nothing => {}
                }
            }
            Opcode::Ping => frame::put(&mut self.replies, Opcode::Pong, frame.payload),
            Opcode::Pong => {}
            Opcode::Binary => bail!("the server sent a binary frame"),
            Opcode::Close => bail!("the server closed a socket"),
        }
        Ok(())
    }

    fn on_announcement(&mut self, index: usize, text: &[u8], now: u64, schedule: Option<&Schedule>) {
        let member = &mut self.members[index];
        if member.stage == Stage::Joined {
            member.first_heard.get_or_insert(now);
        }
        if schedule.is_some_and(|schedule| schedule.measures(now)) {
            member.heard += 1;
            self.tally.announcements += 1;
            self.tally.announced_bytes += text.len() as u64;
        }
        // Newcomers among themselves do not count.
        let (Some(&(_, first)), true) = (self.newcomers.first(), member.stage == Stage::Joined) else { return };
        let newcomer = self.newcomers.iter().position(|(announcement, _)| announcement.as_bytes() == text);
        if let Some(number) = newcomer.filter(|number| index < first && member.newcomers & 1 << number == 0) {
            member.newcomers |= 1 << number;
            self.tally.noticed += 1;
            // Others hear of it before it knows by itself that it has joined.
            let joined_at = self.members[self.newcomers[number].1].joined_at;
            self.tally.notice.record(if joined_at == 0 { 0 } else { now.saturating_sub(joined_at) });
        }
    }

    fn on_handshake(&mut self, text: &[u8], now: u64, schedule: Option<&Schedule>) -> Result<()> {
        if let Some(sent) = arrival(text, &mut self.from_end, &self.payload)? {
            self.tally.received += 1;
            if schedule.is_some_and(|schedule| schedule.measures(sent)) {
                self.tally.latency.record(now.saturating_sub(sent));
            }
        }
        Ok(())
    }

    /// Ends a member's connection, whoever began.
    fn lose(&mut self, index: usize) {
        let member = &mut self.members[index];
        self.tally.dropped += usize::from(member.stage == Stage::Joined);
        member.stage = Stage::Gone;
        // Closed with the crowd; out of the set it wakes nobody.
        let _ = epoll::delete(&self.epoll, member.link.stream());
        self.replies.clear();
    }

    /// Writes; a member whose connection breaks in doing so is lost, not the run.
    fn write(&mut self, index: usize, bytes: &[u8]) -> Result<()> {
        match self.members[index].link.write(bytes) {
            Ok(Progress::Done) => Ok(()),
            Ok(Progress::Waiting) => self.listen(index, epoll::EventFlags::IN | epoll::EventFlags::OUT),
            Err(_) => {
                self.lose(index);
                Ok(())
            }
        }
    }

    fn listen(&self, index: usize, flags: epoll::EventFlags) -> Result<()> {
        let data = epoll::EventData::new_u64(index as u64);
        Ok(epoll::modify(&self.epoll, self.members[index].link.stream(), data, flags)?)
    }

    /// Counts what only shows at the end.
    fn sum_up(&mut self) {
        let tally = &mut self.tally;
        tally.lost += self.sent - tally.received;
        tally.latency.record_lost(tally.lost);
        let newcomers: Vec<&Member> = self.newcomers.iter().map(|&(_, index)| &self.members[index]).collect();
        let old = &self.members[..self.members.len() - newcomers.len()];
        let present = || old.iter().filter(|member| member.stage == Stage::Joined);
        tally.deaf = present().filter(|member| member.heard == 0).count();
        let joined: Vec<_> = newcomers.iter().filter(|member| member.joined_at > 0).collect();
        tally.newcomers = joined.len();
        tally.to_notice = (present().count() * joined.len()) as u64;
        tally.notice.record_lost(tally.to_notice.saturating_sub(tally.noticed));
        let waits: Option<Vec<u64>> =
            joined.iter().map(|member| Some(member.first_heard?.saturating_sub(member.joined_at))).collect();
        tally.newcomer_waited = waits.and_then(|waits| waits.into_iter().max()).map(Duration::from_nanos);
    }
}

/// What is read into, kept for its capacity.
#[derive(Debug)]
struct Buffers {
    bytes: Vec<u8>,
    chunk: Vec<u8>,
}

impl Buffers {
    fn new() -> Self {
        Self { bytes: Vec::new(), chunk: vec![0; CHUNK] }
    }
}

/// When a handshake was sent that arrived as it was. One that came back because nobody took it has an `err` in it, and counts
/// as nothing.
fn arrival(text: &[u8], from_end: &mut usize, payload: &Payload) -> Result<Option<u64>> {
    let Some(sent) = sent_time(text, from_end, payload)? else { return Ok(None) };
    let end = text.len() - *from_end + DIGITS + payload.tail().len();
    Ok((text.starts_with(BEGIN) && &text[end..] == END).then_some(sent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_that_came_back_has_not_arrived() {
        let payload = Payload::session_description();
        let sent = Dialect::Star.message(Role::Offering, "/ip4/a", "/ip4/b", &payload).text;
        let relayed = sent.replace("ss-handshake", "ws-handshake").replace("@@0000000000000000", "@@00000000000000ff");
        let back = relayed.replace("}]", r#","err":"peer is not available"}]"#);
        let front = relayed.replace(r#"{"intentId""#, r#"{"err":"peer is not available","intentId""#);

        let mut from_end = 0;
        assert_eq!(arrival(relayed.as_bytes(), &mut from_end, &payload).expect("intact"), Some(255));
        for text in [back, front] {
            assert_eq!(arrival(text.as_bytes(), &mut from_end, &payload).expect("intact"), None, "{text}");
        }
    }

    #[test]
    fn who_is_refused_is_counted_and_no_failure() {
        // Bound, then closed again: nobody listens there.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let std::net::SocketAddr::V4(server) = listener.local_addr().expect("an address") else { panic!("IPv4") };
        drop(listener);
        let mut crowd = Crowd::new(server, Payload::candidate()).expect("an epoll set");

        crowd.gather(200).expect("refusals are no failure");

        assert_eq!((crowd.tally.joined, crowd.members.len()), (0, 200));
        assert!(crowd.members.iter().all(|member| member.stage == Stage::Gone));
    }
}
