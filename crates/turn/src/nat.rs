//! NAT behaviour discovery, the server's half (RFC 5780): from which of four sockets a Binding request is answered, and with
//! what. Pure functions that the engine calls for Binding requests over UDP; the client's half is `client::discovery`.
//!
//! Off unless a second address is configured: whoever honours CHANGE-REQUEST sends from sockets that the client never wrote
//! to, and whoever honours RESPONSE-PORT to ports that it never wrote from. Clients need the latter to measure how long their
//! NAT keeps a mapping (RFC 5780 §4.6). Who can forge a source has no use for it, so it reaches nothing that a forged source
//! would not; neighbours behind the same NAT are spared by a bound and by the budget of the engine, which counts every such
//! answer. PADDING never makes an answer larger than its request.

use std::net::SocketAddr;

/// CHANGE-REQUEST (RFC 5780 §7.2).
pub const CHANGE_REQUEST: u16 = 0x0003;
/// PADDING (RFC 5780 §7.6).
pub const PADDING: u16 = 0x0026;
/// RESPONSE-PORT (RFC 5780 §7.5).
pub const RESPONSE_PORT: u16 = 0x0027;
/// RESPONSE-ORIGIN (RFC 5780 §7.3).
pub const RESPONSE_ORIGIN: u16 = 0x802b;
/// OTHER-ADDRESS (RFC 5780 §7.4).
pub const OTHER_ADDRESS: u16 = 0x802c;

/// The lowest port that RESPONSE-PORT may name: below are services that answer whatever comes, and no NAT maps a client there
/// (RFC 4787 REQ-3).
const LOWEST_RESPONSE_PORT: u16 = 1024;

/// The most padding that is sent: the datagram leaves in two fragments on every usual link, and in no more.
const PADDING_BYTES: usize = 1500;

/// Two addresses with two ports each, on all of which the server listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NatDetection {
    primary: SocketAddr,
    alternate: SocketAddr,
}

/// Why two addresses do not make a pair: the configuration is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NatDetectionError {
    /// One is IPv4 and the other IPv6.
    #[error("the second address {1} must be of the same family as the first, {0}")]
    Families(SocketAddr, SocketAddr),
    /// Only the port differs, or nothing.
    #[error("the second address {1} must be another one than the first, {0}")]
    SameAddress(SocketAddr, SocketAddr),
    /// Only the address differs.
    #[error("the port of the second address {1} must be another one than that of the first, {0}")]
    SamePort(SocketAddr, SocketAddr),
    /// Not an address that clients can be told.
    #[error("{0} is no address that can be told to clients: name one address and one port")]
    Unspecified(SocketAddr),
}

/// What a client asks to be changed about the answer's source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Change {
    /// Answer from the other address.
    pub address: bool,
    /// Answer from the other port.
    pub port: bool,
}

impl Change {
    const ADDRESS: u32 = 0x4;
    const PORT: u32 = 0x2;

    /// Reads the value of CHANGE-REQUEST.
    pub fn from_bits(bits: u32) -> Self {
        Self { address: bits & Self::ADDRESS != 0, port: bits & Self::PORT != 0 }
    }

    /// The value of CHANGE-REQUEST.
    pub fn bits(self) -> u32 {
        (if self.address { Self::ADDRESS } else { 0 }) | (if self.port { Self::PORT } else { 0 })
    }
}

/// What a Binding request says about its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NatRequest {
    /// The value of CHANGE-REQUEST.
    pub change: Change,
    /// Bytes of the value of PADDING, where there is one.
    pub padding: Option<usize>,
    /// The value of RESPONSE-PORT, where there is one.
    pub response_port: Option<u16>,
}

/// How a Binding request is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NatAnswer {
    /// The socket to send from; also the value of RESPONSE-ORIGIN.
    pub origin: SocketAddr,
    /// The port of the client's address to send to, where it is not the one that the request came from.
    pub to_port: Option<u16>,
    /// The value of OTHER-ADDRESS.
    pub other: SocketAddr,
    /// Bytes of PADDING to add.
    pub padding: Option<usize>,
}

