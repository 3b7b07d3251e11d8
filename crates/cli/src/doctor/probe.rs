//! Examines one way to a server: its answer, its relay with an echo through it, and the NAT in between.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use switchboard_turn::client::discovery::{Behaviour, Discovery, DiscoveryError, Test};
use switchboard_turn::client::{
    Allocated, Allocation, Binding, Event, Login, RequestError, RequestId, Retransmission, Strength,
};
use tokio::time::{timeout, timeout_at};

use super::fault::Fault;
use super::link::{Link, Way, fault_of, udp_socket};
use super::outside::{Outside, reach};
use super::target::Carrier;
use super::tls::Trust;

/// How long one way is examined at most.
const LIMIT: Duration = Duration::from_secs(12);

/// How long an echo may take, with resends over UDP.
const ECHO: Duration = Duration::from_secs(3);

/// After how long an echo is sent again.
const ECHO_AGAIN: Duration = Duration::from_millis(250);

/// What goes through a relay and back.
const ECHO_BYTES: &[u8] = b"switchboard doctor: is there an echo?";

/// The times of NAT detection: each silence is told after 1.6 s.
const DETECTION: Retransmission =
    Retransmission { first: Duration::from_millis(200), sends: 3, last: 5, stream: Duration::from_secs(2) };

/// A user name and a password as somebody gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// The user name; a time-limited one is `EXPIRY:user`.
    pub(crate) username: String,
    /// The password.
    pub(crate) password: String,
}

/// A way that is to be examined.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    /// The way.
    pub(crate) way: Way,
    /// Whether a relay is expected there.
    pub(crate) relays: bool,
    /// For whom.
    pub(crate) account: Option<Account>,
}

/// What was found.
#[derive(Debug, Clone)]
pub(crate) struct Findings {
    /// The server's answer, or why there is none.
    pub(crate) stun: Result<Seen, Fault>,
    /// The relay, if one was expected and the server answers.
    pub(crate) relay: Option<Result<Relay, Fault>>,
    /// How the NAT in between behaves, if the server helps to find out.
    pub(crate) nat: Option<Nat>,
}

/// An answer to a Binding request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// One's own address as the server sees it.
    pub(crate) mapped: SocketAddr,
    /// How long the answer took.
    pub(crate) took: Duration,
}

/// A relay that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relay {
    /// Its addresses.
    pub(crate) addresses: Vec<SocketAddr>,
    /// How long the slowest echo took: through the relay to another one, and back.
    pub(crate) echo: Duration,
    /// Whether others reach it.
    pub(crate) outside: Outside,
}

/// How a NAT behaves (RFC 5780).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nat {
    /// Whether there is one.
    pub(crate) translates: bool,
    /// On what its mapping depends.
    pub(crate) mapping: Result<Behaviour, DiscoveryError>,
    /// On what its filtering depends.
    pub(crate) filtering: Result<Behaviour, DiscoveryError>,
}

/// Examines a way, in bounded time.
pub(crate) async fn examine(path: &Path, trust: &Trust) -> Findings {
    let nothing = |fault| Findings { stun: Err(fault), relay: None, nat: None };
    let examined = timeout(LIMIT, examine_patiently(path, trust)).await;
    examined.unwrap_or(Err(Fault::Silent)).unwrap_or_else(nothing)
}

async fn examine_patiently(path: &Path, trust: &Trust) -> Result<Findings, Fault> {
    let login = path.account.as_ref().map(Account::login).transpose()?;
    let mut link = Link::open(&path.way, login.clone(), trust).await?;
    let started = Instant::now();
    let binding = bind(&mut link).await?;
    let seen = Seen { mapped: binding.mapped, took: started.elapsed() };
    let local = link.local();
    let relay = async { if path.relays { Some(relay(path, link, login, seen.mapped, trust).await) } else { None } };
    let detects = path.way.carrier == Carrier::Udp && binding.other.is_some();
    let nat = async { if detects { Some(detect(path.way.server, local != binding.mapped).await) } else { None } };
    let (relay, nat) = tokio::join!(relay, nat);
    let relay = relay.map(|relay| relay.map_err(|fault| with_clock(fault, path.account.as_ref())));
    Ok(Findings { stun: Ok(seen), relay, nat })
}

async fn bind(link: &mut Link) -> Result<Binding, Fault> {
    let request = link.client().bind(Instant::now());
    link.until(|event| match event {
        Event::Bound { request: answered, binding } if answered == request => Some(Ok(binding)),
        other => failure(&other, request, "the question for one's own address"),
    })
    .await?
}

