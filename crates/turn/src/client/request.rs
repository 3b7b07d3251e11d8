//! What a client asks for, and how it is written and sent.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::schedule::Attempt;
use super::{MAX_PENDING, Pending, RequestError, RequestId, TurnClient};
use crate::message::{Class, Family, Method, Writer, known};
use crate::nat::{self, Change};

/// What kind of allocation is wanted. The default is one IPv4 address for the server's usual time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Allocation {
    /// The family of the relayed address; without it, IPv4 (RFC 8656 §7.2).
    pub family: Option<Family>,
    /// A second relayed address of this family; excludes `family` (RFC 8656 §7.1).
    pub additional: Option<Family>,
    /// How long it shall last without a refresh.
    pub lifetime: Option<Duration>,
    /// An even port; `Some(true)` reserves the next one too.
    pub even_port: Option<bool>,
    /// The token of a port that was reserved.
    pub reservation: Option<[u8; 8]>,
    /// That later datagrams may be sent unfragmented.
    pub dont_fragment: bool,
}

impl Allocation {
    /// An IPv4 and an IPv6 address.
    pub fn dual() -> Self {
        Self { additional: Some(Family::V6), ..Self::default() }
    }

    /// One address of this family.
    pub fn of(family: Family) -> Self {
        Self { family: Some(family), ..Self::default() }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        const UDP: u8 = 17;
        writer.attribute(known::REQUESTED_TRANSPORT, &[UDP, 0, 0, 0]);
        if let Some(family) = self.family {
            write_family(writer, known::REQUESTED_ADDRESS_FAMILY, family);
        }
        if let Some(family) = self.additional {
            write_family(writer, known::ADDITIONAL_ADDRESS_FAMILY, family);
        }
        if let Some(lifetime) = self.lifetime {
            writer.lifetime(seconds(lifetime));
        }
        if let Some(reserve) = self.even_port {
            writer.attribute(known::EVEN_PORT, &[if reserve { 0x80 } else { 0 }]);
        }
        if let Some(token) = self.reservation {
            writer.attribute(known::RESERVATION_TOKEN, &token);
        }
        if self.dont_fragment {
            writer.attribute(known::DONT_FRAGMENT, &[]);
        }
    }
}

/// A request's content.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Binding { to: SocketAddr, change: Change, padding: Option<u16> },
    Allocate(Allocation),
    Refresh { lifetime: Duration, family: Option<Family> },
    CreatePermission { peers: Vec<SocketAddr> },
    ChannelBind { channel: u16, peer: SocketAddr },
}

impl Ask {
    pub(super) fn method(&self) -> Method {
        match self {
            Self::Binding { .. } => Method::Binding,
            Self::Allocate(_) => Method::Allocate,
            Self::Refresh { .. } => Method::Refresh,
            Self::CreatePermission { .. } => Method::CreatePermission,
            Self::ChannelBind { .. } => Method::ChannelBind,
        }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Binding { change, padding, .. } => {
                if *change != Change::default() {
                    writer.attribute(nat::CHANGE_REQUEST, &change.bits().to_be_bytes());
                }
                if let Some(bytes) = padding {
                    writer.attribute(nat::PADDING, &vec![0; usize::from(*bytes)]);
                }
            }
            Self::Allocate(allocation) => allocation.write(writer),
            Self::Refresh { lifetime, family } => {
                writer.lifetime(seconds(*lifetime));
                if let Some(family) = family {
                    write_family(writer, known::REQUESTED_ADDRESS_FAMILY, *family);
                }
            }
            Self::CreatePermission { peers } => {
                for peer in peers {
                    writer.peer(*peer);
                }
            }
            Self::ChannelBind { channel, peer } => {
                let [high, low] = channel.to_be_bytes();
                writer.attribute(known::CHANNEL_NUMBER, &[high, low, 0, 0]);
                writer.peer(*peer);
            }
        }
    }
}

fn write_family(writer: &mut Writer<'_>, kind: u16, family: Family) {
    writer.attribute(kind, &[family.code(), 0, 0, 0]);
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

impl TurnClient {
    /// Sends a request for the first time.
    pub(super) fn ask(&mut self, ask: Ask, now: Instant) -> RequestId {
        self.last_request = self.last_request.wrapping_add(1);
        let id = RequestId(self.last_request);
        if self.broken || self.pending.len() >= MAX_PENDING {
            self.fail(id, if self.broken { RequestError::Closed } else { RequestError::Busy });
            return id;
        }
        let to = match ask {
            Ask::Binding { to, .. } => to,
            Ask::Allocate(_) | Ask::Refresh { .. } | Ask::CreatePermission { .. } | Ask::ChannelBind { .. } => {
                self.options.server
            }
        };
        let transaction = self.new_transaction();
        let attempt = Attempt::first(self.options.transport, self.options.retransmission, now);
        let (packet, renewed, forged) = (Vec::new(), 0, false);
        self.issue(Pending { id, ask, transaction, to, packet, attempt, signed: false, renewed, forged });
        id
    }

    /// Sends a request again, as a new transaction with what the session knows now.
    pub(super) fn ask_again(&mut self, pending: Pending, now: Instant) {
        let transaction = self.new_transaction();
        let attempt = Attempt::first(self.options.transport, self.options.retransmission, now);
        self.issue(Pending { transaction, attempt, ..pending });
    }

    fn issue(&mut self, mut pending: Pending) {
        let method = pending.ask.method();
        let mut writer = Writer::new(&mut pending.packet, Class::Request, method, pending.transaction);
        pending.ask.write(&mut writer);
        pending.signed = match method {
            // RFC 8656 §5: a server answers Binding requests from everybody.
            Method::Binding => false,
            Method::Allocate
            | Method::Refresh
            | Method::Send
            | Method::Data
            | Method::CreatePermission
            | Method::ChannelBind => self.session.sign(&mut writer),
        };
        self.transmits.push_back(super::Transmit { to: pending.to, payload: pending.packet.clone() });
        self.pending.push(pending);
    }
}
