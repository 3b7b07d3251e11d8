//! What an engine counts. Plain numbers that the shell reads; no user, address or name ever labels one.

use std::net::{IpAddr, SocketAddr};

use crate::Via;
use crate::message::Method;

/// Answers that are told apart: 0 stands for success.
pub const CODES: [u16; 14] = [0, 300, 400, 401, 403, 420, 437, 438, 440, 441, 442, 443, 486, 508];

/// Requests that are told apart.
pub const METHODS: [Method; 5] =
    [Method::Binding, Method::Allocate, Method::Refresh, Method::CreatePermission, Method::ChannelBind];

/// What carries a client's packets, without the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Transport {
    /// All of them, in the order of [`Stats`]' arrays.
    pub const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];
}

impl From<Via> for Transport {
    fn from(via: Via) -> Self {
        match via {
            Via::Udp(_) => Self::Udp,
            Via::Tcp(_) => Self::Tcp,
            Via::Tls(_) => Self::Tls,
        }
    }
}

/// Why a packet went nowhere and was not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dropped {
    /// Neither STUN nor ChannelData, or malformed.
    Malformed,
    /// An answer, or an indication that servers are not sent.
    Unexpected,
    /// Data of a client without an allocation.
    NoAllocation,
    /// A channel number that is not bound, or an incomplete indication.
    NoChannel,
    /// No permission for the peer.
    NoPermission,
    /// The policy refuses the peer.
    Policy,
    /// The allocation's bandwidth is used up.
    Bandwidth,
    /// The prefix's budget for answers is used up.
    Budget,
    /// One of this server's own relayed addresses, which nobody has now, or through a socket.
    Hairpin,
    /// Larger than a frame can say.
    TooLarge,
}

impl Dropped {
    /// All of them, in the order of [`Stats::dropped`].
    pub const ALL: [Self; 10] = [
        Self::Malformed,
        Self::Unexpected,
        Self::NoAllocation,
        Self::NoChannel,
        Self::NoPermission,
        Self::Policy,
        Self::Bandwidth,
        Self::Budget,
        Self::Hairpin,
        Self::TooLarge,
    ];

    /// A word for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unexpected => "unexpected",
            Self::NoAllocation => "no_allocation",
            Self::NoChannel => "no_channel",
            Self::NoPermission => "no_permission",
            Self::Policy => "policy",
            Self::Bandwidth => "bandwidth",
            Self::Budget => "budget",
            Self::Hairpin => "hairpin",
            Self::TooLarge => "too_large",
        }
    }
}

/// Why somebody who tried to show a password has not. The first request, which shows none, is no failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthFailure {
    /// No key fits.
    Password,
    /// Nobody is called so.
    UnknownUser,
    /// The time in the name has passed.
    Expired,
    /// The signature is weaker than is asked for, or than the allocation was made with.
    Weak,
    /// The nonce is too old or another address's; the client tries again with a new one.
    StaleNonce,
}

impl AuthFailure {
    /// All of them, in the order of [`Stats::auth_failures`].
    pub const ALL: [Self; 5] = [Self::Password, Self::UnknownUser, Self::Expired, Self::Weak, Self::StaleNonce];

    /// A word for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::UnknownUser => "unknown_user",
            Self::Expired => "expired",
            Self::Weak => "weak",
            Self::StaleNonce => "stale_nonce",
        }
    }
}

/// A request that was refused, as its operator may be told: without the user's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// What was asked for.
    pub method: Method,
    /// The answer.
    pub code: u16,
    /// What was wrong with who asked, where that was it.
    pub failure: Option<AuthFailure>,
    /// The peer that the policy refuses, where that was it.
    pub peer: Option<IpAddr>,
}

/// Packets and the bytes of their payloads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes of payload: what peers send and get.
    pub bytes: u64,
}

impl Traffic {
    pub(crate) fn count(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

/// The counters of one engine, all since its beginning, except the gauge [`Stats::allocations`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    requests: [[u64; CODES.len()]; METHODS.len()],
    /// Relayed addresses that live now, by [`Transport`] of the client and by family, IPv4 first; a dual allocation has
    /// two.
    pub allocations: [[u64; 2]; 3],
    /// Allocations that were made.
    pub allocated: u64,
    /// Allocations that ended because nobody refreshed them.
    pub expired: u64,
    /// Failed authentications, by [`AuthFailure`].
    pub auth_failures: [u64; AuthFailure::ALL.len()],
    /// From clients to peers, by [`Transport`] of the client.
    pub to_peers: [Traffic; 3],
    /// From peers to clients, by [`Transport`] of the client.
    pub to_clients: [Traffic; 3],
    /// Payloads that went from one allocation of this server to another without a socket.
    pub hairpin: Traffic,
    /// Packets that went nowhere, by [`Dropped`].
    pub dropped: [u64; Dropped::ALL.len()],
}

impl Stats {
    /// Requests by method and answer (0 for success), those that came at all.
    pub fn requests(&self) -> impl Iterator<Item = (Method, u16, u64)> {
        METHODS.iter().zip(&self.requests).flat_map(|(method, counts)| {
            CODES.iter().zip(counts).map(|(code, count)| (*method, *code, *count)).filter(|(.., count)| *count > 0)
        })
    }

    /// How often requests of a method were answered so (0 for success).
    pub fn answered(&self, method: Method, code: u16) -> u64 {
        self.requests().find(|(m, c, _)| (*m, *c) == (method, code)).map_or(0, |(.., count)| count)
    }

    /// How often packets were dropped for this reason.
    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped[reason as usize]
    }

    /// How many relayed addresses live now.
    pub fn living(&self) -> u64 {
        self.allocations.iter().flatten().sum()
    }

    pub(crate) fn living_mut(&mut self, via: Via, relayed: SocketAddr) -> &mut u64 {
        &mut self.allocations[Transport::from(via) as usize][usize::from(relayed.is_ipv6())]
    }

    pub(crate) fn count_answer(&mut self, method: Method, code: u16) {
        let method = METHODS.iter().position(|known| *known == method);
        let code = CODES.iter().position(|known| *known == code);
        if let (Some(method), Some(code)) = (method, code) {
            self.requests[method][code] += 1;
        }
    }

    pub(crate) fn count_drop(&mut self, reason: Dropped) {
        self.dropped[reason as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_where_their_number_says() {
        for (index, reason) in Dropped::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
        for (index, failure) in AuthFailure::ALL.into_iter().enumerate() {
            assert_eq!(failure as usize, index);
        }
        for (index, transport) in Transport::ALL.into_iter().enumerate() {
            assert_eq!(transport as usize, index);
        }
    }

    #[test]
    fn answers_are_counted_by_method_and_code() {
        let mut stats = Stats::default();
        stats.count_answer(Method::Allocate, 401);
        stats.count_answer(Method::Allocate, 401);
        stats.count_answer(Method::Binding, 0);
        assert_eq!(stats.answered(Method::Allocate, 401), 2);
        assert_eq!(stats.requests().count(), 2);
    }
}
