//! What can be wrong with a server or the way to it, said in words: what it is, and what to do.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use switchboard_turn::client::{RequestError, code_name};

use super::target::Carrier;

/// What does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The name has no address.
    NoAddress {
        /// The name.
        host: String,
    },
    /// This machine has no way to addresses of this family.
    NoRoute,
    /// The machine answers that nobody listens there.
    PortClosed,
    /// Packets or connection attempts are not answered at all.
    Silent,
    /// The connection failed in another way.
    Connection(String),
    /// The connection was closed before the answer.
    Closed,
    /// TLS failed.
    Tls(TlsFault),
    /// Something listens that is no STUN server.
    NotStun,
    /// A Switchboard was expected, and something else answered.
    NotSwitchboard(String),
    /// The Switchboard refuses pages of the very address it was asked at.
    OriginRefused {
        /// Their origin.
        origin: String,
    },
    /// The Switchboard offers neither STUN nor TURN.
    NothingOffered,
    /// The server wants credentials and there are none.
    CredentialsMissing,
    /// The name's time has passed.
    Expired {
        /// How long ago, by this machine's clock.
        ago: Duration,
    },
    /// The server does not take the credentials.
    WrongCredentials {
        /// How long they should be good still, by this machine's clock; none for names without a time.
        left: Option<Duration>,
    },
    /// The answers are signed with another password.
    Forged,
    /// The offer of better algorithms was removed on its way.
    Downgraded,
    /// An error code, and to which request.
    Refused {
        /// The request.
        request: &'static str,
        /// The code.
        code: u16,
    },
    /// The answer breaks the standard.
    BadAnswer(String),
    /// Two relayed addresses were given, and nothing came from one to the other.
    EchoLost {
        /// From where.
        from: SocketAddr,
        /// To where.
        to: SocketAddr,
    },
    /// UDP leaves the network here, and nothing sent to the relayed address arrives.
    RelayClosed {
        /// The relayed address.
        relayed: SocketAddr,
    },
    /// What is sent to the relayed address arrives, and what the relay sends does not.
    RelayOneWay {
        /// The relayed address.
        relayed: SocketAddr,
    },
    /// The relayed address can be reached from the server's own network alone.
    RelayPrivate {
        /// The relayed address.
        relayed: IpAddr,
        /// The server's address.
        server: IpAddr,
    },
}

/// Why TLS failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TlsFault {
    /// The certificate has expired.
    Expired {
        /// How long ago, if it is known.
        ago: Option<Duration>,
    },
    /// The certificate is not good yet.
    NotYet,
    /// The certificate is for other names.
    WrongName {
        /// The name that was asked for.
        host: String,
        /// Those in the certificate.
        names: Vec<String>,
    },
    /// Nobody whom this machine trusts has signed the certificate.
    UnknownIssuer,
    /// The certificate is an authority's own.
    SelfSigned,
    /// Something else than TLS answered.
    NotTls,
    /// Something else than TLS answered where a page was expected.
    NotHttps,
    /// Anything else.
    Other(String),
}

impl Fault {
    /// What became of a request.
    pub(crate) fn of(request: &'static str, error: RequestError) -> Self {
        match error {
            RequestError::TimedOut { forged: true } | RequestError::Forged => Self::Forged,
            RequestError::TimedOut { forged: false } => Self::Silent,
            RequestError::Closed => Self::Closed,
            RequestError::CredentialsMissing => Self::CredentialsMissing,
            RequestError::WrongCredentials => Self::WrongCredentials { left: None },
            RequestError::Downgraded => Self::Downgraded,
            RequestError::Refused { code } => Self::Refused { request, code },
            RequestError::EndlesslyStale
            | RequestError::TryAlternate { .. }
            | RequestError::Incomplete { .. }
            | RequestError::Busy => Self::BadAnswer(error.to_string()),
        }
    }

