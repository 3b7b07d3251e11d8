//! This machine's own addresses, which are nobody's peers: read before anything is relayed, and again and again after that, for
//! a lease, another network or a temporary IPv6 address (RFC 8981) brings new ones while the server runs.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use switchboard_turn::PeerPolicy;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::task::AbortOnDropHandle;

/// How often the addresses are read. An address has to be told to somebody before it can be named as a peer.
const EVERY: Duration = Duration::from_secs(30);

/// Reads the addresses of all interfaces: the system's list, or a test's.
pub(super) trait Reading: FnMut() -> io::Result<Vec<IpAddr>> + Send + 'static {}

impl<F: FnMut() -> io::Result<Vec<IpAddr>> + Send + 'static> Reading for F {}

/// Keeps a policy up to date with the addresses that this machine has.
pub(super) struct OwnAddresses<R> {
    read: R,
    policy: Arc<PeerPolicy>,
    /// Those that are told to clients and may stand on no interface (1:1 NAT).
    external: Vec<IpAddr>,
    /// Those of the last reading, sorted.
    known: Vec<IpAddr>,
    is_failing: bool,
}

impl<R: Reading> OwnAddresses<R> {
    /// `known` is what the policy was made with, beside the `external` ones.
    pub(super) fn new(read: R, policy: Arc<PeerPolicy>, external: Vec<IpAddr>, mut known: Vec<IpAddr>) -> Self {
        known.sort_unstable();
        Self { read, policy, external, known, is_failing: false }
    }

    /// Reads every half minute until the handle is dropped; none where there is no runtime to do so.
    pub(super) fn watch(mut self) -> Option<AbortOnDropHandle<()>> {
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        Some(AbortOnDropHandle::new(runtime.spawn(async move {
            let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                self.read_again();
            }
        })))
    }

    /// Denies what there is now. After a reading that fails, what was known stays denied.
    fn read_again(&mut self) {
        let mut found = match (self.read)() {
            Ok(found) => found,
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "cannot list the addresses of this machine; those that are known stay denied as peers");
                }
                return;
            }
        };
        self.is_failing = false;
        found.sort_unstable();
        if found == self.known {
            return;
        }
        self.policy.set_own(found.iter().chain(&self.external).copied().collect());
        tracing::debug!(addresses = ?found, "this machine has other addresses, which are denied as peers now");
        self.known = found;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    type List = Arc<Mutex<Option<Vec<IpAddr>>>>;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().expect("an address")).collect()
    }

    /// A machine whose addresses the test sets; none is a list that cannot be had.
    fn machine(first: &[&str], external: &[&str]) -> (List, Arc<PeerPolicy>, OwnAddresses<impl Reading>) {
        let (list, external): (List, _) = (Arc::new(Mutex::new(Some(ips(first)))), ips(external));
        let own = ips(first).into_iter().chain(external.clone()).collect();
        let policy = Arc::new(PeerPolicy::new(Vec::new(), Vec::new(), own, false).expect("a policy"));
        let read = {
            let list = Arc::clone(&list);
            move || list.lock().expect("the list").clone().ok_or_else(|| io::Error::other("no netlink here"))
        };
        let own = OwnAddresses::new(read, Arc::clone(&policy), external, ips(first));
        (list, policy, own)
    }

    fn permits(policy: &PeerPolicy, ip: &str) -> bool {
        policy.permits(ip.parse().expect("an address"))
    }

    #[test]
    fn an_address_that_comes_later_is_denied_and_one_that_goes_is_not() {
        let (list, policy, mut own) = machine(&["198.41.0.4", "2600::7"], &["198.41.0.9"]);
        assert!(permits(&policy, "2600::8") && !permits(&policy, "2600::7"));
        *list.lock().expect("the list") = Some(ips(&["2600::8", "198.41.0.4"]));
        own.read_again();
        assert!(!permits(&policy, "2600::8") && permits(&policy, "2600::7"));
        assert!(
            !permits(&policy, "198.41.0.4") && !permits(&policy, "198.41.0.9"),
            "an external address is on no interface"
        );
    }

    #[test]
    fn a_reading_that_fails_permits_nothing_new() {
        let (list, policy, mut own) = machine(&["198.41.0.4"], &[]);
        *list.lock().expect("the list") = None;
        own.read_again();
        assert!(!permits(&policy, "198.41.0.4"));
        *list.lock().expect("the list") = Some(ips(&["198.41.0.5"]));
        own.read_again();
        assert!(permits(&policy, "198.41.0.4") && !permits(&policy, "198.41.0.5"));
    }

    /// Lets virtual time pass, and the task after it run.
    async fn pass(time: Duration) {
        tokio::task::yield_now().await;
        tokio::time::advance(time).await;
        tokio::task::yield_now().await;
    }

    #[tokio::test(start_paused = true)]
    async fn reads_every_half_minute_until_the_handle_is_dropped() {
        let (list, policy, own) = machine(&["198.41.0.4"], &[]);
        let handle = own.watch().expect("a runtime");
        *list.lock().expect("the list") = Some(ips(&["198.41.0.5"]));
        pass(EVERY / 2).await;
        assert!(permits(&policy, "198.41.0.5"), "not yet");
        pass(EVERY).await;
        assert!(!permits(&policy, "198.41.0.5"));
        *list.lock().expect("the list") = Some(ips(&["198.41.0.6"]));
        pass(EVERY).await;
        assert!(!permits(&policy, "198.41.0.6"), "again and again");
        drop(handle);
        *list.lock().expect("the list") = Some(ips(&["198.41.0.7"]));
        pass(EVERY * 3).await;
        assert!(permits(&policy, "198.41.0.7"), "nobody reads any more");
    }
}
