//! A fault of the program in one thread that relays: its clients begin anew, and nobody else notices.
//!
//! The fault comes in through the log: what listens to it here panics at the line that a connection's end writes.
#![allow(missing_docs)]

mod turn_common;

use std::fmt;
use std::net::UdpSocket;
use std::num::NonZeroU8;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use switchboard_turn::client::{Allocation, Event, RequestError, Transport};
use tracing::field::{Field, Visit};
use tracing::span;
use turn_common::{Caller, Relay, SOON, call, echo};

/// Ends of connections that are to fail from now on.
static FAULTS: AtomicU32 = AtomicU32::new(0);

/// One test at a time, for the fault is everybody's.
static ALONE: Mutex<()> = Mutex::new(());

/// A listener to the log that is at fault.
struct Faulty;

/// Whether a line is the one of a connection's end.
struct IsEnd(bool);

impl Visit for IsEnd {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 |= field.name() == "message" && format!("{value:?}") == "a TURN connection ends";
    }
}

impl tracing::Subscriber for Faulty {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("switchboard_server::turn")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut is_end = IsEnd(false);
        event.record(&mut is_end);
        let is_due = |left: u32| left.checked_sub(1);
        if is_end.0 && FAULTS.fetch_update(Ordering::SeqCst, Ordering::SeqCst, is_due).is_ok() {
            panic!("a fault of the test");
        }
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Makes a worker fail: the one that has the connection which ends here. Returns when it has begun anew.
fn fail(relay: &Relay) {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| tracing::subscriber::set_global_default(Faulty).expect("nobody listens yet"));
    let before = restarts(relay);
    let mut caller = relay.tcp();
    let request = caller.turn.bind(Instant::now());
    caller.answer(request);
    FAULTS.store(1, Ordering::SeqCst);
    drop(caller);
    let until = Instant::now() + SOON;
    while restarts(relay) == before {
        assert!(Instant::now() < until, "no worker failed");
        std::thread::yield_now();
    }
}

fn value(relay: &Relay, series: &str) -> u64 {
    let metrics = relay.metrics();
    let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{series} is not in\n{metrics}"))
}

fn restarts(relay: &Relay) -> u64 {
    value(relay, "switchboard_turn_restarts_total ")
}

/// Whether a client has its allocation still.
fn is_alive(caller: &mut Caller) -> bool {
    let request = caller.turn.refresh(Duration::from_secs(600), Instant::now());
    match caller.next_event(SOON).expect("an answer") {
        Event::Refreshed { .. } => true,
        Event::Failed { request: failed, error: RequestError::Refused { code: 437 } } if failed == request => false,
        event => panic!("{event:?}"),
    }
}

#[test]
fn a_thread_that_fails_begins_anew_and_the_others_go_on() {
    const CLIENTS: usize = 32;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Room for one client more, so that whoever begins anew needs what the dead had.
    let relay = Relay::with(|config| config.limits.allocations = CLIENTS as u32 + 1);
    let clients: Vec<_> = (0..CLIENTS).map(|_| call(relay.udp())).collect();
    fail(&relay);
    let (mut alive, mut dead) = (Vec::new(), Vec::new());
    for (mut caller, relayed, peer) in clients {
        let is_alive = is_alive(&mut caller);
        if is_alive { &mut alive } else { &mut dead }.push((caller, relayed, peer));
    }
    // All clients on one thread: once in a thousand million runs.
    assert!(!alive.is_empty() && !dead.is_empty(), "{} of {CLIENTS} are alive", alive.len());
    assert_eq!(value(&relay, "switchboard_turn_allocations{transport=\"udp\",family=\"ipv4\"} "), alive.len() as u64);
    for (caller, relayed, peer) in &mut alive {
        echo(caller, *relayed, peer);
    }
    let begun_anew = dead.len();
    for (caller, relayed, _) in dead {
        UdpSocket::bind(relayed).expect("its relay is closed");
        // The same client at the same socket, which is the same thread's.
        let caller = Caller::new(caller.pipe, relay.addrs.udp[0], Transport::Datagram);
        let (mut caller, relayed, peer) = call(caller);
        echo(&mut caller, relayed, &peer);
        alive.push((caller, relayed, peer));
    }
    // The numbers went on.
    assert_eq!(value(&relay, "switchboard_turn_allocated_total "), (CLIENTS + begun_anew) as u64);
    // An old client of one thread and a new one of the other reach each other.
    let (mut old, old_relayed, _) = alive.remove(0);
    let (mut new, new_relayed, _) = alive.pop().expect("clients");
    old.permit(&[new_relayed]);
    new.permit(&[old_relayed]);
    old.send(new_relayed, b"old to new");
    assert_eq!(new.data(), (old_relayed, None, b"old to new".to_vec()));
    new.send(old_relayed, b"new to old");
    assert_eq!(old.data(), (new_relayed, None, b"new to old".to_vec()));
    // Both threads take connections.
    for _ in 0..16 {
        let mut caller = relay.tcp();
        let request = caller.turn.bind(Instant::now());
        caller.answer(request);
    }
}

#[test]
fn a_thread_may_fail_again_and_again() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let relay = Relay::with_tls(|config| config.workers = NonZeroU8::new(1));
    for round in 1..=3 {
        let (mut stream, mut secure) = (relay.tcp(), relay.tls());
        stream.allocate(Allocation::default());
        secure.allocate(Allocation::default());
        fail(&relay);
        assert_eq!(restarts(&relay), round);
        stream.end();
        secure.end();
        assert_eq!(value(&relay, "switchboard_turn_connections{transport=\"tls\"} "), 0);
    }
    relay.stop();
}