/// Allocates twice, sends something through both relays and back, and then something from outside of them.
async fn relay(
    path: &Path,
    mut near: Link,
    login: Option<Login>,
    mapped: SocketAddr,
    trust: &Trust,
) -> Result<Relay, Fault> {
    let near_end = allocate(&mut near).await?;
    for relayed in &near_end.relayed {
        check_reachable(relayed.ip(), path.way.server.ip())?;
    }
    let mut far = Link::open(&path.way, login, trust).await?;
    let far_end = allocate(&mut far).await?;
    let mut echo = Duration::ZERO;
    for (from, to) in pairs(&near_end, &far_end) {
        echo = echo.max(echo_through(&mut near, from, &mut far, to).await?);
    }
    let outside = reach(&mut near, &near_end.relayed, mapped, path.way.server).await?;
    for link in [&mut near, &mut far] {
        link.client().refresh(Duration::ZERO, Instant::now());
        // Whether the server takes note of the end: allocations end by themselves.
        let _ = link.flush().await;
    }
    Ok(Relay { addresses: near_end.relayed, echo, outside })
}

/// Asks for relayed addresses of both families; some servers know but one, and some do not know the question.
async fn allocate(link: &mut Link) -> Result<Allocated, Fault> {
    match allocate_as(link, Allocation::dual()).await {
        Err(Fault::Refused { code: 400 | 420 | 440, .. }) => allocate_as(link, Allocation::default()).await,
        other => other,
    }
}

async fn allocate_as(link: &mut Link, allocation: Allocation) -> Result<Allocated, Fault> {
    let request = link.client().allocate(allocation, Instant::now());
    link.until(|event| match event {
        Event::Allocated { request: answered, allocated } if answered == request => Some(Ok(allocated)),
        other => failure(&other, request, "a relay"),
    })
    .await?
}

/// Both ends of an echo, once for each family that both have.
fn pairs<'a>(near: &'a Allocated, far: &'a Allocated) -> impl Iterator<Item = (SocketAddr, SocketAddr)> + 'a {
    near.relayed.iter().filter_map(|near| {
        let far = far.relayed.iter().find(|far| far.is_ipv4() == near.is_ipv4())?;
        Some((*near, *far))
    })
}

/// Sends by a channel and has it sent back in indications, so that both ways of sending are tested.
async fn echo_through(near: &mut Link, from: SocketAddr, far: &mut Link, to: SocketAddr) -> Result<Duration, Fault> {
    let request = near.client().bind_channel(to, Instant::now());
    let near_ready = near.until(|event| match event {
        Event::ChannelBound { request: answered, .. } if answered == request => Some(Ok(())),
        other => failure(&other, request, "a channel to its own relay"),
    });
    near_ready.await??;
    let request = far.client().create_permission(&[from], Instant::now());
    let far_ready = far.until(|event| match event {
        Event::Permitted { request: answered } if answered == request => Some(Ok(())),
        other => failure(&other, request, "a permission for its own relay"),
    });
    far_ready.await??;
    let lost = Fault::EchoLost { from, to };
    let echoes = async {
        tokio::select! {
            heard = call(near, to) => heard,
            fault = answer_all(far, from) => Err(fault),
        }
    };
    timeout(ECHO, echoes).await.unwrap_or(Err(lost))
}

/// Calls until the echo is heard; returns how long that took since the last call.
async fn call(near: &mut Link, to: SocketAddr) -> Result<Duration, Fault> {
    loop {
        let called = Instant::now();
        // The words are shorter than any limit.
        let _ = near.client().send(to, ECHO_BYTES);
        let heard = near.until(|event| data_from(to, event).filter(|payload| payload == ECHO_BYTES));
        if let Ok(heard) = timeout(ECHO_AGAIN, heard).await {
            return heard.map(|_| called.elapsed());
        }
    }
}

/// Sends everything back to where it came from; ends with a fault only.
async fn answer_all(far: &mut Link, from: SocketAddr) -> Fault {
    loop {
        match far.until(|event| data_from(from, event)).await {
            Ok(payload) => {
                // What came in a packet fits into one.
                let _ = far.client().send_indication(from, &payload, false);
            }
            Err(fault) => return fault,
        }
    }
}

/// The payload, if the event is data of this peer.
fn data_from(sender: SocketAddr, event: Event) -> Option<Vec<u8>> {
    if let Event::Data { peer, payload, .. } = event
        && peer == sender
    {
        Some(payload)
    } else {
        None
    }
}

