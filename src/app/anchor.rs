//! What is kept for a destination while no run of it can begin.

use crate::clock::Clock;
use crate::net::retry::Deadline;
use crate::report::Gap;
use crate::run::{Ledger as _, Policy};
use crate::state::{CheckpointLedger, CheckpointStore};

/// Keeps from when on records are wanted, where no run can begin for now: otherwise the first one that
/// does would begin later, and what was stored meanwhile would be lost. Where it cannot be kept, the
/// report says what is wrong all the same. Answers with what may be missing since the checkpoint was
/// lost: when a run can begin, it may be too late to tell that.
pub(super) async fn anchor(
    checkpoints: &CheckpointStore,
    policy: Policy,
    clock: &Clock,
    deadline: Deadline,
) -> Option<Gap> {
    let (start_from, overlap) = (policy.start_from, policy.overlap);
    let mut ledger = CheckpointLedger::new(checkpoints, start_from, overlap, clock);
    ledger.open(deadline).await.ok()?.loss
}
