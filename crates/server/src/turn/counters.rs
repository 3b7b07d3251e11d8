//! What a worker counts itself, beside what its engine counts.

use switchboard_turn::Via;

/// Plain numbers of one worker; they only grow, but for the gauges of open connections.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    /// TCP connections that are open.
    pub(super) tcp_connections: u64,
    /// TLS connections that are open.
    pub(super) tls_connections: u64,
    /// Connections closed at once, for there were too many.
    pub(super) connections_refused: u64,
    /// Connections given up by the server: too slow, idle, not STUN.
    pub(super) connections_given_up: u64,
    /// Datagrams that no place or no time was left for in a stream's queue.
    pub(super) dropped_queue: u64,
    /// Datagrams that the system did not send.
    pub(super) dropped_send: u64,
    /// Datagrams for another worker that was too busy to take them.
    pub(super) dropped_worker: u64,
    /// Receives, sends: what a packet costs is mostly these.
    pub(super) receives: u64,
    pub(super) sends: u64,
    /// Datagrams that shared a send with another.
    pub(super) sent_in_trains: u64,
    /// How often the worker failed and began anew.
    pub(super) restarts: u64,
}

impl Counters {
    /// Counts an open connection.
    pub(super) fn connection_opened(&mut self, via: Via) {
        *self.gauge(via) += 1;
    }

    /// Counts it off.
    pub(super) fn connection_closed(&mut self, via: Via) {
        let gauge = self.gauge(via);
        *gauge = gauge.saturating_sub(1);
    }

    /// What goes on counting when the worker begins anew, without any connection.
    pub(super) fn renew(self) -> Self {
        Self { tcp_connections: 0, tls_connections: 0, restarts: self.restarts + 1, ..self }
    }

    fn gauge(&mut self, via: Via) -> &mut u64 {
        match via {
            Via::Tls(_) => &mut self.tls_connections,
            Via::Tcp(_) | Via::Udp(_) => &mut self.tcp_connections,
        }
    }
}