/// The fault, if the event is this request's failure.
pub(crate) fn failure<T>(event: &Event, request: RequestId, name: &'static str) -> Option<Result<T, Fault>> {
    if let Event::Failed { request: failed, error } = event
        && *failed == request
    {
        Some(Err(Fault::of(name, error.clone())))
    } else {
        None
    }
}

/// Finds out how the NAT in between maps and filters, with a socket for each.
async fn detect(server: SocketAddr, translates: bool) -> Nat {
    let (mapping, filtering) = tokio::join!(discover(Test::Mapping, server), discover(Test::Filtering, server));
    Nat { translates, mapping, filtering }
}

async fn discover(test: Test, server: SocketAddr) -> Result<Behaviour, DiscoveryError> {
    let closed = || DiscoveryError::Request(RequestError::Closed);
    let socket = udp_socket(server).await.map_err(|_| closed())?;
    let mut discovery = Discovery::new(test, server, DETECTION, rand::random(), Instant::now());
    let mut buffer = vec![0; 2_048];
    loop {
        if let Some(outcome) = discovery.outcome() {
            return outcome.clone();
        }
        while let Some(transmit) = discovery.poll_transmit() {
            // What cannot be sent counts as lost.
            let _ = socket.send_to(&transmit.payload, transmit.to).await;
        }
        let Some(due) = discovery.poll_timeout() else { return Err(closed()) };
        match timeout_at(due.into(), socket.recv_from(&mut buffer)).await {
            Ok(Ok((length, from))) => discovery.handle_input(from, &buffer[..length], Instant::now()),
            // Some systems tell here that an earlier packet was refused.
            Ok(Err(error)) if fault_of(&error) == Fault::PortClosed => {}
            Ok(Err(_)) => return Err(closed()),
            Err(_) => discovery.handle_timeout(Instant::now()),
        }
    }
}

impl Account {
    fn login(&self) -> Result<Login, Fault> {
        // As browsers sign: what works here works in pages.
        Login::new(&self.username, &self.password, Strength::AsBrowsers)
            .map_err(|error| Fault::BadAnswer(format!("the credentials cannot be used: {error}")))
    }

    /// When a time-limited name expires, in seconds since 1970.
    fn expires(&self) -> Option<u64> {
        let (time, _) = self.username.split_once(':').unwrap_or((&self.username, ""));
        time.parse().ok()
    }
}

/// What a refused name's time says about why.
fn with_clock(fault: Fault, account: Option<&Account>) -> Fault {
    let (Fault::WrongCredentials { .. }, Some(expires)) = (&fault, account.and_then(Account::expires)) else {
        return fault;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match Duration::from_secs(expires).checked_sub(now) {
        Some(left) => Fault::WrongCredentials { left: Some(left) },
        None => Fault::Expired { ago: now.saturating_sub(Duration::from_secs(expires)) },
    }
}

/// Whether others can reach a relay as well as they reach the server.
fn check_reachable(relayed: IpAddr, server: IpAddr) -> Result<(), Fault> {
    let unreachable = is_local(relayed) && !is_local(server.to_canonical());
    if unreachable { Err(Fault::RelayPrivate { relayed, server: server.to_canonical() }) } else { Ok(()) }
}

/// Whether an address means something in its own network alone.
pub(crate) fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            // RFC 6598: between a provider's NAT and its customers.
            let shared = v4.octets()[0] == 100 && (64..128).contains(&v4.octets()[1]);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared
        }
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6 == Ipv6Addr::UNSPECIFIED
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_private_relay_of_a_public_server_is_a_fault() {
        for relayed in ["10.0.0.5", "192.168.1.2", "100.64.0.1", "127.0.0.1", "169.254.1.1", "fd00::1", "fe80::1"] {
            assert!(check_reachable(ip(relayed), ip("203.0.113.7")).is_err(), "{relayed}");
            assert!(check_reachable(ip(relayed), ip("192.168.1.1")).is_ok(), "{relayed}");
        }
        assert!(check_reachable(ip("203.0.113.8"), ip("203.0.113.7")).is_ok());
    }

    #[test]
    fn a_refused_name_is_judged_by_its_time() {
        let account = |username: &str| Account { username: username.to_owned(), password: String::new() };
        let judged = |username| with_clock(Fault::WrongCredentials { left: None }, Some(&account(username)));
        assert!(matches!(judged("1000000000:ann"), Fault::Expired { .. }));
        assert!(matches!(judged("9000000000:ann"), Fault::WrongCredentials { left: Some(_) }));
        assert_eq!(judged("ann"), Fault::WrongCredentials { left: None });
        assert_eq!(with_clock(Fault::Silent, Some(&account("1:a"))), Fault::Silent);
    }
}
