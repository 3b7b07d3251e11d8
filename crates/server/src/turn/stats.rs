//! What the workers count, for the operator.

use std::sync::{Arc, Mutex, PoisonError};

use switchboard_turn::Stats;

use super::counters::Counters;

/// What one worker has counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Published {
    pub(super) engine: Stats,
    pub(super) counters: Counters,
}

/// The latest numbers of every worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    workers: Vec<Arc<Mutex<Published>>>,
}

impl Board {
    /// A place for the numbers of one more worker.
    pub(super) fn add(&mut self) -> Arc<Mutex<Published>> {
        let place = Arc::<Mutex<Published>>::default();
        self.workers.push(Arc::clone(&place));
        place
    }

    /// The numbers of each.
    pub(super) fn workers(&self) -> Vec<Published> {
        let read = |worker: &Arc<Mutex<Published>>| worker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.workers.iter().map(read).collect()
    }
}
