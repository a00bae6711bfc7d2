//! What becomes of a batch at which the service fails inside, or of a record that it does not answer alone,
//! run after run. Most often it fails so whatever it is sent, until that has passed, and nothing is to be
//! done. But it may stumble over one of the records, and would for ever. Once the batch has waited for an
//! hour, that one is looked for, and set aside where others are taken before and after it.

use std::time::Duration;

use tokio::time::Instant;

use super::beyond::Beyond;
use super::deliver::Delivering;
use super::refused::{Culprit, Part, halves, sample};
use super::{DeadLetters, Ledger, RunError, Stop};
use crate::error::BoxError;
use crate::record::Source;

/// How long records have waited before the fault is looked for in one of them.
const LONG_WAIT: Duration = Duration::from_hours(1);
/// Records that are tried alone, to see whether the service takes anything.
const TRIED: usize = 2;
/// Times that a record is tried once others were taken: a service may fail now and then whatever it is
/// sent.
const CONFIRMED: usize = 3;
/// After so long it is not tried again: what is not answered takes a minute each time.
const CONFIRMING: Duration = Duration::from_secs(45);

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Whether the oldest record of the batch that is left has waited for so long.
    pub(super) fn has_waited(&self) -> bool {
        let began = self.course.began;
        let left = self.batch.records.iter().enumerate();
        let left = left.filter(|(index, _)| self.is_left(*index));
        let times = left.filter_map(|(_, it)| it.log_id.stored_at().or(it.date));
        let waited = times.min().map(|oldest| (began - oldest).to_std());
        waited.is_some_and(|it| it.is_ok_and(|it| it >= LONG_WAIT))
    }

    /// Delivers what the service takes of some records of the batch, and sets aside those over which it
    /// stumbles. Where it takes none of them, and took none of the others of the batch (`are_taken`), it is
    /// not the records.
    pub(super) async fn find_stumbling_block(
        &mut self,
        suspects: Part,
        are_taken: bool,
        error: BoxError,
    ) -> Result<(), Stop> {
        let tried = sample(&suspects, self.shift()).into_iter().take(TRIED);
        let (mut open, mut blocks, mut is_up) = (suspects, Vec::new(), are_taken);
        for index in tried {
            if is_up {
                break;
            }
            open.retain(|it| *it != index);
            is_up = self
                .try_piece(vec![index], false, &mut Vec::new(), &mut blocks)
                .await?;
        }
        if !is_up {
            return Err(RunError::Destination(error).into());
        }
        self.confirm(&mut blocks).await?;
        let mut parts = halves(&open);
        while let Some(part) = parts.pop() {
            if self.try_piece(part, true, &mut parts, &mut blocks).await? {
                self.confirm(&mut blocks).await?;
            }
        }
        if !blocks.is_empty() && self.try_beyond().await? == Beyond::Taken {
            self.confirm(&mut blocks).await?;
        }
        stumbles(blocks)
    }

    /// The same for a record that makes up the batch, and was tried alone just now.
    pub(super) async fn judge_alone(&mut self, index: usize, error: BoxError) -> Result<(), Stop> {
        let mut blocks = vec![(index, error)];
        if self.try_beyond().await? == Beyond::Taken {
            self.confirm(&mut blocks).await?;
        }
        stumbles(blocks)
    }

    /// Delivers a part, of which `parts` gets the halves if the service stumbles over it, and `blocks` the
    /// record if it is alone. Others of the batch were taken before, or not. Answers whether any was now.
    async fn try_piece(
        &mut self,
        mut part: Part,
        are_taken: bool,
        parts: &mut Vec<Part>,
        blocks: &mut Vec<Culprit>,
    ) -> Result<bool, Stop> {
        // One of it may have been tried for the sake of those before it.
        part.retain(|it| self.is_left(*it));
        if part.is_empty() {
            return Ok(false);
        }
        let mut leftover = self.attempt_part(&part).await?;
        let is_taken = leftover.is_taken;
        match (leftover.internal.take(), &part[..]) {
            (Some(error), [index]) => blocks.push((*index, error)),
            (Some(_), _) => parts.extend(halves(&leftover.suspects)),
            (None, _) => self.sort_out_part(leftover.after(are_taken)).await?,
        }
        Ok(is_taken)
    }

    /// Tries those again over which the service stumbled, now that it has taken others since, and sets
    /// aside what it still stumbles over.
    pub(super) async fn confirm(&mut self, blocks: &mut Vec<Culprit>) -> Result<(), Stop> {
        'blocks: for (index, mut reason) in std::mem::take(blocks) {
            let began = Instant::now();
            for _ in 0..CONFIRMED {
                if !self.is_left(index) {
                    continue 'blocks;
                }
                if began.elapsed() >= CONFIRMING {
                    break;
                }
                let mut leftover = self.attempt_part(&[index]).await?;
                let Some(again) = leftover.internal.take() else {
                    self.sort_out(leftover.after(true)).await?;
                    continue 'blocks;
                };
                reason = again;
            }
            self.set_aside_all(vec![(index, reason)]).await?;
        }
        Ok(())
    }
}

/// A run fails over what is left of these.
pub(super) fn stumbles(mut blocks: Vec<Culprit>) -> Result<(), Stop> {
    match blocks.pop() {
        Some((_, error)) => Err(RunError::Destination(error).into()),
        None => Ok(()),
    }
}
