//! What becomes of a batch that the destination does not accept as a whole: the records at fault are
//! found and set aside, and the rest are delivered.
//!
//! Which way depends on the answer: [records are refused](refused), [no answer came in
//! time](late), or [the service failed internally](internal). If no record of the batch is accepted,
//! [others are tried](beyond), which tells whether the fault is in these records.

mod beyond;
mod internal;
mod late;
mod refused;

use super::Delivering;
use super::attempt::{Culprit, Leftover, Part};
use crate::record::Source;
use crate::run::{DeadLetters, Ledger, RunError, Stop};

/// Records tried alone before a run concludes that every record is refused.
const SAMPLE: usize = 10;

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Sets aside what the destination refuses of the batch, and delivers the rest.
    ///
    /// Saves what was found out, even if there is no time to find out the rest: the next run continues
    /// from there.
    pub(super) async fn sort_out_batch(&mut self, leftover: Leftover) -> Result<(), Stop> {
        let sorted = match leftover {
            Leftover {
                internal: Some(error),
                suspects,
                has_accepted,
                ..
            } if self.has_waited() => match suspects[..] {
                [index] if !has_accepted => self.judge_alone(index, error).await,
                _ => {
                    self.find_poison_records(suspects, has_accepted, error)
                        .await
                }
            },
            leftover => self.sort_out_part(leftover).await,
        };
        let Err(stop) = sorted else {
            return Ok(());
        };
        self.save_unsaved().await?;
        match stop {
            Stop::OutOfTime => {
                let left = self.left().count();
                Err(RunError::NotSortedOut { left }.into())
            }
            failed @ Stop::Failed(_) => Err(failed),
        }
    }

    /// Like [`sort_out_batch`](Self::sort_out_batch), for a part of the batch.
    async fn sort_out_part(&mut self, leftover: Leftover) -> Result<(), Stop> {
        match leftover {
            Leftover {
                late: Some(error),
                suspects,
                ..
            } => self.deliver_in_parts(suspects, error).await,
            leftover => self.sort_out_refused(leftover).await.map(drop),
        }
    }

    /// Sets these records aside, which the destination refuses or fails over.
    async fn set_aside_all(&mut self, culprits: Vec<Culprit>) -> Result<(), Stop> {
        for (index, reason) in culprits {
            let record = self.batch.records[index].clone();
            self.keep_dead_letter(&record, &*reason).await?;
            self.tally.refused += 1;
            self.is_unsaved = true;
        }
        Ok(())
    }

    /// The unhandled records of the batch.
    fn all_left(&self) -> Part {
        let records = 0..self.batch.records.len();
        records.filter(|it| self.is_left(*it)).collect()
    }

    /// Whether a record of the batch is unhandled.
    fn is_left(&self, index: usize) -> bool {
        !self.ledger.has_handled(&self.batch.records[index].log_id)
    }

    /// Where a sample begins. This differs from run to run, because the batch stays the same until one
    /// of its records is accepted.
    fn shift(&self) -> usize {
        let minutes = self.active.began.timestamp() / 60;
        usize::try_from(minutes).unwrap_or_default()
    }
}

/// Up to [`SAMPLE`] records of a part, spread evenly over it, and shifted so that they vary from run to
/// run.
fn sample(part: &[usize], shift: usize) -> Part {
    let count = part.len();
    let tried = count.min(SAMPLE);
    let place = |n| n * count.saturating_sub(1) / tried.saturating_sub(1).max(1);
    (0..tried)
        .map(|n| part[(place(n) + shift) % count])
        .collect()
}

/// The halves of a part, the second one first.
fn halves(part: &[usize]) -> Vec<Part> {
    let (first, second) = part.split_at(part.len() / 2);
    // The caller pops the last.
    let halves = [second, first].into_iter().filter(|it| !it.is_empty());
    halves.map(<[usize]>::to_vec).collect()
}