    /// A short name for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoAddress { .. } => "no-address",
            Self::NoRoute => "no-route",
            Self::PortClosed => "port-closed",
            Self::Silent => "no-answer",
            Self::Connection(_) => "connection-failed",
            Self::Closed => "connection-closed",
            Self::Tls(fault) => fault.code(),
            Self::NotStun => "not-stun",
            Self::NotSwitchboard(_) => "not-switchboard",
            Self::OriginRefused { .. } => "origin-refused",
            Self::NothingOffered => "nothing-offered",
            Self::CredentialsMissing => "credentials-missing",
            Self::Expired { .. } => "credentials-expired",
            Self::WrongCredentials { .. } => "wrong-credentials",
            Self::Forged => "wrong-signature",
            Self::Downgraded => "downgraded",
            Self::Refused { .. } => "refused",
            Self::BadAnswer(_) => "bad-answer",
            Self::EchoLost { .. } => "echo-lost",
            Self::RelayClosed { .. } => "relay-closed",
            Self::RelayOneWay { .. } => "relay-one-way",
            Self::RelayPrivate { .. } => "relay-private",
        }
    }

    /// What is wrong, in one sentence.
    pub(crate) fn sentence(&self, carrier: Carrier, port: u16) -> String {
        match self {
            Self::NoAddress { host } => format!("the name {host} has no address"),
            Self::NoRoute => "this machine has no way there".to_owned(),
            Self::PortClosed => format!("nothing listens on {} port {port}", ip_protocol(carrier)),
            Self::Silent => format!("nothing answers on {} port {port}", ip_protocol(carrier)),
            Self::Connection(error) => format!("the connection failed: {error}"),
            Self::Closed => "the server closed the connection before it answered".to_owned(),
            Self::Tls(fault) => fault.sentence(),
            Self::NotStun => format!("something else than STUN answers on {} port {port}", ip_protocol(carrier)),
            Self::NotSwitchboard(what) => format!("no Switchboard answers there: {what}"),
            Self::OriginRefused { origin } => format!("the server refuses pages of {origin}, its own among them (403)"),
            Self::NothingOffered => "the server offers its clients neither STUN nor TURN".to_owned(),
            Self::CredentialsMissing => "the server asks for a user name and a password".to_owned(),
            Self::Expired { ago } => format!("the credentials expired {} ago by this machine's clock", span(*ago)),
            Self::WrongCredentials { .. } => "the server does not accept the user name and the password".to_owned(),
            Self::Forged => "the server's answers are signed with another password".to_owned(),
            Self::Downgraded => "somebody on the way removed the server's offer of better signatures".to_owned(),
            Self::Refused { request, code } => refused(request, *code),
            Self::BadAnswer(what) => what.clone(),
            Self::EchoLost { from, to } => {
                format!("nothing sent from the relay at {from} arrives at the relay at {to}")
            }
            Self::RelayClosed { relayed } => format!(
                "nothing sent from here to the relay at {relayed} arrives: the relay's ports are not shown to be open from here"
            ),
            Self::RelayOneWay { relayed } => {
                format!("what is sent to the relay at {relayed} arrives, but what it sends does not come from there")
            }
            Self::RelayPrivate { relayed, server } => {
                format!("the relay is at {relayed}, a private address, though the server is at {server}")
            }
        }
    }

    /// What to do about it.
    pub(crate) fn advice(&self, carrier: Carrier, port: u16) -> String {
        let protocol = ip_protocol(carrier);
        match self {
            Self::NoAddress { .. } => "Check the spelling, or add a DNS record for the name.".to_owned(),
            Self::NoRoute => "Test from a machine that has such addresses if your users do.".to_owned(),
            Self::PortClosed => format!("Start the server, or correct the port: is it configured to listen on {protocol} {port}?"),
            Self::Silent => format!("Open {protocol} port {port} in the server's firewall or security group; if it is open, the network here drops it."),
            Self::Connection(_) => "Check the network between here and the server.".to_owned(),
            Self::Closed => "Look into the server's log: it may be full, or something in between speaks another protocol.".to_owned(),
            Self::Tls(fault) => fault.advice(),
            Self::NotStun => "Correct the port, or let the proxy in front of the server pass this port through unchanged.".to_owned(),
            Self::NotSwitchboard(_) => "Correct the link; if a proxy stands in front, it must pass WebSockets on to /ws.".to_owned(),
            Self::OriginRefused { origin } => format!(
                "A proxy in front must pass the Host header on as it came; or set public_url = \"{origin}\", or list it under \
                 origins."
            ),
            Self::NothingOffered => "Free port 3478 on the server or set turn.listen, and look for a warning in its log.".to_owned(),
            Self::CredentialsMissing => "Give --username and --password, or the server's --secret.".to_owned(),
            Self::Expired { .. } => "Get new credentials; if these are new, set the clocks of this machine and the server.".to_owned(),
            Self::WrongCredentials { left: Some(left) } => format!(
                "By this machine's clock they are good for another {}: the server has another secret, or another time.",
                span(*left)
            ),
            Self::WrongCredentials { left: None } => "Correct the name or the password.".to_owned(),
            Self::Forged => "Correct the password, or find who changes packets on the way.".to_owned(),
            Self::Downgraded => "Find what changes packets between here and the server.".to_owned(),
            Self::Refused { code, .. } => advice_for(*code).to_owned(),
            Self::BadAnswer(_) => "Update the server.".to_owned(),
            Self::EchoLost { .. } => "The server must let its own relays reach each other: check its firewall for the relay ports (49152–65535 by default).".to_owned(),
            Self::RelayClosed { relayed } => format!(
                "Open the UDP ports of turn.relay_ports (49152–65535 by default) in the server's firewall or security group, and \
                 set turn.relay_addresses to its public address if {} is not that; if all this is right, the network here \
                 drops packets to such ports.",
                relayed.ip()
            ),
            Self::RelayOneWay { .. } => "Let the server's firewall pass UDP from its relay ports, and its NAT keep address and port: see turn.relay_addresses.".to_owned(),
            Self::RelayPrivate { relayed, server } => {
                format!("Nobody outside can reach it: set turn.relay_addresses = [\"{server}/{relayed}\"].")
            }
        }
    }
}

