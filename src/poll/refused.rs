//! What becomes of a batch that the destination refuses: the records at fault are found and set
//! aside, and the others are delivered.
//!
//! Where every record is refused the fault is not in the records, but in an address, a table or a
//! schema; then nothing is set aside and the run fails. Only a few records that stand alone for an
//! hour, with nothing beside them that would be taken, are set aside all the same.

use std::time::Duration;

use bytes::Bytes;

use super::batch::Batch;
use super::{Run, RunError, Stop, Tracked};
use crate::BoxError;
use crate::checkpoint::CheckpointStore;
use crate::dead_letter::DeadLetters;
use crate::destination::{DeliveryError, Destination};
use crate::source::Source;

/// Records that are tried alone before it is said that every record is refused.
const SAMPLE: usize = 10;
/// How long so few records may be all there is, and be refused.
const PATIENCE: Duration = Duration::from_hours(1);

impl<S: Source, D: Destination, C: CheckpointStore, L: DeadLetters> Run<'_, S, D, C, L> {
    /// Delivers what can be delivered of a batch that was refused for this reason, and sets the
    /// rest aside.
    pub(super) async fn sort_out(
        &self,
        batch: &Batch,
        reason: BoxError,
        tracked: &mut Tracked,
    ) -> Result<(), Stop> {
        // What it took before, it may refuse by now like everything else.
        tracked.has_accepted = false;
        let count = batch.rows.len();
        let mut open: Vec<usize> = (0..count).collect();
        let mut culprits = Vec::new();
        if count == 1 {
            open.clear();
            culprits.push((0, reason));
        } else {
            for index in sample(count) {
                open.retain(|it| *it != index);
                if let Some(reason) = self.try_part(batch, &[index], tracked).await? {
                    culprits.push((index, reason));
                }
            }
        }
        if !tracked.has_accepted {
            let since = tracked.checkpoint.refused(self.began);
            let is_over = (self.began - since).to_std().is_ok_and(|it| it >= PATIENCE);
            if let Some((_, reason)) = culprits.pop_if(|_| !open.is_empty() || !is_over) {
                self.save(tracked).await?;
                return Err(RunError::AllRefused(reason).into());
            }
        }
        let mut parts = halves(&open);
        while let Some(part) = parts.pop() {
            match (self.try_part(batch, &part, tracked).await?, &part[..]) {
                (None, _) => {}
                (Some(reason), [culprit]) => culprits.push((*culprit, reason)),
                (Some(_), part) => parts.extend(halves(part)),
            }
        }
        for (index, reason) in culprits {
            let record = &batch.records[index];
            self.keep_dead_letter(record, &*reason, tracked).await?;
        }
        Ok(())
    }

    /// Delivers a part of a batch. Answers why it is refused, if it is.
    ///
    /// What is accepted is saved at once, but the cursor stays: something below may be refused.
    async fn try_part(
        &self,
        batch: &Batch,
        part: &[usize],
        tracked: &mut Tracked,
    ) -> Result<Option<BoxError>, Stop> {
        if self.deadline.is_over() {
            return Err(Stop::OutOfTime);
        }
        let rows: Vec<Bytes> = part
            .iter()
            .map(|index| batch.rows[*index].clone())
            .collect();
        let destination = &self.poller.destination;
        match destination.deliver(&rows, self.deadline).await {
            Ok(receipt) => {
                let records = part.iter().map(|index| &batch.records[*index]);
                self.accept(records, receipt, tracked);
                self.save(tracked).await?;
                Ok(None)
            }
            Err(DeliveryError::Refused(reason)) => Ok(Some(reason)),
            Err(DeliveryError::Failed(error)) => Err(RunError::Destination(error).into()),
        }
    }
}

/// Some places of a batch, as far from each other as they can be.
fn sample(count: usize) -> impl Iterator<Item = usize> {
    let tried = count.min(SAMPLE);
    (0..tried).map(move |n| n * (count - 1) / (tried - 1).max(1))
}

fn halves(part: &[usize]) -> Vec<Vec<usize>> {
    let (first, second) = part.split_at(part.len() / 2);
    // The first is to be taken first.
    let halves = [second, first].into_iter().filter(|it| !it.is_empty());
    halves.map(<[usize]>::to_vec).collect()
}
