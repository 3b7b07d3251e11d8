//! `switchboard-bench turn-soak`: allocations come, are kept, given back and abandoned for minutes on end, over UDP and TCP;
//! memory and descriptors of the server must not grow any more once as many go as come.

use super::contestants::{Access, Arena, Contestant, Kind, Running};
use super::handshake::{self, Client};
use super::workload::{Family, Leg};
use crate::machine;
use crate::process;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::collections::VecDeque;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// How long a client holds its allocation, at most.
const HOLD: Duration = Duration::from_secs(60);
/// The shortest life of an allocation that a server may grant (RFC 8656 §7.2), and so of an abandoned one.
const LIFETIME: Duration = Duration::from_secs(600);
/// From here on as many allocations go as come: their time with the client, their life after it, and their ports' cool-down.
const BALANCE: Duration = Duration::from_secs(60 + 600 + 60);
/// What is compared: the first of balance, and the last of all.
const MINUTE: Duration = Duration::from_secs(60);
/// New clients at a time; each batch is one step of the clock.
const BATCH: usize = 12;
/// How often the process is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Growth that page granularity and the allocator's mood explain.
const SLACK_BYTES: u64 = 512 * 1024;
const SLACK_DESCRIPTORS: usize = 16;

/// Lets allocations come and go, and looks whether the server grows
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Minutes measured, after the twelve that it takes until as many allocations end as begin
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// New allocations in a second
    #[arg(long, default_value_t = 25)]
    rate: u32,
    /// The switchboard to measure (default: the release build)
    #[arg(long, value_name = "FILE", env = "SERVER_UNDER_TEST")]
    switchboard: Option<PathBuf>,
}

/// What a server held at one moment.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Duration,
    resident: u64,
    descriptors: usize,
}

/// Runs the soak and says how it ended; growth is an error.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(
        (2.0..=24.0 * 60.0).contains(&options.minutes),
        "--minutes must be 2 to 1440: the first minute of balance is compared with the last one"
    );
    ensure!(
        (1..=100).contains(&options.rate),
        "--rate must be 1 to 100: abandoned allocations keep their ports a while"
    );
    machine::allow_open_files(8_000)?;
    process::end_children_with_us()?;
    let contestant = Contestant::ours(Kind::Switchboard);
    let arena = Arena::prepare(std::slice::from_ref(&contestant), options.switchboard.clone(), machine::processors()?)?;
    let server = arena.start(&contestant)?.context("there is no server")?;
    let access = arena.access()?;
    let mut churn = Churn::new(&server, &access)?;
    let looks = churn.go_on(BALANCE + Duration::from_secs_f64(options.minutes * 60.0), options.rate)?;
    report(&churn, &looks)
}

/// A client that holds an allocation.
struct Holder {
    client: Client,
    since: Instant,
    refreshed: bool,
}

/// Clients that come and go.
struct Churn<'a> {
    server: &'a Running,
    access: &'a Access,
    peer: UdpSocket,
    holders: VecDeque<Holder>,
    created: usize,
    refreshed: usize,
    released: usize,
    abandoned: usize,
}

impl<'a> Churn<'a> {
    fn new(server: &'a Running, access: &'a Access) -> Result<Self> {
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self { server, access, peer, holders: VecDeque::new(), created: 0, refreshed: 0, released: 0, abandoned: 0 })
    }

    fn go_on(&mut self, time: Duration, rate: u32) -> Result<Vec<Look>> {
        let (began, mut looks) = (Instant::now(), Vec::new());
        let step = Duration::from_secs(BATCH as u64) / rate;
        let mut due = began;
        while began.elapsed() < time {
            self.come()?;
            self.keep()?;
            self.go()?;
            if looks.len() as u32 * LOOK <= began.elapsed() {
                looks.push(self.look(began.elapsed())?);
            }
            due += step;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(looks)
    }

    /// A batch allocates and binds channels, every fourth client over TCP.
    fn come(&mut self) -> Result<()> {
        let mut clients = (0..BATCH)
            .map(|place| {
                let leg = if place % 4 == 3 { Leg::Tcp } else { Leg::Udp };
                let server = self.server.address(Family::V4, leg);
                Client::connect(server, self.created + place, Family::V4, leg, self.access)
            })
            .collect::<Result<Vec<_>>>()?;
        let peer: SocketAddr = self.peer.local_addr()?;
        clients.iter_mut().try_for_each(|client| client.session.allocate())?;
        handshake::converse(&mut clients)?;
        clients.iter_mut().try_for_each(|client| client.session.bind(peer))?;
        handshake::converse(&mut clients)?;
        self.created += clients.len();
        let since = Instant::now();
        self.holders.extend(clients.into_iter().map(|client| Holder { client, since, refreshed: false }));
        Ok(())
    }

    /// Half of the holders renew their allocations once, in the middle of their lives.
    fn keep(&mut self) -> Result<()> {
        let middle = |holder: &Holder| !holder.refreshed && holder.since.elapsed() > HOLD / 2;
        let (due, rest): (Vec<_>, Vec<_>) = self.holders.drain(..).partition(middle);
        self.holders.extend(rest);
        let mut since = Vec::with_capacity(due.len());
        let mut clients = Vec::with_capacity(due.len());
        for (place, mut holder) in due.into_iter().enumerate() {
            if place % 2 == 0 {
                holder.client.session.refresh(LIFETIME)?;
                self.refreshed += 1;
            }
            since.push(holder.since);
            clients.push(holder.client);
        }
        handshake::converse(&mut clients)?;
        let renewed = clients.into_iter().zip(since);
        self.holders.extend(renewed.map(|(client, since)| Holder { client, since, refreshed: true }));
        Ok(())
    }

    /// One in three of the old ones gives its allocation back; the others vanish, over TCP with their connection.
    fn go(&mut self) -> Result<()> {
        let old = |holder: &Holder| holder.refreshed && holder.since.elapsed() > HOLD * 3 / 4;
        let (due, rest): (Vec<_>, Vec<_>) = self.holders.drain(..).partition(old);
        self.holders.extend(rest);
        let (released, abandoned): (Vec<_>, Vec<_>) =
            due.into_iter().enumerate().partition(|(place, _)| place % 3 == 0);
        self.abandoned += abandoned.len();
        drop(abandoned);
        let mut clients: Vec<Client> = released.into_iter().map(|(_, holder)| holder.client).collect();
        clients.iter_mut().try_for_each(|client| client.session.release())?;
        handshake::converse(&mut clients)?;
        self.released += clients.len();
        Ok(())
    }

    fn look(&self, at: Duration) -> Result<Look> {
        let pid = self.server.process.pid();
        let folder = format!("/proc/{}/fd", pid.as_raw_nonzero());
        let descriptors = fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))?.count();
        let look = Look { at, resident: machine::process_memory(pid)?.resident, descriptors };
        eprintln!("{:>5.0} s: {:>7} KiB, {:>5} descriptors", at.as_secs_f64(), look.resident / 1024, look.descriptors);
        Ok(look)
    }
}