impl TlsFault {
    fn code(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "certificate-expired",
            Self::NotYet => "certificate-not-yet-valid",
            Self::WrongName { .. } => "certificate-wrong-name",
            Self::UnknownIssuer => "certificate-unknown-issuer",
            Self::SelfSigned => "certificate-self-signed",
            Self::NotTls | Self::NotHttps => "not-tls",
            Self::Other(_) => "tls-failed",
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::Expired { ago: Some(ago) } => format!("the certificate expired {} ago", span(*ago)),
            Self::Expired { ago: None } => "the certificate has expired".to_owned(),
            Self::NotYet => "the certificate is not valid yet by this machine's clock".to_owned(),
            Self::WrongName { host, names } if names.is_empty() => format!("the certificate is not for {host}"),
            Self::WrongName { host, names } => {
                format!("the certificate is not for {host} but for {}", names.join(", "))
            }
            Self::UnknownIssuer => "nobody whom this machine trusts has signed the certificate".to_owned(),
            Self::SelfSigned => "the certificate is self-signed; browsers refuse it".to_owned(),
            Self::NotTls | Self::NotHttps => "something else than TLS answers".to_owned(),
            Self::Other(error) => format!("TLS failed: {error}"),
        }
    }

    fn advice(&self) -> String {
        match self {
            Self::Expired { .. } => "Renew it and restart the server; browsers refuse this one.",
            Self::NotYet => "Set the clock of this machine, or wait.",
            Self::WrongName { .. } => "Get a certificate for this name, or use a name that it is for.",
            Self::UnknownIssuer => {
                "Configure the whole chain with the intermediate certificates; for an authority of your own, give --ca FILE."
            }
            Self::SelfSigned => {
                "Get one from an authority that browsers know, such as Let's Encrypt, or have an authority of your own sign one with \
                 basicConstraints=CA:FALSE; --ca does not make a server of an authority."
            }
            Self::NotTls => "Correct the port, or use turn: instead of turns:.",
            Self::NotHttps => "Correct the port, or use http:// instead of https://.",
            Self::Other(_) => "Look into the server's log.",
        }
        .to_owned()
    }
}