/// Why a Binding request is refused with 400.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NatRefusal {
    /// RESPONSE-PORT and PADDING at once (RFC 5780 §6.1): two fragments to who asked for none.
    Contradiction,
    /// RESPONSE-PORT names a port of the system.
    LowPort,
}

impl NatDetection {
    /// Pairs the address that clients know with a second one.
    ///
    /// # Errors
    ///
    /// Says in what the two do not differ, or differ too much.
    pub fn new(primary: SocketAddr, alternate: SocketAddr) -> Result<Self, NatDetectionError> {
        let (primary, alternate) = (canonical(primary), canonical(alternate));
        for address in [primary, alternate] {
            if address.ip().is_unspecified() || address.port() == 0 {
                return Err(NatDetectionError::Unspecified(address));
            }
        }
        if primary.is_ipv4() != alternate.is_ipv4() {
            return Err(NatDetectionError::Families(primary, alternate));
        }
        if primary.ip() == alternate.ip() {
            return Err(NatDetectionError::SameAddress(primary, alternate));
        }
        if primary.port() == alternate.port() {
            return Err(NatDetectionError::SamePort(primary, alternate));
        }
        Ok(Self { primary, alternate })
    }

    /// Every address and port that must be listened on: the primary one first.
    pub fn listeners(&self) -> [SocketAddr; 4] {
        [
            self.primary,
            SocketAddr::new(self.primary.ip(), self.alternate.port()),
            SocketAddr::new(self.alternate.ip(), self.primary.port()),
            self.alternate,
        ]
    }

    /// Decides how to answer a Binding request that came over UDP to `local`; none if that is not one of the four
    /// listeners, in which case the request is answered as if detection were off.
    ///
    /// # Errors
    ///
    /// Says how the request is refused.
    pub fn answer(&self, local: SocketAddr, request: NatRequest) -> Option<Result<NatAnswer, NatRefusal>> {
        let local = canonical(local);
        self.listeners().contains(&local).then(|| self.answer_from(local, request))
    }

    fn answer_from(&self, local: SocketAddr, request: NatRequest) -> Result<NatAnswer, NatRefusal> {
        match request.response_port {
            Some(_) if request.padding.is_some() => return Err(NatRefusal::Contradiction),
            Some(..LOWEST_RESPONSE_PORT) => return Err(NatRefusal::LowPort),
            Some(_) | None => {}
        }
        Ok(NatAnswer {
            to_port: request.response_port,
            origin: self.changed(local, request.change),
            other: self.changed(local, Change { address: true, port: true }),
            padding: request.padding.map(|bytes| bytes.min(PADDING_BYTES)),
        })
    }

    /// The listener that differs from `local` in what is to change.
    fn changed(&self, local: SocketAddr, change: Change) -> SocketAddr {
        let other_address = if local.ip() == self.primary.ip() { self.alternate.ip() } else { self.primary.ip() };
        let other_port = if local.port() == self.primary.port() { self.alternate.port() } else { self.primary.port() };
        SocketAddr::new(
            if change.address { other_address } else { local.ip() },
            if change.port { other_port } else { local.port() },
        )
    }
}

