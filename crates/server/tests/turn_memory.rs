//! What a client of the relay that does not read costs. Alone in its process, for it looks at the memory of all of it.
#![allow(missing_docs)]

mod turn_common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use turn_common::{Caller, Peer, Relay, SOON, call, echo};

/// How long a word is waited for before it is sent again.
const AGAIN: Duration = Duration::from_millis(200);

#[test]
fn a_reader_that_stops_costs_bounded_memory_and_gets_whole_frames_when_it_goes_on() {
    let relay = Relay::spawn();
    let (mut caller, relayed, peer) = call(relay.tcp());
    let before = resident();
    // Far more than the kernel's buffers and the queue hold: most of it is dropped.
    for index in 0..60_000_u32 {
        peer.send(relayed, &[&index.to_be_bytes()[..], &[index as u8; 1196]].concat());
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 24 * 1024 * 1024, "{grown} bytes for one client that does not read");
    let mut last = None;
    let mut count = 0;
    hear_until(&mut caller, relayed, &peer, b"last", |payload| {
        let index = u32::from_be_bytes(payload[..4].try_into().expect("an index"));
        assert_eq!(payload[4..], [index as u8; 1196], "a frame is whole");
        assert!(last < Some(index), "in order");
        last = Some(index);
        count += 1;
    });
    assert!(count > 0 && count < 60_000, "{count} of 60,000 came");
    // What is on its way still comes; then an answer is the answer.
    hear_until(&mut caller, relayed, &peer, b"sentinel", |payload| assert_eq!(payload, b"last"));
    while let Some((_, _, payload)) = caller.data_within(AGAIN) {
        assert_eq!(payload, b"sentinel");
    }
    echo(&mut caller, relayed, &peer);
}

/// Sends a word until it has come: before a reader that has not kept up it may be dropped like all others, for want of room or for
/// its age. What comes before it goes to `heard`.
fn hear_until(caller: &mut Caller, relayed: SocketAddr, peer: &Peer, word: &[u8], mut heard: impl FnMut(&[u8])) {
    let deadline = Instant::now() + SOON;
    while Instant::now() < deadline {
        peer.send(relayed, word);
        match caller.data_within(AGAIN) {
            Some((_, _, payload)) if payload == word => return,
            Some((_, _, payload)) => heard(&payload),
            None => {}
        }
    }
    panic!("nothing comes through any more");
}

/// Bytes of memory that this process uses.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
    pages * 4096
}
