//! What is relayed: how many flows of what, which way, over what.

use anyhow::{Context, Error, Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Most flows of one load; each takes two sockets here and one of the server's.
const MAX_FLOWS: usize = 10_000;

/// The shape of a call's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pattern {
    /// 100 flows of single packets of 160 bytes, as 20 ms of Opus
    Audio,
    /// 20 flows of 1,100 bytes in bursts of 8, as the packets of one frame
    Video,
    /// 4 flows of 1,100 bytes in bursts of 32, as a file through a data channel
    Bulk,
}

impl Pattern {
    /// How many flows, unless others are asked for.
    pub(crate) fn flows(self) -> usize {
        match self {
            Self::Audio => 100,
            Self::Video => 20,
            Self::Bulk => 4,
        }
    }

    /// Bytes of a payload.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Audio => 160,
            Self::Video | Self::Bulk => 1_100,
        }
    }

    /// Packets on the way in a closed loop: enough that no flow waits for another, few enough for the receive buffer
    /// that a server gives each of its sockets.
    pub(crate) fn window(self) -> usize {
        match self {
            Self::Audio => 400,
            Self::Video => 320,
            Self::Bulk => 128,
        }
    }

    /// Packets that a flow sends at once.
    pub(crate) fn burst(self) -> usize {
        match self {
            Self::Audio => 1,
            Self::Video => 8,
            Self::Bulk => 32,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Bulk => "bulk",
        })
    }
}

/// Which way packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// From the client, as ChannelData, to a peer
    Up,
    /// From a peer to the client
    Down,
    /// From one client to another, both of which have their relayed address on the server
    Relayed,
}

/// The addresses in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// Where servers listen and peers are.
    pub(crate) fn loopback(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::LOCALHOST.into(),
            Self::V6 => Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// Where client `number` is. Each IPv4 client is in a network of its own: a server may well count how often it answers
    /// strangers from one. (The family has one loopback address in IPv6.)
    pub(crate) fn client(self, number: usize) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(127, 16 + (number / 256 % 64) as u8, (number % 256) as u8, 1).into(),
            Self::V6 => Ipv6Addr::LOCALHOST.into(),
        }
    }
}

/// How clients reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Leg {
    Udp,
    Tcp,
    Tls,
}

/// How packets follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pace {
    /// A fixed number is on the way; each that arrives lets another leave. Measures what a server can do.
    Closed,
    /// Packets leave on a schedule, at this percentage of what the first subject relays in the closed loop. Latency counts
    /// from the scheduled time.
    Open(u32),
}

/// One load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Workload {
    pub(crate) pattern: Pattern,
    pub(crate) way: Way,
    pub(crate) flows: usize,
    pub(crate) family: Family,
    pub(crate) leg: Leg,
    pub(crate) pace: Pace,
}

impl Workload {
    /// The closed loop of a pattern, as it is compared by default.
    pub(crate) fn closed(pattern: Pattern, way: Way) -> Self {
        Self { pattern, way, flows: pattern.flows(), family: Family::V4, leg: Leg::Udp, pace: Pace::Closed }
    }

    /// As the command line names it.
    pub(crate) fn name(&self) -> String {
        let mut name = format!("{}-{}", self.pattern, format!("{:?}", self.way).to_lowercase());
        if self.flows != self.pattern.flows() {
            name += &format!("/{}", self.flows);
        }
        if self.family == Family::V6 {
            name += "/v6";
        }
        match self.leg {
            Leg::Udp => {}
            Leg::Tcp => name += "/tcp",
            Leg::Tls => name += "/tls",
        }
        name
    }

    /// Clients, each with an allocation.
    pub(crate) fn clients(&self) -> usize {
        match self.way {
            Way::Up | Way::Down => self.flows,
            Way::Relayed => self.flows * 2,
        }
    }

    /// The same packets, whatever their pace.
    pub(crate) fn is_paced_by(&self, closed: &Self) -> bool {
        closed.pace == Pace::Closed && Self { pace: Pace::Closed, ..*self } == *closed
    }
}

impl FromStr for Workload {
    type Err = Error;

    /// Reads `PATTERN-WAY[/FLOWS][/v6][/tcp|/tls]`.
    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split('/');
        let (pattern, way) = parts.next().and_then(|name| name.split_once('-')).with_context(|| {
            format!("{text}: write a pattern and a way, such as audio-up, video-down/v6 or bulk-relayed/8/tcp")
        })?;
        let known = |error: String| anyhow::anyhow!("{text}: {error}");
        let pattern = Pattern::from_str(pattern, true).map_err(known)?;
        let mut workload = Self::closed(pattern, Way::from_str(way, true).map_err(known)?);
        for part in parts {
            match (part, part.parse()) {
                ("v4", _) => workload.family = Family::V4,
                ("v6", _) => workload.family = Family::V6,
                ("udp", _) => workload.leg = Leg::Udp,
                ("tcp", _) => workload.leg = Leg::Tcp,
                ("tls", _) => workload.leg = Leg::Tls,
                (_, Ok(flows @ 1..=MAX_FLOWS)) => workload.flows = flows,
                _ => bail!("{text}: {part} is neither v6 nor tcp nor tls nor a number of flows up to {MAX_FLOWS}"),
            }
        }
        Ok(workload)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pattern, flows) = (self.pattern, self.flows);
        let way = match self.way {
            Way::Up => "from client to peer",
            Way::Down => "from peer to client",
            Way::Relayed => "from client to client, both relayed",
        };
        write!(f, "{pattern}, {way}: {flows} flow{}", if flows == 1 { "" } else { "s" })?;
        write!(f, " of {} bytes", pattern.bytes())?;
        if pattern.burst() > 1 {
            write!(f, " in bursts of {}", pattern.burst())?;
        }
        if self.family == Family::V6 {
            write!(f, ", IPv6")?;
        }
        match self.leg {
            Leg::Udp => {}
            Leg::Tcp => write!(f, ", clients over TCP")?,
            Leg::Tls => write!(f, ", clients over TLS")?,
        }
        match self.pace {
            Pace::Closed => Ok(()),
            Pace::Open(percent) => write!(f, ", open loop at {percent} %"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_belongs_to_its_closed_one() {
        let closed = Workload::closed(Pattern::Audio, Way::Up);
        let open = Workload { pace: Pace::Open(25), ..closed };

        assert!(open.is_paced_by(&closed) && !closed.is_paced_by(&open));
        assert!(!open.is_paced_by(&Workload::closed(Pattern::Audio, Way::Down)));
    }

    #[test]
    fn reads_loads() {
        let closed = Workload::closed(Pattern::Video, Way::Down);
        assert_eq!("video-down".parse::<Workload>().expect("a load"), closed);
        let all = Workload { flows: 4_000, family: Family::V6, leg: Leg::Tcp, ..closed };
        assert_eq!(all.name(), "video-down/4000/v6/tcp");
        assert_eq!(all.name().parse::<Workload>().expect("a load"), all);
        for wrong in ["video", "video-left", "radio-up", "audio-up/0", "audio-up/v5", "audio-up/10001", ""] {
            assert!(wrong.parse::<Workload>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn neighbouring_clients_are_in_different_networks() {
        let prefix = |number| match Family::V4.client(number) {
            IpAddr::V4(ip) => [ip.octets()[1], ip.octets()[2]],
            IpAddr::V6(_) => unreachable!("an IPv4 client"),
        };
        let mut seen: Vec<_> = (0..4_000).map(prefix).collect();
        seen.sort_unstable();
        seen.dedup();

        assert_eq!(seen.len(), 4_000);
    }
}
