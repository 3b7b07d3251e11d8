//! What the operator can count, as Prometheus reads it. No label comes from what users send.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use switchboard_signalling::core::{ByDialect, Stats};
use switchboard_wire::rooms::Dialect;

use crate::hub::Hub;
use crate::turn::{self, Board};

/// Bytes of one door, counted at its sockets.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Traffic {
    pub(crate) fn count_in(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn count_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }
}

/// Why something was refused before it reached the core.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// Sockets of an address that had too many.
    pub(crate) address_full: AtomicU64,
    /// Sockets of a server that had too many.
    pub(crate) server_full: AtomicU64,
    /// Pages of origins that are not listed.
    pub(crate) foreign_origin: AtomicU64,
    /// PeerJS clients whose URL has no key of this server's, no id or no token, or has them too long.
    pub(crate) bad_url: AtomicU64,
}

/// What the shell counts itself; the rest is read from the core.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Ordinary requests, and what becomes of them until a door takes the socket over.
    pub(crate) http: Arc<Traffic>,
    /// WebSockets of the rooms protocol.
    pub(crate) rooms: Arc<Traffic>,
    /// WebSockets of Socket.IO; its polling counts as `http`.
    pub(crate) socketio: Arc<Traffic>,
    /// WebSockets of PeerJS.
    pub(crate) peerjs: Arc<Traffic>,
    /// WebSockets of the relay.
    pub(crate) relay: Arc<Traffic>,
    /// WebSockets of matchbox.
    pub(crate) matchbox: Arc<Traffic>,
    pub(crate) refusals: Refusals,
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Writes all metrics in the text format of OpenMetrics.
pub(crate) fn encode(registry: &Registry) -> String {
    let mut out = String::new();
    // Writing to a string has no way to fail.
    let _ = text::encode(&mut out, registry);
    out
}

/// Collects everything that the server counts.
pub(crate) fn registry(hub: Arc<Hub>, metrics: Arc<Metrics>, turn: Option<Board>) -> Registry {
    let mut registry = Registry::default();
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("switchboard_build", "What is running", build);
    registry.register_collector(Box::new(Source { hub, metrics, turn }));
    registry
}

#[derive(Debug)]
struct Source {
    hub: Arc<Hub>,
    metrics: Arc<Metrics>,
    /// None where there is no STUN and TURN.
    turn: Option<Board>,
}

pub(crate) type Label = (&'static str, &'static str);

pub(crate) const UNLABELLED: [Label; 0] = [];

impl Collector for Source {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (stats, rooms) = self.hub.stats();
        let encoder = &mut encoder;
        gauges(encoder, "switchboard_signal_connections", "Clients that are connected", &by(stats.connections))?;
        gauges(encoder, "switchboard_rooms", "Rooms that have members", &[(UNLABELLED, rooms as u64)])?;
        counters(encoder, "switchboard_connections", "Clients that were admitted", &by(stats.connected_total))?;
        let joins = by(stats.joined_total).map(|(label, value)| ([label[0], ("result", "joined")], value));
        let refused = by(stats.join_refused_total).map(|(label, value)| ([label[0], ("result", "refused")], value));
        counters(encoder, "switchboard_joins", "Rooms entered, or not", &[joins, refused].concat())?;
        let help = "Offers, answers and candidates passed on";
        counters(encoder, "switchboard_messages_relayed", help, &by(stats.relayed_total))?;
        directory(encoder, &stats)?;
        let departures = [("left", stats.left_total), ("lost", stats.lost_total), ("removed", stats.removed_total)];
        counters(encoder, "switchboard_departures", "Peers that are gone", &labelled("reason", departures))?;
        counters(encoder, "switchboard_resumes", "Peers that came back in time", &[(UNLABELLED, stats.resumed_total)])?;
        counters(
            encoder,
            "switchboard_errors",
            "Requests answered with an error",
            &[(UNLABELLED, stats.errors_total)],
        )?;
        let help = "Times that a client began to be read more slowly";
        counters(encoder, "switchboard_slowed", help, &[(UNLABELLED, stats.slowed_total)])?;
        let refusals = &self.metrics.refusals;
        let refusals = [
            ("address_full", stats.refused_address_full_total + refusals.address_full.load(Relaxed)),
            ("server_full", stats.refused_server_full_total + refusals.server_full.load(Relaxed)),
            ("draining", stats.refused_draining_total),
            ("foreign_origin", refusals.foreign_origin.load(Relaxed)),
            ("bad_url", refusals.bad_url.load(Relaxed)),
        ];
        counters(encoder, "switchboard_refusals", "Clients that were not admitted", &labelled("reason", refusals))?;
        let doors = [
            ("http", &self.metrics.http),
            ("rooms", &self.metrics.rooms),
            ("socketio", &self.metrics.socketio),
            ("peerjs", &self.metrics.peerjs),
            ("relay", &self.metrics.relay),
            ("matchbox", &self.metrics.matchbox),
        ];
        let read = doors.map(|(door, traffic)| (door, traffic.bytes_in.load(Relaxed)));
        counters(encoder, "switchboard_read_bytes", "Bytes read from clients", &labelled("door", read))?;
        let written = doors.map(|(door, traffic)| (door, traffic.bytes_out.load(Relaxed)));
        counters(encoder, "switchboard_written_bytes", "Bytes written to clients", &labelled("door", written))?;
        star(encoder, &stats)?;
        match &self.turn {
            Some(board) => turn::metrics::encode(board, encoder),
            None => Ok(()),
        }
    }
}

