//! What becomes of a batch that is not answered in time: it is delivered in parts, since of fewer records
//! the destination, or the way to it, may be fast enough. As a whole it would be sent again and again.
//!
//! Over a record that is not answered alone either the destination stumbles, or what is on the way to it.

use super::beyond::Beyond;
use super::deliver::Delivering;
use super::internal::stumbles;
use super::refused::{Part, halves};
use super::{DeadLetters, Ledger, RunError, Stop};
use crate::error::BoxError;
use crate::record::Source;

impl<S: Source, A: DeadLetters, L: Ledger> Delivering<'_, S, A, L> {
    /// Delivers halves of some records of the batch, and halves of a half that is late too. What is
    /// refused of a part is found in it. What comes after it has no more records.
    pub(super) async fn deliver_in_parts(
        &mut self,
        late: Part,
        mut error: BoxError,
    ) -> Result<(), Stop> {
        let pace = self.course.run.pace;
        // What the end of a run cuts off is the first thing in the next run, which has more time for it.
        if self.course.deadline.is_over() && self.batches > 1 {
            return Err(RunError::Destination(error).into());
        }
        pace.late(late.len());
        let (mut parts, mut are_taken, mut blocks) = (vec![late], false, Vec::new());
        while let Some(mut part) = parts.pop() {
            // One of it may have been tried for the sake of those before it.
            part.retain(|it| self.is_left(*it));
            if part.is_empty() {
                continue;
            }
            if part.len() > pace.most() {
                parts.extend(halves(&part));
                continue;
            }
            let mut leftover = match self.attempt_part(&part).await {
                Err(Stop::OutOfTime) => return Err(RunError::Destination(error).into()),
                tried => tried?,
            };
            if let Some(again) = leftover.late.take() {
                error = again;
                if self.course.deadline.is_over() {
                    return Err(RunError::Destination(error).into());
                }
                pace.late(part.len());
                parts.push(part);
                continue;
            }
            let mut is_taken = leftover.is_taken;
            match leftover.internal.take() {
                Some(again) if !self.has_waited() => {
                    return Err(RunError::Destination(again).into());
                }
                Some(again) => match part[..] {
                    [index] => {
                        blocks.push((index, again));
                        is_taken = self.try_beyond().await? == Beyond::Taken;
                    }
                    _ => parts.extend(halves(&part)),
                },
                None => {
                    self.sort_out(leftover.after(are_taken)).await?;
                    are_taken |= self.is_taken;
                }
            }
            if is_taken {
                self.confirm(&mut blocks).await?;
            }
        }
        stumbles(blocks)
    }
}