fn refused(request: &str, code: u16) -> String {
    match code_name(code) {
        "" => format!("the server refused {request} with error {code}"),
        name => format!("the server refused {request} with error {code} ({name})"),
    }
}

fn advice_for(code: u16) -> &'static str {
    match code {
        403 => "The server's rules for peers forbid it: look at its list of allowed and denied networks.",
        440 => "The server has no relay address of this family: set turn.relay_addresses.",
        441 => "Another user holds this connection: try again.",
        486 => "The user's or the network's quota is used up: wait, or raise turn.allocations_per_user.",
        500 => "Look into the server's log.",
        508 => {
            "The server has no relay port left: raise turn.allocations or widen turn.relay_ports, and allow more open files."
        }
        _ => "Look into the server's log.",
    }
}

/// What a firewall knows of a carrier.
fn ip_protocol(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Udp => "UDP",
        Carrier::Tcp | Carrier::Tls => "TCP",
    }
}

/// A duration in its largest unit.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7_199 => (seconds / 60, "minute"),
        7_200..=172_799 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        let told = [1, 90, 120, 7_200, 172_800].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(told, ["1 second", "90 seconds", "2 minutes", "2 hours", "2 days"]);
    }

    fn every_fault() -> Vec<Fault> {
        let relayed: SocketAddr = "10.0.0.5:50000".parse().expect("address");
        let server: SocketAddr = "203.0.113.7:3478".parse().expect("address");
        let hour = Duration::from_secs(3_600);
        let names = vec!["a.example".to_owned(), "b.example".to_owned()];
        vec![
            Fault::NoAddress { host: "example.invalid".to_owned() },
            Fault::NoRoute,
            Fault::PortClosed,
            Fault::Silent,
            Fault::Connection("broken pipe".to_owned()),
            Fault::Closed,
            Fault::Tls(TlsFault::Expired { ago: Some(48 * hour) }),
            Fault::Tls(TlsFault::NotYet),
            Fault::Tls(TlsFault::WrongName { host: "example.org".to_owned(), names }),
            Fault::Tls(TlsFault::UnknownIssuer),
            Fault::Tls(TlsFault::SelfSigned),
            Fault::Tls(TlsFault::NotTls),
            Fault::Tls(TlsFault::NotHttps),
            Fault::Tls(TlsFault::Other("handshake failure".to_owned())),
            Fault::NotStun,
            Fault::NotSwitchboard("404 Not Found".to_owned()),
            Fault::OriginRefused { origin: "https://example.org".to_owned() },
            Fault::NothingOffered,
            Fault::CredentialsMissing,
            Fault::Expired { ago: hour },
            Fault::WrongCredentials { left: Some(hour) },
            Fault::WrongCredentials { left: None },
            Fault::Forged,
            Fault::Downgraded,
            Fault::Refused { request: "a relay", code: 486 },
            Fault::Refused { request: "a relay", code: 599 },
            Fault::BadAnswer("the server's answer lacks LIFETIME".to_owned()),
            Fault::EchoLost { from: relayed, to: server },
            Fault::RelayClosed { relayed: server },
            Fault::RelayOneWay { relayed: server },
            Fault::RelayPrivate { relayed: relayed.ip(), server: server.ip() },
        ]
    }

    #[test]
    fn every_fault_says_what_it_is_and_what_to_do() {
        let told: String = every_fault()
            .iter()
            .map(|fault| {
                let (sentence, advice) = (fault.sentence(Carrier::Tls, 5349), fault.advice(Carrier::Tls, 5349));
                format!("{}: {sentence}\n    {advice}\n", fault.code())
            })
            .collect();
        insta::assert_snapshot!(told);
    }
}