/// What the server held at most in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Most {
    resident: u64,
    descriptors: usize,
}

/// The first minute of balance and the last minute of all, which the shortest soak keeps apart.
fn ends(looks: &[Look]) -> Result<(Most, Most)> {
    let end = looks.last().context("nothing was looked at")?.at;
    let most = |from: Duration, to: Duration| {
        let within: Vec<_> = looks.iter().filter(|look| (from..=to).contains(&look.at)).collect();
        let resident = within.iter().map(|look| look.resident).max();
        let descriptors = within.iter().map(|look| look.descriptors).max();
        resident.zip(descriptors).map(|(resident, descriptors)| Most { resident, descriptors })
    };
    ensure!(end > BALANCE + MINUTE, "the server was not looked at long enough to say whether it grows");
    let (first, last) = (most(BALANCE, BALANCE + MINUTE), most(end.saturating_sub(MINUTE), end));
    first.zip(last).context("the server was not looked at in the minutes that are compared")
}

fn grows(first: Most, last: Most) -> bool {
    last.resident > first.resident + first.resident / 50 + SLACK_BYTES
        || last.descriptors > first.descriptors + SLACK_DESCRIPTORS
}

/// Compares the first minute of balance with the last minute of all.
fn report(churn: &Churn<'_>, looks: &[Look]) -> Result<()> {
    let (first, last) = ends(looks)?;
    println!(
        "{} allocations created, {} refreshed, {} released, {} abandoned, in {:.1} minutes",
        churn.created,
        churn.refreshed,
        churn.released,
        churn.abandoned,
        looks.last().map_or(Duration::ZERO, |look| look.at).as_secs_f64() / 60.0
    );
    println!("| | first minute of balance | last minute |\n|---|---:|---:|");
    println!("| resident memory, most | {} KiB | {} KiB |", first.resident / 1024, last.resident / 1024);
    println!("| open descriptors, most | {} | {} |", first.descriptors, last.descriptors);
    if grows(first, last) {
        bail!("the server grows");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen of a server that holds so much at each second.
    fn looks(minutes: u64, descriptors: impl Fn(u64) -> usize) -> Vec<Look> {
        let end = BALANCE.as_secs() + minutes * 60;
        let at = (0..end).step_by(LOOK.as_secs() as usize);
        at.map(|s| Look { at: Duration::from_secs(s), resident: 1 << 24, descriptors: descriptors(s) }).collect()
    }

    #[test]
    fn what_it_takes_to_reach_balance_is_no_growth() {
        let filling = |second: u64| second.min(BALANCE.as_secs()) as usize;
        for minutes in [2, 10] {
            let (first, last) = ends(&looks(minutes, filling)).expect("enough was seen");
            assert_eq!(first, last);
            assert!(!grows(first, last), "{minutes}");
        }
    }

    #[test]
    fn growth_in_balance_is_found_in_the_shortest_soak() {
        let (first, last) = ends(&looks(2, |second| second as usize)).expect("enough was seen");
        assert!(grows(first, last), "{first:?} {last:?}");
    }

    #[test]
    fn a_soak_that_was_cut_short_says_nothing_of_growth() {
        assert!(ends(&looks(1, |_| 7)).is_err() && ends(&[]).is_err());
    }
}
