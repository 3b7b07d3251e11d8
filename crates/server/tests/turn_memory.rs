//! What a client of the relay that does not read costs. Alone in its process, for it looks at the memory of all of it.
#![allow(missing_docs)]

mod turn_common;

use turn_common::{Relay, call, echo};

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
    peer.send(relayed, b"last");
    let mut last = None;
    let mut count = 0;
    loop {
        let (_, _, payload) = caller.data();
        if payload == b"last" {
            break;
        }
        let index = u32::from_be_bytes(payload[..4].try_into().expect("an index"));
        assert_eq!(payload[4..], [index as u8; 1196], "a frame is whole");
        assert!(last < Some(index), "in order");
        last = Some(index);
        count += 1;
        // What was dropped at the full queue may have been the last word too.
        peer.send(relayed, b"last");
    }
    assert!(count > 0 && count < 60_000, "{count} of 60,000 came");
    // What is on its way still comes; then an answer is the answer.
    peer.send(relayed, b"sentinel");
    while caller.data().2 != b"sentinel" {}
    echo(&mut caller, relayed, &peer);
}

/// Bytes of memory that this process uses.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
    pages * 4096
}
