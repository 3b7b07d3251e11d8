//! NAT behaviour discovery, the client's half: how the NAT in between maps (RFC 5780 §4.3) and filters (§4.4). The server's
//! half is [`crate::nat`].
//!
//! Each test wants a socket of its own: what one sends opens the NAT for the other's answers.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Binding, Event, Options, RequestError, RequestId, Retransmission, Transmit, Transport, TurnClient};
use crate::nat::Change;

/// On what a NAT lets something depend (RFC 4787 §4.1, §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dependence {
    /// On nothing: one mapping for all destinations, or everybody may send to it.
    EndpointIndependent,
    /// On the other side's address.
    AddressDependent,
    /// On the other side's address and port.
    AddressAndPortDependent,
}

/// What is tested.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Test {
    /// Whether different destinations see different addresses of the client.
    Mapping,
    /// Whether senders that were not written to get through.
    Filtering,
}

/// The result of a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Behaviour {
    /// On what it depends.
    pub dependence: Dependence,
    /// The client's address as the server's first address sees it; without a NAT, that of the socket.
    pub mapped: SocketAddr,
}

/// Why a test has no result.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The first request failed already.
    #[error(transparent)]
    Request(RequestError),
    /// The server names no second address with another port, or answers not from there.
    #[error("the server does not help to detect NATs (RFC 5780)")]
    Unsupported,
    /// The server names a second address and does not answer there.
    #[error("the server's other address {other} does not answer: {error}")]
    Other {
        /// The address.
        other: SocketAddr,
        /// What became of the request.
        error: RequestError,
    },
}

/// Where a test stands: which answer it waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    First,
    Second { mapped: SocketAddr, other: SocketAddr },
    Third { mapped: SocketAddr, other: SocketAddr, second: Option<SocketAddr> },
}

/// One test, over one UDP socket.
#[derive(Debug)]
pub struct Discovery {
    test: Test,
    server: SocketAddr,
    client: TurnClient,
    step: Step,
    waits_for: RequestId,
    outcome: Option<Result<Behaviour, DiscoveryError>>,
}

impl Discovery {
    /// Starts a test against a server's first address. A filtering test waits for answers that may never come: its time
    /// follows from `times`.
    pub fn new(test: Test, server: SocketAddr, times: Retransmission, seed: [u8; 32], now: Instant) -> Self {
        let options = Options { retransmission: times, ..Options::new(server, Transport::Datagram) };
        let mut client = TurnClient::new(options, seed);
        let waits_for = client.bind(now);
        Self { test, server, client, step: Step::First, waits_for, outcome: None }
    }

    /// Takes a datagram that came from `from`.
    pub fn handle_input(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        self.client.handle_input(from, bytes, now);
        self.advance(now);
    }

    /// Resends what was not answered, or draws the conclusion.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
        self.advance(now);
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    /// The next datagram to send, and where to.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.client.poll_transmit()
    }

    /// The result, as soon as there is one.
    pub fn outcome(&self) -> Option<&Result<Behaviour, DiscoveryError>> {
        self.outcome.as_ref()
    }

    fn advance(&mut self, now: Instant) {
        while let Some(event) = self.client.poll_event() {
            let answer = match event {
                Event::Bound { request, binding } if request == self.waits_for => Ok(binding),
                Event::Failed { request, error } if request == self.waits_for => Err(error),
                Event::Bound { .. }
                | Event::Failed { .. }
                | Event::Allocated { .. }
                | Event::Refreshed { .. }
                | Event::Permitted { .. }
                | Event::ChannelBound { .. }
                | Event::Data { .. }
                | Event::Broken(_) => continue,
            };
            self.outcome = match (self.step, self.test) {
                (Step::First, _) => self.after_first(answer, now),
                (Step::Second { mapped, other }, Test::Mapping) => {
                    self.after_second_address(mapped, other, answer, now)
                }
                (Step::Second { mapped, other }, Test::Filtering) => {
                    self.after_second_source(mapped, other, answer, now)
                }
                (Step::Third { mapped, other, second }, Test::Mapping) => {
                    Some(third_address(mapped, other, second, answer))
                }
                (Step::Third { mapped, .. }, Test::Filtering) => Some(self.third_source(mapped, answer)),
            };
        }
    }

    fn after_first(&mut self, answer: Answer, now: Instant) -> Outcome {
        let Binding { mapped, other, .. } = match answer {
            Ok(binding) => binding,
            Err(error) => return Some(Err(DiscoveryError::Request(error))),
        };
        let differs = |other: &SocketAddr| other.ip() != self.server.ip() && other.port() != self.server.port();
        let Some(other) = other.filter(differs) else { return Some(Err(DiscoveryError::Unsupported)) };
        self.step = Step::Second { mapped, other };
        self.waits_for = match self.test {
            Test::Mapping => self.ask_at(SocketAddr::new(other.ip(), self.server.port()), now),
            Test::Filtering => self.ask_from(Change { address: true, port: true }, now),
        };
        None
    }

    fn after_second_address(&mut self, mapped: SocketAddr, other: SocketAddr, answer: Answer, now: Instant) -> Outcome {
        match answer {
            Ok(second) if second.mapped == mapped => {
                Some(Ok(Behaviour { dependence: Dependence::EndpointIndependent, mapped }))
            }
            Ok(second) => {
                self.step = Step::Third { mapped, other, second: Some(second.mapped) };
                self.waits_for = self.ask_at(other, now);
                None
            }
            Err(error) => Some(Err(DiscoveryError::Other { other, error })),
        }
    }

    fn after_second_source(&mut self, mapped: SocketAddr, other: SocketAddr, answer: Answer, now: Instant) -> Outcome {
        match answer {
            Ok(binding) if binding.from.ip() != self.server.ip() => {
                Some(Ok(Behaviour { dependence: Dependence::EndpointIndependent, mapped }))
            }
            Err(RequestError::TimedOut { .. }) => {
                self.step = Step::Third { mapped, other, second: None };
                self.waits_for = self.ask_from(Change { address: false, port: true }, now);
                None
            }
            // It ignores what it was asked, or refuses it.
            Ok(_) | Err(_) => Some(Err(DiscoveryError::Unsupported)),
        }
    }

    fn third_source(&self, mapped: SocketAddr, answer: Answer) -> Result<Behaviour, DiscoveryError> {
        let dependence = match answer {
            Ok(binding) if binding.from != self.server => Dependence::AddressDependent,
            Err(RequestError::TimedOut { .. }) => Dependence::AddressAndPortDependent,
            Ok(_) | Err(_) => return Err(DiscoveryError::Unsupported),
        };
        Ok(Behaviour { dependence, mapped })
    }

    fn ask_at(&mut self, to: SocketAddr, now: Instant) -> RequestId {
        self.client.binding(to, Change::default(), None, now)
    }

    fn ask_from(&mut self, change: Change, now: Instant) -> RequestId {
        self.client.binding(self.server, change, None, now)
    }
}

type Answer = Result<Binding, RequestError>;
type Outcome = Option<Result<Behaviour, DiscoveryError>>;

fn third_address(
    mapped: SocketAddr,
    other: SocketAddr,
    second: Option<SocketAddr>,
    answer: Answer,
) -> Result<Behaviour, DiscoveryError> {
    let third = answer.map_err(|error| DiscoveryError::Other { other, error })?;
    let same = second == Some(third.mapped);
    let dependence = if same { Dependence::AddressDependent } else { Dependence::AddressAndPortDependent };
    Ok(Behaviour { dependence, mapped })
}
