//! The polling sessions that there are, by the ids that their requests name, and their clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use switchboard_signalling::core::ClientAddr;
use switchboard_signalling::socketio::Sid;
use tokio::sync::{Notify, Semaphore};

use super::session::PollingSession;

/// Large bodies that are read at a time; with a megabyte each they stay below 64 MB.
const LARGE_BODIES: usize = 64;

/// The sessions. As many as connections are admitted, at most.
#[derive(Debug)]
pub(crate) struct Sessions {
    by_sid: Mutex<HashMap<Sid, Arc<PollingSession>>>,
    alarms: Mutex<Alarms>,
    /// An alarm was set that comes before all others.
    sooner: Notify,
    /// Bodies of POSTs that may be held in memory beyond their first [`SMALL_BODY`](super::polling::SMALL_BODY) bytes.
    pub(super) large_bodies: Semaphore,
}

/// When to wake whom; the number tells alarms of the same instant apart.
#[derive(Debug, Default)]
struct Alarms {
    set: BTreeMap<(Instant, u64), Weak<PollingSession>>,
    count: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        let large_bodies = Semaphore::new(LARGE_BODIES);
        Self { by_sid: Mutex::default(), alarms: Mutex::default(), sooner: Notify::new(), large_bodies }
    }
}

impl Sessions {
    /// The session that a request from `from` may speak for.
    pub(super) fn find(&self, sid: Sid, from: ClientAddr) -> Option<Arc<PollingSession>> {
        let session = self.sessions().get(&sid).cloned()?;
        session.admits(from).then_some(session)
    }

    pub(super) fn register(&self, sid: Sid, session: Arc<PollingSession>) {
        self.sessions().insert(sid, session);
    }

    /// Forgets an id. The caller holds the session's lock, so what may be the last reference is dropped by nobody here.
    pub(super) fn forget(&self, sid: Sid) -> Option<Arc<PollingSession>> {
        self.sessions().remove(&sid)
    }

    /// Wakes a session at a time.
    pub(super) fn set_alarm(&self, at: Instant, session: Weak<PollingSession>) {
        let mut alarms = self.alarms();
        alarms.count += 1;
        let key = (at, alarms.count);
        alarms.set.insert(key, session);
        if alarms.set.first_key_value().is_some_and(|(first, _)| *first == key) {
            drop(alarms);
            self.sooner.notify_one();
        }
    }

    /// Wakes sessions at their times, for ever.
    pub(crate) async fn keep_time(&self) {
        loop {
            let next = self.alarms().set.first_key_value().map(|((at, _), _)| *at);
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.wake_due(Instant::now()),
                () = self.sooner.notified() => {}
            }
        }
    }

    fn wake_due(&self, now: Instant) {
        loop {
            let session = {
                let mut alarms = self.alarms();
                match alarms.set.first_entry() {
                    Some(entry) if entry.key().0 <= now => entry.remove(),
                    Some(_) | None => return,
                }
            };
            if let Some(session) = session.upgrade() {
                session.on_alarm(now);
            }
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Sid, Arc<PollingSession>>> {
        self.by_sid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alarms(&self) -> MutexGuard<'_, Alarms> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
