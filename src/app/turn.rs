//! The turn of a run: only a limited number of runs work at a time.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::timeout;

use crate::net::retry::Deadline;
use crate::run::{MemoryBudget, Share};

/// Other runs held all turns until it was too late to begin.
#[derive(Debug, thiserror::Error)]
#[error(
    "the time of the run was over before its turn came, since too many others were at work; it is \
     among the first of the next"
)]
pub(super) struct NoTurn;

/// The turns of one tenant's runs.
#[derive(Default)]
pub(super) struct Turns {
    has_missed: AtomicBool,
}

impl Turns {
    /// Whether a run has missed its turn since `begin`.
    pub fn has_missed(&self) -> bool {
        self.has_missed.load(Ordering::Relaxed)
    }

    /// Must be called when the tenant's runs begin.
    pub fn begin(&self) {
        self.has_missed.store(false, Ordering::Relaxed);
    }

    /// Notes that a run missed its turn, so that it is among the first of the next invocation.
    pub fn miss(&self) {
        self.has_missed.store(true, Ordering::Relaxed);
    }

    /// Waits for a run's turn. The wait counts towards the run's time, because the host would otherwise
    /// end all runs with the last one. A run with less than a quarter of its time left does not begin.
    pub async fn wait(&self, memory: &MemoryBudget, deadline: Deadline) -> Result<Share, NoTurn> {
        let longest = deadline.remaining() / 4 * 3;
        let turn = timeout(longest, memory.enter_in_turn()).await;
        turn.map_err(|_| NoTurn)
    }
}
