//! STUN and TURN in the operator's metrics. Every label is one of a closed list: none comes from what users send.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use switchboard_turn::message::Method;
use switchboard_turn::stats::{AuthFailure, Dropped, Traffic, Transport};

use super::stats::{Board, Published};
use crate::metrics::{Label, UNLABELLED, counters, gauges, labelled};

/// Writes what all workers have counted.
pub(crate) fn encode(board: &Board, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let workers = board.workers();
    let sum = |value: fn(&Published) -> u64| workers.iter().map(value).sum::<u64>();
    allocations(&workers, encoder)?;
    traffic(&workers, encoder)?;
    requests(&workers, encoder)?;
    auth_failures(&workers, encoder)?;
    drops(&workers, encoder)?;
    let connections = [
        ("tcp", sum(|worker| worker.counters.tcp_connections)),
        ("tls", sum(|worker| worker.counters.tls_connections)),
    ];
    let help = "TCP and TLS connections of TURN clients";
    gauges(encoder, "switchboard_turn_connections", help, &labelled("transport", connections))?;
    let ended = [
        ("refused", sum(|worker| worker.counters.connections_refused)),
        ("given_up", sum(|worker| worker.counters.connections_given_up)),
    ];
    let help = "Connections closed at once for there were too many, or later for they were slow, idle or not STUN";
    counters(encoder, "switchboard_turn_connections_closed", help, &labelled("reason", ended))?;
    let calls = [("receive", sum(|worker| worker.counters.receives)), ("send", sum(|worker| worker.counters.sends))];
    let help = "System calls that moved datagrams; fewer than packets is better";
    counters(encoder, "switchboard_turn_calls", help, &labelled("call", calls))?;
    let restarts = [(UNLABELLED, sum(|worker| worker.counters.restarts))];
    let help = "Threads that failed and began anew, without the allocations of their clients; there should be none";
    counters(encoder, "switchboard_turn_restarts", help, &restarts)?;
    let trains = [(UNLABELLED, sum(|worker| worker.counters.sent_in_trains))];
    counters(encoder, "switchboard_turn_sent_in_trains", "Datagrams that shared a send with others", &trains)
}

fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
    }
}

fn allocations(workers: &[Published], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut alive: Vec<([Label; 2], u64)> = Vec::new();
    for (index, transport) in Transport::ALL.into_iter().enumerate() {
        for (family, name) in ["ipv4", "ipv6"].into_iter().enumerate() {
            let count = workers.iter().map(|worker| worker.engine.allocations[index][family]).sum();
            alive.push(([("transport", transport_name(transport)), ("family", name)], count));
        }
    }
    let help = "Relayed addresses that live now, by what carries their client's side";
    gauges(encoder, "switchboard_turn_allocations", help, &alive)?;
    let made = workers.iter().map(|worker| worker.engine.allocated).sum::<u64>();
    counters(encoder, "switchboard_turn_allocated", "Allocations that were made", &[(UNLABELLED, made)])?;
    let expired = workers.iter().map(|worker| worker.engine.expired).sum::<u64>();
    let help = "Allocations that ended because nobody refreshed them";
    counters(encoder, "switchboard_turn_expired", help, &[(UNLABELLED, expired)])
}

/// Bytes and packets, by direction and by what carries the client's side.
fn traffic(workers: &[Published], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    type Direction = (&'static str, fn(&Published) -> &[Traffic; 3]);
    let directions: [Direction; 2] =
        [("to_peer", |worker| &worker.engine.to_peers), ("to_client", |worker| &worker.engine.to_clients)];
    let mut bytes = Vec::new();
    let mut packets = Vec::new();
    for (direction, of) in directions {
        for (index, transport) in Transport::ALL.into_iter().enumerate() {
            let labels = [("direction", direction), ("transport", transport_name(transport))];
            bytes.push((labels, workers.iter().map(|worker| of(worker)[index].bytes).sum()));
            packets.push((labels, workers.iter().map(|worker| of(worker)[index].packets).sum()));
        }
    }
    counters(encoder, "switchboard_turn_bytes", "Bytes of payload relayed", &bytes)?;
    counters(encoder, "switchboard_turn_packets", "Datagrams relayed", &packets)?;
    let hairpin = workers.iter().map(|worker| worker.engine.hairpin.packets).sum::<u64>();
    let help = "Datagrams from one allocation of this server to another, without a socket";
    counters(encoder, "switchboard_turn_hairpin_packets", help, &[(UNLABELLED, hairpin)])
}

/// Requests whose credentials were no good. The first request of a client, without credentials, is none of them.
fn auth_failures(workers: &[Published], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let counts: Vec<_> = AuthFailure::ALL
        .into_iter()
        .enumerate()
        .map(|(index, reason)| {
            let count = workers.iter().map(|worker| worker.engine.auth_failures[index]).sum();
            ([("reason", reason.name())], count)
        })
        .collect();
    counters(encoder, "switchboard_turn_auth_failures", "Requests whose credentials were no good", &counts)
}

/// Requests by method and answer; 0 stands for success.
fn requests(workers: &[Published], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut counts: Vec<([Label; 2], u64)> = Vec::new();
    for (method, code, count) in workers.iter().flat_map(|worker| worker.engine.requests()) {
        let labels = [("method", method_name(method)), ("code", code_name(code))];
        match counts.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, sum)) => *sum += count,
            None => counts.push((labels, count)),
        }
    }
    counters(encoder, "switchboard_turn_requests", "Requests, by method and error code, 0 for success", &counts)
}

fn drops(workers: &[Published], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let of_engine = Dropped::ALL.map(|reason| {
        let count = workers.iter().map(|worker| worker.engine.dropped(reason)).sum();
        ([("reason", reason.name())], count)
    });
    let sum = |value: fn(&Published) -> u64| workers.iter().map(value).sum::<u64>();
    let of_shell = labelled(
        "reason",
        [
            ("slow_reader", sum(|worker| worker.counters.dropped_queue)),
            ("not_sent", sum(|worker| worker.counters.dropped_send)),
            ("busy_worker", sum(|worker| worker.counters.dropped_worker)),
        ],
    );
    let all: Vec<_> = of_engine.into_iter().chain(of_shell).collect();
    counters(encoder, "switchboard_turn_dropped", "Packets that went nowhere and were not answered", &all)
}

fn method_name(method: Method) -> &'static str {
    match method {
        Method::Binding => "binding",
        Method::Allocate => "allocate",
        Method::Refresh => "refresh",
        Method::CreatePermission => "create_permission",
        Method::ChannelBind => "channel_bind",
        Method::Send | Method::Data => "indication",
    }
}

/// The codes that the engine answers with (`switchboard_turn::stats::CODES`).
fn code_name(code: u16) -> &'static str {
    match code {
        0 => "0",
        300 => "300",
        400 => "400",
        401 => "401",
        403 => "403",
        420 => "420",
        437 => "437",
        438 => "438",
        440 => "440",
        441 => "441",
        442 => "442",
        443 => "443",
        486 => "486",
        508 => "508",
        _ => "other",
    }
}
