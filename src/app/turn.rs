//! The turn of a run, of which only so many are at work at a time.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::timeout;

use crate::net::retry::Deadline;
use crate::run::{InFlight, Share};

/// Others had all turns for so long that it was too late to begin.
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
    /// Whether a run missed its turn since they began.
    pub fn has_missed(&self) -> bool {
        self.has_missed.load(Ordering::Relaxed)
    }

    /// To be called when the tenant's runs begin.
    pub fn begin(&self) {
        self.has_missed.store(false, Ordering::Relaxed);
    }

    /// To be called of a run that is to be among the first of the next.
    pub fn miss(&self) {
        self.has_missed.store(true, Ordering::Relaxed);
    }

    /// Waits for the turn of a run, which takes of the run's time: otherwise the host would end all of
    /// them with the last one. A run with less than a quarter of its time left is not begun.
    pub async fn wait(&self, in_flight: &InFlight, deadline: Deadline) -> Result<Share, NoTurn> {
        let longest = deadline.remaining() / 4 * 3;
        let turn = timeout(longest, in_flight.enter_in_turn()).await;
        turn.map_err(|_| NoTurn)
    }
}
