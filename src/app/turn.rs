//! The turn of a run, of which only so many are at work at a time.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::timeout;

use crate::net::retry::Deadline;
use crate::report::Report;
use crate::run::{InFlight, Share};

/// Others had all turns for so long that it was too late to begin.
#[derive(Debug, thiserror::Error)]
#[error(
    "the time of the run was over before its turn came, since too many others were at work; it is \
     among the first of the next"
)]
struct NoTurn;

/// The turns of one tenant's runs.
#[derive(Default)]
pub(super) struct Turns {
    has_missed: AtomicBool,
}

impl Turns {
    /// Whether a run had no turn the last time.
    pub fn has_missed(&self) -> bool {
        self.has_missed.load(Ordering::Relaxed)
    }

    /// To be called when the tenant's runs begin.
    pub fn begin(&self) {
        self.has_missed.store(false, Ordering::Relaxed);
    }

    /// Waits for the turn of a run, which takes of the run's time: otherwise the host would end all of
    /// them with the last one. Where less than a quarter of it would be left, the next run is to have
    /// it, and the report says so, unless this one was only to run once more.
    pub async fn wait(
        &self,
        in_flight: &InFlight,
        deadline: Deadline,
        is_first: bool,
    ) -> Result<Share, Box<Report>> {
        let budget = deadline.remaining();
        let turn = timeout(budget / 4 * 3, in_flight.enter_in_turn()).await;
        turn.map_err(|_| {
            let mut report = Report::default();
            if is_first {
                self.has_missed.store(true, Ordering::Relaxed);
                report.fail(&NoTurn);
            } else {
                report.busy = true;
            }
            Box::new(report)
        })
    }
}
