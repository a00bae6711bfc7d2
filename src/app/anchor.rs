//! From when on records are wanted before a destination has had a run: what is set, and what is stored
//! while no run can begin.

use chrono::{DateTime, Utc};

use super::Layers;
use crate::clock::Clock;
use crate::net::retry::Deadline;
use crate::record::Start;
use crate::report::Gap;
use crate::run::{Ledger as _, Policy};
use crate::state::{Checkpoint, CheckpointLedger, CheckpointStore};

impl Layers {
    /// Lets a checkpoint begin where the next run lets it begin, if `START_FROM` is given and good.
    pub fn begin(&self, checkpoint: &mut Checkpoint) {
        let is_given = self.settings.get("START_FROM").is_some();
        if let Some(start) = self.first_start().filter(|_| is_given) {
            checkpoint.begin_by(start);
        }
    }

    /// Where the first run is to begin, if that is known, while none can begin. A bad setting of something
    /// else about the runs does not hide it.
    pub(super) fn beginning(&self) -> Option<Policy> {
        let read = self.read(|reader| Policy::read_beginning(reader, self.now()));
        read.ok()
    }

    /// Where a first run begins, if that is known.
    pub fn first_start(&self) -> Option<Start> {
        let start_from = self.beginning()?.start_from;
        Some(start_from.resolve(self.now()))
    }
}

/// Stores the time from which records are wanted, while no run can begin. Otherwise the first run would
/// begin at a later time, and the records before it would be lost. If the time cannot be stored, the
/// report names the problem all the same. Returns which records may be missing since the checkpoint was
/// lost: when a run can begin, it may be too late to report them. `wanted_at` is when the run was to begin,
/// if it waited since then.
pub(super) async fn anchor(
    checkpoints: &CheckpointStore,
    policy: Policy,
    clock: &Clock,
    wanted_at: Option<DateTime<Utc>>,
    deadline: Deadline,
) -> Option<Gap> {
    let mut ledger = ledger(checkpoints, policy, clock, wanted_at);
    ledger.open(deadline).await.ok()?.loss
}

/// The ledger of a run that begins now, and was to begin at `wanted_at` if it waited since then.
pub(super) fn ledger<'a>(
    checkpoints: &'a CheckpointStore,
    policy: Policy,
    clock: &'a Clock,
    wanted_at: Option<DateTime<Utc>>,
) -> CheckpointLedger<'a> {
    let (start_from, overlap) = (policy.start_from, policy.overlap);
    let ledger = CheckpointLedger::new(checkpoints, start_from, overlap, clock);
    match wanted_at {
        Some(time) => ledger.waiting_since(time, start_from),
        None => ledger,
    }
}