/// One value for each dialect.
fn by(values: ByDialect) -> [([Label; 1], u64); Dialect::ALL.len()] {
    Dialect::ALL.map(|dialect| ([("dialect", dialect.as_str())], values[dialect]))
}

/// Names that clients hold: ids of PeerJS, addresses of webrtc-star, topics of the relay.
fn directory(encoder: &mut DescriptorEncoder<'_>, stats: &Stats) -> fmt::Result {
    gauges(encoder, "switchboard_names", "Names that clients hold", &by(stats.names))?;
    let claimed = by(stats.claimed_total).map(|(label, value)| ([label[0], ("result", "held")], value));
    let refused = by(stats.claim_refused_total).map(|(label, value)| ([label[0], ("result", "refused")], value));
    counters(encoder, "switchboard_claims", "Names claimed, or not", &[claimed, refused].concat())?;
    let takeovers = [("returned", stats.taken_over_total), ("silent", stats.contested_total)];
    let help = "Names that passed to another connection: of the same client, or of one in place of a silent one";
    counters(encoder, "switchboard_takeovers", help, &labelled("reason", takeovers))?;
    let help = "Messages that found nobody, and were dropped, sent back or expired";
    counters(encoder, "switchboard_messages_undelivered", help, &by(stats.undelivered_total))
}

/// What the original webrtc-star server counts, under the names that it gives.
///
/// Some of them are no names of counters in OpenMetrics, so that their type is said to be unknown; dashboards do not mind.
fn star(encoder: &mut DescriptorEncoder<'_>, stats: &Stats) -> fmt::Result {
    let joined = stats.star_joins_total - stats.star_joins_failure_total;
    let one = |value: u64| [(UNLABELLED, value)];
    gauges(encoder, "webrtc_star_peers", "Addresses that peers have joined with", &one(stats.star_peers))?;
    counters(encoder, "webrtc_star_joins", "Joins", &one(stats.star_joins_total))?;
    family(encoder, "webrtc_star_joins_total_success", "Joins that worked", Unknown, &one(joined))?;
    let failed = one(stats.star_joins_failure_total);
    family(encoder, "webrtc_star_joins_total_failure", "Joins that did not work", Unknown, &failed)?;
    counters(encoder, "webrtc_star_dials", "Handshakes of any kind", &one(stats.star_dials_total))?;
    let answered = one(stats.star_dials_success_total);
    family(encoder, "webrtc_star_dials_total_success", "Handshakes that answer another", Unknown, &answered)?;
    let failed = one(stats.star_dials_failure_total);
    let help = "Handshakes that could not be read, or not be delivered";
    family(encoder, "webrtc_star_dials_total_failure", help, Unknown, &failed)
}

/// A number whose name says less than the standard asks of a counter's.
#[derive(Debug)]
struct Unknown(u64);

impl EncodeMetric for Unknown {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        ConstGauge::new(self.0).encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Unknown
    }
}

/// The values of one metric under the values of one label.
pub(crate) fn labelled<const N: usize>(name: &'static str, values: [(&'static str, u64); N]) -> [([Label; 1], u64); N] {
    values.map(|(label, value)| ([(name, label)], value))
}

/// Writes the values of one gauge.
pub(crate) fn gauges<L: AsRef<[Label]>>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[(L, u64)],
) -> fmt::Result {
    family(encoder, name, help, ConstGauge::new, values)
}

/// Writes the values of one counter; the encoder appends `_total` to its name.
pub(crate) fn counters<L: AsRef<[Label]>>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[(L, u64)],
) -> fmt::Result {
    family(encoder, name, help, ConstCounter::new, values)
}

fn family<L: AsRef<[Label]>, M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: impl Fn(u64) -> M,
    values: &[(L, u64)],
) -> fmt::Result {
    let mut encoder = encoder.encode_descriptor(name, help, None, metric(0).metric_type())?;
    if let [(labels, value)] = values
        && labels.as_ref().is_empty()
    {
        return metric(*value).encode(encoder);
    }
    for (labels, value) in values {
        metric(*value).encode(encoder.encode_family(&labels.as_ref())?)?;
    }
    Ok(())
}