/// IPv4 addresses as such, however the socket names them.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn detection() -> NatDetection {
        NatDetection::new(at("192.0.2.1:3478"), at("192.0.2.2:3479")).expect("a pair")
    }

    fn answer(local: &str, address: bool, port: bool) -> NatAnswer {
        let request = NatRequest { change: Change { address, port }, ..NatRequest::default() };
        detection().answer(at(local), request).expect("a listener").expect("an answer")
    }

    #[test]
    fn answers_from_where_it_is_asked_to() {
        // The table of RFC 5780 §6.1.
        for (address, port, from) in [
            (false, false, "192.0.2.1:3478"),
            (true, false, "192.0.2.2:3478"),
            (false, true, "192.0.2.1:3479"),
            (true, true, "192.0.2.2:3479"),
        ] {
            assert_eq!(answer("192.0.2.1:3478", address, port).origin, at(from));
        }
        assert_eq!(answer("192.0.2.2:3479", true, false).origin, at("192.0.2.1:3479"));
    }

    #[test]
    fn the_other_address_differs_in_both_whatever_is_asked() {
        assert_eq!(answer("192.0.2.1:3478", false, false).other, at("192.0.2.2:3479"));
        assert_eq!(answer("192.0.2.1:3478", true, true).other, at("192.0.2.2:3479"));
        assert_eq!(answer("192.0.2.2:3478", false, true).other, at("192.0.2.1:3479"));
    }

    #[test]
    fn every_listener_reaches_every_other() {
        for local in detection().listeners() {
            let reached = [(false, false), (true, false), (false, true), (true, true)]
                .map(|(address, port)| answer(&local.to_string(), address, port).origin);
            for listener in detection().listeners() {
                assert!(reached.contains(&listener), "{local} never answers from {listener}");
            }
        }
    }

    #[test]
    fn a_mapped_local_address_is_the_same_listener() {
        assert_eq!(answer("[::ffff:192.0.2.1]:3478", true, true).origin, at("192.0.2.2:3479"));
    }

    #[test]
    fn elsewhere_it_is_off() {
        assert_eq!(detection().answer(at("192.0.2.1:3480"), NatRequest::default()), None);
        assert_eq!(detection().answer(at("192.0.2.3:3478"), NatRequest::default()), None);
    }

    #[test]
    fn answers_to_another_port_but_to_no_service() {
        let answer = |port, padding| {
            let request = NatRequest { response_port: Some(port), padding, ..NatRequest::default() };
            detection().answer(at("192.0.2.1:3478"), request).expect("a listener").map(|answer| answer.to_port)
        };
        assert_eq!(answer(1024, None), Ok(Some(1024)));
        assert_eq!(answer(65_535, None), Ok(Some(65_535)));
        for port in [0, 19, 53, 1023] {
            assert_eq!(answer(port, None), Err(NatRefusal::LowPort));
        }
        assert_eq!(answer(5_000, Some(0)), Err(NatRefusal::Contradiction));
    }

    #[test]
    fn padding_is_never_more_than_was_sent() {
        let padded = |bytes| {
            let request = NatRequest { padding: Some(bytes), ..NatRequest::default() };
            detection().answer(at("192.0.2.1:3478"), request).expect("a listener").expect("an answer").padding
        };
        assert_eq!((padded(0), padded(1400), padded(60_000)), (Some(0), Some(1400), Some(PADDING_BYTES)));
    }

    #[test]
    fn the_two_addresses_must_differ_in_both_parts() {
        let pair = |a: &str, b: &str| NatDetection::new(at(a), at(b)).expect_err("no pair").to_string();
        assert_says(&pair("192.0.2.1:3478", "192.0.2.1:3479"), "another one than the first");
        assert_says(&pair("192.0.2.1:3478", "192.0.2.2:3478"), "the port of the second address");
        assert_says(&pair("192.0.2.1:3478", "[2001:db8::1]:3479"), "the same family");
        assert_says(&pair("0.0.0.0:3478", "192.0.2.2:3479"), "no address that can be told");
        assert_says(&pair("192.0.2.1:3478", "192.0.2.2:0"), "no address that can be told");
    }

    fn assert_says(message: &str, part: &str) {
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn a_change_survives_its_bits() {
        for bits in [0, 2, 4, 6] {
            assert_eq!(Change::from_bits(bits).bits(), bits);
        }
        assert_eq!(Change::from_bits(u32::MAX), Change { address: true, port: true });
    }
}
